"""Generated data: equal seeds give equal arrays, and every episode can be played again from what is recorded."""

import itertools
import json

import gymnasium
import minari
import numpy as np
import pytest
from palaestra.envs.registration import ENVIRONMENTS, make_functional
from palaestra.experiments.datasets.device_episodes import device_episodes
from palaestra.experiments.datasets.episodes import digest_of
from palaestra.experiments.datasets.generators import GENERATORS, find, full_id, make
from palaestra.experiments.datasets.load import load
from palaestra.experiments.datasets.motor_controllers import behaviour
from palaestra.experiments.datasets.names import root
from palaestra.experiments.datasets.uniform_actions import Uniform
from palaestra.experiments.errors import RunFolderError, UsageError

DRIVE = "palaestra/Motor-Cont-CC-PermExDc-v0"


def first(env, acting, seed, count, **options):
    return list(itertools.islice(device_episodes(env, acting, seed, **options), count))


@pytest.fixture(scope="module")
def pendulum():
    env = make_functional("palaestra/Pendulum-v0")
    return env, Uniform.of(env.action_space, "Pendulum")


def test_episodes_depend_on_the_seed_alone(pendulum):
    few, many = (digest_of(first(*pendulum, 5, 7, lanes=lanes)) for lanes in (3, 16))
    assert few == many
    assert few != digest_of(first(*pendulum, 6, 7, lanes=3))


def test_short_episodes_come_in_their_turn():
    """Drives leave their limits after some steps; of several lanes the shortest episode ends first."""
    env = make_functional(DRIVE)
    episodes = [first(env, behaviour(env, "random"), 0, 30, lanes=lanes) for lanes in (1, 8)]
    lengths = [[len(e) for e in found] for found in episodes]
    assert lengths[0] == lengths[1] and len(set(lengths[0])) > 1
    assert all(e.terminated for e in episodes[0])


def played_again(id, env, episode):
    """Observations of the recorded actions from the recorded start."""
    data = minari.load_dataset(id)
    about = next(iter(data.storage.get_episode_metadata([episode])))
    options = {"task": about["options"]["task"]} if "options" in about else None
    obs, _ = env.reset(seed=about["seed"], options=options)
    return data[episode], [obs, *(env.step(action)[0] for action in data[episode].actions)]


def test_episodes_of_ours_can_be_played_again(datasets):
    make("Pendulum-v0", "random", 1000, seed=2, tasks="space")
    id = "palaestra/Pendulum-v0/random-v0"
    env = gymnasium.make("palaestra/Pendulum-v0")
    tasks = []
    for index in (0, 3):
        episode, again = played_again(id, env, index)
        np.testing.assert_allclose(episode.observations, np.stack(again), atol=1e-4)
        assert (episode.infos["env_params"] == episode.infos["env_params"][0]).all()
        tasks.append(episode.infos["env_params"][0])
    assert not np.array_equal(*tasks)
    assert len(load(id)) == 1000 and load(id).metadata["palaestra"]["tasks"] == "space"


def test_episodes_of_others_can_be_played_again(datasets):
    place = make("Hopper-v5", "random", 500, seed=1)
    env = gymnasium.make("Hopper-v5")
    episode, again = played_again("palaestra/Hopper-v5/random-v0", env, 2)
    np.testing.assert_allclose(episode.observations, np.stack(again), atol=1e-9)
    digest = load(place).digest
    make("Hopper-v5", "random", 500, seed=1, overwrite=True)
    assert load(place).digest == digest
    make("Hopper-v5", "random", 500, seed=2, overwrite=True)
    assert load(place).digest != digest
    assert any(word.startswith("mujoco==") for word in load(place).metadata["requirements"])


def test_drives_under_good_bad_and_mixed_control(datasets):
    place = make(DRIVE, "mixed", 1000, seed=4)
    loaded = load(place)
    assert len(loaded) == 1000 and loaded.metadata["palaestra"]["shares"]["expert"] == 0.2
    ends = np.flatnonzero(loaded.transitions.ended)
    assert {399, 799, 999} <= set(ends.tolist()), "every part ends with an episode"
    errors = np.abs(loaded.transitions.obs[:, 5] - loaded.transitions.next_obs[:, 2])  # reference, current
    assert errors[800:].mean() < 0.01 < errors[400:800].mean() < errors[:400].mean()
    assert loaded.refs is not None and loaded.refs[1] == pytest.approx(0, abs=0.01)
    digest = loaded.digest
    make(DRIVE, "mixed", 1000, seed=4, overwrite=True)
    assert load(place).digest == digest


def test_every_episode_has_gains_of_its_own():
    env = make_functional(DRIVE)
    acting = behaviour(env, "medium")
    assert acting.detuned.spread == 0.5 and acting.detuned.num_gains == 2
    two = first(env, acting, 0, 2, lanes=2)
    assert two[0].return_ != two[1].return_ and len(two[0]) == env.horizon


def test_requests_that_cannot_be_met_are_refused(datasets):
    for words, message in (
        (("Pendulum-v0", "perfect", 10), "unknown quality.*expert"),
        (("Pendolum-v0", "random", 10), "unknown environment.*Pendulum"),
        (("CartPole-v0", "random", 10), "without bounded continuous actions"),
        (("CartPole-v0", "expert", 10), "without bounded continuous actions"),
        (("Pendulum-v0", "random", 0), "--steps"),
        (("Pendulum-v0", "random", 10, -1), "--seed"),
        (("Pendulum-v0", "random", 10, 0, "all"), "--tasks"),
        (("Hopper-v5", "random", 10, 0, "space"), "--tasks"),
        (("Motor-Cont-CC-PermExDc-v0", "perfect", 10), "unknown quality.*expert"),
    ):
        with pytest.raises(UsageError, match=message):
            make(*words)
    make("Hopper-v5", "random", 5)
    with pytest.raises(RunFolderError):
        make("Hopper-v5", "random", 5)
    assert [path.name for path in root().rglob(".tmp-*")] == []


def test_the_registry_points_at_functions():
    for entry in GENERATORS:
        assert callable(entry.load()) and entry.qualities and entry.summary
    assert full_id("Pendulum-v0") == "palaestra/Pendulum-v0" and full_id("Hopper-v5") == "Hopper-v5"
    assert find(DRIVE, "random").function.startswith(".motor")
    drives = [entry.id for entry in ENVIRONMENTS if entry.id.startswith("palaestra/Motor-Cont")]
    assert len(drives) == 30 and all("mixed" in find(id, "mixed").qualities for id in drives)


def test_metadata_are_plain_json(datasets):
    place = make("Hopper-v5", "random", 5)
    text = (place / "data" / "metadata.json").read_text()
    assert json.loads(text)["code_permalink"].endswith("uniform_actions.py")
