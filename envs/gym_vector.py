"""The vector door: B environments whose step is one compiled call.

States stay on the device. When episodes end, only their rows are made anew: they are gathered on the host into a batch
of 1, 8, 64, ... rows, so that a reset costs what it should while few shapes are ever compiled.

Letters: B environments (`num_envs`), D task parameters, K rows of a partial reset.
"""

from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from .contract import TaskEnv, space_of_codes
from .errors import OptionError, short
from .exchange import (
    check_action,
    check_task,
    decode_observation,
    describe_task,
    end_reasons,
    host_arrays,
)
from .gym_base import Door, seed_of
from .seats import seed_key, vector_programs

OPTIONS = ("task", "reset_mask")
BATCH_GROWTH = 8  # sizes of partial resets are powers of this, and num_envs


class VectorEnv(Door, gymnasium.vector.VectorEnv):
    """B environments of one family behind Gymnasium's vector interface.

    - `autoreset_mode`: NEXT_STEP (the step after the last resets, its action is ignored), SAME_STEP (with "final_obs"
      and "final_info"), or DISABLED (`reset(options={"reset_mask": mask})` is the caller's duty).
    - `set_tasks`, or `reset(options={"task": ...})`, gives each environment the task it uses from its next reset on.
    - Environment i draws from the stream (seed, i): its episodes do not depend on `num_envs`, and environment 0 is
      what `gymnasium.make` gives for the same seed (environment i: `SingleEnv(functional, index=i)`).
    - `infos` holds "task" at resets and ends, "success" and "end_reason" at ends, beside what the family reports at
      every step; "_<name>" masks tell whose values count. Rewards are float64.

    Args:
      functional: the pure environment.
      num_envs: B.
      autoreset_mode: an `AutoresetMode` or its value.
      render_mode: None or "rgb_array".
      task: one task for all or one per environment (B, D); None for the default task.
      decode: whether observations hold sentences; False gives their codes.

    Raises:
      OptionError: `num_envs`, `autoreset_mode` or `render_mode` is not one of those.
      TaskError: a task outside the family's task space.
    """

    def __init__(
        self,
        functional: TaskEnv,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        task: Any = None,
        decode: bool = True,
    ):
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise OptionError(
                f"wrong number of environments: num_envs; got {short(num_envs)}; expected at least 1", key="num_envs"
            )
        self.functional = functional if render_mode is None else functional.for_rendering()
        self.num_envs = int(num_envs)
        self.task_space = functional.task_space
        space = functional.observation_space
        self.single_observation_space = space if decode else space_of_codes(space)
        self.single_action_space = functional.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(functional.action_space, self.num_envs)
        self.render_mode = self._check_render_mode(render_mode, ("rgb_array",))
        self.metadata = {
            "render_modes": self._render_modes("rgb_array"),
            "render_fps": functional.render_fps,
            "autoreset_mode": _autoreset_mode(autoreset_mode),
        }
        self._tasks = check_task(self.task_space, self.task_space.default if task is None else task, self.num_envs)
        self._running_tasks = jax.tree.map(np.copy, self._tasks)
        self._keys: np.ndarray | None = None  # (B, words), key data of each environment's stream
        self._started = np.zeros(self.num_envs, np.uint32)  # started so far, under the present seed
        self._settings: Any = None
        self._episodes: Any = None
        self._obs: Any = None  # on the device, as the last step or full reset gave it ...
        self._patches: list[tuple[np.ndarray, Any]] = []  # ... and the rows that have been reset since
        self._ended = np.zeros(self.num_envs, bool)
        self._compile()

    @property
    def autoreset_mode(self) -> AutoresetMode:
        """When ended episodes are followed by the next one."""
        return self.metadata["autoreset_mode"]

    def set_tasks(self, tasks: Any, mask: np.ndarray | None = None) -> None:
        """Sets the task each environment uses from its next reset on.

        Args:
          tasks: one for all (D,) or {name: value}, or one per environment (B, D); levels likewise.
          mask: (B,) bool, whose tasks to set; all by default.

        Raises:
          TaskError: naming row and parameter that do not fit.
        """
        tasks = check_task(self.task_space, tasks, self.num_envs)
        rows = slice(None) if mask is None else np.flatnonzero(_check_mask(mask, self.num_envs))
        _assign(self._tasks, rows, _take(tasks, rows))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode in every environment, or in those of `options["reset_mask"]` (B,) bool.

        Rows that are not reset keep their last observation. A seed starts new streams for the rows that are.
        """
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        mask = np.ones(self.num_envs, bool) if mask is None else _check_mask(mask, self.num_envs)
        tasks = options.pop("task", None)
        self._refuse_unknown(options, OPTIONS)
        if self._episodes is None and not mask.all():
            raise gymnasium.error.ResetNeeded("reset_mask in the first reset; the first must reset every environment")
        if tasks is not None:
            self.set_tasks(tasks, mask)
        super().reset(seed=seed)
        if seed is not None or self._keys is None:
            keys = np.array(self._programs.keys(seed_key(seed_of(self)), self.num_envs))
            self._keys = keys if self._keys is None else np.where(mask[:, None], keys, self._keys)
            self._started[mask] = 0
        infos: dict[str, Any] = {}
        if mask.all():
            self._restart_all(infos)
        else:
            self._restart(np.flatnonzero(mask), infos)
        self._ended[mask] = False
        return self._observations(), infos

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Takes one step in every environment.

        Raises:
          InvalidActionError: naming the environment whose action does not fit.
          gymnasium.error.ResetNeeded: before the first reset, or with autoreset disabled after an end.
        """
        if self._episodes is None:
            raise gymnasium.error.ResetNeeded("step() before the first reset(); call reset() first")
        actions = check_action(self.single_action_space, actions, (self.num_envs,), "actions")
        waiting = np.flatnonzero(self._ended)
        if waiting.size and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gymnasium.error.ResetNeeded(
                f"step() while the episodes of environments {short(waiting.tolist())} are over; "
                'call reset(options={"reset_mask": mask}) first'
            )
        # Rows that wait for their reset are stepped with the rest and overwritten: cheaper than leaving them out.
        self._episodes, self._obs, report, info = self._programs.move(self._settings, self._episodes, actions)
        self._patches = []
        infos: dict[str, Any] = {}
        if waiting.size:
            self._restart(waiting, infos)
        reward = np.array(report.reward, np.float64)
        terminated, truncated = np.array(report.terminated), np.array(report.truncated)
        reward[waiting], terminated[waiting], truncated[waiting] = 0.0, False, False
        self._ended = terminated | truncated
        ended = np.flatnonzero(self._ended)
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.size:
            going = np.flatnonzero(~self._ended)
            _add_rows(infos, _take(info, going), going, self.num_envs)
            self._finish(ended, report, info, infos)
            self._restart(ended, infos)
            self._ended = np.zeros(self.num_envs, bool)
        else:
            stepped = np.delete(np.arange(self.num_envs), waiting) if waiting.size else slice(None)
            _add_rows(infos, _take(info, stepped), stepped, self.num_envs)
            if ended.size:
                _add_rows(infos, self._end_info(report, ended), ended, self.num_envs)
        return self._observations(), reward, terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The current state of every environment, each uint8 (height, width, 3)."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() without a render mode; expected make_vec(..., render_mode="rgb_array")')
            return None
        if self._episodes is None:
            raise gymnasium.error.ResetNeeded("render() before the first reset(); call reset() first")
        both = jax.device_get((self._settings, self._episodes))
        rows = (jax.tree.map(lambda x, i=i: x[i], both) for i in range(self.num_envs))
        return tuple(self._draw(setting, episode) for setting, episode in rows)

    def _restart_all(self, infos: dict[str, Any]) -> None:
        rows = np.arange(self.num_envs, dtype=np.int32)
        # Copies, since JAX may read host arrays in place and later than this call, and these change below.
        inputs = jax.tree.map(np.copy, (self._keys, self._started, self._tasks))
        self._settings, self._episodes, self._obs, info = self._programs.start(*inputs)
        self._patches = []
        self._note_start(rows, info, infos)

    def _restart(self, rows: np.ndarray, infos: dict[str, Any]) -> None:
        """Starts the next episode of K rows; their observations become a patch."""
        # Rows past the last are out of range, so `place` drops them; `start` may make them of any row.
        padded = np.full(_batch_size(len(rows), self.num_envs), self.num_envs, np.int32)
        padded[: len(rows)] = rows
        used = np.minimum(padded, self.num_envs - 1)
        *fresh, obs, info = self._programs.start(*_take((self._keys, self._started, self._tasks), used))
        running = (self._settings, self._episodes)
        self._settings, self._episodes = self._programs.place(running, padded, tuple(fresh))
        obs, info = _take((obs, info), slice(len(rows)))
        self._patches.append((rows, host_arrays(self.single_observation_space, obs, batched=True)))
        self._note_start(rows, info, infos)

    def _note_start(self, rows: np.ndarray, info: dict[str, Any], infos: dict[str, Any]) -> None:
        self._started[rows] += np.uint32(1)
        _assign(self._running_tasks, rows, _take(self._tasks, rows))
        _add_rows(infos, _take(info, slice(None)) | self._task_info(rows), rows, self.num_envs)

    def _finish(self, rows: np.ndarray, report: Any, info: dict[str, Any], infos: dict[str, Any]) -> None:
        """Notes the last observation and info of rows that are about to be reset."""
        space = self.single_observation_space
        obs = host_arrays(space, self._obs, batched=True)
        last = np.full(self.num_envs, None, object)
        for i in rows:
            last[i] = decode_observation(space, jax.tree.map(lambda x, i=i: x[i].copy(), obs))
        final_info: dict[str, Any] = {}
        _add_rows(final_info, _take(info, rows) | self._end_info(report, rows), rows, self.num_envs)
        infos |= {"final_obs": last, "_final_obs": self._ended.copy()}
        infos |= {"final_info": final_info, "_final_info": self._ended.copy()}

    def _end_info(self, report: Any, rows: np.ndarray) -> dict[str, Any]:
        success, terminated, index = _take((report.success, report.terminated, report.end_reason), rows)
        ends = {"success": success, "end_reason": end_reasons(self.functional, terminated, index)}
        return self._task_info(rows) | ends

    def _task_info(self, rows: np.ndarray) -> dict[str, Any]:
        return {"task": describe_task(self.task_space, _take(self._running_tasks, rows))}

    def _observations(self) -> Any:
        obs = host_arrays(self.single_observation_space, self._obs, batched=True)
        for rows, values in self._patches:
            _assign(obs, rows, values)
        return decode_observation(self.single_observation_space, obs)

    def _compile(self) -> None:
        self._programs = vector_programs(self.functional)


def _assign(tree: Any, rows: Any, values: Any) -> None:
    """Writes rows of a NumPy tree in place."""
    for target, value in zip(jax.tree.leaves(tree), jax.tree.leaves(values), strict=True):
        target[rows] = value


def _batch_size(count: int, num_envs: int) -> int:
    """The size in which `count` resets are made."""
    size = 1
    while size < count:
        size *= BATCH_GROWTH
    return min(size, num_envs)


def _add_rows(infos: dict[str, Any], info: dict[str, Any], rows: Any, num_envs: int) -> None:
    """Adds values under Gymnasium's convention: zeros (None for words) in other rows, and a mask "_<name>" beside each.

    Args:
      infos: changed in place.
      info: arrays with one entry per row; may be nested.
      rows: indices or slice; without any, nothing is added.
    """
    if not isinstance(rows, slice) and not len(rows):
        return
    for name, values in info.items():
        if isinstance(values, dict):
            _add_rows(infos.setdefault(name, {}), values, rows, num_envs)
        else:
            if name not in infos:
                empty = None if values.dtype == object else 0
                infos[name] = np.full((num_envs, *values.shape[1:]), empty, values.dtype)
            infos[name][rows] = values
        infos.setdefault(f"_{name}", np.zeros(num_envs, bool))[rows] = True


def _take(tree: Any, rows: Any) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[rows], tree)


def _check_mask(mask: Any, num_envs: int) -> np.ndarray:
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != (num_envs,) or not mask.any():
        raise OptionError(
            f"wrong mask: reset_mask; got {short(mask)}; expected a bool array ({num_envs},) with a True in it",
            key="reset_mask",
        )
    return mask


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        expected = [m.value for m in AutoresetMode]
        raise OptionError(
            f"unknown autoreset mode: autoreset_mode; got {short(mode)}; expected one of {expected}",
            key="autoreset_mode",
        ) from None
