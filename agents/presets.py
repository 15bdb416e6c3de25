"""Settings under names: the published agent of MiniGrid, and the same with a bonus for exploring."""

import dataclasses
from typing import Literal

from .bonuses.count import Count
from .bonuses.noveld import NovelD
from .bonuses.ride import RIDE
from .bonuses.rnd import RND
from .ppo_config import Config, Hyper


@dataclasses.dataclass(frozen=True)
class PublishedMiniGrid(Config):
    """PPO on MiniGrid as published with subgoals from language models.

    Three convolutions of the image's raw codes, the subgoal's vector beside them, one dense layer; 16 lanes of 128
    steps, four epochs of minibatches of 256; nothing is normalised, and the clock's end counts like any other.

    Source: Ruiz-Gonzalez et al. 2025, the authors' code. Differs: a minibatch takes equally many steps
    from every lane; fresh levels come every 32 steps of a lane at the latest.
    """

    network: Literal["mlp", "grid"] = "grid"
    hidden: tuple[int, ...] = (256,)
    num_envs: int = 16
    rollout_length: int = 128
    epochs: int = 4
    num_minibatches: int = 8
    start_every: int = 32
    normalize_observations: bool = False
    normalize_rewards: bool = False
    normalize_advantages: bool = False
    bootstrap_truncated: bool = False
    adam_epsilon: float = 1e-8
    hyper: Hyper = dataclasses.field(
        default_factory=lambda: Hyper(
            learning_rate=1e-4,
            discount=0.99,
            lam=0.95,
            clip=0.2,
            entropy_cost=5e-4,
            value_cost=0.5,
            max_grad_norm=0.5,
        ),
        hash=False,
    )


@dataclasses.dataclass(frozen=True)
class WithCount(PublishedMiniGrid):
    """The published agent with rewards by counts."""

    bonus: Count = dataclasses.field(default_factory=Count)


@dataclasses.dataclass(frozen=True)
class WithRND(PublishedMiniGrid):
    """The published agent with random network distillation."""

    bonus: RND = dataclasses.field(default_factory=RND)


@dataclasses.dataclass(frozen=True)
class WithRIDE(PublishedMiniGrid):
    """The published agent with rewards for impact."""

    bonus: RIDE = dataclasses.field(default_factory=RIDE)


@dataclasses.dataclass(frozen=True)
class WithNovelD(PublishedMiniGrid):
    """The published agent with rewards for gains in novelty."""

    bonus: NovelD = dataclasses.field(default_factory=NovelD)
