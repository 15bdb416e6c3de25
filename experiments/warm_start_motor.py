"""WSRL on an electric drive: from data of badly tuned PI controllers to control that beats the tuned one?

The learners see PI control whose gains are off by up to half, drawn per episode. They are trained by CQL, since rewards
are dense, and go on as in `warm_start`. A score of 100 is dead-beat control, which knows the circuit, 0 no action.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from .warm_start_config import QuickConfig

DRIVE = {"control": "dq", "previous_action": True, "horizon": 200}


@dataclasses.dataclass(frozen=True)
class MotorConfig(QuickConfig):
    """The currents of a synchronous machine with permanent magnets; the networks are the quick study's.

    Attributes:
      reference_episodes: of the controllers.
    """

    env: str = "palaestra/Motor-Cont-CC-PMSM-v0"
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=lambda: dict(DRIVE))
    data_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=lambda: dict(DRIVE))
    quality: str = "medium"
    sparse: bool = False
    variants: tuple[str, ...] = ("wsrl", "no warm-up", "scratch", "rlpd")
    updates: int = 10_000
    num_seeds: int = 5
    temperature_rate: float | None = 3e-3
    discount: float = 0.9
    reward_scale: float = 10.0
    reward_bias: float = 0.0
    target_draws: int = 1
    penalty: float = 1.0
    gap: float | None = None
    reference_episodes: int = 1000
    out: str = "runs/warm_start_motor"


def main(config: MotorConfig) -> dict[str, Any]:
    """Makes the data, pre-trains, goes on in every way; writes results, figure and report."""
    from .warm_start import compare, make_data

    dataset, refs = make_data(config)
    return compare(config, dataset, refs, others=controllers(config, refs))


def controllers(config: MotorConfig, refs: tuple[float, float]) -> dict[str, float]:
    """Scores of PI control, tuned by the data sheet's rule and with gains that are off."""
    from ..envs.motors.control.controller import make_controller
    from .assemble import make_env
    from .datasets.acting import returns_under
    from .datasets.motor_controllers import Controlled, behaviour
    from .datasets.scores import score

    env = make_env(config.env, config.env_kwargs)
    acting = {"PI, tuned": Controlled(make_controller(env, "pi")), "PI of the data": behaviour(env, "medium")}
    returns = {name: returns_under(env, each, config.reference_episodes).mean for name, each in acting.items()}
    return {name: score(mean, refs=refs).value for name, mean in returns.items()}
