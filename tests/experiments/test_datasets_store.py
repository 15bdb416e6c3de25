"""Data sets are written whole or not at all, and Minari reads them."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import minari
import numpy as np
import pytest
from gymnasium import spaces
from made_datasets import ABOUT, GOAL, ID, episodes
from minari.namespace import list_local_namespaces
from palaestra.experiments.datasets import store
from palaestra.experiments.datasets.about import about_env, observation_fields
from palaestra.experiments.datasets.episodes import Episode, EpisodeError, digest_of, take_steps
from palaestra.experiments.datasets.names import id_for
from palaestra.experiments.datasets.reading import open_dataset
from palaestra.experiments.datasets.store import write_dataset
from palaestra.experiments.errors import RunFolderError, UsageError


@pytest.mark.parametrize("format", ["hdf5", "arrow"])
def test_minari_reads_what_was_written(format, datasets):
    made = list(episodes(infos=None, options={"task": [1.0, 2.0], "name": "x"}))
    made = [dataclasses.replace(e, infos={"env_params": np.ones((len(e) + 1, 2), np.float32)}) for e in made]
    for e in made:
        e.infos["success"] = np.arange(len(e) + 1) == len(e)
    place = write_dataset(ID, made, ABOUT, format)
    assert place == datasets / ID
    read = minari.load_dataset(ID)
    assert read.total_episodes == 3 and read.total_steps == 10
    assert (read.observation_space, read.action_space) == (ABOUT.observation_space, ABOUT.action_space)
    for ours, theirs in zip(made, read, strict=True):
        np.testing.assert_array_equal(ours.observations, theirs.observations)
        np.testing.assert_array_equal(ours.actions, theirs.actions)
        np.testing.assert_array_equal(ours.rewards, theirs.rewards)
        np.testing.assert_array_equal(theirs.infos["env_params"], ours.infos["env_params"])
        assert theirs.terminations.tolist() == [False] * (len(ours) - 1) + [ours.terminated]
        assert theirs.truncations.tolist() == [False] * (len(ours) - 1) + [ours.truncated]
        assert str(theirs)
    assert read[0].infos["success"].tolist() == [False] * 5 + [True]
    about = list(read.storage.get_episode_metadata([0, 2]))
    assert [m["seed"] for m in about] == [100, 102]
    assert list(about[0]["options"]["task"]) == [1.0, 2.0] and about[0]["options"]["name"] == "x"
    assert ID in minari.list_local_datasets() and "palaestra/Test-v0" in list_local_namespaces()


def test_metadata_say_who_how_and_how_good(datasets):
    write_dataset(ID, episodes(), ABOUT)
    metadata = minari.load_dataset(ID).storage.metadata
    assert (metadata["ref_min_score"], metadata["ref_max_score"]) == (-1.0, 9.0)
    assert metadata["author"] == {ABOUT.author} and metadata["minari_version"] == minari.__version__
    ours = metadata["palaestra"]
    returns = [e.return_ for e in episodes()]
    assert ours["quality"]["returns"]["mean"] == pytest.approx(np.mean(returns))
    assert ours["quality"]["lengths"]["q50"] == 4 and ours["quality"]["terminated"] == pytest.approx(2 / 3)
    assert ours["seed"] == 7 and ours["version"] and ours["sha256"] == digest_of(open_dataset(ID).episodes())


def test_an_environment_of_ours_comes_back_from_its_data_set(datasets):
    about = about_env("palaestra/Pendulum-v0")
    assert about.requirements[0].startswith("palaestra==")
    write_dataset("palaestra/Pendulum-v0/random-v0", episodes(about=about), about)
    env = minari.load_dataset("palaestra/Pendulum-v0/random-v0").recover_environment()
    assert env.spec.id == "palaestra/Pendulum-v0" and env.observation_space == about.observation_space
    env.close()


@pytest.mark.parametrize("format", ["hdf5", "arrow"])
@pytest.mark.parametrize(
    "space",
    [
        GOAL,
        spaces.Tuple([spaces.Box(-1, 1, (2, 3), np.float32), spaces.Discrete(3, start=1)]),
        spaces.Dict(a=spaces.Dict(b=spaces.MultiBinary(3)), c=spaces.Box(0, 255, (40, 40, 3), np.uint8)),
    ],
    ids=["goal", "tuple", "nested"],
)
def test_nested_observations_come_back_and_have_the_same_digest(space, format, datasets):
    about = dataclasses.replace(ABOUT, observation_space=space)
    write_dataset(ID, episodes(about=about), about, format)
    stored = open_dataset(ID)
    assert stored.observation_space == space
    assert digest_of(stored.episodes()) == digest_of(episodes(about=about)) == stored.ours["sha256"]


def test_nothing_is_overwritten_unless_asked(datasets):
    write_dataset(ID, episodes(), ABOUT)
    with pytest.raises(RunFolderError, match="already there"):
        write_dataset(ID, episodes((2,)), ABOUT)
    assert open_dataset(ID).num_steps == 10
    write_dataset(ID, episodes((2,)), ABOUT, overwrite=True)
    assert open_dataset(ID).num_steps == 2
    with pytest.raises(RunFolderError):  # a namespace with data sets in it is no data set
        write_dataset("palaestra/Test-v0", episodes(), ABOUT, overwrite=True)
    assert [p.name for p in (datasets / ID).parent.iterdir() if p.name.startswith(".")] == []


def test_a_failed_generation_leaves_what_was_there(datasets):
    def failing():
        yield from episodes((3,))
        raise OSError("disk full")

    write_dataset(ID, episodes(), ABOUT)
    with pytest.raises(Exception, match="disk full"):
        write_dataset(ID, failing(), ABOUT, overwrite=True)
    assert open_dataset(ID).num_steps == 10
    assert {p.name for p in (datasets / ID).parent.iterdir()} == {"random-v0", "namespace_metadata.json"}


KILLED = """
import itertools, sys, time
sys.path.insert(0, {here!r})
from made_datasets import ABOUT, ID, episodes
from palaestra.experiments.datasets.store import write_dataset
def slow():
    yield from episodes()
    print("half", flush=True)
    time.sleep(60)
write_dataset(ID, slow(), ABOUT)
"""


def test_a_killed_generation_leaves_nothing_and_is_cleaned_up(datasets, monkeypatch):
    code = KILLED.format(here=os.path.dirname(__file__))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    folder = (datasets / ID).parent
    store.clean(folder)
    assert len(list(folder.glob(".tmp-*"))) == 1, "that of a writer at work stays"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert minari.list_local_datasets() == {} and not (datasets / ID).exists()
    fresh = folder / ".tmp-other"
    fresh.mkdir()
    write_dataset(ID, episodes(), ABOUT)
    assert list(folder.glob(".tmp-*")) == [fresh], "one without a lock may just be starting"
    os.utime(fresh, (time.time() - 999,) * 2)
    store.clean(folder)
    assert not fresh.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"rewards": np.zeros(0)}, "rewards"),
        ({"rewards": np.array([0.0, np.nan, 0.0])}, "rewards"),
        ({"rewards": np.array(["a", "b", "c"])}, "rewards"),
        ({"observations": np.zeros((3, 3))}, "observations"),
        ({"observations": np.full((4, 3), np.inf)}, "observations"),
        ({"actions": np.zeros((4, 2))}, "actions"),
        ({"infos": {"x": np.zeros(3)}}, "infos/x"),
        ({"terminated": True, "truncated": True}, "terminated, truncated"),
        ({"terminated": False, "truncated": False}, "terminated, truncated"),
    ],
)
def test_arrays_that_are_no_episode_are_refused(fields, field):
    with pytest.raises(EpisodeError) as caught:
        list(episodes((3,), **fields))
    assert caught.value.key == field


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"observations": np.zeros((4, 2))}, "wrong shape: observations"),
        ({"observations": {"a": np.zeros((4, 3))}}, "missing field: observations"),
        ({"observations": np.zeros((4, 3), complex)}, "wrong type: observations"),
        ({"actions": np.zeros((3, 1))}, "wrong shape: actions"),
    ],
)
def test_episodes_of_other_spaces_are_refused(fields, message, datasets):
    with pytest.raises(EpisodeError, match=message):
        write_dataset(ID, episodes((3,), **fields), ABOUT)
    assert minari.list_local_datasets() == {}


def test_bad_ids_formats_and_empty_data_sets_are_refused(datasets):
    for id in ("random", "../x-v0", "a//b-v0", "/a-v0", "a b-v0"):
        with pytest.raises(UsageError):
            write_dataset(id, episodes(), ABOUT)
    with pytest.raises(UsageError, match="unknown format"):
        write_dataset(ID, episodes(), ABOUT, "csv")
    with pytest.raises(UsageError, match="no episode"):
        write_dataset(ID, [], ABOUT)
    assert id_for("palaestra/Motor-Cont-CC-PMSM-v0", "expert") == "palaestra/Motor-Cont-CC-PMSM-v0/expert-v0"
    assert id_for("Hopper-v5", "random", 2) == "palaestra/Hopper-v5/random-v2"


def test_episodes_are_cut_where_the_count_is_reached():
    taken = list(take_steps(episodes((5, 1, 4)), 8))
    assert [len(e) for e in taken] == [5, 1, 2]
    assert [e.truncated for e in taken] == [False, True, True] and len(taken[-1].observations) == 3
    assert [e.terminated for e in take_steps(episodes((5, 1, 4)), 5)] == [True]


def test_order_of_observations_is_recorded():
    assert observation_fields(spaces.Box(0, 1, (2,))) == [""]
    assert observation_fields(GOAL) == ["achieved_goal", "desired_goal", "observation"]


def test_success_is_read_from_infos():
    (episode,) = episodes((2,), infos={"success": np.array([False, False, True])})
    assert episode.success is True
    assert next(iter(episodes((2,)))).success is None
    assert isinstance(episode, Episode)
