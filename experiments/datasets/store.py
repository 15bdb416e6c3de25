"""Writing a data set: whole or not at all.

It is built in a folder `.tmp-…` beside its place, which nobody lists, and renamed when it is complete and on the disk.
What a killed process left there goes when the next one writes; a lock tells it from one that is still at work.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gymnasium import Space, spaces

from ...envs.errors import missing_extra
from ..errors import ResourceError, RunFolderError, UsageError, problem
from ..files import TEMPORARY, sync_directory, sync_tree, write_atomic, write_json
from . import hdf5
from .about import About
from .episodes import Episode, EpisodeError, check_fields
from .names import check_id, folder_of, root
from .quality import Meter
from .trees import map_leaves

Format = Literal["hdf5", "arrow"]
METADATA = "metadata.json"
LOCK = ".lock"
MANY_FILES = 100
YOUNG = 60.0  # [s] a folder without a lock may be one that is just being made


def write_dataset(
    id: str, episodes: Iterable[Episode], about: About, format: Format = "hdf5", overwrite: bool = False
) -> Path:
    """Writes a Minari data set, for `minari.load_dataset(id)` and `load.load(id)`; returns its folder.

    Args:
      id: `namespace/…/name-v0`.
      episodes: consumed one by one; none is kept.
      about: what the data set says about itself.
      format: of the arrays; "arrow" needs the extra `arrow`.
      overwrite: take the place of one that is there, once the new one is complete.

    Raises:
      UsageError: a bad id or format, a space that Minari cannot store, no episode.
      EpisodeError: an episode that does not fit the spaces.
      RunFolderError: there is one of this id.
      ResourceError: the folder cannot be written.
    """
    check_format(format)
    place = check_free(id, overwrite)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        clean(place.parent)
        with _workshop(place) as folder:
            _build(id, folder / "data", episodes, about, format)
            _name_spaces(place.parent)
            _sync(folder)
            _put(id, folder, place, overwrite)
    except OSError as error:
        raise ResourceError(f"cannot write the data set: {place}; {error}", hint="Check disk and rights.") from error
    return place


def clean(folder: Path) -> None:
    """Deletes what killed writers left in a folder."""
    for stale in folder.glob(f"{TEMPORARY}*"):
        if stale.is_dir() and _is_abandoned(stale):
            shutil.rmtree(stale, ignore_errors=True)


def check_format(format: str) -> None:
    """Refuses a storage that is not known or not installed.

    Raises:
      UsageError, MissingExtraError
    """
    if format not in ("hdf5", "arrow"):
        raise UsageError(problem("unknown format", "format", format, "hdf5 or arrow"), key="format")
    if format == "arrow":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise missing_extra("pyarrow", "arrow", "the format arrow") from error


def check_free(id: str, overwrite: bool) -> Path:
    """The folder for a new data set.

    Raises:
      RunFolderError: there is one of this id, or other data sets are in that folder.
    """
    place = folder_of(check_id(id))
    if place.exists() and not (overwrite and (place / "data").is_dir()):
        raise _is_there(id, place)
    return place


def _is_there(id: str, place: Path) -> RunFolderError:
    return RunFolderError(
        f"data set already there: {id}; got {place}; expected no such folder",
        hint="Choose another id, or overwrite it.",
        file=place,
        key="overwrite",
    )


@contextlib.contextmanager
def _workshop(place: Path) -> Iterator[Path]:
    """A locked temporary folder beside `place`; what is left of it goes at the end."""
    folder = place.with_name(f"{TEMPORARY}{place.name}-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _is_abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            return time.time() - folder.stat().st_mtime > YOUNG
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)


def _build(id: str, data: Path, episodes: Iterable[Episode], about: About, format: Format) -> None:
    from minari import __version__ as minari_version

    storage = _new_storage(data, about, format)
    meter = Meter(about.observation_space)
    watched = meter.watch(_fitting(episodes, about))
    if format == "hdf5":
        hdf5.write_episodes(data / hdf5.FILE, watched)
    else:
        _write_arrow(storage, watched)
    if not meter.episodes:
        raise UsageError(f"no episode to write: {id}; got none; expected at least one", key="episodes")
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    metadata = json.loads((data / METADATA).read_text("utf-8"))
    counts = {"total_episodes": meter.episodes, "total_steps": meter.steps, "dataset_size": round(size / 1e6, 1)}
    known = {"dataset_id": id, "minari_version": minari_version, **about.minari(), **counts}
    ours = about.ours() | {"sha256": meter.digest, "quality": meter.report()}
    write_json(data / METADATA, metadata | known | {"palaestra": ours})


def _new_storage(data: Path, about: About, format: Format) -> Any:
    from minari.dataset.minari_storage import MinariStorage

    try:
        return MinariStorage.new(
            data, about.observation_space, about.action_space, about.env_spec, format, jpeg_encoding=False
        )
    except NotImplementedError as error:
        raise UsageError(f"space that Minari cannot store: {error}", hint="Use another observation.") from error


def _fitting(episodes: Iterable[Episode], about: About) -> Iterator[Episode]:
    for episode in episodes:
        check_fields("observations", about.observation_space, episode.observations)
        check_fields("actions", about.action_space, episode.actions)
        yield dataclasses.replace(
            episode,
            observations=_cast(about.observation_space, episode.observations, "observations"),
            actions=_cast(about.action_space, episode.actions, "actions"),
            rewards=np.asarray(episode.rewards),
        )


def _cast(space: Space, tree: Any, path: str) -> Any:
    """The arrays in the dtypes of the space, as both storages give them back."""
    if isinstance(space, spaces.Dict):
        return {name: _cast(sub, tree[name], f"{path}/{name}") for name, sub in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_cast(sub, part, path) for sub, part in zip(space.spaces, tree, strict=True))
    if space.dtype is None or not isinstance(tree, np.ndarray):
        return tree
    if not np.can_cast(tree.dtype, space.dtype, "same_kind"):
        raise EpisodeError("wrong type", path, tree.dtype, str(space.dtype))
    return tree.astype(space.dtype, copy=False)


def _write_arrow(storage: Any, episodes: Iterable[Episode]) -> None:
    """By Minari's own storage, which is kept from adding up the sizes of all files after every episode."""
    from minari.data_collector import EpisodeBuffer

    vars(storage)["get_size"] = float
    storage.update_episodes(
        EpisodeBuffer(
            seed=episode.seed,
            options=dict(episode.options) if episode.options else None,
            observations=episode.observations,
            actions=episode.actions,
            rewards=episode.rewards,
            terminations=hdf5.flags(episode.terminated, len(episode)),
            truncations=hdf5.flags(episode.truncated, len(episode)),
            infos=map_leaves(_column, episode.infos) if episode.infos else None,
        )
        for episode in episodes
    )


def _column(leaf: Any) -> Any:
    """Minari reads infos of one number per step from lists alone."""
    return leaf.tolist() if isinstance(leaf, np.ndarray) and leaf.ndim == 1 else leaf


def _name_spaces(folder: Path) -> None:
    """Tells Minari that the folders on the way are namespaces."""
    while folder != root():
        file = folder / "namespace_metadata.json"
        if not file.exists():
            write_atomic(file, "{}\n")
        folder = folder.parent


def _sync(folder: Path) -> None:
    """Arrow makes two files per episode; waiting for each of thousands takes longer than writing them."""
    if sum(1 for _ in folder.rglob("*")) > MANY_FILES:
        os.sync()
    else:
        sync_tree(folder)


def _put(id: str, folder: Path, place: Path, overwrite: bool) -> None:
    (folder / LOCK).unlink()
    if place.exists():
        if not overwrite:  # somebody else was faster
            raise _is_there(id, place)
        old = place.with_name(f"{TEMPORARY}old-{uuid.uuid4().hex[:8]}")
        os.rename(place, old)
        try:
            os.rename(folder, place)
        except OSError:
            os.rename(old, place)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(folder, place)
    sync_directory(place.parent)
