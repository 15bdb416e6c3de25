"""What the benchmarks of environments share: steps per second through every door, under uniformly random actions.

Letters: B environments, T steps of one call.
"""

import functools
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from ...envs.compilation import compile_for
from ...envs.registration import make_functional
from ...envs.stepping import Lane, advance, prepare
from ._measuring import median_rate


def in_own_process(module: str, budget: float) -> list[dict[str, Any]]:
    """The rows that a benchmark's `main` prints, measured by a process of its own.

    It is on one core before JAX starts: a pool of threads that was made for more cores would get in its own way. Its
    compilation cache is off, so that compilation is what a newcomer waits for.
    """
    command = [sys.executable, "-m", module, str(budget)]
    uncached = {**os.environ, "PALAESTRA_CACHE": ""}
    done = subprocess.run(command, env=uncached, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def peer_rates(program: str, python: str | None, seconds: float) -> dict[str, float]:
    """What a peer's program in this folder prints, run by a Python of its own; empty where there is none."""
    if not python:
        return {}
    path = pathlib.Path(__file__).with_name(program)
    done = subprocess.run([python, str(path), str(seconds)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_core() -> None:
    """Keeps this thread, and threads and processes it starts, on one core, where the platform can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def print_rows(measure: Callable[[float], list[dict[str, Any]]]) -> None:
    """The program side of `in_own_process`."""
    from ..backend import prepare_jax

    one_core()
    prepare_jax("cpu", None)
    print(json.dumps(measure(float(sys.argv[1]))))


class Scanned:
    """B environments stepped in one compiled program of T steps a call, ended episodes restarted.

    Every step writes its observations, which the lanes hold.

    Attributes:
      compile_seconds: how long the program took to compile.
    """

    def __init__(self, id: str, batch: int, length: int, **options: Any):
        env = make_functional(id, **options)
        tasks = jnp.broadcast_to(jnp.asarray(env.task_space.default), (batch, env.task_space.dim))
        sample = sampler(env.action_space, batch)

        def roll(lanes: Lane, starts: Lane, key: jax.Array) -> tuple[Lane, jax.Array]:
            def one(lanes: Lane, key: jax.Array) -> tuple[Lane, jax.Array]:
                key_action, key_step = jax.random.split(key)
                keys = jax.random.split(key_step, batch)
                lanes, timestep, _ = advance(env, keys, lanes, sample(key_action), starts)
                return lanes, jnp.sum(timestep.reward)

            return jax.lax.scan(one, lanes, jax.random.split(key, length))

        self._steps = batch * length
        self._starts = compile_for(env, functools.partial(prepare, env))(
            jax.random.split(jax.random.key(0), batch), tasks
        )
        self._lanes, self._key = self._starts, jax.random.key(1)
        begin = time.perf_counter()
        lowered = compile_for(env, roll).lower(self._lanes, self._starts, self._key)
        self._roll = lowered.compile()
        self.compile_seconds = time.perf_counter() - begin
        self()

    def __call__(self) -> int:
        """One call of the program; returns the steps it took."""
        self._key, key = jax.random.split(self._key)
        self._lanes, total = self._roll(self._lanes, self._starts, key)
        total.block_until_ready()
        return self._steps


def scanned_rate(id: str, batch: int, length: int, seconds: float, **options: Any) -> float:
    """Steps per second of `Scanned`."""
    return median_rate(Scanned(id, batch, length, **options), seconds)


def sampler(space: gymnasium.Space, batch: int) -> Callable[[jax.Array], jax.Array]:
    """key -> B uniformly random actions of a Box, Discrete or MultiDiscrete space."""
    if isinstance(space, gymnasium.spaces.Box):
        low, high = jnp.asarray(space.low), jnp.asarray(space.high)
        return lambda key: jax.random.uniform(key, (batch, *low.shape), minval=low, maxval=high)
    assert isinstance(space, gymnasium.spaces.MultiDiscrete | gymnasium.spaces.Discrete)
    count = jnp.asarray(space.nvec if isinstance(space, gymnasium.spaces.MultiDiscrete) else space.n, jnp.int32)
    counts = jnp.broadcast_to(count, (batch, *count.shape))
    return lambda key: jax.random.randint(key, counts.shape, 0, counts)


def gymnasium_rate(env: Any, seconds: float) -> float:
    """Steps per second of one Gymnasium environment, resets included."""
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


def vector_rate(id: str, batch: int, seconds: float) -> float:
    """Steps per second of `make_vec`, counted over all its environments."""
    envs = gymnasium.make_vec(id, num_envs=batch)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [np.asarray(envs.action_space.sample()) for _ in range(20)]

    def work() -> int:
        for action in actions:
            envs.step(action)
        return len(actions) * batch

    work()
    return median_rate(work, seconds)
