"""Returns as scores from 0 to 100, each with the name of its scale: numbers of different scales do not compare.

`d4rl` is the table of the D4RL benchmark, for comparison with the literature; it was measured on MuJoCo environments of
version 2, not on those that are current. `palaestra` is what a data set's metadata say, or our own table.
"""

import dataclasses
import fnmatch
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..errors import UsageError, problem

Scale = Literal["d4rl", "palaestra"]
Pair = tuple[float, float]

# Patterns of environment ids, case and version aside, with (min, max). Source: D4RL's infos.py.
D4RL: dict[str, Pair] = {
    "halfcheetah-v*": (-280.178953, 12135.0),
    "hopper-v*": (-20.272305, 3234.3),
    "walker2d-v*": (1.629008, 4592.3),
    "ant-v*": (-325.6, 3879.7),
    "pointmaze_umaze*": (23.85, 161.86),
    "pointmaze_medium*": (13.13, 277.39),
    "pointmaze_large*": (6.7, 273.99),
    "antmaze_*": (0.0, 1.0),
    "frankakitchen*": (0.0, 4.0),
    "adroithandpen*": (96.262799, 3076.8331),
    "adroithanddoor*": (-56.512833, 2880.5693),
    "adroithandhammer*": (-274.856578, 12794.1348),
    "adroithandrelocate*": (-6.425911, 4233.8778),
}
OWN: dict[str, Pair] = {"bipedalwalker*": (-100.0, 300.0)}


@dataclasses.dataclass(frozen=True)
class Score:
    """A number with its scale.

    Attributes:
      value: 100 * (return - min) / (max - min), or the return itself.
      scale: "d4rl", "palaestra", or "raw" where no reference is known.
      refs: (min, max), None for "raw".
    """

    value: float
    scale: str
    refs: Pair | None

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.scale})"


def score(
    returns: float | Sequence[float] | np.ndarray,
    env_id: str | None = None,
    refs: Pair | None = None,
    scale: Scale = "palaestra",
) -> Score:
    """The score of a mean undiscounted raw return.

    Args:
      returns: of one or more episodes.
      env_id: to look references up by.
      refs: of scale "palaestra", such as `Loaded.refs`; the table's if None.
      scale: which references to take.

    Raises:
      UsageError: no such scale, or references that make no scale.
    """
    if scale not in ("d4rl", "palaestra"):
        raise UsageError(problem("unknown scale", "scale", scale, "d4rl or palaestra"), key="scale")
    value = float(np.mean(returns))
    pair = d4rl_reference(env_id) if scale == "d4rl" else refs or own_reference(env_id)
    if pair is None:
        return Score(value, "raw", None)
    low, high = pair
    if not low < high:
        raise UsageError(problem("bad references", "refs", pair, "min below max"), key="refs")
    return Score(100 * (value - low) / (high - low), scale, pair)


def d4rl_reference(env_id: str | None) -> Pair | None:
    """(min, max) of D4RL for an environment, whatever its version; None if D4RL has none."""
    return _look_up(D4RL, env_id)


def own_reference(env_id: str | None) -> Pair | None:
    """(min, max) of our own table; None if unknown."""
    return _look_up(OWN, env_id)


def _look_up(table: dict[str, Pair], env_id: str | None) -> Pair | None:
    name = (env_id or "").rsplit("/", 1)[-1].lower()
    return next((pair for pattern, pair in table.items() if fnmatch.fnmatchcase(name, pattern)), None)
