"""PPO's settings: what fixes shapes and loop counts, and the numbers that may differ between learners."""

import dataclasses
import math
from typing import Literal

import jax
from flax import struct

from ..envs.errors import OptionError
from .actor_critic import NETWORKS
from .bonuses.contract import Bonus
from .bonuses.training import Training

Scalar = jax.Array | float


class Hyper(struct.PyTreeNode):
    """Numbers that may differ between members of a batch of learners."""

    learning_rate: Scalar = 3e-4
    discount: Scalar = 0.99
    lam: Scalar = 0.95  # of generalised advantage estimation
    clip: Scalar = 0.2  # of the probability ratio
    entropy_cost: Scalar = 0.0
    value_cost: Scalar = 0.5
    max_grad_norm: Scalar = 0.5  # global norm
    decay_steps: Scalar = math.inf  # [environment steps] until the learning rate has fallen linearly to 0


@dataclasses.dataclass(frozen=True)
class Config:
    """What fixes shapes and loop counts; hashable, static under jit.

    Attributes:
      network: "mlp", actor and critic apart on the flat observation; or "grid", convolutions over the observation's
        part "image" and dense layers that actor and critic share.
      hidden: widths of the hidden layers, of actor and critic each; of the shared dense layers for "grid".
      beside_image: parts of the observation that join the image's features, for "grid": Discrete ones as one-hot,
        missions as counts of their words. None takes "subgoal" where there is one.
      num_envs: lanes, over all devices.
      rollout_length: steps of every lane in one iteration.
      epochs: passes over a rollout.
      num_minibatches: gradient steps in one epoch; must divide `rollout_length`.
      start_every: steps after which every lane is given a fresh task and start, about: a part of the rollout. A lane
        that ends two episodes in one part begins both from the same start.
      initial_log_std: of the Gaussian policy, in units of half the action range.
      normalize_observations: by running mean and deviation; otherwise they are taken as they are.
      normalize_rewards: by the running deviation of discounted returns.
      normalize_advantages: to mean 0 and deviation 1 in every minibatch.
      bootstrap_truncated: an episode that the clock cut off is worth what its last observation is worth; False treats
        it like one that terminated.
      adam_epsilon: of the optimiser.
      bonus: rewards for exploring, added to the environment's; None for none. The minibatches that its networks are
        trained on must divide `rollout_length`, too.
      episode_log: finished episodes kept per iteration for the host's log.
      axis_name: mapped device axis over which lanes are spread; None for one device.
      hyper: initial numbers, copied into the state.
    """

    network: Literal["mlp", "grid"] = "mlp"
    hidden: tuple[int, ...] = (64, 64)
    beside_image: tuple[str, ...] | None = None
    num_envs: int = 64
    rollout_length: int = 128
    epochs: int = 10
    num_minibatches: int = 32
    start_every: int = 64
    initial_log_std: float = 0.0
    normalize_observations: bool = True
    normalize_rewards: bool = True
    normalize_advantages: bool = True
    bootstrap_truncated: bool = True
    adam_epsilon: float = 1e-5
    bonus: Bonus | None = None
    episode_log: int = 256
    axis_name: str | None = None
    hyper: Hyper = dataclasses.field(default_factory=Hyper, hash=False)

    def __post_init__(self) -> None:
        for name in ("num_envs", "rollout_length", "epochs", "num_minibatches", "start_every", "episode_log"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}={value}; expected at least 1")
        if self.rollout_length % self.num_minibatches:
            raise ValueError(f"num_minibatches={self.num_minibatches} must divide rollout_length={self.rollout_length}")
        training = getattr(self.bonus, "training", None)
        if isinstance(training, Training) and self.rollout_length % training.num_minibatches:
            name = "bonus.training.num_minibatches"
            raise OptionError(
                f"{name}={training.num_minibatches}; expected a divisor of rollout_length={self.rollout_length}",
                key=name,
            )
        if self.network not in NETWORKS:
            raise ValueError(f"network={self.network!r}; expected one of {list(NETWORKS)}")
        if self.adam_epsilon <= 0.0:
            raise ValueError(f"adam_epsilon={self.adam_epsilon}; expected a positive number")
