"""How fast the drives step, beside gym-electric-motor and exciting-environments.

Figures are environment steps per second under uniformly random actions, the median of several rounds. Everything is
done on one core where the platform allows it. Full steps have converter, supply, integration, measurement, limits,
reward, next reference and the reset of ended episodes. The comparison with exciting-environments has none of these,
since its machine has none; it pins an old JAX and runs by the Python that the environment variable
PALAESTRA_EXCITING_PYTHON names, and is left out where that is not set.

Letters: B drives, T steps of one call.
"""

import functools
import json
import os
import pathlib
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from ...envs.compilation import compile_for
from ...envs.motors.families import FAMILIES
from ...envs.registration import make_functional
from ...envs.stepping import Lane, advance, prepare
from ._dynamics import simulation
from ._measuring import median_rate, row

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
    """Rows {case, peer, ours, theirs, unit, ratio}; spends about `budget` seconds besides compilation.

    The measurements are made by a process of their own, which is on one core before JAX starts: a pool of threads that
    was made for more cores would get in its own way.
    """
    command = [sys.executable, "-m", __name__, str(budget)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def one_core() -> None:
    """Keeps this thread, and threads and processes it starts, on one core, where the platform can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure(budget: float) -> list[dict[str, Any]]:
    """All rows, on the cores that this process has."""
    share = budget / (2 * len(FAMILIES) + 2 * len(DYNAMICS) + len(ABLATIONS) + 6)
    return [*_full_steps(share), *_doors(share), *_dynamics(share)]


def _full_steps(seconds: float) -> list[dict[str, Any]]:
    rows = []
    for family in FAMILIES:
        name = f"Cont-CC-{family}"
        ours = scanned(f"palaestra/Motor-{name}-v0", BATCH, 100, seconds)
        rows.append(row(f"{name}, batch {BATCH}", "gym-electric-motor", ours, _gem(name, seconds), "steps/s"))
    for name in ("Finite-CC-PMSM", "Cont-SC-PMSM"):
        ours = scanned(f"palaestra/Motor-{name}-v0", BATCH, 100, seconds)
        rows.append(row(f"{name}, batch {BATCH}", "gym-electric-motor", ours, _gem(name, seconds), "steps/s"))
    for name, options in ABLATIONS.items():
        ours = scanned(f"palaestra/Motor-{MAIN}-v0", BATCH, 100, seconds, **options)
        rows.append(row(f"{MAIN}, batch {BATCH}, {name}", "-", ours, None, "steps/s"))
    alone = scanned(f"palaestra/Motor-{MAIN}-v0", 1, 20_000, seconds)
    rows.append(row(f"{MAIN}, batch 1 in one program", "gym-electric-motor", alone, _gem(MAIN, seconds), "steps/s"))
    return rows


def _doors(seconds: float) -> list[dict[str, Any]]:
    theirs = _gem(MAIN, seconds)
    single = _gymnasium(gymnasium.make(f"palaestra/Motor-{MAIN}-v0"), seconds)
    vector = _vector(f"palaestra/Motor-{MAIN}-v0", BATCH, seconds)
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


def scanned(id: str, batch: int, length: int, seconds: float, **options: Any) -> float:
    """Full steps per second of `batch` drives in one compiled program of `length` steps a call."""
    env = make_functional(id, **options)
    tasks = jnp.broadcast_to(jnp.asarray(env.task_space.default), (batch, env.task_space.dim))
    sample = _sampler(env.action_space, batch)

    def roll(lanes: Lane, starts: Lane, key: jax.Array) -> tuple[Lane, jax.Array]:
        def one(lanes: Lane, key: jax.Array) -> tuple[Lane, jax.Array]:
            key_action, key_step = jax.random.split(key)
            keys = jax.random.split(key_step, batch)
            lanes, timestep, _ = advance(env, keys, lanes, sample(key_action), starts)
            return lanes, jnp.sum(timestep.reward) + jnp.sum(timestep.obs)

        return jax.lax.scan(one, lanes, jax.random.split(key, length))

    make = compile_for(env, functools.partial(prepare, env))
    lanes = make(jax.random.split(jax.random.key(0), batch), tasks)
    compiled = compile_for(env, roll)
    held: dict[str, Any] = {"lanes": lanes, "key": jax.random.key(1)}

    def work() -> int:
        held["key"], key = jax.random.split(held["key"])
        held["lanes"], total = compiled(held["lanes"], lanes, key)
        total.block_until_ready()
        return batch * length

    work()
    return median_rate(work, seconds)


def _sampler(space: gymnasium.Space, batch: int) -> Callable[[jax.Array], jax.Array]:
    if isinstance(space, gymnasium.spaces.Box):
        low, high = jnp.asarray(space.low), jnp.asarray(space.high)
        return lambda key: jax.random.uniform(key, (batch, *low.shape), minval=low, maxval=high)
    count = jnp.asarray(getattr(space, "nvec", None) if hasattr(space, "nvec") else space.n, jnp.int32)  # type: ignore[attr-defined]
    counts = jnp.broadcast_to(count, (batch, *count.shape))
    return lambda key: jax.random.randint(key, counts.shape, 0, counts)


def _gem(name: str, seconds: float) -> float | None:
    """Steps per second of one environment; None where gym-electric-motor is not installed."""
    try:
        import gym_electric_motor as gem
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _gymnasium(gem.make(f"{name}-v0"), seconds)


def _gymnasium(env: Any, seconds: float) -> float:
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(200)]

    def work() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    work()
    return median_rate(work, seconds)


def _vector(id: str, batch: int, seconds: float) -> float:
    envs = gymnasium.make_vec(id, num_envs=batch)
    envs.reset(seed=0)
    actions = [np.asarray(envs.action_space.sample()) for _ in range(20)]

    def work() -> int:
        for action in actions:
            envs.step(action)
        return len(actions) * batch

    work()
    return median_rate(work, seconds)


def _exciting(seconds: float) -> dict[str, float]:
    """Rates of exciting-environments by case; empty where its Python is not named."""
    python = os.environ.get(EXCITING)
    if not python:
        return {}
    program = pathlib.Path(__file__).with_name("_exciting.py")
    done = subprocess.run([python, str(program), str(seconds)], capture_output=True, text=True, check=True)
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


if __name__ == "__main__":
    from ..backend import prepare_jax

    one_core()
    prepare_jax("cpu", None)
    print(json.dumps(measure(float(sys.argv[1]))))
