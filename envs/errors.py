"""Errors a user can do something about, on the floor where environments stand.

A message reads `<what is wrong>: <where>; got <repr>; expected <type/range>`, and the hint says the one step that
fixes it. The command line ends with the error's `code`.
"""

from typing import Any

from gymnasium.error import InvalidAction

REPR_LIMIT = 120  # characters of a user's value that a message may show


class PalaestraError(Exception):
    """An error the user can do something about; shown as one line, without traceback.

    Attributes:
      code: exit code of the command line.
      hint: the one-step fix.
      file: the file at fault, if any.
      key: the configuration key, flag or argument at fault, if any.
    """

    code: int = 1

    def __init__(self, message: str, *, hint: str = "", file: Any = None, key: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.file = None if file is None else str(file)
        self.key = key

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        return f"{self.message.rstrip('.')}. {self.hint}"


class InvalidActionError(PalaestraError, InvalidAction, ValueError):
    """An action that does not belong to its space: wrong kind, wrong shape, or not finite."""

    code = 2


class OptionError(PalaestraError, ValueError):
    """An option of `reset` or of a constructor that does not exist or does not fit."""

    code = 2


class MissingExtraError(PalaestraError, ImportError):
    """An optional package that is not installed; the hint is the command that installs it."""

    code = 3


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """The error for an optional package that cannot be imported."""
    return MissingExtraError(
        f"{purpose} needs the package {package!r}, which is not installed",
        hint=f'Run: pip install "palaestra[{extra}]"',
        key=extra,
    )


def short(value: Any) -> str:
    """`repr` on one line, cut to what a message may show."""
    text = " ".join(repr(value).split())
    return text if len(text) <= REPR_LIMIT else text[: REPR_LIMIT - 3] + "..."
