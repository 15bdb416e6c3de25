"""How fast the walker steps, beside Gymnasium's Box2D walker and EnvPool's.

Every figure is environment steps per second of full steps (physics, lidar, observation, reward, reset of ended
episodes) under uniformly random actions, the median of several rounds. Peers run in the same process one after the
other: Gymnasium on one core, EnvPool (if it is installed) on two threads, ours on all CPU devices JAX has.
"""

import functools
import importlib
import importlib.util
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ...envs.compilation import compile_for
from ...envs.registration import make_functional
from ...envs.stepping import Lane, advance, prepare
from ._measuring import median_rate, row

PEER = "BipedalWalker-v3"
OURS = "palaestra/BipedalWalker-v0"
CASES = tuple((solver, batch) for solver in ("exact", "fast") for batch in (64, 1024, 4096))
AXIS = "devices"
SCAN = 16  # steps per call of ours


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; spends about `budget` seconds besides compilation."""
    share = budget / (len(CASES) + 2)
    peers = {name: rate for name, rate in (("gymnasium", _gymnasium(share)), ("envpool", _envpool(share))) if rate}
    rows = []
    for solver, batch in CASES:
        rate, compile_seconds = _ours(solver, batch, share)
        case = f"{solver}, batch {batch}"
        for name, theirs in peers.items():
            rows.append(row(case, name, rate, theirs, "steps/s"))
        rows.append(row(f"{case}, compile", "-", compile_seconds, None, "s"))
    return rows


def _ours(solver: str, batch: int, seconds: float) -> tuple[float, float]:
    """(steps/s, seconds to compile the step)."""
    env = make_functional(OURS, solver=solver)
    task = jnp.broadcast_to(jnp.asarray(env.task_space.default), (batch, env.task_space.dim))
    keys = jax.random.split(jax.random.key(0), batch)
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    lane, whole = PartitionSpec(AXIS), PartitionSpec()

    def roll(lanes: Lane, keys: jax.Array, starts: Lane, key: jax.Array) -> tuple[Lane, jax.Array]:
        key = jax.random.fold_in(key, jax.lax.axis_index(AXIS))

        def one(lanes: Lane, key: jax.Array) -> tuple[Lane, jax.Array]:
            actions = jax.random.uniform(key, (keys.shape[0], *env.action_space.shape), minval=-1.0, maxval=1.0)
            lanes, timestep, _ = advance(env, keys, lanes, actions, starts)
            return lanes, jnp.sum(timestep.reward) + jnp.sum(timestep.obs)

        lanes, total = jax.lax.scan(one, lanes, jax.random.split(key, SCAN))
        return lanes, total[None]

    make = jax.shard_map(
        functools.partial(prepare, env), mesh=mesh, in_specs=(lane, lane), out_specs=lane, check_vma=False
    )
    make = compile_for(env, make)
    spread = jax.shard_map(roll, mesh=mesh, in_specs=(lane, lane, lane, whole), out_specs=(lane, lane), check_vma=False)
    lanes, starts = make(keys, task), make(keys, task)
    begin = time.perf_counter()
    compiled = compile_for(env, spread, donate_argnums=0).lower(lanes, keys, starts, jax.random.key(1)).compile()
    compile_seconds = time.perf_counter() - begin
    held: dict[str, Any] = {"lanes": lanes, "key": jax.random.key(2)}

    def work() -> int:
        held["key"], key = jax.random.split(held["key"])
        held["lanes"], total = compiled(held["lanes"], keys, starts, key)
        total.block_until_ready()
        return batch * SCAN

    for _ in range(8):  # past the fall of the first episodes, so that contacts and resets are as usual
        work()
    return median_rate(work, seconds), compile_seconds


def _gymnasium(seconds: float) -> float | None:
    """Steps/s of one environment on one core; None where Box2D is not installed."""
    try:
        import Box2D  # noqa: F401
    except ImportError:
        return None
    import gymnasium

    env = gymnasium.make(PEER)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (1000, 4)).astype(np.float32)

    def work() -> int:
        for action in actions[:200]:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return 200

    return median_rate(work, seconds)


def _envpool(seconds: float) -> float | None:
    """Steps/s of 64 environments on two threads; None where EnvPool is not installed."""
    make = _envpool_maker()
    if make is None:
        return None
    env = make(PEER, num_envs=64, num_threads=2)
    env.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (100, 64, 4)).astype(np.float32)

    def work() -> int:
        for action in actions[:20]:
            env.step(action)
        return 20 * 64

    return median_rate(work, seconds)


def _envpool_maker() -> Callable[..., Any] | None:
    """`envpool.make_gymnasium` with the Box2D family; None where EnvPool is not installed.

    The package registers all families on import and fails where a wheel lacks the files of any, so only what is
    wanted is imported from it.
    """
    spec = importlib.util.find_spec("envpool")
    if spec is None or spec.submodule_search_locations is None:
        return None
    if "envpool" not in sys.modules:
        package = types.ModuleType("envpool")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["envpool"] = package
    importlib.import_module("envpool.box2d.registration")
    make: Callable[..., Any] = importlib.import_module("envpool.registration").make_gymnasium
    return make
