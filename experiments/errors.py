"""What can go wrong, each with the exit code the command line ends with.

Every message reads `<what is wrong>: <where>; got <repr>; expected <type/range>. <one-step fix>`; `problem` builds it,
and the fix is the error's `hint`.
"""

import contextlib
import difflib
import enum
from collections.abc import Iterable, Iterator
from typing import Any

from ..envs.errors import PalaestraError, short


class ExitCode(enum.IntEnum):
    """What the process tells its caller."""

    OK = 0
    BUG = 1
    USAGE = 2
    MISSING = 3
    BAD_INPUT = 4
    BUSY = 5
    NOT_FINITE = 6
    RESOURCE = 7
    SERVICE = 8
    CHECK_FAILED = 9
    SIGINT = 130
    SIGTERM = 143


class UsageError(PalaestraError):
    """A command line or configuration that cannot be understood."""

    code = ExitCode.USAGE


class InputFileError(PalaestraError):
    """A run folder, checkpoint, data set or model that cannot be used."""

    code = ExitCode.BAD_INPUT


class RunFolderError(PalaestraError):
    """A run folder that another run holds, or that already contains one; a file to write that is there already."""

    code = ExitCode.BUSY


class NotFiniteError(PalaestraError):
    """Training produced NaN or infinity and the policy says to stop."""

    code = ExitCode.NOT_FINITE


class ResourceError(PalaestraError):
    """Disk, memory or time ran out."""

    code = ExitCode.RESOURCE


class CheckFailedError(PalaestraError):
    """A check, verification or benchmark found a fault."""

    code = ExitCode.CHECK_FAILED


def problem(what: str, where: str, got: Any, expected: str) -> str:
    """A message in the project's form, without the fix (which is the error's `hint`)."""
    return f"{what}: {where}; got {short(got)}; expected {expected}"


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like `name`, best first."""
    candidates = sorted(set(known))
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=count, cutoff=0.0)
    return [by_lower[match] for match in close]


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, with the three nearest that do."""
    close = nearest(name, known)
    hint = f"Nearest: {', '.join(close)}." if close else f"There is no {kind} to choose from."
    return UsageError(f"unknown {kind}: {short(name)}", hint=hint, key=name)


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Plain refusals of an agent or environment (before anything ran) as usage errors."""
    try:
        yield
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise UsageError(str(error), hint="Change the setting.") from error
