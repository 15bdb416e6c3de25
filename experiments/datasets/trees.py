"""Arrays in dicts and tuples, as observations of nested spaces are; every leaf has one row per step."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import Space, spaces


def leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(path, array) of every leaf, dicts in alphabetical order; paths are those of Minari's hdf5 files."""
    if isinstance(tree, Mapping):
        for key in sorted(tree):
            yield from leaves(tree[key], f"{name}/{key}")
    elif isinstance(tree, tuple):
        for index, sub in enumerate(tree):
            yield from leaves(sub, f"{name}/_index_{index}")
    else:
        yield name, tree


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with `function` of every leaf."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, sub) for key, sub in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map_leaves(function, sub) for sub in tree)
    return function(tree)


def space_leaves(space: Space, name: str) -> Iterator[tuple[str, Space]]:
    """(path, space) of every part that is no Dict or Tuple, as `leaves` names them."""
    if isinstance(space, spaces.Dict):
        for key in sorted(space.spaces):
            yield from space_leaves(space.spaces[key], f"{name}/{key}")
    elif isinstance(space, spaces.Tuple):
        for index, sub in enumerate(space.spaces):
            yield from space_leaves(sub, f"{name}/_index_{index}")
    else:
        yield name, space


def flatten_rows(space: Space, rows: Any) -> np.ndarray:
    """(T, O) float32 of T observations: what `agents.spaces.flatten_observation` gives on the device, on the host.

    Spaces that have no flat form there get the one of `gymnasium.spaces.flatten`.
    """
    if isinstance(space, spaces.Dict):
        return np.concatenate([flatten_rows(sub, rows[name]) for name, sub in space.spaces.items()], 1)
    if isinstance(space, spaces.Tuple):
        return np.concatenate([flatten_rows(sub, part) for sub, part in zip(space.spaces, rows, strict=True)], 1)
    if isinstance(space, spaces.Discrete):
        return np.eye(int(space.n), dtype=np.float32)[np.asarray(rows) - int(space.start)]
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return np.asarray(rows).reshape(len(rows), -1).astype(np.float32)
    return np.stack([np.asarray(spaces.flatten(space, row), np.float32) for row in rows])


def flat_size(space: Space) -> int:
    """O of `flatten_rows`."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        subs = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return sum(flat_size(sub) for sub in subs)
    return int(spaces.flatdim(space))
