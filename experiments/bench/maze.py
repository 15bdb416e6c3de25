"""How fast point mazes step here, beside gymnasium-robotics.

Figures are environment steps per second under uniformly random actions, restarts of ended episodes included, the median
of several rounds, on one core where the platform allows it. gymnasium-robotics steps one environment in Python, with
MuJoCo; where it is not installed, ours stands alone.
"""

import itertools
from typing import Any

import gymnasium

from ._measuring import median_rate, row
from ._stepping import Scanned, gymnasium_rate, in_own_process, print_rows, vector_rate

NAMES = ("UMaze", "Large")
LENGTHS = {1: 20_000, 16: 2_000, 1024: 100}  # steps of one call, by batch
PEER = "gymnasium-robotics, one environment"


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; spends about `budget` seconds besides compilation."""
    return in_own_process(__name__, budget)


def measure(budget: float) -> list[dict[str, Any]]:
    """All rows, on the cores that this process has."""
    share = budget / (len(NAMES) * (len(LENGTHS) + 3))
    theirs = {name: _package(name, share) for name in NAMES}
    rows = []
    for name, (batch, length) in itertools.product(NAMES, LENGTHS.items()):
        ours = Scanned(_id(name), batch, length)
        rate = median_rate(ours, share)
        rows.append(row(f"{name}, batch {batch}", PEER, rate, theirs[name], "steps/s"))
        rows.append(row(f"{name}, batch {batch}, compilation", "none", ours.compile_seconds, None, "s"))
    for name in NAMES:
        single = gymnasium_rate(gymnasium.make(_id(name)), share)
        vector = vector_rate(_id(name), 1024, share)
        rows.append(row(f"{name}, gym.make, step by step", PEER, single, theirs[name], "steps/s"))
        rows.append(row(f"{name}, make_vec(1024), step by step", PEER, vector, theirs[name], "steps/s"))
    return rows


def _id(name: str) -> str:
    return f"palaestra/PointMaze_{name}-v0"


def _package(name: str, seconds: float) -> float | None:
    """Steps per second of the original; None where it is not installed."""
    try:
        import gymnasium_robotics
    except ImportError:
        return None
    gymnasium.register_envs(gymnasium_robotics)
    return gymnasium_rate(gymnasium.make(f"PointMaze_{name}-v3"), seconds)


if __name__ == "__main__":
    print_rows(measure)
