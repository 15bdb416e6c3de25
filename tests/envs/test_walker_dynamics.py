"""Properties of the walker's physics that need no reference simulator. Everything runs with few iterations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.stepping import replace_rows
from palaestra.envs.walker import dynamics
from palaestra.envs.walker.bodies import BIPED, geometry
from palaestra.envs.walker.dynamics import FAST, Solver, advance, initial_physics
from palaestra.envs.walker.solver import _sleep
from palaestra.envs.walker.types import TERRAIN_HEIGHT, TERRAIN_STEP, TIME_STEP, Params, Terrain

OPTIONS = dynamics.COMPILER_OPTIONS.get(jax.default_backend(), {})
ROUGHNESS = 0.1  # [m]
MANY = 1024  # walkers, so many that they are sorted by workload


def track(seed: int, dtype=np.float32) -> Terrain:
    """A bumpy track without obstacles."""
    rng = np.random.default_rng(seed)
    x = np.arange(200) * TERRAIN_STEP
    y = TERRAIN_HEIGHT + np.where(x > 6, rng.uniform(-ROUGHNESS, ROUGHNESS, 200), 0)
    return Terrain(
        ground=np.stack([x, y], axis=1).astype(dtype),
        num_points=np.int32(200),
        polygons=np.zeros((0, 4, 2), dtype),
        num_polygons=np.int32(0),
        finish=dtype(88),
        overflow=np.bool_(False),
    )


def step(physics, terrain, action):
    return advance(physics, terrain, action, jnp.zeros(()), Params(), BIPED, FAST)


@functools.cache
def batched():
    return jax.jit(jax.vmap(step), compiler_options=OPTIONS)


def stack(items):
    return jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *items)


@functools.cache
def walked(count: int = 8, steps: int = 40):
    """States after some random steps, their tracks, and an action for each."""
    terrain = stack([track(seed) for seed in range(count)])
    physics = stack([initial_physics(Params())] * count)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        physics, _ = batched()(physics, terrain, rng.uniform(-1, 1, (count, 4)).astype(np.float32))
    return physics, terrain, rng.uniform(-1, 1, (count, 4)).astype(np.float32)


def assert_close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_batch_equals_loop():
    physics, terrain, action = walked()
    together = batched()(physics, terrain, action)
    single = jax.jit(lambda p, t, a: advance(p, t, a, jnp.zeros(()), Params(), BIPED, FAST), compiler_options=OPTIONS)
    for i in range(3):
        alone = single(*jax.tree.map(lambda x, i=i: x[i], (physics, terrain, action)))
        assert_close(jax.tree.map(lambda x, i=i: x[i], together), alone, atol=1e-5, rtol=1e-5)


def test_nested_batches_equal_a_flat_one():
    physics, terrain, action = walked()
    flat = batched()(physics, terrain, action)
    grid = jax.tree.map(lambda x: x.reshape(2, 4, *x.shape[1:]), (physics, terrain, action))
    nested = jax.jit(jax.vmap(jax.vmap(step)), compiler_options=OPTIONS)(*grid)
    assert_close(jax.tree.map(lambda x: x.reshape(8, *x.shape[2:]), nested), flat, atol=1e-5, rtol=1e-5)


def test_rows_of_a_batch_are_independent():
    physics, terrain, action = walked()
    order = np.array([3, 1, 0, 7, 5, 4, 2, 6])
    straight = batched()(physics, terrain, action)
    shuffled = batched()(*jax.tree.map(lambda x: x[order], (physics, terrain, action)))
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[order], y), straight, shuffled)


def test_sorting_by_workload_changes_nothing():
    physics, terrain, action = walked()
    index = np.arange(MANY) % 8
    large = batched()(*jax.tree.map(lambda x: x[index], (physics, terrain, action)))
    small = batched()(physics, terrain, action)
    assert_close(large, jax.tree.map(lambda x: x[index], small), atol=1e-5, rtol=1e-5)


def test_nan_action_counts_as_zero():
    physics, terrain, action = walked()
    action = action.copy()
    action[2] = np.nan
    zeroed = np.nan_to_num(action)
    jax.tree.map(
        np.testing.assert_array_equal, batched()(physics, terrain, action), batched()(physics, terrain, zeroed)
    )


def test_flight_conserves_momentum():
    """With slack motors and no ground, only gravity changes the total momentum."""
    physics, terrain, _ = walked()
    physics = physics.replace(position=physics.position + jnp.array([0.0, 50.0])[None, None])
    after, touch = batched()(physics, terrain, np.zeros((8, 4), np.float32))
    shape = geometry(Params(), BIPED)
    mass, inertia = 1 / shape.inv_mass[None, :, None], 1 / shape.inv_inertia[None]
    assert not touch.shin_touch.any()
    change = (mass * (after.velocity - physics.velocity)).sum(1)
    weight = -10 * TIME_STEP * float(mass.sum())
    np.testing.assert_allclose(change, np.tile([0, weight], (8, 1)), atol=2e-5)

    def angular(state, velocity, spin):
        arm = state.position - state.position.mean(1, keepdims=True)  # about any point
        total = (mass * velocity).sum(1, keepdims=True) / mass.sum()
        relative = velocity - total
        return (mass[..., 0] * (arm[..., 0] * relative[..., 1] - arm[..., 1] * relative[..., 0]) + inertia * spin).sum(
            1
        )

    # A joint's two anchors drift apart by millimetres, so its impulse and counter-impulse form a small couple.
    parents, children = np.array(BIPED.joint_bodies).T
    gap = anchors(physics, children, shape.anchor_child) - anchors(physics, parents, shape.anchor_parent)
    push = after.joint_impulse
    couple = (gap[..., 0] * push[..., 1] - gap[..., 1] * push[..., 0]).sum(1)
    before = angular(physics, physics.velocity, physics.spin)
    np.testing.assert_allclose(angular(physics, after.velocity, after.spin), before + couple, atol=1e-4)


def anchors(physics, bodies, arms):
    """(B, J, 2) joint anchors on some bodies."""
    sin, cos = jnp.sin(physics.angle[:, bodies]), jnp.cos(physics.angle[:, bodies])
    x, y = arms[None, :, 0], arms[None, :, 1]
    return physics.position[:, bodies] + jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def test_fast_mode_keeps_feet_above_ground():
    steps = 150
    physics = fresh = stack([initial_physics(Params())] * MANY)
    terrain = stack([track(seed) for seed in range(MANY)])

    @jax.jit
    def look(after, hull_began):
        x, y = after.position[:, 2::2, 0], after.position[:, 2::2, 1]
        height = jax.vmap(lambda x, t: jnp.interp(x, t.ground[:, 0], t.ground[:, 1]))(x, terrain)
        return replace_rows(hull_began, after, fresh), jnp.any(y < height, axis=1)

    below, actions = [], np.random.default_rng(0).uniform(-1, 1, (steps, MANY, 4)).astype(np.float32)
    for action in actions:
        after, touch = batched()(physics, terrain, action)
        physics, low = look(after, touch.hull_began)  # an episode ends when the hull touches
        below.append(low)
    below = np.stack(below)
    assert below.mean() < 1e-3


def test_a_walker_at_rest_is_stopped_after_half_a_second():
    physics = jax.tree.map(lambda x: jnp.stack([x] * 3, axis=-1), initial_physics(Params()))
    spin = jnp.full((5, 3), 0.03).at[2, 1].set(0.04)  # more than 2 degrees/s
    physics = physics.replace(velocity=jnp.full((5, 2, 3), 0.005), spin=spin, still_time=jnp.full(3, 0.49))
    solved = jnp.array([True, True, False])
    after = _sleep(physics, solved, jnp.float32(TIME_STEP))
    np.testing.assert_array_equal(after.velocity[0, 0], jnp.array([0, 0.005, 0.005]))
    np.testing.assert_array_equal(after.spin[2], jnp.array([0, 0.04, 0.03]))
    np.testing.assert_allclose(after.still_time, [0, 0, 0.51], rtol=1e-6)


def test_kernel_runs_in_float64():
    with jax.enable_x64(True):
        physics = initial_physics(Params(), dtype=jnp.float64)
        after, _ = jax.jit(step, compiler_options=OPTIONS)(physics, track(0, np.float64), jnp.ones(4))
        assert all(x.dtype in (jnp.float64, jnp.int32) for x in jax.tree.leaves(after))
        assert np.isfinite(after.position).all()


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="action has shape"):
        advance(initial_physics(Params()), track(0), jnp.zeros(3), jnp.zeros(()), Params())
    with pytest.raises(ValueError, match="velocity_iterations=0"):
        Solver(0, 4, one_sided=True)
