"""Finds the one JSON value in what a model wrote, or says why there is none.

Prose, code fences and thoughts around the value are dropped, and a comma before a closing bracket is. Nothing else is
repaired, no piece of a broken value is taken for the whole, and of several values none is chosen unless exactly one
fits the schema.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .schema import violations

_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_TOKEN = re.compile(r'["\[\]{}]')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}
_DEPTH = 100  # of brackets within brackets; more would end in a RecursionError somewhere
_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


def extract(text: str, schema: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The value in `text` and why there is none: (value, ()) or (None, reasons). It need not fit the schema."""
    text = _THOUGHTS.sub("", text, count=1)
    try:
        return parse_json(text), ()
    except ValueError as error:
        problem = str(error)
    fenced = [value for block in _FENCE.findall(text) for value in _values(block)]
    found = fenced or list(_values(text))
    if len(found) > 1:
        found = [value for value in found if not violations(value, schema)] or found
    if len(found) == 1:
        return found[0], ()
    if found:
        return None, (f"the answer holds {len(found)} JSON values; expected one",)
    return None, (f"the answer holds no complete JSON value ({problem})",)


def parse_json(text: str) -> Any:
    """`json.loads` for data: no NaN, no infinity, no name twice in one object.

    Raises:
      ValueError: for everything that is not one such value, also where it is nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    inside = [value]
    for _ in range(_DEPTH):
        inside = [part for whole in inside for part in _parts(whole)]
        if not inside:
            return value
    raise ValueError("nested too deeply")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _values(text: str) -> Iterator[Any]:
    """Every outermost bracketed piece of a text that is JSON, in order."""
    for piece in _pieces(text):
        try:
            yield parse_json(piece)
            continue
        except ValueError:
            pass
        try:
            yield parse_json(_COMMA.sub(lambda match: match[1] or "", piece))
        except ValueError:
            continue


def _pieces(text: str) -> Iterator[str]:
    """Outermost `{...}` and `[...]`; ends at the first that is not closed by its own kind of bracket."""
    place = 0
    while opening := _OPENING.search(text, place):
        end = _end_of_piece(text, opening.start())
        if end is None:
            return
        yield text[opening.start() : end]
        place = end


def _end_of_piece(text: str, place: int) -> int | None:
    """Where the bracket that opens at `place` is closed; brackets within strings do not count."""
    awaited: list[str] = []
    while token := _TOKEN.search(text, place):
        place = token.end()
        if token[0] == '"':
            string = _STRING.match(text, token.start())
            if string is None:
                return None
            place = string.end()
        elif token[0] in _CLOSING:
            awaited.append(_CLOSING[token[0]])
        elif token[0] != awaited.pop():
            return None
        if not awaited:
            return place
    return None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has a name twice")
    return value
