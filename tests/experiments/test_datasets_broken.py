"""A broken data set is refused by one error that names file, field and what was expected."""

import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest
from gymnasium import spaces
from made_datasets import ABOUT, ID, episodes
from palaestra.experiments.datasets.load import load
from palaestra.experiments.datasets.store import write_dataset
from palaestra.experiments.errors import InputFileError


@pytest.fixture
def data(datasets):
    """The folder of a good data set's arrays."""
    return write_dataset(ID, episodes(), ABOUT) / "data"


def refused(*parts):
    with pytest.raises(InputFileError) as caught:
        load(ID)
    assert caught.value.code == 4 and caught.value.file and "expected" in caught.value.message
    for part in parts:
        assert part in str(caught.value), str(caught.value)


def put(data, name, value):
    with h5py.File(data / "main_data.hdf5", "a") as file:
        del file[name]
        if value is not None:
            file[name] = value


FIELDS = ("observations", "actions", "rewards", "terminations", "truncations")


@pytest.mark.parametrize("field", FIELDS)
def test_missing_fields(field, data):
    put(data, f"episode_1/{field}", None)
    refused("missing field", "main_data.hdf5", "episode 1", field)


def test_missing_episodes(data):
    put(data, "episode_2", None)
    refused("missing field", "episode_2")


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
@pytest.mark.parametrize("field", ["rewards", "observations"])
def test_numbers_that_are_not_finite(field, value, data):
    with h5py.File(data / "main_data.hdf5", "a") as file:
        file[f"episode_2/{field}"][3] = value
    refused("not finite at step 3", "episode 2", field, str(value))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("observations", np.zeros((5, 3)), "got 5; expected 6, one more row than rewards"),
        ("observations", np.zeros((6, 2)), "got (6, 2); expected (6, 3)"),
        ("actions", np.zeros((6, 2)), "got 6; expected 5"),
        ("rewards", np.zeros((5, 1)), "got (5, 1)"),
        ("rewards", 1.0, "wrong shape"),
        ("rewards", np.array(["a"] * 5, "S1"), "wrong type"),
        ("truncations", np.zeros(4, bool), "got 4; expected 5"),
        ("terminations", np.zeros(5, bool), "no end where the episode ends"),
        ("terminations", np.array([0, 1, 0, 0, 1], bool), "no end where the episode ends"),
    ],
)
def test_wrong_shapes_types_and_ends(field, value, message, data):
    put(data, f"episode_0/{field}", value)
    refused("episode 0", field, message)


def test_links_out_of_the_file_are_not_followed(data, tmp_path):
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["secret"] = np.zeros(5)
    for link in (h5py.ExternalLink(str(tmp_path / "other.hdf5"), "secret"), h5py.SoftLink("/episode_2/rewards")):
        put(data, "episode_0/rewards", link)
        refused("link out of the file", "rewards")


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.6, 0.95])
def test_files_that_were_cut_off(kept, data):
    file = data / "main_data.hdf5"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole))])
    refused("main_data.hdf5")


def test_files_with_foreign_bytes(data):
    file = data / "main_data.hdf5"
    whole = file.read_bytes()
    file.write_bytes(b"\0" * len(whole))
    refused("damaged file")
    file.unlink()
    refused("no arrays")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dataset_id": None}, "dataset_id"),
        ({"observation_space": None}, "observation_space"),
        ({"action_space": '{"type": "Ball"}'}, "action_space"),
        ({"observation_space": "{"}, "observation_space"),
        ({"total_episodes": "three"}, "total_episodes"),
        ({"total_episodes": 0}, "total_episodes"),
        ({"total_episodes": 4}, "episode_3"),
        ({"total_steps": 11}, "total_steps"),
        ({"total_steps": 9}, "total_steps"),
        ({"total_steps": 10**15}, "total_steps"),
        ({"data_format": "csv"}, "data_format"),
    ],
)
def test_wrong_metadata(change, field, data):
    file = data / "metadata.json"
    metadata = json.loads(file.read_text()) | change
    file.write_text(json.dumps({name: value for name, value in metadata.items() if value is not None}))
    refused(field)


@pytest.mark.parametrize("text", ["", "{", "[]", "nul\0", "[" * 100_000])
def test_damaged_metadata(text, data):
    (data / "metadata.json").write_text(text)
    refused("damaged file", "metadata.json")


def test_no_metadata_or_no_data_set(data, datasets, tmp_path):
    (data / "metadata.json").unlink()
    refused("no metadata", "metadata.json")
    with pytest.raises(InputFileError, match=r"no such data set: palaestra/Test-v0/randon-v0.*Nearest here: .*random"):
        load("palaestra/Test-v0/randon-v0")
    for path in (tmp_path, tmp_path / "none", "no id"):
        with pytest.raises(InputFileError, match="no data set"):
            load(path)
    shutil.rmtree(datasets)
    with pytest.raises(InputFileError, match="no such data set"):
        load(ID)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Discrete(3), "actions are no numbers"),
        (spaces.MultiDiscrete([2, 2]), "actions are no numbers"),
        (spaces.Box(-np.inf, np.inf, (2,)), "actions without bounds"),
        (spaces.Box(np.zeros(2, np.float32), np.array([1, 0], np.float32)), "actions without bounds"),
    ],
)
def test_actions_that_continuous_learners_cannot_take(space, message, datasets):
    about = dataclasses.replace(ABOUT, action_space=space)
    fields = {"actions": np.zeros((3, *space.shape), space.dtype)}
    write_dataset(ID, episodes((3,), about, **fields), about)
    refused(message, "action_space", "metadata.json")


def test_damaged_arrow_files(datasets):
    data = write_dataset(ID, episodes(), ABOUT, "arrow") / "data"
    (file,) = (data / "1").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    refused("damaged file")
    shutil.rmtree(data / "1")
    refused("damaged file")


def test_choices_outside_of_their_space(datasets):
    about = dataclasses.replace(ABOUT, observation_space=spaces.Discrete(3))
    data = write_dataset(ID, episodes((2,), about), about) / "data"
    put(data, "episode_0/observations", np.array([0, 3, 1]))
    refused("no choice of its space", "observations", "got 3")
