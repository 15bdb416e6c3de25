"""Verbs whose flags are the fields of a dataclass that only their module knows: studies, and questions to models."""

from collections.abc import Sequence
from typing import Any, TypeVar

from . import config
from .errors import UsageError, unknown
from .flags import flag_name, refuse

T = TypeVar("T")


def settings_from(cls: type[T], rest: Sequence[str], sets: Sequence[str], program: str) -> T:
    """A `cls` from the words that the command line's grammar did not know, and from `--set key=value`.

    Args:
      program: what messages call the command.

    Raises:
      UsageError: an unknown key or flag, with the nearest ones; a flag without a value; a value that does not fit.
    """
    known = config.key_names(cls)
    assignments = dict(config.parse_assignment(text) for text in sets) | _flags(rest, program, known)
    for key in assignments:
        if key not in known and not any(name.startswith(f"{key}.") for name in known):
            raise unknown("key", key, known)
    return config.build(cls, config.nest(assignments))


def _flags(rest: Sequence[str], program: str, known: Sequence[str]) -> dict[str, Any]:
    """`--key value` and `--key=value` as settings."""
    by_flag = {flag_name(key): key for key in known}
    words, found = list(rest), {}
    while words:
        flag, equals, value = words.pop(0).partition("=")
        if flag not in by_flag:
            refuse([flag], program, list(by_flag))
        if not equals:
            if not words:
                raise UsageError(f"no value given: {flag}", hint=f"Write {flag} VALUE.", key=flag)
            value = words.pop(0)
        found[by_flag[flag]] = config.parse_value(value)
    return found
