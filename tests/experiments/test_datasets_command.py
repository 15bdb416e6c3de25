"""`palaestra dataset`: makes, lists, shows and checks, and says what is wrong by its exit code."""

import json

import h5py
import pytest
from made_datasets import ABOUT, ID, episodes
from palaestra.experiments.datasets.store import write_dataset

PENDULUM = "palaestra/Pendulum-v0/random-v0"


def test_make_list_show_check(datasets, palaestra_json, palaestra):
    words = ("dataset", "make", "--env", "Pendulum-v0", "--quality", "random", "--steps", 250, "--seed", 3)
    code, made = palaestra_json(*words)
    assert code == 0 and (made["result"]["id"], made["result"]["steps"], made["result"]["episodes"]) == (
        PENDULUM,
        250,
        2,
    )
    assert palaestra(*words)[0] == 5
    assert palaestra(*words, "--overwrite", "--format", "arrow")[0] == 0
    write_dataset(ID, episodes(), ABOUT)
    code, listed = palaestra_json("dataset", "list")
    assert [row["id"] for row in listed["result"]["datasets"]] == [PENDULUM, ID]
    assert listed["result"]["datasets"][1]["ref_max_score"] == 9.0
    code, shown = palaestra_json("dataset", "show", PENDULUM)
    assert (
        shown["result"]["palaestra"]["quality"]["lengths"]["max"] == 200 and shown["result"]["data_format"] == "arrow"
    )
    assert palaestra("dataset", "check", PENDULUM, "--env", "Pendulum-v0")[0] == 0
    code, checked = palaestra_json("dataset", "check", datasets / ID)
    assert code == 0 and checked["result"]["observation"] == 3
    code, out, _ = palaestra("dataset", "list")
    assert code == 0 and PENDULUM in out


def test_make_with_arguments_under_an_id_of_its_own(datasets, palaestra, palaestra_json):
    words = (
        "dataset",
        "make",
        "--env",
        "Pendulum-v0",
        "--quality",
        "random",
        "--steps",
        60,
        "--env-kwargs",
        "horizon=30",
    )
    code, _, error = palaestra(*words)
    assert code == 2 and "no id for data of an environment with arguments: --id" in error
    code, made = palaestra_json(*words, "--id", "mine/short-v1")
    assert code == 0 and (made["result"]["id"], made["result"]["episodes"]) == ("mine/short-v1", 2)
    code, shown = palaestra_json("dataset", "show", "mine/short-v1")
    assert json.loads(shown["result"]["env_spec"])["kwargs"]["horizon"] == 30


def test_list_goes_on_after_a_broken_one(datasets, palaestra_json):
    (write_dataset(ID, episodes(), ABOUT) / "data" / "metadata.json").write_text("{")
    write_dataset("palaestra/Test-v0/other-v0", episodes(), ABOUT)
    code, listed = palaestra_json("dataset", "list")
    assert code == 0 and [row["id"] for row in listed["result"]["datasets"]] == ["palaestra/Test-v0/other-v0"]
    assert "damaged" in listed["warnings"][0]["message"]


def test_check_notices_other_arrays_and_other_numbers(datasets, palaestra):
    data = write_dataset(ID, episodes(), ABOUT) / "data"
    metadata = json.loads((data / "metadata.json").read_text())
    metadata["palaestra"]["quality"]["returns"]["mean"] += 1
    (data / "metadata.json").write_text(json.dumps(metadata))
    code, _, error = palaestra("dataset", "check", ID)
    assert code == 9 and "quality returns mean" in error
    write_dataset(ID, episodes(), ABOUT, overwrite=True)
    with h5py.File(data / "main_data.hdf5", "a") as file:
        file["episode_0/actions"][0] += 0.01
    code, _, error = palaestra("dataset", "check", ID)
    assert code == 9 and "sha256" in error


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["eat"], 2, "unknown action"),
        (["make", "--env", "Pendulum-v0"], 2, "no value given: --quality"),
        (["make", "--env", "Pendulum-v0", "--quality", "random", "--steps", "1.5"], 2, "--steps"),
        (["make", "--env", "Pendulum-v0", "--quality", "random", "--steps", "9", "--format", "csv"], 2, "format"),
        (["make", "x", "--env", "Pendulum-v0", "--quality", "random", "--steps", "9"], 2, "argument without a use: ID"),
        (
            ["make", "--env", "Pendulum-v0", "--quality", "random", "--steps", "9", "--run", "x"],
            2,
            "without a use: --run",
        ),
        (["make", "--env", "Pendulum-v0", "--quality", "random", "--steps", "9", "--id", "x"], 2, "data set id"),
        (["make", "--env", "Pendulum-v0", "--quality", "random", "--steps", "9", "--env-kwargs", "x"], 2, "key=value"),
        (["make", "--env", "Pendulum-v0", "--quality", "expert", "--steps", "9", "--run", "/nowhere"], 4, "not a run"),
        (["list", "--steps", "3"], 2, "argument without a use: --steps"),
        (["show"], 2, "no data set given"),
        (["show", "a/b-v0"], 4, "no such data set"),
        (["check", "/nowhere"], 4, "no data set"),
    ],
)
def test_bad_commands_say_what_is_wrong(words, code, message, datasets, palaestra):
    found, _, error = palaestra("dataset", *words)
    assert found == code and message in error


def test_check_refuses_data_of_another_environment(datasets, palaestra):
    write_dataset(ID, episodes(), ABOUT)
    code, _, error = palaestra("dataset", "check", ID, "--env", "Pendulum-v0")
    assert code == 4 and "action_space" in error
