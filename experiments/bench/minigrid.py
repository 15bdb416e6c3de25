"""How fast MiniGrid steps here, beside the minigrid package and NAVIX.

Figures are environment steps per second under uniformly random actions, the median of several rounds, on one core
where the platform allows it. Full steps have mechanics, rules, the agent's view and the restart of ended episodes. The
package steps one environment in Python. NAVIX is measured with the observation it makes by default, the whole grid,
and restarts ended episodes on a new level in the same program; ours restarts on levels made beforehand, as its
training loops do. NAVIX is run by the Python that the environment variable PALAESTRA_NAVIX_PYTHON names, or by this one
where it is installed, and left out otherwise.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import gymnasium

from ._measuring import median_rate, row
from ._stepping import Scanned, gymnasium_rate, in_own_process, print_rows, vector_rate

NAMES = ("KeyCorridorS6R3", "DoorKey-8x8")
LENGTHS = {1: 20_000, 16: 2_000, 1024: 100}  # steps of one call, by batch
MAIN = "KeyCorridorS6R3"
NAVIX = "PALAESTRA_NAVIX_PYTHON"


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; spends about `budget` seconds besides compilation."""
    return in_own_process(__name__, budget)


def measure(budget: float) -> list[dict[str, Any]]:
    """All rows, on the cores that this process has."""
    share = budget / (2 * len(NAMES) * len(LENGTHS) + len(NAMES) + 3)
    navix = _navix(share)
    rows = []
    for name in NAMES:
        theirs = _package(f"MiniGrid-{name}-v0", share)
        for batch, length in LENGTHS.items():
            ours = Scanned(f"palaestra/MiniGrid-{name}-v0", batch, length)
            rate = median_rate(ours, share)
            case = f"{name}, batch {batch}"
            rows.append(row(case, "minigrid, one environment", rate, theirs, "steps/s"))
            rows.append(row(case, "navix", rate, navix.get(case), "steps/s"))
            rows.append(row(f"{case}, compilation", "navix", ours.compile_seconds, navix.get(f"{case} compile"), "s"))
    return [*rows, *_doors(share)]


def _doors(seconds: float) -> list[dict[str, Any]]:
    id = f"palaestra/MiniGrid-{MAIN}-v0"
    theirs = _package(f"MiniGrid-{MAIN}-v0", seconds)
    single = gymnasium_rate(gymnasium.make(id), seconds)
    vector = vector_rate(id, 1024, seconds)
    return [
        row(f"{MAIN}, gym.make, step by step", "minigrid, one environment", single, theirs, "steps/s"),
        row(f"{MAIN}, make_vec(1024), step by step", "minigrid, one environment", vector, theirs, "steps/s"),
    ]


def _package(name: str, seconds: float) -> float:
    from ...envs.minigrid.reference import make_reference

    return gymnasium_rate(make_reference(name), seconds)


def _navix(seconds: float) -> dict[str, float]:
    """Rates and compile times of NAVIX by case; empty where there is none."""
    python = os.environ.get(NAVIX) or (sys.executable if importlib.util.find_spec("navix") else None)
    if not python:
        return {}
    program = pathlib.Path(__file__).with_name("_navix.py")
    done = subprocess.run([python, str(program), str(seconds)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print_rows(measure)
