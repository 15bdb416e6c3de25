"""Banks of levels on disk."""

from pathlib import Path

from ..envs.minigrid.bank import LevelBank
from ..envs.minigrid.bank_bytes import bank_from_bytes, bank_to_bytes
from .errors import InputFileError, problem
from .files import write_atomic


def save_bank(path: Path, bank: LevelBank) -> None:
    """Writes a bank; a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, bank_to_bytes(bank))


def load_bank(path: Path) -> LevelBank:
    """The bank of a file.

    Raises:
      InputFileError: no such file, or one that cannot be read.
      BankFileError: a file that holds no bank, or one that was changed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot read the file ({error})"
        raise InputFileError(
            problem(what, "level bank", str(path), "a file of `palaestra levels make`"),
            hint="Check the path.",
            file=path,
        ) from error
    return bank_from_bytes(data, str(path))
