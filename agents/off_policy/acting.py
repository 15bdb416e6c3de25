"""From learners, which know flat observations and unit actions, to environments and back.

Letters: B environments, O flat observation, A action.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from gymnasium import Space

from ...envs.errors import OptionError, short
from ..spaces import BoxHead, action_head, flatten_observation, learner_view, observation_size
from .contract import Learned, Learner
from .transitions import ACTION_LIMIT, require_sizes


@dataclasses.dataclass(frozen=True)
class Interface:
    """Where an environment and a learner meet.

    Attributes:
      observation_space, action_space: the environment's.
    """

    observation_space: Space
    action_space: Space

    @property
    def view(self) -> Space:
        """The parts of observations that the learner sees, in order."""
        return learner_view(self.observation_space)

    @property
    def obs_size(self) -> int:
        """O."""
        return observation_size(self.view)

    @property
    def head(self) -> BoxHead:
        """How unit actions become the environment's.

        Raises:
          OptionError: actions that are not numbers within bounds.
        """
        head = action_head(self.action_space)
        if not isinstance(head, BoxHead):
            raise OptionError(
                f"env with the action space {short(self.action_space)}; expected a bounded Box, as this learner takes",
                key="env",
            )
        return head

    @property
    def action_size(self) -> int:
        """A."""
        return self.head.size

    def flat(self, obs: Any) -> jax.Array:
        """Observations with any leading axes as the learner sees them (..., O)."""
        return flatten_observation(self.view, obs)

    def init(self, key: jax.Array, learner: Learner) -> Learned:
        """A fresh learner for this environment; `key` is consumed."""
        return learner.init(key, self.obs_size, self.action_size)

    def choose(self, key: jax.Array, learner: Learner, learned: Learned, flat: jax.Array, likeliest: bool) -> jax.Array:
        """Unit actions (..., A) at flat observations (..., O); `key` is consumed unless the likeliest is asked for."""
        policy = learner.policy(learned, flat)
        action = policy.mode() if likeliest else policy.sample(key)
        return jnp.clip(action, -ACTION_LIMIT, ACTION_LIMIT)


class Acting:
    """An agent whose learner acts in an environment.

    Attributes:
      env: with observation and action spaces.
      config: with a `learner`.
      data: transitions that it may learn from, or None.
    """

    env: Any
    config: Any
    data: Any

    @property
    def learner(self) -> Learner:
        learner: Learner = self.config.learner
        return learner

    @property
    def interface(self) -> Interface:
        return Interface(self.env.observation_space, self.env.action_space)

    def act(self, key: jax.Array, state: Any, obs: Any, deterministic: bool = False) -> jax.Array:
        """Actions for the environment from observations with any leading axes; `key` is consumed."""
        flat = self.interface.flat(obs)
        return self.interface.head.to_env(self.interface.choose(key, self.learner, state.learned, flat, deterministic))

    def check_data(self) -> None:
        """Refuses spaces that this learner does not take, and data that is not the environment's.

        Raises:
          OptionError: either of them.
        """
        sizes = self.interface.obs_size, self.interface.action_size
        if self.data is not None:
            require_sizes(self.data, *sizes)
