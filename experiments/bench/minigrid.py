"""How fast MiniGrid steps here, beside the minigrid package and NAVIX.

Figures are environment steps per second under uniformly random actions, the median of several rounds, on one core
where the platform allows it. Full steps have mechanics, rules, the agent's view and the restart of ended episodes. The
package steps one environment in Python. NAVIX is measured with the agent's view and with the whole grid, its default,
each beside ours with the same. It restarts ended episodes on a new level in the same program; ours restarts on levels
made beforehand, as its training loops do. NAVIX is run by the Python that the environment variable
PALAESTRA_NAVIX_PYTHON names, or by this one where it is installed, and left out otherwise.
"""

import importlib.util
import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp

from ...envs.minigrid.reference import make_reference, reset
from ...envs.registration import make_functional
from ._measuring import median_rate, row
from ._stepping import Scanned, gymnasium_rate, in_own_process, peer_rates, print_rows, vector_rate

NAMES = ("KeyCorridorS6R3", "DoorKey-8x8")
LENGTHS = {1: 20_000, 16: 2_000, 1024: 100}  # steps of one call, by batch
MAIN = "KeyCorridorS6R3"
VIEWS = {"agent's view": "partial", "whole grid": "full"}
# A generator of each kind.
MADE = (
    *("MiniGrid-KeyCorridorS6R3-v0", "MiniGrid-DoorKey-8x8-v0", "MiniGrid-MultiRoom-N6-v0"),
    *("MiniGrid-LavaCrossingS9N2-v0", "MiniGrid-ObstructedMaze-2Dlhb-v1", "BabyAI-GoToLocal-v0"),
)
NAVIX = "PALAESTRA_NAVIX_PYTHON"


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; spends about `budget` seconds besides compilation."""
    return in_own_process(__name__, budget)


def measure(budget: float) -> list[dict[str, Any]]:
    """All rows, on the cores that this process has."""
    share = budget / (2 * len(VIEWS) * len(NAMES) * len(LENGTHS) + len(NAMES) + 3 + 2 * len(MADE))
    navix = _navix(share)
    rows = []
    for name in NAMES:
        theirs = _package(f"MiniGrid-{name}-v0", share)
        for (shown, view), (batch, length) in itertools.product(VIEWS.items(), LENGTHS.items()):
            ours = Scanned(f"palaestra/MiniGrid-{name}-v0", batch, length, view=view)
            rate = median_rate(ours, share)
            case = f"{name}, {shown}, batch {batch}"
            if view == "partial":  # what the package shows
                rows.append(row(case, "minigrid, one environment", rate, theirs, "steps/s"))
            rows.append(row(case, "navix", rate, navix.get(case), "steps/s"))
            rows.append(row(f"{case}, compilation", "navix", ours.compile_seconds, navix.get(f"{case} compile"), "s"))
    return [*rows, *_doors(share), *_levels(share)]


def _doors(seconds: float) -> list[dict[str, Any]]:
    id = f"palaestra/MiniGrid-{MAIN}-v0"
    theirs = _package(f"MiniGrid-{MAIN}-v0", seconds)
    single = gymnasium_rate(gymnasium.make(id), seconds)
    vector = vector_rate(id, 1024, seconds)
    return [
        row(f"{MAIN}, gym.make, step by step", "minigrid, one environment", single, theirs, "steps/s"),
        row(f"{MAIN}, make_vec(1024), step by step", "minigrid, one environment", vector, theirs, "steps/s"),
    ]


def _levels(seconds: float) -> list[dict[str, Any]]:
    """New levels per second, and how long the program that makes them took to compile."""
    rows = []
    for name in MADE:
        make = _Levels(f"palaestra/{name}")
        ours, theirs = median_rate(make, seconds), median_rate(_resets(name), seconds)
        rows.append(row(f"{name}, new levels", "minigrid, resets", ours, theirs, "levels/s"))
        rows.append(row(f"{name}, new levels, compilation", "none", make.compile_seconds, None, "s"))
    return rows


class _Levels:
    """`BATCH` levels of an id made in one compiled program."""

    BATCH = 1024

    def __init__(self, id: str):
        source = make_functional(id).source
        values = {p.name: jnp.float32(p.default) for p in source.parameters}
        begin = time.perf_counter()
        sample = jax.jit(jax.vmap(lambda key: source.sample(key, values)))
        self._keys = jax.random.split(jax.random.key(0), self.BATCH)
        self._sample = sample.lower(self._keys).compile()
        self.compile_seconds = time.perf_counter() - begin
        self()

    def __call__(self) -> int:
        jax.block_until_ready(self._sample(self._keys))
        return self.BATCH


def _resets(name: str) -> Callable[[], int]:
    env = make_reference(name)
    seeds = itertools.count()

    def work(count: int = 10) -> int:
        for seed in itertools.islice(seeds, count):
            reset(env, seed)
        return count

    return work


def _package(name: str, seconds: float) -> float:
    return gymnasium_rate(make_reference(name), seconds)


def _navix(seconds: float) -> dict[str, float]:
    """Rates and compile times of NAVIX by case; empty where there is none."""
    here = sys.executable if importlib.util.find_spec("navix") else None
    return peer_rates("_navix.py", os.environ.get(NAVIX) or here, seconds)


if __name__ == "__main__":
    print_rows(measure)
