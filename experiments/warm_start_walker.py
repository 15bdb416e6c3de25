"""WSRL on a walker: pre-trained on easy ground, it goes on over stumps, by itself and under a curriculum.

PPO learns to walk on grass; the policy that it ends with makes the data. Learners are trained on them by CQL, since
rewards are dense, and go on over stumps: on the very task they are tested on, or on tasks that a teacher chooses.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .switching import Ordering
from .warm_start_config import QuickConfig

CURRICULUM_ORDERINGS = (
    Ordering("C1", "tasks of ALP-GMM help on the one that is tested", "final", "wsrl, alp_gmm", "wsrl"),
)


@dataclasses.dataclass(frozen=True)
class WalkerConfig(QuickConfig):
    """Low stumps after grass, with the fast solver; a score of 100 is a return of 300, 0 one of -100.

    Attributes:
      walking_steps: of PPO, on grass.
    """

    env: str = "palaestra/StumpTracks-v0"
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"solver": "fast", "horizon": 1600})
    task: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: {"stump_height": 0.2, "obstacle_spacing": 4.0}
    )
    teacher_configs: Mapping[str, Mapping[str, Any]] = dataclasses.field(
        default_factory=lambda: {"alp_gmm": {"reward_scale": [-150.0, 350.0]}}
    )
    data_env: str | None = "palaestra/BipedalWalker-v0"
    data_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"solver": "fast"})
    walking_steps: int = 1_000_000
    quality: str = "expert"
    transitions: int = 100_000
    sparse: bool = False
    variants: tuple[str, ...] = ("wsrl", "no warm-up", "wsrl, alp_gmm")
    updates: int = 10_000
    online_steps: int = 30_000
    warmup: int = 5_000
    eval_episodes: int = 10
    evaluations: int = 12
    num_seeds: int = 5
    batch_size: int = 128
    temperature_rate: float | None = 1e-3
    discount: float = 0.99
    reward_scale: float = 1.0
    reward_bias: float = 0.0
    target_draws: int = 1
    penalty: float = 5.0
    gap: float | None = None
    out: str = "runs/warm_start_walker"


def main(config: WalkerConfig) -> dict[str, Any]:
    """Trains who makes the data, pre-trains, goes on in every way; writes results, figure and report."""
    from .study_runs import train_run
    from .switching import WSRL_ORDERINGS
    from .warm_start import compare, make_data

    run = train_run(walking_settings(config), Path(config.out) / "walking", config.overwrite)
    dataset, refs = make_data(config, run)
    return compare(config, dataset, refs, (*WSRL_ORDERINGS, *CURRICULUM_ORDERINGS))


def walking_settings(config: WalkerConfig) -> dict[str, Any]:
    """The run of PPO on grass, as on stump tracks, with checkpoints to choose from."""
    from .study_runs import ppo_settings
    from .stump_tracks import QuickConfig as Tracks

    tracks = Tracks(num_seeds=1, seed=config.seed)
    every = max(1, config.walking_steps // 20)
    assert config.data_env is not None
    return ppo_settings(
        tracks,
        config.data_env,
        total_timesteps=config.walking_steps,
        env_kwargs=config.data_kwargs,
        hyper={"discount": tracks.discount, "entropy_cost": tracks.entropy_cost},
        run={"eval_every": every, "save_every": every, "save_seconds": 1e9, "keep": 25},
    )
