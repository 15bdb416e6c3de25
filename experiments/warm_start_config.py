"""What the studies of warm starts are told."""

import dataclasses
from collections.abc import Mapping
from typing import Any

VARIANTS = ("wsrl", "no warm-up", "retain half", "rlpd", "scratch", "calql", "iql", "plain", "coasting")
CURRICULUM = "wsrl, "  # and the name of a teacher


@dataclasses.dataclass(frozen=True)
class QuickConfig:
    """Ten seeds in the middle maze with small networks.

    Attributes:
      env, env_kwargs: where. An episode ends at the goal; start and goal are fixed cells, as published.
      task: parameters of the task online and in every evaluation that differ from the default's.
      teacher_configs: of the teachers of variants such as "wsrl, alp_gmm", by name; they choose the task online.
      data_env, data_kwargs: what the data is from, here with episodes that start anywhere; None: `env`.
      quality, transitions: of the data.
      updates: of pre-training.
      sparse: whether the reward is 0 until the goal. Then values are bounded by the data's returns (Cal-QL); else by
        nothing (CQL), because returns of dense rewards are biased where the clock ends an episode.
      online_steps: environment steps after the switch.
      warmup: steps without learning.
      evaluations: after the switch, evenly spaced.
      variants: which to run.
      hidden, critic_hidden: widths of the layers of policies and critics; None: the policies'.
      num_critics, batch_size, utd: of the learners. "plain" has two critics; it, Cal-QL and IQL update once a step.
      reward_scale, reward_bias: what is learned from is scale * reward + bias.
      temperature_rate: None for what is published, which is slow where training is short.
      penalty, gap: weight of CQL's penalty; with a gap what an adjusted one begins with, and what it aims at.
      penalized_draws: actions drawn of each kind for the penalty.
      target_draws: actions drawn for targets, of which the best counts: as published for mazes, also online.
      out: folder of the runs and the results.
      overwrite: delete what an earlier call left in `out`.
    """

    env: str = "palaestra/PointMaze_Medium-v0"
    env_kwargs: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"continuing_task": False, "start_cell": [1, 1], "goal_cell": [6, 6]}
    )
    task: Mapping[str, float] = dataclasses.field(default_factory=dict)
    teacher_configs: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    data_env: str | None = None
    data_kwargs: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"continuing_task": False, "goal_cell": [6, 6]}
    )
    quality: str = "play"
    transitions: int = 20_000
    updates: int = 5_000
    sparse: bool = True
    online_steps: int = 20_000
    warmup: int = 1_000
    evaluations: int = 40
    eval_episodes: int = 40
    variants: tuple[str, ...] = VARIANTS
    num_seeds: int = 10
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    critic_hidden: tuple[int, ...] | None = None
    num_critics: int = 5
    batch_size: int = 64
    utd: int = 4
    actor_rate: float = 5e-4
    critic_rate: float = 1e-3
    temperature_rate: float | None = None
    target_rate: float = 0.02
    discount: float = 0.98
    reward_scale: float = 1.0
    reward_bias: float = -1.0
    penalty: float = 1.0
    gap: float | None = 0.8
    penalized_draws: int = 4
    target_draws: int = 4
    out: str = "runs/warm_start_quick"
    overwrite: bool = False

    def __post_init__(self) -> None:
        for variant in self.variants:
            if variant not in VARIANTS and not variant.startswith(CURRICULUM):
                expected = f"one of {list(VARIANTS)}, or {CURRICULUM!r} and a teacher"
                raise ValueError(f"variants={list(self.variants)}: got {variant!r}; expected {expected}")


@dataclasses.dataclass(frozen=True)
class Config(QuickConfig):
    """The large maze at full size, for an accelerator: networks, data and numbers of updates as published for mazes."""

    env: str = "palaestra/PointMaze_Large-v0"
    env_kwargs: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"continuing_task": False, "start_cell": [1, 1], "goal_cell": [7, 10]}
    )
    data_kwargs: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"continuing_task": False, "goal_cell": [7, 10]}
    )
    transitions: int = 1_000_000
    updates: int = 1_000_000
    online_steps: int = 500_000
    warmup: int = 5_000
    evaluations: int = 50
    eval_episodes: int = 100
    hidden: tuple[int, ...] = (256, 256)
    critic_hidden: tuple[int, ...] | None = (256, 256, 256, 256)
    num_critics: int = 10
    batch_size: int = 256
    actor_rate: float = 1e-4
    critic_rate: float = 3e-4
    target_rate: float = 0.005
    discount: float = 0.99
    reward_scale: float = 10.0
    reward_bias: float = -5.0
    penalized_draws: int = 10
    target_draws: int = 10
    out: str = "runs/warm_start"
