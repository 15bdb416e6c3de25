"""Any Gymnasium environment on tasks that a teacher chooses, in one process."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import gymnasium
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from ..envs.tasks import TaskSpace

Apply = Literal["options", "set_task"] | Callable[[gymnasium.Env, dict[str, float]], None]


class TaskSupply(Protocol):
    """Where a wrapper gets its tasks; `HostTeacher` is one."""

    def sample_task(self) -> tuple[np.ndarray, Any]: ...

    def report(self, task: Any, meta: Any, *, return_: float, length: int, success: bool) -> None: ...


class TaskWrapper(gymnasium.Wrapper):
    """Puts each episode on a task, and says in `info` what came of it.

    At reset the task is `options["task"]` (a dict or a vector) or `options["task_vector"]` if given, else the next one
    of `supply`, else the last one again; at first the space's default. `info` holds `task` (D,), `task_id` (int64, one
    more each episode) and `task_meta` at reset and at the final step, and there also `task_outcome`: return, length,
    success. The supply hears of every finished episode on a task of its own, before the final step returns, so the
    next task already takes it into account. It does not hear of tasks given by option (evaluation is not practice),
    nor of episodes that were broken off.

    Success is `info["success"]` or `info["is_success"]` of the final step, else whether the return reaches
    `success_threshold`, else False.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        space: TaskSpace,
        apply: Apply = "options",
        supply: TaskSupply | None = None,
        *,
        observe_task: bool = False,
        success_threshold: float | None = None,
    ) -> None:
        """Wraps `env`.

        Args:
          env: any Gymnasium environment.
          space: its task parameters.
          apply: how a task gets in: "options" passes `options={"task": dict}` to `env.reset`; "set_task" calls
            `env.unwrapped.set_task(dict)` before it; a function is called with (env, dict) before it.
          supply: a `HostTeacher`, or anything with its two verbs.
          observe_task: append the unit task (F,) to a Box observation, or add it to a Dict as "task".
          success_threshold: return from which an episode is a success where the environment does not say.
        """
        super().__init__(env)
        if not callable(apply) and apply not in ("options", "set_task"):
            raise ValueError(f"apply={apply!r}; expected 'options', 'set_task' or a function of (env, dict)")
        if apply == "set_task" and not hasattr(env.unwrapped, "set_task"):
            raise ValueError(f"apply='set_task': {type(env.unwrapped).__name__} has no method set_task(dict)")
        self.space = space
        self.supply = supply
        self._apply = apply
        self._observe_task = observe_task
        self._success_threshold = success_threshold
        self._task = space.default.copy()
        self._meta: Any = None
        self._is_supplied = False
        self._task_id = np.int64(-1)
        self._unit = np.zeros(space.unit_dim, np.float32)
        self._return = 0.0
        self._length = 0
        self._running = False
        if observe_task:
            self.observation_space = with_task(env.observation_space, space)

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode on the next task.

        Raises:
          TaskError: the task given by option does not belong to the space.
        """
        options = dict(options or {})
        self._running = False
        self._choose(options)
        values = self.space.to_dict(self._task)
        if self._apply == "options":
            options["task"] = values
        elif self._apply == "set_task":
            unwrapped: Any = self.env.unwrapped
            unwrapped.set_task(values)
        else:
            self._apply(self.env, values)
        obs, info = self.env.reset(seed=seed, options=options or None)
        self._task_id = self._task_id + np.int64(1)
        self._unit = np.asarray(self.space.to_unit(jnp.asarray(self._task)))
        self._return, self._length, self._running = 0.0, 0, True
        return self._observed(obs), {**info, **self._task_info()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps the environment; the final step of an episode adds task and outcome to `info`."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        self._length += 1
        if self._running and (terminated or truncated):
            self._running = False
            success = self._succeeded(info)
            outcome = {"return": self._return, "length": self._length, "success": success}
            info = {**info, **self._task_info(), "task_outcome": outcome}
            if self.supply is not None and self._is_supplied:
                self.supply.report(
                    self._task,
                    self._meta,
                    return_=self._return,
                    length=self._length,
                    success=success,
                )
        return self._observed(obs), reward, terminated, truncated, info

    def _choose(self, options: dict[str, Any]) -> None:
        given = [options.pop(name) for name in ("task", "task_vector") if options.get(name) is not None]
        if len(given) == 2:
            raise ValueError("options: got both 'task' and 'task_vector'; expected one of them")
        if given:
            self._task, self._meta, self._is_supplied = self.space.validate(given[0]), None, False
        elif self.supply is not None:
            task, meta = self.supply.sample_task()
            self._task, self._meta, self._is_supplied = self.space.validate(task), meta, True

    def _task_info(self) -> dict[str, Any]:
        return {"task": self._task.copy(), "task_id": self._task_id, "task_meta": self._meta}

    def _succeeded(self, info: dict[str, Any]) -> bool:
        for name in ("success", "is_success"):
            if name in info:
                return bool(info[name])
        return self._success_threshold is not None and self._return >= self._success_threshold

    def _observed(self, obs: Any) -> Any:
        if not self._observe_task:
            return obs
        if isinstance(obs, Mapping):
            return {**obs, "task": self._unit.copy()}
        return np.concatenate([obs, self._unit.astype(obs.dtype)])


def with_task(observation: spaces.Space, space: TaskSpace) -> spaces.Space:
    """The observation space with the unit task (F,) appended (Box) or added as "task" (Dict).

    Raises:
      ValueError: neither a flat Box of floats nor a Dict without "task".
    """
    unit = spaces.Box(0.0, 1.0, (space.unit_dim,), np.float32)
    if isinstance(observation, spaces.Dict) and "task" not in observation.spaces:
        return spaces.Dict({**observation.spaces, "task": unit})
    if isinstance(observation, spaces.Box) and len(observation.shape) == 1 and observation.dtype.kind == "f":
        low = np.concatenate([observation.low, unit.low.astype(observation.dtype)])
        high = np.concatenate([observation.high, unit.high.astype(observation.dtype)])
        return spaces.Box(low, high, dtype=observation.dtype.type)
    raise ValueError(
        f"observe_task=True: got {observation}; expected a flat Box of floats, or a Dict without the key 'task'"
    )
