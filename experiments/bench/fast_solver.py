"""What the walker's fast solver costs in fidelity: its error after one step, and how often a foot sinks.

States are those the fast walker visits on Gymnasium's flat track under uniformly random actions. From each of them
both solvers take the same step; the error is the largest difference of any body's velocity [m/s] or spin [rad/s]. The
exact solver is the one without impacts within a step, which the fast one leaves out, too. A foot has sunk when the
middle of a shin is under ground.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...envs.compilation import compile_for
from ...envs.registration import make_functional
from ...envs.stepping import Lane, advance, prepare
from ...envs.walker.env import Walker
from ...envs.walker.types import Physics, State

OURS = "palaestra/BipedalWalker-v0"
LANES = 256
SCAN = 50  # steps in one call
CALLS = 8
QUANTILES = {"median": 0.5, "90th percentile": 0.9, "99th percentile": 0.99, "largest": 1.0}


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; a fixed amount of work, `budget` is not needed."""
    del budget
    errors, touching, sunk = measure(LANES, CALLS)
    rows = []
    for name, chosen in (("a foot on the ground", touching), ("in the air", ~touching)):
        for label, quantile in QUANTILES.items():
            error = float(np.quantile(errors[chosen], quantile))
            rows.append(_row(f"one step, {name}, {label}", error, "m/s, rad/s"))
    rows.append(_row("steps with a sunk foot", 100 * float(sunk.mean()), "%"))
    return rows


def measure(lanes: int, calls: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error, whether a foot touches and whether one has sunk, of `lanes * calls * SCAN` steps each."""
    fast, exact = (make_functional(OURS, solver=solver) for solver in ("fast", "exact_no_ccd"))
    task = jnp.broadcast_to(jnp.asarray(fast.task_space.default), (lanes, fast.task_space.dim))
    make = compile_for(fast, functools.partial(prepare, fast))
    step = compile_for(fast, functools.partial(_roll, fast, exact), donate_argnums=0)
    state, starts = (make(jax.random.split(jax.random.key(i), lanes), task) for i in range(2))
    found = []
    for call in range(calls):
        state, seen = step(state, starts, jax.random.key(2 + call))
        found.append([np.asarray(x).reshape(-1) for x in seen])
    errors, touching, sunk = (np.concatenate(part) for part in zip(*found, strict=True))
    return errors, touching, sunk


def _roll(fast: Walker, exact: Walker, lanes: Lane, starts: Lane, key: jax.Array) -> tuple[Lane, tuple[jax.Array, ...]]:
    count = lanes.episode.steps.shape[0]

    def one(lanes: Lane, key: jax.Array) -> tuple[Lane, tuple[jax.Array, ...]]:
        key_action, key_step = jax.random.split(key)
        keys = jax.random.split(key_step, count)
        actions = jax.random.uniform(key_action, (count, *fast.action_space.shape), minval=-1.0, maxval=1.0)
        state, params = lanes.episode.env, lanes.params
        ours = jax.vmap(fast.transition)(state, actions, keys, params)
        theirs = jax.vmap(exact.transition)(state, actions, keys, params)
        seen = (
            velocity_error(ours.physics, theirs.physics),
            jnp.any(ours.ground_touch, axis=1),
            jax.vmap(foot_under_ground)(ours),
        )
        lanes, _, _ = advance(fast, keys, lanes, actions, starts)
        return lanes, seen

    return jax.lax.scan(one, lanes, jax.random.split(key, SCAN))


def velocity_error(a: Physics, b: Physics) -> jax.Array:
    """(B,) largest difference of any body's velocity component [m/s] or spin [rad/s]."""
    return jnp.maximum(
        jnp.max(jnp.abs(a.velocity - b.velocity), axis=(1, 2)), jnp.max(jnp.abs(a.spin - b.spin), axis=1)
    )


def foot_under_ground(state: State) -> jax.Array:
    """() bool, whether the middle of a shin is below the ground's surface."""
    shins, ground = state.physics.position[2::2], state.terrain.ground
    return jnp.any(shins[:, 1] < jnp.interp(shins[:, 0], ground[:, 0], ground[:, 1]))


def _row(case: str, ours: float, unit: str) -> dict[str, Any]:
    return {"case": case, "peer": "exact", "ours": ours, "theirs": None, "unit": unit, "ratio": None}
