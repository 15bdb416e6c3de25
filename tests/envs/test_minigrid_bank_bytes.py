"""Bytes of banks: whatever is wrong with them, the error is of one kind and says what."""

import io
import json

import numpy as np
import pytest
from palaestra.envs.minigrid import bank_bytes
from palaestra.envs.minigrid.bank import import_bank
from palaestra.envs.minigrid.bank_bytes import BankFileError, bank_from_bytes, bank_to_bytes
from palaestra.envs.minigrid.words import WORDS

NAME = "MiniGrid-KeyCorridorS3R1-v0"


def archive(data, **about):
    """The same archive with other members in `about`, or another `about` altogether."""
    with np.load(io.BytesIO(data)) as found:
        arrays = {name: found[name] for name in found.files}
    told = about["about"] if "about" in about else json.loads(str(arrays["about"])) | about
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays | {"about": np.array(json.dumps(told))})
    return stream.getvalue()


@pytest.fixture(scope="module")
def good():
    return bank_to_bytes(import_bank(NAME, [0, 1]))


def test_a_bank_comes_back(good):
    assert bank_from_bytes(good) == import_bank(NAME, [0, 1]) == bank_from_bytes(archive(good))


def test_another_rule_is_another_bank(good):
    """Also where its goal looks the same: a door, or a cell to stand beside."""
    doors = bank_to_bytes(import_bank("MiniGrid-Unlock-v0", [0]))
    with pytest.raises(BankFileError, match="the contents changed"):
        bank_from_bytes(archive(doors, rule="DoneNearby"))
    with pytest.raises(BankFileError, match="arrays; got"):
        bank_from_bytes(archive(good, rule="FetchLook"))
    with pytest.raises(BankFileError, match=r"rule; got \['OpenDoor'\]"):
        bank_from_bytes(archive(good, rule=["OpenDoor"]))


def test_missions_of_another_vocabulary_are_refused(good):
    """They are numbers, and would say something else."""
    swapped = [WORDS[0], WORDS[2], WORDS[1], *WORDS[3:]]
    for words in (swapped, [*WORDS, "dragon"], None):
        with pytest.raises(BankFileError, match=r"^levels.npz: words; got .*expected the \d+ of this version"):
            bank_from_bytes(archive(good, words=words), "levels.npz")


def test_a_version_with_other_words_refuses_the_file(good, monkeypatch):
    monkeypatch.setattr(bank_bytes, "WORDS", (*WORDS[:-1], "dragon"))
    with pytest.raises(BankFileError, match="words; got"):
        bank_from_bytes(good)


def test_bytes_that_are_no_archive_of_a_bank_are_refused(good):
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    for data in (stream.getvalue(), archive(good, about=["rule"]), archive(good, about="rule"), b"", good[:-30]):
        with pytest.raises(BankFileError, match=r"not a bank of levels|about; got .*expected an object of JSON"):
            bank_from_bytes(data)


def test_arrays_under_other_names_are_refused(good):
    """A path below a leaf, or one through a leaf, is no field of a level."""
    with np.load(io.BytesIO(good)) as found:
        arrays = {name: found[name] for name in found.files}
    below = {("level/x/y" if name == "level/x" else name): array for name, array in arrays.items()}
    for changed in (below, arrays | {"level/grid/x": arrays["level/x"]}):
        stream = io.BytesIO()
        np.savez(stream, **changed)
        with pytest.raises(BankFileError, match=r"arrays; got .*expected those of a level"):
            bank_from_bytes(stream.getvalue())


def test_any_changed_byte_is_refused_or_changes_nothing(good):
    """Names and dates in the archive may change; whatever is read must not."""
    bank, refused = import_bank(NAME, [0, 1]), 0
    for place in range(0, len(good), 3):
        data = bytearray(good)
        data[place] ^= 1 << (place % 8)
        try:
            assert bank_from_bytes(bytes(data)) == bank
        except BankFileError:
            refused += 1
    assert refused > len(good) // 6
