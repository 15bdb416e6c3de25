"""How well drives follow their references under classical controllers and learned policies, measured alike.

Letters: S learners, K test episodes, T steps, D task parameters.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..envs.compilation import compile_for
from ..envs.motors.control.controller import make_controller
from ..envs.motors.control.rollout import Score, rollout, score
from ..envs.motors.env import Motor

EPISODE_SEED = 30_011  # starts and references of the test episodes, apart from those of training


@dataclasses.dataclass(frozen=True)
class PolicyController:
    """A learned policy in the form of a controller: its memory is the learner, which it leaves as it is."""

    agent: Any

    def init(self, dtype: Any) -> Any:
        raise TypeError("a policy has no memory of its own; expected memory=<the learner's state>")

    def act(self, state: Any, obs: jax.Array) -> tuple[Any, jax.Array]:
        """(learner, action) of the deterministic policy."""
        return state, self.agent.act(jax.random.key(0), state, obs, deterministic=True)

    def __hash__(self) -> int:
        return id(self.agent)


@dataclasses.dataclass(frozen=True)
class Tracked:
    """What S learners, or one controller (S = 1), came to in K episodes.

    Attributes:
      error: (S, K) mean |reference - value|, as a share of the limit.
      terminations: (S, K) how often a limit was exceeded.
    """

    error: np.ndarray
    terminations: np.ndarray

    @classmethod
    def of(cls, found: Score) -> "Tracked":
        return cls(np.asarray(found.mean_error, np.float64), np.asarray(found.terminations))


def track_controller(
    env: Motor, controller: Any, tasks: jax.Array, steps: int, memory: Any = None, seed: int = EPISODE_SEED
) -> Tracked:
    """A controller in one episode per task (K, D).

    Args:
      controller: a kind of `make_controller`, tuned by the data sheet, or anything hashable with `init` and `act`.
      memory: its state at the start instead of `init`'s.
    """
    controller = make_controller(env, controller) if isinstance(controller, str) else controller

    def run(keys: jax.Array, tasks: jax.Array) -> Score:
        return jax.vmap(lambda key, task: score(rollout(env, controller, key, steps, task, memory)))(keys, tasks)

    found = compile_for(env, run)(jax.random.split(jax.random.key(seed), len(tasks)), tasks)
    return Tracked.of(jax.tree.map(lambda x: x[None], found))


def track_policy(agent: Any, learners: Any, tasks: jax.Array, steps: int, seed: int = EPISODE_SEED) -> Tracked:
    """Learners with leading axis S in the same episodes as `track_controller`'s."""
    env, controller = agent.env, PolicyController(agent)

    def run(learners: Any, keys: jax.Array, tasks: jax.Array) -> Score:
        def one(learner: Any, key: jax.Array, task: jax.Array) -> Score:
            return score(rollout(env, controller, key, steps, task, learner))

        episodes = jax.vmap(one, (None, 0, 0))
        return jax.vmap(episodes, (0, None, None))(learners, keys, tasks)

    keys = jax.random.split(jax.random.key(seed), len(tasks))
    return Tracked.of(compile_for(env, run)(learners, keys, jnp.asarray(tasks)))
