"""What crosses the border between NumPy callers and compiled environments: actions, observations, tasks.

Actions and tasks come from outside and are checked here, once, before anything is traced; observations go out as
fresh NumPy values of the kind that their Gymnasium space contains.

Letters: B environments, D task parameters.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization
from gymnasium import Space, spaces

from .contract import CodedSpace
from .errors import InvalidActionError, short
from .tasks import TaskError, TaskSpace


def check_action(space: Space, action: Any, batch: tuple[int, ...] = (), where: str = "action") -> Any:
    """Checks an action, or a batch of them, and returns it as NumPy values that a compiled step takes.

    Numbers outside a Box are legal here: `clip_action` moves them to the nearest bound.

    Args:
      space: the action space of one environment.
      batch: leading axes, () or (B,).
      where: what messages call the action.

    Raises:
      InvalidActionError: wrong structure, shape or kind of number, not finite, or outside a discrete space.
    """
    if isinstance(space, spaces.Box):
        return _check_box(space, action, batch, where)
    if isinstance(space, spaces.Discrete):
        return _check_whole(space, action, batch, where, int(space.start), int(space.start + space.n) - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return _check_whole(space, action, batch, where, space.start, space.start + space.nvec - 1)
    if isinstance(space, spaces.MultiBinary):
        return _check_whole(space, action, batch, where, 0, 1)
    if isinstance(space, spaces.Dict):
        if not isinstance(action, Mapping) or set(action) != set(space.spaces):
            raise _wrong(where, action, f"a dict with keys {sorted(space.spaces)}", space)
        return {k: check_action(s, action[k], batch, f"{where}[{k!r}]") for k, s in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        if not isinstance(action, tuple | list) or len(action) != len(space.spaces):
            raise _wrong(where, action, f"a tuple of length {len(space.spaces)}", space)
        pairs = zip(space.spaces, action, strict=True)
        return tuple(check_action(s, a, batch, f"{where}[{i}]") for i, (s, a) in enumerate(pairs))
    raise TypeError(f"action space {space} cannot be compiled; expected Box, Discrete, Multi*, Dict or Tuple")


def clip_action(space: Space, action: Any) -> Any:
    """Moves the floating-point Box parts of one action to the nearest point of their space; traceable."""
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return jnp.clip(action, jnp.asarray(space.low, action.dtype), jnp.asarray(space.high, action.dtype))
    if isinstance(space, spaces.Dict):
        return {k: clip_action(s, action[k]) for k, s in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(clip_action(s, a) for s, a in zip(space.spaces, action, strict=True))
    return action


def host_observation(space: Space, obs: Any) -> Any:
    """A compiled environment's observation as fresh, writable values in the form `space` contains."""
    return decode_observation(space, host_arrays(space, obs))


def host_arrays(space: Space, obs: Any, batched: bool = False) -> Any:
    """A compiled environment's observation as fresh, writable NumPy arrays; coded parts stay codes."""
    if isinstance(space, spaces.Dict):
        return {k: host_arrays(s, obs[k], batched) for k, s in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        pairs = zip(space.spaces, obs, strict=True)
        return tuple(host_arrays(s, o, batched) for s, o in pairs)
    array = np.array(obs, dtype=np.uint8 if isinstance(space, CodedSpace) else space.dtype)
    return array[()] if isinstance(space, spaces.Discrete) and not batched else array


def decode_observation(space: Space, arrays: Any) -> Any:
    """What `host_arrays` gave, with the members of coded spaces for their codes."""
    if isinstance(space, spaces.Dict):
        return {k: decode_observation(s, arrays[k]) for k, s in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(decode_observation(s, a) for s, a in zip(space.spaces, arrays, strict=True))
    return space.to_host(arrays) if isinstance(space, CodedSpace) else arrays


def host_info(info: Any) -> Any:
    """An info dict of one environment: Python numbers for scalars, fresh arrays for the rest."""
    if isinstance(info, Mapping):
        return {key: host_info(value) for key, value in info.items()}
    array = np.array(info)
    return array.item() if array.ndim == 0 else array


def end_reasons(env: Any, terminated: Any, index: Any) -> Any:
    """Why an episode ended, in words: the family's, "terminated" if it has none, or "time limit".

    Args:
      env: the functional environment.
      terminated: bool, or (K,) bool.
      index: of the family's `end_reasons`, int or (K,) int; ignored where not terminated.

    Returns:
      str, or (K,) object.
    """
    if isinstance(terminated, np.ndarray):
        return np.array([end_reasons(env, bool(t), int(i)) for t, i in zip(terminated, index, strict=True)], object)
    if not terminated:
        return "time limit"
    return env.end_reasons[index] if env.end_reasons else "terminated"


def check_task(space: Any, task: Any, num_envs: int | None = None) -> Any:
    """Checks a task and returns it as NumPy: one task, or `num_envs` of them along a leading axis.

    Args:
      space: a `TaskSpace` or a level space.
      task: a vector (D,), a dict {name: value}, a level, or (with `num_envs`) a batch of vectors or levels;
        with `num_envs`, a single task is repeated.

    Raises:
      TaskError: the task does not belong to the space.
    """
    if not isinstance(space, TaskSpace):
        return _check_level(space, task, num_envs)
    array = space.validate(task)
    if num_envs is None:
        if array.ndim != 1:
            raise TaskError(f"task: got shape {array.shape}; expected ({space.dim},), one task")
        return array
    if array.ndim == 2 and len(array) != num_envs:
        raise TaskError(
            f"tasks: got shape {array.shape}; expected ({space.dim},), or one row per environment: "
            f"({num_envs}, {space.dim})"
        )
    return np.broadcast_to(array, (num_envs, space.dim)).copy()


def describe_task(space: Any, task: Any) -> Any:
    """A task as it appears in `info`: a fresh vector, or a structured level as a dict of fresh arrays."""
    if isinstance(space, TaskSpace):
        return np.array(task)
    return jax.tree.map(np.array, serialization.to_state_dict(task))


def _check_box(space: spaces.Box, action: Any, batch: tuple[int, ...], where: str) -> np.ndarray:
    floating = np.issubdtype(space.dtype, np.floating)
    array = _array(action, "fiu" if floating else "iu", batch, where, space)
    if not floating:
        return np.clip(array, space.low, space.high).astype(space.dtype)
    with np.errstate(over="ignore"):
        array = array.astype(space.dtype)
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise _wrong(f"{where}{list(index)}", array[index], f"a finite {space.dtype} number", space)
    return array


def _check_whole(space: Space, action: Any, batch: tuple[int, ...], where: str, low: Any, high: Any) -> np.ndarray:
    array = _array(action, "iub", batch, where, space)
    outside = (array < low) | (array > high)
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        low, high = (int(np.broadcast_to(bound, array.shape)[index]) for bound in (low, high))
        raise _wrong(f"{where}{list(index) or ''}", array[index], f"a whole number in [{low}, {high}]", space)
    return array.astype(np.int32)


def _array(value: Any, kinds: str, batch: tuple[int, ...], where: str, space: Space) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        array = np.asarray(None)  # ragged or unreadable: fails the test of its kind
    shape = batch + (space.shape or ())
    if array.dtype.kind not in kinds or array.shape != shape:
        numbers = "real" if "f" in kinds else "whole"
        size = f"shape {array.shape}, dtype {array.dtype}: " if array.ndim and array.dtype.kind != "O" else ""
        raise _wrong(where, value, f"{numbers} numbers of shape {shape}", space, size)
    return array


def _wrong(where: str, got: Any, expected: str, space: Space, size: str = "") -> InvalidActionError:
    return InvalidActionError(
        f"invalid action: {where}; got {size}{short(got)}; expected {expected} (action space {short(space)})",
        key="action",
    )


def _check_level(space: Any, task: Any, num_envs: int | None) -> Any:
    template = space.default
    if isinstance(task, Mapping) and not isinstance(template, Mapping):
        try:
            task = serialization.from_state_dict(template, dict(task))
        except (KeyError, ValueError, AttributeError) as error:
            raise TaskError(
                f"level: got keys {sorted(map(str, task))}; expected those of {type(template).__name__} ({error})"
            ) from None
    paths, structure = jax.tree_util.tree_flatten_with_path(template)
    if jax.tree.structure(task) != jax.tree.structure(template):  # type: ignore[operator]
        raise TaskError(f"level: got {short(task)}; expected a {type(template).__name__} like the space's default")
    pairs = zip(paths, jax.tree.leaves(task), strict=True)
    checked = [_check_leaf(jax.tree_util.keystr(path), leaf, like, num_envs) for (path, like), leaf in pairs]
    level = jax.tree.unflatten(structure, checked)
    is_one = all(leaf.ndim == np.ndim(like) for leaf, (_, like) in zip(checked, paths, strict=True))
    if is_one:  # one level for all is checked once, whatever their number
        space.validate(level)
    if num_envs is None:
        return level
    rows = [np.broadcast_to(leaf, (num_envs, *np.shape(like))) for leaf, (_, like) in zip(checked, paths, strict=True)]
    levels = jax.tree.unflatten(structure, [leaf.copy() for leaf in rows])
    for i in range(0 if is_one else num_envs):
        try:
            space.validate(jax.tree.map(lambda leaf, i=i: leaf[i], levels))
        except TaskError as error:
            raise TaskError(f"tasks[{i}]: {error.message}", hint=error.hint) from None
    return levels


def _check_leaf(name: str, leaf: Any, like: Any, num_envs: int | None) -> np.ndarray:
    """A copy of the leaf of a level, or of one per environment, in the dtype of the default's."""
    array, like = np.asarray(leaf), np.asarray(like)
    same_kind = array.dtype.kind == like.dtype.kind or (array.dtype.kind in "iu" and like.dtype.kind in "iuf")
    if not same_kind or array.shape not in (like.shape, (num_envs, *like.shape)):
        raise TaskError(
            f"level{name}: got shape {array.shape}, dtype {array.dtype}; expected {like.shape}, {like.dtype}"
        )
    cast = array.astype(like.dtype)
    fits = like.dtype.kind == "f" or np.array_equal(cast, array)
    if not fits or not np.isfinite(cast).all():
        raise TaskError(f"level{name}: got {short(leaf)}; expected finite values that fit {like.dtype}")
    return cast
