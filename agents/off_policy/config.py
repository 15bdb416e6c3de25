"""Settings that the off-policy learners share."""

import dataclasses
from typing import Any, Literal

import jax

from ...envs.errors import OptionError
from .networks import Critics, Policy, Value


@dataclasses.dataclass(frozen=True)
class Nets:
    """The networks of a learner.

    Attributes:
      critic: widths of the hidden layers of each critic.
      actor: widths of the hidden layers of the policy.
      critic_norm, actor_norm: layer normalisation in their hidden layers.
      last_scale: gain of the last hidden kernels; None for that of the others.
      std: "exp" for a deviation that depends on the state, "uniform" for one that does not.
    """

    critic: tuple[int, ...] = (256, 256)
    actor: tuple[int, ...] = (256, 256)
    critic_norm: bool = False
    actor_norm: bool = False
    last_scale: float | None = None
    std: Literal["exp", "uniform"] = "exp"

    def __post_init__(self) -> None:
        for name in ("critic", "actor"):
            widths = getattr(self, name)
            if not widths or min(widths) < 1:
                raise OptionError(f"nets.{name}={widths}; expected widths of at least 1", key=f"nets.{name}")

    def critics(self, count: int) -> Critics:
        return Critics(count, self.critic, self.critic_norm, self.last_scale)

    def policy(self, actions: int, dropout: float = 0.0) -> Policy:
        return Policy(actions, self.actor, self.actor_norm, self.last_scale, self.std, dropout)

    def value(self) -> Value:
        """Of states, like one of the critics."""
        return Value(self.critic, self.critic_norm, self.last_scale)


@dataclasses.dataclass(frozen=True)
class Rewards:
    """How rewards are learned from; evaluation counts them as they are.

    Attributes:
      scale, bias: what is learned from is scale * reward + bias.
      failure: the reward of a sparse task's every unsolved step, before scaling; see `returns_to_go`. None for tasks
        that are not sparse.
    """

    scale: float = 1.0
    bias: float = 0.0
    failure: float | None = None

    def seen(self, reward: jax.Array) -> jax.Array:
        """Rewards as learned from."""
        return reward * self.scale + self.bias

    def check(self, learner: Any) -> None:
        """Refuses failures for ever that are worth infinitely much.

        Raises:
          OptionError: a failure reward without discounting.
        """
        hyper = getattr(learner, "hyper", None)
        if self.failure is not None and float(getattr(hyper, "discount", 0.0)) >= 1.0:
            raise OptionError(
                f"rewards.failure={self.failure} with a discount of 1; expected a discount below 1",
                key="rewards.failure",
            )

    @property
    def seen_failure(self) -> float | None:
        return None if self.failure is None else self.failure * self.scale + self.bias


def require_at_least(owner: object, least: int, *names: str) -> None:
    """Refuses whole-number settings below `least`.

    Raises:
      OptionError: naming the first.
    """
    for name in names:
        value = getattr(owner, name)
        if value < least:
            raise OptionError(f"{name}={value}; expected at least {least}", key=name)
