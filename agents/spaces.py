"""What an agent sees and says: observations as flat vectors, actions as distributions.

Letters: O flat observation size, A action dimensions or choices.
"""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import Space, spaces

from ..envs.contract import CodedSpace
from ..envs.errors import OptionError, short
from .distributions import Categorical, Normal


def observation_size(space: Space) -> int:
    """O, the length of `flatten_observation`'s result.

    Raises:
      OptionError: a space that has no flat form here.
    """
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return int(np.prod(space.shape))
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, CodedSpace):
        return space.num_codes
    if isinstance(space, spaces.Dict):
        return sum(observation_size(sub) for sub in space.spaces.values())
    raise OptionError(
        f"env with the observation space {short(space)}; expected Box, MultiBinary, Discrete, coded or a Dict of those",
        key="env",
    )


def flatten_observation(space: Space, obs: Any) -> jax.Array:
    """Observations with any leading axes as float32 (..., O).

    Discrete parts become one-hot, codes (such as the words of a mission) counts of each, and Dicts are joined.
    """
    if isinstance(space, spaces.Discrete):
        return jax.nn.one_hot(obs - space.start, int(space.n))
    if isinstance(space, spaces.Dict):
        parts = [flatten_observation(sub, obs[name]) for name, sub in space.spaces.items()]
        return jnp.concatenate(parts, -1)
    if isinstance(space, CodedSpace):
        return jnp.sum(jax.nn.one_hot(obs, space.num_codes), axis=-2).at[..., 0].set(0.0)
    lead = obs.shape[: obs.ndim - len(space.shape or ())]
    return jnp.reshape(obs, (*lead, -1)).astype(jnp.float32)


GOAL_PARTS = ("observation", "desired_goal", "achieved_goal")  # of tasks with a goal in Gymnasium's form


def learner_view(space: Space) -> Space:
    """What a learner sees of an observation space, in the order in which `flatten_observation` joins it.

    Of tasks with a goal, `observation` and then `desired_goal`: the third part, `achieved_goal`, is in the observation
    already. Of all others, the space itself. Observations need no change, and stored ones are read by the same rule.
    """
    if isinstance(space, spaces.Dict) and set(space.spaces) == set(GOAL_PARTS):
        return spaces.Dict([(name, space.spaces[name]) for name in GOAL_PARTS[:2]])
    return space


def parts(space: Space, names: tuple[str, ...]) -> spaces.Dict:
    """The named parts of a Dict of observations, in the order of the space; observations need no change.

    Raises:
      OptionError: no Dict, or one without such a part.
    """
    known = list(space.spaces) if isinstance(space, spaces.Dict) else []
    missing = [name for name in names if name not in known]
    if missing or not isinstance(space, spaces.Dict):
        raise OptionError(
            f"observation parts {missing}: got the space {short(space)}; expected a Dict with these parts", key="env"
        )
    return spaces.Dict({name: sub for name, sub in space.spaces.items() if name in names})


def offset(space: spaces.Dict, name: str) -> int:
    """Where a part begins in `flatten_observation`'s result."""
    before = list(space.spaces)[: list(space.spaces).index(name)]
    return sum(observation_size(space.spaces[part]) for part in before)


class ActionHead(Protocol):
    """How a network's output (..., size) becomes a distribution and how its samples become actions."""

    @property
    def size(self) -> int: ...

    def distribution(self, output: jax.Array, log_std: jax.Array) -> Normal | Categorical: ...

    def to_env(self, action: jax.Array) -> jax.Array: ...


@dataclasses.dataclass(frozen=True)
class BoxHead:
    """A Gaussian over [-1, 1]^A, stretched to the action box; the environment sees clipped actions."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.low)

    def distribution(self, output: jax.Array, log_std: jax.Array) -> Normal:
        return Normal(mean=output, log_std=jnp.broadcast_to(log_std, output.shape))

    def to_env(self, action: jax.Array) -> jax.Array:
        bounds = np.array(self.low, np.float32), np.array(self.high, np.float32)
        share = 0.5 * (jnp.clip(action, -1.0, 1.0) + 1.0)
        low, high = (jnp.broadcast_to(bound, share.shape) for bound in bounds)
        return (low + share * (high - low)).reshape(*action.shape[:-1], *self.shape)

    def from_env(self, action: Any) -> Any:
        """The environment's actions (..., *shape) as (..., A) in [-1, 1]; those outside the box stay outside.

        NumPy arrays stay NumPy arrays.
        """
        flat = action.reshape(*action.shape[: action.ndim - len(self.shape)], self.size)
        ones = (1,) * (flat.ndim - 1)
        low, high = (np.array(bound, flat.dtype).reshape(*ones, -1) for bound in (self.low, self.high))
        return 2 * (flat - low) / (high - low) - 1


@dataclasses.dataclass(frozen=True)
class DiscreteHead:
    """A categorical over the choices."""

    size: int
    start: int

    def distribution(self, output: jax.Array, log_std: jax.Array) -> Categorical:
        return Categorical(logits=output)

    def to_env(self, action: jax.Array) -> jax.Array:
        return action + self.start


def action_head(space: Space) -> ActionHead:
    """The head for an action space.

    Raises:
      OptionError: a space other than a bounded Box or Discrete.
    """
    if isinstance(space, spaces.Discrete):
        return DiscreteHead(size=int(space.n), start=int(space.start))
    if isinstance(space, spaces.Box) and space.is_bounded():
        return BoxHead(
            low=tuple(map(float, space.low.ravel())), high=tuple(map(float, space.high.ravel())), shape=space.shape
        )
    raise OptionError(f"env with the action space {short(space)}; expected a bounded Box or Discrete", key="env")
