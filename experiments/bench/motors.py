"""How fast the drives step, beside gym-electric-motor and exciting-environments.

Figures are environment steps per second under uniformly random actions, the median of several rounds. Everything is
done on one core where the platform allows it. Full steps have converter, supply, integration, measurement, limits,
reward, next reference and the reset of ended episodes. The comparison with exciting-environments has none of these,
since its machine has none; it pins an old JAX and runs by the Python that the environment variable
PALAESTRA_EXCITING_PYTHON names, and is left out where that is not set.
"""

import os
import warnings
from typing import Any

import gymnasium
import jax

from ...envs.motors.families import FAMILIES
from ._dynamics import simulation
from ._measuring import median_rate, row
from ._stepping import gymnasium_rate, in_own_process, peer_rates, print_rows, scanned_rate, vector_rate

MAIN = "Cont-CC-PMSM"
BATCH = 1024
# What parts of the full step cost, by leaving them out.
ABLATIONS: dict[str, dict[str, Any]] = {
    "references constant": {"reference": "zero"},
    "references constant, Euler": {"reference": "zero", "solver": "euler"},
}
EXCITING = "PALAESTRA_EXCITING_PYTHON"
DYNAMICS = tuple(
    (what, solver, batch, length)
    for batch, length in ((1024, 500), (1, 20_000))
    for solver in ("euler", "tsit5")
    for what in ("step", "equations")
)


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; spends about `budget` seconds besides compilation."""
    return in_own_process(__name__, budget)


def measure(budget: float) -> list[dict[str, Any]]:
    """All rows, on the cores that this process has."""
    share = budget / (2 * len(FAMILIES) + 2 * len(DYNAMICS) + len(ABLATIONS) + 6)
    return [*_full_steps(share), *_doors(share), *_dynamics(share)]


def _full_steps(seconds: float) -> list[dict[str, Any]]:
    rows = []
    for family in FAMILIES:
        name = f"Cont-CC-{family}"
        ours = scanned_rate(f"palaestra/Motor-{name}-v0", BATCH, 100, seconds)
        rows.append(row(f"{name}, batch {BATCH}", "gym-electric-motor", ours, _gem(name, seconds), "steps/s"))
    for name in ("Finite-CC-PMSM", "Cont-SC-PMSM"):
        ours = scanned_rate(f"palaestra/Motor-{name}-v0", BATCH, 100, seconds)
        rows.append(row(f"{name}, batch {BATCH}", "gym-electric-motor", ours, _gem(name, seconds), "steps/s"))
    for name, options in ABLATIONS.items():
        ours = scanned_rate(f"palaestra/Motor-{MAIN}-v0", BATCH, 100, seconds, **options)
        rows.append(row(f"{MAIN}, batch {BATCH}, {name}", "-", ours, None, "steps/s"))
    alone = scanned_rate(f"palaestra/Motor-{MAIN}-v0", 1, 20_000, seconds)
    rows.append(row(f"{MAIN}, batch 1 in one program", "gym-electric-motor", alone, _gem(MAIN, seconds), "steps/s"))
    return rows


def _doors(seconds: float) -> list[dict[str, Any]]:
    theirs = _gem(MAIN, seconds)
    single = gymnasium_rate(gymnasium.make(f"palaestra/Motor-{MAIN}-v0"), seconds)
    vector = vector_rate(f"palaestra/Motor-{MAIN}-v0", BATCH, seconds)
    return [
        row(f"{MAIN}, gym.make, step by step", "gym-electric-motor", single, theirs, "steps/s"),
        row(f"{MAIN}, make_vec({BATCH}), step by step", "gym-electric-motor", vector, theirs, "steps/s"),
    ]


def _dynamics(seconds: float) -> list[dict[str, Any]]:
    theirs = _exciting(seconds)
    rows = []
    for what, solver, batch, length in DYNAMICS:
        roll, carry = simulation(what, solver, batch, length)
        held = {"carry": carry}

        def work(roll: Any = roll, held: Any = held, steps: int = batch * length) -> int:
            held["carry"], _ = jax.block_until_ready(roll(held["carry"]))
            return steps

        work()
        name = f"{what}, {solver}, batch {batch}"
        rows.append(row(name, "exciting-environments", median_rate(work, seconds), theirs.get(name), "steps/s"))
    return rows


def _gem(name: str, seconds: float) -> float | None:
    """Steps per second of one environment; None where gym-electric-motor is not installed."""
    try:
        import gym_electric_motor as gem
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gymnasium_rate(gem.make(f"{name}-v0"), seconds)


def _exciting(seconds: float) -> dict[str, float]:
    """Rates of exciting-environments by case; empty where its Python is not named."""
    return peer_rates("_exciting.py", os.environ.get(EXCITING), seconds)


if __name__ == "__main__":
    print_rows(measure)
