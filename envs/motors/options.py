"""Checks of what a caller asks for; every refusal is an `OptionError` that names argument, value and expectation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import OptionError, short
from .layout import Layout


def one_of(name: str, value: Any, expected: Any) -> None:
    """Refuses a value that is not among `expected`."""
    if value not in tuple(expected):
        raise OptionError(f"{name}={value!r}; expected one of {list(expected)}", key=name)


def chosen_entry(name: str, value: Any, table: Mapping[str, Any], part: str) -> Any:
    """An entry of `table`, or an object that has what every entry has: the attribute `part`."""
    if not isinstance(value, str):
        if not hasattr(value, part):
            raise OptionError(f"{name}={short(value)}; expected one of {list(table)} or an object like them", key=name)
        return value
    one_of(name, value, table)
    return table[value]


def whole(name: str, value: Any, low: int) -> int:
    """A whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise OptionError(f"{name}={short(value)}; expected a whole number of at least {low}", key=name)
    return value


def names_of(name: str, given: Sequence[str], layout: Layout) -> tuple[str, ...]:
    """Names of measured quantities, each once."""
    names = (given,) if isinstance(given, str) else tuple(given)
    for quantity in names:
        one_of(name, quantity, layout.names)
    if not names or len(set(names)) < len(names):
        raise OptionError(f"{name}={names!r}; expected at least one quantity, and none twice", key=name)
    return names


def finite_number(name: str, value: Any) -> float:
    """A number that is neither NaN nor infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OptionError(f"{name}={short(value)}; expected a finite number", key=name)
    return float(value)


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    number = finite_number(name, value)
    if number <= 0:
        raise OptionError(f"{name}={value}; expected a positive number", key=name)
    return number


def merged(name: str, defaults: Mapping[str, float], given: Mapping[str, float] | None) -> dict[str, float]:
    """Defaults with what was given instead; unknown keys and non-finite values are errors."""
    merged = dict(defaults)
    for key, value in (given or {}).items():
        if key not in defaults:
            raise OptionError(f"{name}: unknown {key!r}; expected some of {sorted(defaults)}", key=name)
        merged[key] = finite_number(f"{name}[{key!r}]", value)
    return merged
