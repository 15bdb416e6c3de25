"""Checkpoints: saved whole, checked whole, loaded whole or not at all.

Orbax reads and writes the arrays (under index names; the manifest holds their paths in the state). Around it stand a
manifest with digests, fsync, and a rename, so that a kill at any instant leaves either the old set of checkpoints or
the new one. A checkpoint that fails its check is set aside as `step_….corrupt` and the next older one is used.
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from . import manifest
from .errors import InputFileError, ResourceError
from .files import TEMPORARY, sync_directory, sync_tree, write_atomic, write_json

_STEP = re.compile(r"step_(\d{12})")
_RETIRED = f"{TEMPORARY}retired-"
SPACE_FACTOR = 1.2  # of the estimated size, that must be free before a save begins
MAX_FAILURES = 3

# Tests replace this to kill or to raise between two operations of a save; the argument names the operation ahead.
fault_point: Callable[[str], None] = lambda operation: None  # noqa: E731


class MismatchError(InputFileError):
    """A sound checkpoint, but of a state with other arrays: the fault is in the configuration, not in the file."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A verified checkpoint: host arrays in the structure of the state, and the runner's own numbers."""

    state: Any
    host: dict[str, Any]
    step: int
    path: Path


class CheckpointStore:
    """The `checkpoints/` folder of one run; the caller holds the run's lock.

    Args:
      root: the folder; made when it is missing.
      keep: how many of the newest checkpoints survive a save (`best` and `final` are kept besides).
      warn: receives one line for everything the user should know.
      writable: False for a reader beside a live run: bad checkpoints are then skipped where they lie.
      extra: further entries of each manifest (package versions, configuration hash).
    """

    def __init__(
        self,
        root: Path,
        keep: int = 3,
        warn: Callable[[str], None] = lambda message: None,
        extra: Mapping[str, Any] | None = None,
        writable: bool = True,
    ):
        self.root, self.keep, self.warn, self.extra = root, max(1, keep), warn, dict(extra or {})
        self.writable = writable
        self.failures = 0

    def steps(self) -> list[int]:
        """Steps of the finished checkpoints, oldest first."""
        if not self.root.is_dir():
            return []
        found = (_STEP.fullmatch(p.name) for p in self.root.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        return self.root / f"step_{step:012d}"

    def save(self, step: int, state: Any, host: Mapping[str, Any], copies: Iterable[str] = ()) -> bool:
        """Saves `state` as the checkpoint of `step`; True when it is safely on disk.

        A failure keeps the older checkpoints and warns; the next save tries again.

        Args:
          copies: further names ("best", "final") under which this checkpoint is to be found.

        Raises:
          ResourceError: the third failure in a row.
        """
        try:
            self._save(step, state, host)
            for name in copies:
                self._publish_copy(step, name)
        except (OSError, ValueError, RuntimeError) as error:  # tensorstore reports a full disk as ValueError
            self._count_failure(step, error)
            return False
        self.failures = 0
        self._delete_surplus()
        return True

    def load_latest(self, template: Any) -> Loaded | None:
        """The newest checkpoint that passes its check; None where none was ever written.

        Args:
          template: the state's structure with shapes and dtypes (`jax.eval_shape` of `init`).

        Raises:
          InputFileError: there are checkpoints and none is good; lists each with its fault.
        """
        faults = []
        for step in reversed(self.steps()):
            try:
                return load(self.path(step), template)
            except MismatchError:
                raise
            except InputFileError as error:
                faults.append(str(error))
                self._set_aside(step, error)
        if faults:
            raise InputFileError(
                f"no usable checkpoint: {self.root}; " + "; ".join(faults),
                hint="Restore the folder from a backup or start a new run.",
                file=self.root,
            )
        return None

    def clean(self) -> None:
        """Removes what an interrupted save left behind."""
        if not self.root.is_dir():
            return
        for path in sorted(self.root.glob(f"{_RETIRED}*")):  # killed between the two renames of `_publish_copy`
            home = self.root / path.name[len(_RETIRED) :].rsplit("-", 1)[0]
            if not home.exists():
                os.rename(path, home)
        for path in self.root.glob(f"{TEMPORARY}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _save(self, step: int, state: Any, host: Mapping[str, Any]) -> None:
        arrays, tensors = to_arrays(state)
        self.root.mkdir(parents=True, exist_ok=True)
        _require_space(self.root, sum(a.nbytes for a in arrays.values()))
        temporary = self.root / f"{TEMPORARY}{step}-{uuid.uuid4().hex[:8]}"
        temporary.mkdir()
        try:
            fault_point("write arrays")
            _write_arrays(temporary / "state", arrays, tensors)
            fault_point("write host state")
            write_json(temporary / "state.json", dict(host))
            fault_point("sync")
            sync_tree(temporary)
            content = manifest.compose(temporary, step, tensors, self.extra)
            fault_point("write manifest")
            write_atomic(temporary / manifest.NAME, manifest.render(content))
            fault_point("rename")
            self._move_into_place(temporary, self.path(step))
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        fault_point("sync parent")
        sync_directory(self.root)

    def _move_into_place(self, temporary: Path, final: Path) -> None:
        """Renames; a checkpoint of the same step (saved again after a rollback) makes way first."""
        if final.exists():
            retired = self.root / f"{_RETIRED}{final.name}-{uuid.uuid4().hex[:8]}"
            os.rename(final, retired)
            fault_point("replace")
            os.rename(temporary, final)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            os.rename(temporary, final)

    def _publish_copy(self, step: int, name: str) -> None:
        fault_point(f"copy {name}")
        temporary = self.root / f"{TEMPORARY}{name}-{uuid.uuid4().hex[:8]}"
        shutil.copytree(self.path(step), temporary, copy_function=_link_or_copy)
        sync_tree(temporary)
        self._move_into_place(temporary, self.root / name)
        sync_directory(self.root)

    def _delete_surplus(self) -> None:
        for step in self.steps()[: -self.keep]:
            shutil.rmtree(self.path(step), ignore_errors=True)

    def _set_aside(self, step: int, error: InputFileError) -> None:
        self.warn(f"checkpoint {'set aside' if self.writable else 'skipped'}: {error}")
        if not self.writable:
            return
        aside = self.path(step).with_suffix(".corrupt")
        if aside.exists():
            shutil.rmtree(aside, ignore_errors=True)
        os.rename(self.path(step), aside)

    def _count_failure(self, step: int, error: Exception) -> None:
        self.failures += 1
        reason = " ".join(str(error).split())[:300]
        message = f"checkpoint not saved: step {step} in {self.root}; {type(error).__name__}: {reason}"
        if self.failures >= MAX_FAILURES:
            raise ResourceError(message, hint="Free disk space, then resume the run.", file=self.root) from error
        self.warn(f"{message}; the older ones are kept, next save tries again")


def load(path: Path, template: Any) -> Loaded:
    """One checkpoint, after every check.

    Raises:
      InputFileError: a damaged file, or a state that is not the template's.
    """
    content = manifest.read_verified(path)
    table = manifest.tensor_table(content)
    _check_table(path, table, template)
    arrays = _read_arrays(path / "state", table)
    for name, expected in table.items():
        found = manifest.describe(arrays[name], expected.key)
        if found != expected:
            raise InputFileError(f"checkpoint array changed: {path}; {name} is {found}; expected {expected}", file=path)
    host = json.loads((path / "state.json").read_text("utf-8"))
    return Loaded(state=from_arrays(arrays, template), host=host, step=content["step"], path=path)


def to_arrays(state: Any) -> tuple[dict[str, np.ndarray], dict[str, manifest.Tensor]]:
    """A state as {path: host array} and the table that describes it; typed keys become their data."""
    arrays, tensors = {}, {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name, key = jax.tree_util.keystr(path), _key_kind(leaf)
        arrays[name] = np.asarray(jax.random.key_data(leaf) if key else leaf)
        tensors[name] = manifest.describe(arrays[name], key)
    return arrays, tensors


def from_arrays(arrays: Mapping[str, np.ndarray], template: Any) -> Any:
    """The inverse of `to_arrays`."""

    def rebuild(path: Any, leaf: Any) -> jax.Array:
        data, key = arrays[jax.tree_util.keystr(path)], _key_kind(leaf)
        return jax.random.wrap_key_data(jax.numpy.asarray(data), impl=key) if key else jax.numpy.asarray(data)

    return jax.tree_util.tree_map_with_path(rebuild, template)


def _key_kind(leaf: Any) -> str:
    """The name of a typed key's implementation; "" for ordinary arrays."""
    if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return ""
    kinds: list[str] = []
    jax.eval_shape(lambda key: kinds.append(str(jax.random.key_impl(key))), leaf)  # shapes without data will do
    return kinds[0]


def _check_table(path: Path, table: Mapping[str, manifest.Tensor], template: Any) -> None:
    """Compares names, shapes and dtypes with the state this run's configuration makes."""
    expected = {jax.tree_util.keystr(p): leaf for p, leaf in jax.tree_util.tree_leaves_with_path(template)}
    for name in sorted(expected.keys() ^ table.keys()):
        side = "lacks" if name in expected else "has the unexpected"
        raise MismatchError(f"checkpoint of another configuration: {path}; {side} array {name}", file=path)
    for name, leaf in expected.items():
        key, found = _key_kind(leaf), table[name]
        data = jax.eval_shape(jax.random.key_data, leaf) if key else leaf
        if (found.key, found.shape, found.dtype) != (key, tuple(data.shape), np.dtype(data.dtype).name):
            raise MismatchError(
                f"checkpoint of another configuration: {path}; {name} is {found.dtype}{list(found.shape)}; "
                f"expected {leaf.dtype}{list(leaf.shape)}",
                file=path,
            )


def _write_arrays(folder: Path, arrays: Mapping[str, np.ndarray], tensors: Mapping[str, manifest.Tensor]) -> None:
    """Orbax knows arrays by index: their paths hold characters it gives a meaning to. Empty ones it refuses."""
    flat = {index: arrays[name] for name, index in _indices(tensors).items() if arrays[name].size}
    with _orbax() as orbax:
        orbax.save(folder.absolute(), flat or {"none": np.zeros(1, np.int32)})


def _read_arrays(folder: Path, table: Mapping[str, manifest.Tensor]) -> dict[str, np.ndarray]:
    try:
        with _orbax() as orbax:
            flat = orbax.restore(folder.absolute())
        empty = {name: np.zeros(t.shape, jax.numpy.dtype(t.dtype)) for name, t in table.items() if 0 in t.shape}
        return empty | {n: np.asarray(flat[i]) for n, i in _indices(table).items() if n not in empty}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputFileError(f"checkpoint arrays unreadable: {folder}; {reason}", file=folder) from None


def _indices(table: Mapping[str, manifest.Tensor]) -> dict[str, str]:
    return {name: f"{i:05d}" for i, name in enumerate(sorted(table))}


@contextlib.contextmanager
def _orbax() -> Any:
    """Orbax's reader and writer, quiet: its log belongs to nobody's terminal."""
    import logging

    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.ERROR)
    with contextlib.closing(ocp.Checkpointer(ocp.PyTreeCheckpointHandler())) as checkpointer:
        yield checkpointer


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _require_space(folder: Path, size: int) -> None:
    needed, free = int(SPACE_FACTOR * size) + (1 << 16), shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{free} bytes free; expected at least {needed}")
