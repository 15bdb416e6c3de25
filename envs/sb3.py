"""The Stable-Baselines3 door: a batch of compiled environments as one SB3 `VecEnv`.

    from stable_baselines3 import PPO
    from palaestra.envs.sb3 import VecEnv

    model = PPO("MlpPolicy", VecEnv("palaestra/CartPole-v0", num_envs=16)).learn(50_000)

Needs the extra `sb3`. A single `gymnasium.make("palaestra/...")` works in SB3 without this file.
"""

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.vector import AutoresetMode

from .contract import space_of_codes
from .errors import OptionError, missing_extra, short
from .exchange import check_task
from .gym import make_vector_env
from .gym_vector import VectorEnv

try:
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import VecEnv as BaseVecEnv
except ImportError as error:
    raise missing_extra("stable-baselines3", "sb3", "palaestra.envs.sb3") from error


class VecEnv(BaseVecEnv):
    """B environments of one id for Stable-Baselines3, reset in the step that ends them.

    The info of an ended episode holds "terminal_observation", "TimeLimit.truncated", "is_success", "task" and, as from
    `Monitor`, "episode". `seed(s)` and `set_options({"task": ...})` act at the next `reset()`, `set_tasks` at the next
    reset of each environment. Sentences in observations are arrays of their words' numbers, since SB3 takes no text.

    Args:
      env: an id, or a vector environment made with `autoreset_mode="SameStep"` and, if its observations hold
        sentences, `decode=False`.
      num_envs: B, when `env` is an id.
      task: one task for all or one per environment (B, D), when `env` is an id.
      render_mode: None or "rgb_array", when `env` is an id.
      kwargs: go to the family's class, when `env` is an id.

    Raises:
      OptionError: a vector environment with another autoreset mode or with sentences, or arguments that only an id
        can take.
    """

    def __init__(
        self,
        env: str | VectorEnv,
        num_envs: int | None = None,
        task: Any = None,
        render_mode: str | None = None,
        **kwargs: Any,
    ):
        if isinstance(env, str):
            env = make_vector_env(env, num_envs or 1, AutoresetMode.SAME_STEP, render_mode, task, False, **kwargs)
        elif num_envs is not None or task is not None or render_mode is not None or kwargs:
            raise OptionError("num_envs, task, render_mode and family arguments belong to an id; got an environment")
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise OptionError(
                f"wrong autoreset mode: autoreset_mode; got {env.autoreset_mode}; expected {AutoresetMode.SAME_STEP}",
                key="autoreset_mode",
            )
        if space_of_codes(env.single_observation_space) != env.single_observation_space:
            raise OptionError(
                "observations with sentences: decode; got True; expected False, since SB3 takes no text", key="decode"
            )
        self.vector = env
        self._actions: Any = None
        self._started_at = time.time()
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, int)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    @property
    def functional(self) -> Any:
        """The pure environment behind the door."""
        return self.vector.functional

    def set_tasks(self, tasks: Any, mask: np.ndarray | None = None) -> None:
        """Sets the task each environment uses from its next reset on; see `VectorEnv.set_tasks`."""
        self.vector.set_tasks(tasks, mask)

    def reset(self) -> Any:
        """Starts an episode everywhere, with the seed and options set before, which are used once."""
        obs, infos = self.vector.reset(seed=self._seeds[0], options=self._merged_options())
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0.0, 0
        self.reset_infos = [_row(infos, i) for i in range(self.num_envs)]
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Notes the actions of the step that `step_wait` takes."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Takes the step; ended environments already show the next episode's first observation."""
        obs, reward, terminated, truncated, infos = self.vector.step(self._actions)
        ended = terminated | truncated
        self._returns += reward
        self._lengths += 1
        rows = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        if infos:
            for i in np.flatnonzero(~ended):
                rows[i] |= _row(infos, i)
        for i in np.flatnonzero(ended):
            rows[i] = self._final_info(i, infos) | {"TimeLimit.truncated": bool(truncated[i] and not terminated[i])}
            self.reset_infos[i] = _row(infos, i)
            self._returns[i], self._lengths[i] = 0.0, 0
        return obs, reward.astype(np.float32), ended, rows

    def close(self) -> None:
        """Closes the environments."""
        self.vector.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of every environment, or Nones without a render mode."""
        return self.vector.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the vector environment, once per environment asked for."""
        return [getattr(self.vector, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute for all environments together.

        Raises:
          OptionError: for some of them; `set_tasks` is what can differ between environments.
        """
        if indices is not None:
            raise OptionError(
                "set_attr of some environments: indices; expected None. Use set_tasks to make them differ"
            )
        setattr(self.vector, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Calls "set_task" on the environments asked for, or "render" on all.

        Raises:
          AttributeError: any other method; environments of a batch are not objects of their own.
        """
        chosen = list(self._get_indices(indices))
        if method_name == "set_task":
            (task,) = (*args, *kwargs.values())
            self.vector.set_tasks(task, np.isin(np.arange(self.num_envs), chosen))
            return [None] * len(chosen)
        if method_name == "render":
            images = self.get_images()
            return [images[i] for i in chosen]
        raise AttributeError(f"no method {method_name!r} of one environment; expected 'set_task' or 'render'")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        """True for `Monitor`, whose "episode" info is there; False for every other wrapper."""
        return [issubclass(Monitor, wrapper_class)] * len(list(self._get_indices(indices)))

    def _final_info(self, i: Any, infos: dict[str, Any]) -> dict[str, Any]:
        info = _row(infos["final_info"], i)
        info["terminal_observation"] = infos["final_obs"][i]
        info["is_success"] = info.pop("success")
        info["episode"] = {
            "r": round(float(self._returns[i]), 6),
            "l": int(self._lengths[i]),
            "t": round(time.time() - self._started_at, 6),
        }
        return info

    def _merged_options(self) -> dict[str, Any] | None:
        """The options of all environments as the vector environment takes them."""
        given = [options for options in self._options if options]
        if not given:
            return None
        if len(given) < self.num_envs or any(set(options) != {"task"} for options in given):
            raise OptionError(
                f"unknown reset options: options; got {short(self._options)}; expected a 'task' for every environment",
                key="options",
            )
        tasks = [check_task(self.vector.task_space, options["task"]) for options in given]
        return {"task": jax.tree.map(lambda *leaves: np.stack(leaves), *tasks)}


def _row(infos: dict[str, Any], i: Any) -> dict[str, Any]:
    """The info of one environment out of Gymnasium's batched form."""
    row: dict[str, Any] = {}
    for name, values in infos.items():
        mask = infos.get(f"_{name}")
        if mask is None or not mask[i] or name in ("final_obs", "final_info"):
            continue
        if isinstance(values, dict):
            row[name] = _row(values, i)
        else:
            row[name] = _own(values[i])
    return row


def _own(value: Any) -> Any:
    """A Python number for a NumPy scalar, a copy of an array; words as they are."""
    if isinstance(value, np.generic):
        return value.item()
    return value.copy() if isinstance(value, np.ndarray) else value
