"""The part of JSON Schema that answers are described with; everything else is refused, not ignored.

Known words: type (a name or a list of names), properties, required, additionalProperties (true or false), items, enum,
const, anyOf, minimum, maximum, minItems, maxItems, uniqueItems, minLength, maxLength, and the comments title,
description, default, examples and $schema.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...envs.errors import OptionError, short

_COMMENTS = {"title", "description", "default", "examples", "$schema"}
_CHECKED: dict[str, type | tuple[type, ...]] = {  # word: what it holds
    "type": (str, list, tuple),
    "properties": Mapping,
    "required": (list, tuple),
    "additionalProperties": bool,
    "items": Mapping,
    "enum": (list, tuple),
    "const": object,
    "anyOf": (list, tuple),
    "minimum": (int, float),
    "maximum": (int, float),
    "minItems": int,
    "maxItems": int,
    "uniqueItems": bool,
    "minLength": int,
    "maxLength": int,
}
_KINDS: dict[str, type | tuple[type, ...]] = {  # JSON type: Python types; bool and integer are told apart in `_is`
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "null": type(None),
}
_TYPES = (*_KINDS, "integer", "boolean")
_MOST = 20  # sentences about one answer


def check_schema(schema: Any, place: str = "schema") -> None:
    """Says whether `violations` understands all of a schema.

    Raises:
      OptionError: at the first word that it does not know or that holds something odd.
    """
    if not isinstance(schema, Mapping):
        raise OptionError(f"JSON schema: {place}; got {short(schema)}; expected an object", key="schema")
    for word, held in schema.items():
        if word in _COMMENTS:
            continue
        if word not in _CHECKED:
            expected = ", ".join(sorted(_CHECKED))
            raise OptionError(f"JSON schema: {place}; got {short(word)}; expected one of {expected}", key="schema")
        if not isinstance(held, _CHECKED[word]):
            raise OptionError(f"JSON schema: {place}.{word}; got {short(held)}; expected another kind", key="schema")
    for name in _listed(schema.get("type", ())):
        if name not in _TYPES:
            raise OptionError(f"JSON schema: {place}.type; got {short(name)}; expected one of {_TYPES}", key="schema")
    for name, part in schema.get("properties", {}).items():
        check_schema(part, f"{place}.properties.{name}")
    if "items" in schema:
        check_schema(schema["items"], f"{place}.items")
    for i, part in enumerate(schema.get("anyOf", ())):
        check_schema(part, f"{place}.anyOf[{i}]")


def violations(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Sentences about where a JSON value does not fit a schema, at most 20; none where it fits."""
    return list(itertools.islice(_violations(value, schema, "the answer"), _MOST))


def _violations(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    types = _listed(schema.get("type", _TYPES))
    if not any(_is(value, name) for name in types):
        yield f"{place} is {short(value)}; expected {' or '.join(types)}"
        return
    if "enum" in schema and not any(_same(value, option) for option in schema["enum"]):
        yield f"{place} is {short(value)}; expected one of {short(list(schema['enum']))}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{place} is {short(value)}; expected {short(schema['const'])}"
    if "anyOf" in schema and all(violations(value, option) for option in schema["anyOf"]):
        yield f"{place} is {short(value)}; it fits none of {len(schema['anyOf'])} options"
    if isinstance(value, dict):
        yield from _object_violations(value, schema, place)
    elif isinstance(value, list):
        yield from _array_violations(value, schema, place)
    elif isinstance(value, str):
        yield from _range_violations(len(value), schema, "minLength", "maxLength", f"{place}: length")
    elif _is(value, "number"):
        yield from _range_violations(value, schema, "minimum", "maximum", place)


def _object_violations(value: dict[str, Any], schema: Mapping[str, Any], place: str) -> Iterator[str]:
    parts = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place} lacks {name!r}"
    for name, item in value.items():
        if name in parts:
            yield from _violations(item, parts[name], f"{place}.{name}")
        elif not schema.get("additionalProperties", True):
            yield f"{place} has {short(name)}; expected only {short(list(parts))}"


def _array_violations(value: list[Any], schema: Mapping[str, Any], place: str) -> Iterator[str]:
    yield from _range_violations(len(value), schema, "minItems", "maxItems", f"{place}: number of items")
    if schema.get("uniqueItems"):
        seen: set[str] = set()
        for i, item in enumerate(value):
            if (told := _canonical(item)) in seen:
                yield f"{place}[{i}] repeats {short(item)}"
            seen.add(told)
    if "items" in schema:
        for i, item in enumerate(value):
            yield from _violations(item, schema["items"], f"{place}[{i}]")


def _range_violations(value: float, schema: Mapping[str, Any], low: str, high: str, place: str) -> Iterator[str]:
    if low in schema and value < schema[low]:
        yield f"{place} is {value}; expected at least {schema[low]}"
    if high in schema and value > schema[high]:
        yield f"{place} is {value}; expected at most {schema[high]}"


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer":  # 2.0 is one, in JSON Schema
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return name in _KINDS and isinstance(value, _KINDS[name])


def _listed(types: Any) -> tuple[str, ...]:
    return (types,) if isinstance(types, str) else tuple(types)


def _same(a: Any, b: Any) -> bool:
    return _canonical(a) == _canonical(b)


def _canonical(value: Any) -> str:
    """Equal for equal JSON values, in which true is not 1."""
    return json.dumps(value, sort_keys=True)
