"""Reading configuration files without trusting them.

YAML is read with the safe loader, bounded in size, depth and alias expansion, and repeated keys are refused; TOML with
the standard library.
"""

import tomllib
from pathlib import Path
from typing import Any

import yaml

from .errors import UsageError, problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_NODES = 100_000  # after aliases are expanded: ten lines of YAML can otherwise mean a billion values


def read_config_file(path: Path) -> dict[str, Any]:
    """The mapping in a `.yaml`, `.yml` or `.toml` file.

    Raises:
      UsageError: unreadable, too large, too deep, malformed, or not a mapping.
    """
    text = _read_text(path)
    values = _parse_toml(text, path) if path.suffix == ".toml" else parse_yaml(text, path)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(problem("bad configuration", str(path), values, "a mapping of keys to values"), file=path)
    return values


def parse_yaml(text: str, path: Path | str = "<text>") -> Any:
    """YAML text as plain values."""
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count_nodes(node, {}, path)
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"bad YAML: {path}; {reason[:300]}", hint="Correct the file.", file=path) from None


def dump_yaml(values: Any) -> str:
    """Plain values as YAML that `parse_yaml` reads back exactly."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, which also refuses repeated keys and deep nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise yaml.YAMLError(f"key {str(key)[:60]!r} is not text{node.start_mark}")
            if key in keys[:i]:
                raise yaml.YAMLError(f"key {str(key)[:60]!r} appears twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def _count_nodes(node: yaml.Node, known: dict[int, int | None], path: Path | str) -> int:
    """The number of values under `node` after expansion of aliases."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise yaml.YAMLError("an alias contains itself")
        return size
    known[id(node)] = None
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_count_nodes(child, known, path) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        size += sum(_count_nodes(k, known, path) + _count_nodes(v, known, path) for k, v in node.value)
    if size > MAX_NODES:
        raise yaml.YAMLError(f"more than {MAX_NODES} values")
    known[id(node)] = size
    return size


def _parse_toml(text: str, path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"bad TOML: {path}; {error}", hint="Correct the file.", file=path) from None
    if _depth(values) > MAX_DEPTH:
        raise UsageError(f"bad TOML: {path}; nested deeper than {MAX_DEPTH} levels", file=path)
    return values


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _read_text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read configuration: {path}; {error.strerror}", file=path) from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"configuration too large: {path}; expected at most {MAX_BYTES} bytes", file=path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"configuration is not UTF-8: {path}; byte {error.start}", file=path) from None
