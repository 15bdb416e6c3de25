"""Levels on disk: they come back as they were, or the error says what is wrong."""

import dataclasses
import io
import json

import numpy as np
import pytest
from palaestra.envs.minigrid.bank import import_bank
from palaestra.envs.minigrid.bank_bytes import BankFileError, bank_from_bytes, bank_to_bytes
from palaestra.experiments import cli
from palaestra.experiments.errors import InputFileError
from palaestra.experiments.level_files import load_bank, save_bank

IDS = ("MiniGrid-KeyCorridorS3R1-v0", "BabyAI-MiniBossLevel-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0")


@pytest.mark.parametrize("name", IDS)
def test_a_bank_comes_back_as_it_was(name, tmp_path):
    bank = import_bank(name, [5, 2])
    save_bank(tmp_path / "deep" / "levels.npz", bank)
    back = load_bank(tmp_path / "deep" / "levels.npz")
    assert back == bank and back.rule == bank.rule and back.seeds.tolist() == [5, 2]
    assert not [path for path in (tmp_path / "deep").iterdir() if path.name != "levels.npz"]


def archive(**changes):
    with np.load(io.BytesIO(bank_to_bytes(import_bank(IDS[0], [0, 1])))) as found:
        arrays = {name: found[name] for name in found.files}
    about = json.loads(str(arrays["about"])) | changes.pop("about", {})
    stream = io.BytesIO()
    arrays = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez(stream, **arrays | {"about": np.array(json.dumps(about))})
    return stream.getvalue()


def test_broken_files_are_refused(tmp_path):
    good = archive()
    assert len(bank_from_bytes(good)) == 2
    for data, message in (
        (b"not a zip", "not a bank of levels"),
        (good[: len(good) // 2], "not a bank of levels"),
        (archive(about={"format": 7}), "format; got 7; expected 2"),
        (archive(about={"rule": "Win"}), "rule; got 'Win'"),
        (archive(**{"level/x": None}), "arrays; got"),
        (archive(**{"level/x": np.zeros(3, np.int32)}), "expected one number of levels"),
        (archive(**{"level/x": np.array([1, 1], np.int32)}), "the contents changed"),
    ):
        with pytest.raises(BankFileError, match=message):
            bank_from_bytes(data)
    with pytest.raises(InputFileError, match="no such file"):
        load_bank(tmp_path / "none.npz")


def test_the_command_makes_shows_and_checks(tmp_path, capsys):
    file = tmp_path / "levels.npz"
    assert cli.main(["levels", "make", f"palaestra/{IDS[0]}", "--count", "4", "--first", "10", "--out", str(file)]) == 0
    assert cli.main(["levels", "show", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert (shown["id"], shown["levels"], shown["seeds"], shown["size"]) == (IDS[0], 4, "10 to 13", "7 x 3")
    assert cli.main(["levels", "check", str(file)]) == 0
    bank = load_bank(file)
    save_bank(file, dataclasses.replace(bank, levels=bank.levels.replace(x=bank.levels.x + 1)))
    assert cli.main(["levels", "check", str(file)]) == 9
    assert "makes other levels" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_not_told_as_missing(tmp_path):
    with pytest.raises(InputFileError, match=r"cannot read the file \(.*[Dd]irectory") as caught:
        load_bank(tmp_path)
    assert "no such file" not in str(caught.value)


@pytest.mark.parametrize("action", ["show", "check"])
@pytest.mark.parametrize("flag", ["--count", "--first", "--out"])
def test_flags_without_a_use_are_refused(action, flag, tmp_path, capsys):
    file = tmp_path / "levels.npz"
    save_bank(file, import_bank(IDS[0], [5]))
    assert cli.main(["levels", action, str(file), flag, "3"]) == 2
    assert f"flag without a use: {flag}; got '3'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["levels", "eat", "x"], 2),
        (["levels", "make", "MiniGrid-Nowhere-v0", "--out", "x.npz"], 2),
        (["levels", "make", IDS[0]], 2),
        (["levels", "make", IDS[0], "--count", "0", "--out", "x.npz"], 2),
        (["levels", "show", "nowhere.npz"], 4),
    ],
)
def test_bad_commands_say_what_is_wrong(words, code, capsys):
    assert cli.main(words) == code
    assert capsys.readouterr().err.startswith("palaestra: ")
