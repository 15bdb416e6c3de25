"""Settings under names: the published forms of the off-policy learners.

Sources: Haarnoja et al. 2018, Chen et al. 2021, Ball et al. 2023, Kumar et al. 2020, Nakamoto et al. 2023, Kostrikov et
al. 2022, Zhou et al. 2025 and its reference code, whose numbers for locomotion are the defaults here.
"""

import dataclasses
import math
from typing import Literal

from . import offline, online, sac
from .bc import BC
from .config import Nets
from .iql import IQL
from .sac import SAC, Conservative

NORMALIZED = Nets(critic_norm=True, actor_norm=True, last_scale=0.01)

# The reference code's optimiser lets actor and temperature coast through the four critic steps of an update, and the
# critics through the one of the actor. In the long run that carries them sqrt(5) and sqrt(5 / 4) times as far; without
# it, learning rates larger by as much do the same.
REFERENCE_HYPER = sac.Hyper(actor_rate=1e-4, critic_rate=3e-4, temperature_rate=1e-4)
STEADY_HYPER = sac.Hyper(
    actor_rate=1e-4 * math.sqrt(5.0), critic_rate=3e-4 * math.sqrt(1.25), temperature_rate=1e-4 * math.sqrt(5.0)
)


def _conservative(calibrated: bool, ensemble: bool) -> SAC:
    return SAC(
        nets=NORMALIZED if ensemble else dataclasses.replace(NORMALIZED, critic_norm=False, actor_norm=False),
        num_critics=10 if ensemble else 2,
        draw_repeats=ensemble,
        soft_target=False,
        target_draws=10,
        entropy_at="next_obs",
        conservative=Conservative(calibrated=calibrated, members=2 if ensemble else None),
        hyper=REFERENCE_HYPER,
    )


@dataclasses.dataclass(frozen=True)
class REDQ(online.Config):
    """Ten critics, two of them for every target, twenty critic steps for each of the environment."""

    learner: SAC = dataclasses.field(
        default_factory=lambda: SAC(num_critics=10, utd=20, actor_value="mean", actor_batch="last")
    )


@dataclasses.dataclass(frozen=True)
class RLPD(online.Config):
    """Half of every batch from offline data, ten normalised critics, high update-to-data ratio."""

    learner: SAC = dataclasses.field(
        default_factory=lambda: SAC(
            nets=NORMALIZED,
            num_critics=10,
            utd=4,
            actor_value="mean",
            actor_batch="last",
            hyper=sac.Hyper(target_entropy=-0.5),
        )
    )
    warmup: int = 5000
    retain: Literal["none", "mixed", "append"] = "mixed"


@dataclasses.dataclass(frozen=True)
class WSRL(online.Config):
    """Warm-start RL: a trained learner acts for 5,000 steps, then learns from what it has seen itself alone."""

    learner: SAC = dataclasses.field(
        default_factory=lambda: SAC(
            nets=NORMALIZED,
            num_critics=10,
            draw_repeats=True,
            utd=4,
            soft_target=False,
            entropy_at="next_obs",
            hyper=STEADY_HYPER,
        )
    )
    warmup: int = 5000
    warmup_actions: Literal["even", "policy"] = "policy"


@dataclasses.dataclass(frozen=True)
class OnlineIQL(online.Config):
    """Implicit Q-learning that goes on from an earlier run, online."""

    learner: IQL = dataclasses.field(default_factory=IQL)
    warmup: int = 0
    warmup_actions: Literal["even", "policy"] = "policy"


@dataclasses.dataclass(frozen=True)
class OnlineCQL(online.Config):
    """Conservative Q-learning that goes on from an earlier run, online, with its penalty."""

    learner: SAC = dataclasses.field(default_factory=lambda: _conservative(calibrated=False, ensemble=False))
    warmup: int = 0
    warmup_actions: Literal["even", "policy"] = "policy"


@dataclasses.dataclass(frozen=True)
class OnlineCalQL(OnlineCQL):
    """Calibrated Q-learning that goes on from an earlier run, online, with its penalty."""

    learner: SAC = dataclasses.field(default_factory=lambda: _conservative(calibrated=True, ensemble=False))


@dataclasses.dataclass(frozen=True)
class OfflineBC(offline.Config):
    """Behaviour cloning."""

    learner: BC = dataclasses.field(default_factory=BC)


@dataclasses.dataclass(frozen=True)
class OfflineIQL(offline.Config):
    """Implicit Q-learning."""

    learner: IQL = dataclasses.field(default_factory=IQL)


@dataclasses.dataclass(frozen=True)
class OfflineCQL(offline.Config):
    """Conservative Q-learning with twin critics."""

    learner: SAC = dataclasses.field(default_factory=lambda: _conservative(calibrated=False, ensemble=False))


@dataclasses.dataclass(frozen=True)
class OfflineCalQL(offline.Config):
    """Calibrated Q-learning with twin critics."""

    learner: SAC = dataclasses.field(default_factory=lambda: _conservative(calibrated=True, ensemble=False))


@dataclasses.dataclass(frozen=True)
class EnsembleCQL(offline.Config):
    """Conservative Q-learning with ten normalised critics, as WSRL begins from on dense tasks."""

    learner: SAC = dataclasses.field(default_factory=lambda: _conservative(calibrated=False, ensemble=True))


@dataclasses.dataclass(frozen=True)
class EnsembleCalQL(offline.Config):
    """Calibrated Q-learning with ten normalised critics, as WSRL begins from on sparse tasks."""

    learner: SAC = dataclasses.field(default_factory=lambda: _conservative(calibrated=True, ensemble=True))
