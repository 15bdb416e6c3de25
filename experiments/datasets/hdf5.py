"""Episodes in Minari's hdf5 layout: a group per episode, a dataset per array, seeds and reset options as attributes.

Written here and not by Minari's own storage because whole arrays need no chunks, which makes files half as large and
writing faster; read here because what a stranger's file claims is checked before anything of it is read.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from .episodes import SUCCESS, Episode, EpisodeError

FILE = "main_data.hdf5"
MOST_BYTES = 1 << 34  # of one array of one episode


def write_episodes(path: Path, episodes: Iterable[Episode]) -> None:
    """Writes a new file."""
    import h5py

    with h5py.File(path, "w", track_order=True) as file:
        for index, episode in enumerate(episodes):
            group = file.create_group(f"episode_{index}")
            group.attrs["id"] = index
            group.attrs["total_steps"] = len(episode)
            if episode.seed is not None:
                group.attrs["seed"] = episode.seed
            group.attrs.update(dict(_flat_options(episode.options or {}, "options")))
            _write(group, "observations", episode.observations)
            _write(group, "actions", episode.actions)
            _write(group, "rewards", episode.rewards)
            _write(group, "terminations", flags(episode.terminated, len(episode)))
            _write(group, "truncations", flags(episode.truncated, len(episode)))
            _write(group, "infos", episode.infos or {})  # Minari prints no episode without it


def flags(ended: bool, steps: int) -> np.ndarray:
    """(T,) bool, False up to the last."""
    column = np.zeros(steps, bool)
    column[-1] = ended
    return column


def read_episodes(path: Path, count: int, observation_space: Space, action_space: Space, jpeg: bool) -> Iterator[dict]:
    """Raw arrays of episodes 0 to count - 1: observations, actions, rewards, terminations, truncations.

    Raises:
      EpisodeError: a field that is missing, no array, no real part of this file, or of another length than claimed.
      OSError, RuntimeError, KeyError: what the library says of a damaged file.
    """
    import h5py

    with h5py.File(path, "r") as file:
        for index in range(count):
            group = _member(file, f"episode_{index}", "")
            steps = _rows(group, "rewards")
            raw = {name: _read(group, name, name, None, steps) for name in ("rewards", "terminations", "truncations")}
            raw["observations"] = _read(group, "observations", "observations", observation_space, steps + 1, jpeg)
            raw["actions"] = _read(group, "actions", "actions", action_space, steps, jpeg)
            raw["infos"] = _read_success(group, steps + 1)
            yield raw


def _write(group: Any, name: str, tree: Any) -> None:
    if isinstance(tree, tuple):
        tree = {f"_index_{index}": sub for index, sub in enumerate(tree)}
    if not isinstance(tree, Mapping):
        group.create_dataset(name, data=tree)
        return
    inner = group.create_group(name)
    for key, sub in tree.items():
        _write(inner, key, sub)


def _flat_options(options: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat_options(value, f"{prefix}/{name}")
        else:
            yield f"{prefix}/{name}", value


def _read(group: Any, name: str, path: str, space: Space | None, rows: int, jpeg: bool = False) -> Any:
    """The tree below a name, by its space; None is a plain column."""
    node = _member(group, name, path)
    if isinstance(space, spaces.Dict):
        return {key: _read(node, key, f"{path}/{key}", sub, rows, jpeg) for key, sub in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        names = (f"_index_{index}" for index in range(len(space.spaces)))
        parts = zip(names, space.spaces, strict=True)
        return tuple(_read(node, key, f"{path}/{key}", sub, rows, jpeg) for key, sub in parts)
    _check_array(node, path, rows)
    if isinstance(space, spaces.Text):
        return node.asstr()[()].tolist()
    return _pictures(node[()], space) if jpeg and _is_image(space) else node[()]


def _read_success(group: Any, rows: int) -> dict[str, np.ndarray]:
    """What infos say about success, if they do and are of this file; the others are not read."""
    import h5py

    infos = _own(group, "infos")
    found = {name: _own(infos, name) for name in SUCCESS}
    return {name: node[()] for name, node in found.items() if isinstance(node, h5py.Dataset) and node.shape == (rows,)}


def _own(group: Any, name: str) -> Any:
    """A part of this very file; None where there is none, or a link that may point anywhere."""
    import h5py

    if not isinstance(group, h5py.Group) or name not in group:
        return None
    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _member(group: Any, name: str, path: str) -> Any:
    """A part of this very file: links may point anywhere on the reader's machine."""
    import h5py

    path = path or name
    if not isinstance(group, h5py.Group) or name not in group:
        raise EpisodeError("missing field", path, list(group)[:8] if isinstance(group, h5py.Group) else group, "it")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise EpisodeError("link out of the file", path, "a link", "the array itself")
    return group[name]


def _rows(group: Any, name: str) -> int:
    node = _member(group, name, name)
    if not getattr(node, "shape", ()):
        raise EpisodeError("wrong shape", name, getattr(node, "shape", node), "(T,) with at least one step")
    return int(node.shape[0])


def _check_array(node: Any, path: str, rows: int) -> None:
    import h5py

    if not isinstance(node, h5py.Dataset):
        raise EpisodeError("no array", path, node, "an array")
    if not node.shape or node.shape[0] != rows:
        what = "one more row than rewards" if path.startswith("observations") else "as many rows as rewards"
        raise EpisodeError("wrong number of rows", path, node.shape[0] if node.shape else 0, f"{rows}, {what}")
    if node.size * node.dtype.itemsize > MOST_BYTES or node.is_virtual or node.external:
        raise EpisodeError("not readable", path, node.shape, "an array of this file, of at most 16 GiB")


def _is_image(space: Space | None) -> bool:
    from minari.dataset.minari_storage import is_image_space

    return space is not None and is_image_space(space)


def _pictures(coded: Any, space: Any) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(Image.open(io.BytesIO(data)), np.uint8).reshape(space.shape) for data in coded])
