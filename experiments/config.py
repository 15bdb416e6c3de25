"""Building frozen dataclasses from what a user typed or wrote: typed, strict, and with a helpful refusal.

Values come from `--set key=value`, from flags and from configuration files, so a number may arrive as text or as an
integral float. Nothing is ever evaluated.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from .errors import UsageError, problem, unknown

T = TypeVar("T")


def parse_value(text: str) -> Any:
    """JSON where `text` is JSON, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def parse_assignment(text: str, flag: str = "--set") -> tuple[str, Any]:
    """`key=value` as (key, parsed value)."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(problem("not an assignment", flag, text, "key=value"), hint="Write key=value.", key=flag)
    return key.strip(), parse_value(value)


def nest(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested dicts: {"hyper.learning_rate": 1} -> {"hyper": {"learning_rate": 1}}."""
    tree: dict[str, Any] = {}
    for dotted, value in assignments.items():
        *parents, leaf = dotted.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise UsageError(f"key set twice: {dotted!r} and {parent!r}", hint="Remove one of them.", key=dotted)
        if isinstance(value, Mapping) and isinstance(node.get(leaf), dict):
            value = merge(node[leaf], value)
        node[leaf] = value
    return tree


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The inverse of `nest`: one entry per leaf, under its dotted key."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`low` with `high` on top; mappings inside are merged, everything else is replaced."""
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def build(cls: type[T], values: Mapping[str, Any], where: str = "", base: T | None = None) -> T:
    """An instance of a dataclass from plain values; fields that are not named keep their default.

    That holds within nested dataclasses, too: what is not named there is as the outer default has it.

    Args:
      base: an instance whose values the fields that are not named take, instead of the class's defaults.

    Raises:
      UsageError: an unknown key (with the three nearest), a value of the wrong type, a refusal by the class itself.
    """
    fields = settable_fields(cls)
    arguments = {}
    for key, value in values.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in fields:
            raise unknown("key", path, [f"{where}.{name}" if where else name for name in fields])
        inner = nested_default(cls, base, key)
        if inner is not None and isinstance(value, Mapping):
            arguments[key] = build(type(inner), value, path, inner)
        else:
            arguments[key] = convert(fields[key], value, path)
    try:
        return cls(**arguments) if base is None else dataclasses.replace(base, **arguments)  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{cls.__name__}: {error}", hint="Change the value.", key=where or None) from error


def nested_default(cls: type, base: Any, key: str) -> Any:
    """The dataclass that a field holds by default; None if it holds something else."""
    if base is not None:
        value = getattr(base, key)
    else:
        field = next(f for f in dataclasses.fields(cls) if f.name == key)
        factory: Any = field.default_factory
        value = field.default if factory is dataclasses.MISSING else factory()
    return value if dataclasses.is_dataclass(value) and not isinstance(value, type) else None


def settable_fields(cls: type) -> dict[str, Any]:
    """{name: type} of a dataclass's fields that its constructor takes."""
    hints = typing.get_type_hints(cls)
    fields = [f for f in dataclasses.fields(cls) if f.init]
    known = {f.name: known_type(hints[f.name], f.default) for f in fields}
    # A field that may hold settings of several kinds takes those of the kind it holds by default.
    held = {name: nested_default(cls, None, name) for name, hint in known.items() if hint is Any}
    return known | {name: type(value) for name, value in held.items() if value is not None}


def key_names(cls: type, prefix: str = "") -> list[str]:
    """Every dotted key `build` accepts, nested dataclasses included; those that may be None also as a whole."""
    names = []
    for name, hint in settable_fields(cls).items():
        members = typing.get_args(hint) if _is_union(hint) else (hint,)
        nested = next((m for m in members if dataclasses.is_dataclass(m) and isinstance(m, type)), None)
        names += [prefix + name] if nested is not hint else []
        names += key_names(nested, f"{prefix}{name}.") if nested else []
    return names


def to_plain(value: Any) -> Any:
    """A built dataclass as nested dicts, lists and scalars: what a configuration file holds.

    Raises:
      UsageError: a value that no file can hold (a function, an array).
    """
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if _is_plain(value, f)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UsageError(problem("not a plain value", "configuration", value, "numbers, text, lists and mappings"))


def convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`, or a UsageError that names the key `where`."""
    if hint is Any:
        return value
    origin = typing.get_origin(hint)
    if _is_union(hint):
        return _convert_union(hint, value, where)
    if origin is Literal:
        return _convert_choice(typing.get_args(hint), value, where)
    if origin in (tuple, list, Sequence):
        return _convert_sequence(hint, value, where)
    if origin in (dict, Mapping):
        return dict(_expect(isinstance(value, Mapping), value, "a mapping", where))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, _expect(isinstance(value, Mapping), value, "a mapping", where), where)
    converter = _SCALARS.get(hint)
    if converter is None:
        raise UsageError(f"key {where!r} cannot be set from text; its type is {hint}", hint="Use Python.", key=where)
    return converter(value, where)


def _to_int(value: Any, where: str) -> int:
    number = _number(value, "a whole number", where)
    _expect(math.isfinite(number) and number == int(number), value, "a whole number", where)
    return int(number)


def _to_float(value: Any, where: str) -> float:
    number = float(_number(value, "a number", where))
    _expect(not math.isnan(number), value, "a number", where)
    return number


def _to_bool(value: Any, where: str) -> bool:
    words = {"true": True, "false": False, "yes": True, "no": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    return _expect(isinstance(value, bool), value, "true or false", where)


def _to_str(value: Any, where: str) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return json.dumps(value)  # `--set name=12` means the text "12"
    return _expect(isinstance(value, str), value, "text", where)


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {int: _to_int, float: _to_float, bool: _to_bool, str: _to_str}


def _number(value: Any, expected: str, where: str) -> int | float:
    if isinstance(value, str):  # YAML 1.1 reads 1e6 as text
        try:
            return float(value)
        except ValueError:
            pass
    _expect(isinstance(value, (int, float)) and not isinstance(value, bool), value, expected, where)
    if isinstance(value, int) and abs(value) > 2**63:
        _expect(False, value, f"{expected} below 2**63", where)
    return value


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _convert_union(hint: Any, value: Any, where: str) -> Any:
    known = lambda m: m in _SCALARS or m is type(None) or typing.get_origin(m) or dataclasses.is_dataclass(m)  # noqa: E731
    members = [m for m in typing.get_args(hint) if known(m)]
    if value is None and type(None) in members:
        return None
    members = [m for m in members if m is not type(None)]
    for member in members[:-1]:
        try:
            return convert(member, value, where)
        except UsageError:
            continue  # the next member may take it; the last one's refusal is the message
    if not members:
        raise UsageError(f"key {where!r} cannot be set from text; its type is {hint}", hint="Use Python.", key=where)
    return convert(members[-1], value, where)


def _convert_choice(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value not in choices:
        raise UsageError(problem("bad value", where, value, f"one of {list(choices)}"), key=where)
    return value


def _convert_sequence(hint: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, (list, tuple)), value, "a list", where)
    members = typing.get_args(hint) or (Any,)
    kind = typing.get_origin(hint) if typing.get_origin(hint) is list else tuple
    if kind is list or members[-1] is Ellipsis or len(members) == 1:
        return kind(convert(members[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    _expect(len(value) == len(members), value, f"{len(members)} values", where)
    return tuple(convert(m, v, f"{where}[{i}]") for i, (m, v) in enumerate(zip(members, value, strict=True)))


def _expect(holds: bool, value: Any, expected: str, where: str) -> Any:
    if not holds:
        raise UsageError(problem("bad value", where, value, expected), hint="Change the value.", key=where)
    return value


def known_type(hint: Any, default: Any) -> Any:
    """The annotation, or the type of the default where the annotation says nothing a file could satisfy."""
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    usable = any(m in _SCALARS or typing.get_origin(m) or dataclasses.is_dataclass(m) for m in members)
    return hint if usable or type(default) not in _SCALARS else type(default)


def _is_plain(owner: Any, field: dataclasses.Field) -> bool:
    """Functions left at their default need no line in a file: the default brings them back."""
    return not (callable(getattr(owner, field.name)) and getattr(owner, field.name) is field.default)
