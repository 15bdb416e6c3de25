"""Continuous collision without a reference simulator: times of impact, and what impacts do to a walker."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.walker import dynamics
from palaestra.envs.walker.bodies import BIPED
from palaestra.envs.walker.dynamics import Solver, advance, initial_physics
from palaestra.envs.walker.listed import into_slots, over_listed
from palaestra.envs.walker.sweep import TARGET, TOLERANCE, Sweep, time_of_impact
from palaestra.envs.walker.types import TERRAIN_HEIGHT, TERRAIN_STEP, Params, Terrain

OPTIONS = dynamics.COMPILER_OPTIONS.get(jax.default_backend(), {})
QUICK = Solver(velocity_iterations=12, position_iterations=4, one_sided=False, events=6)
BLIND = Solver(velocity_iterations=12, position_iterations=4, one_sided=False)

EDGE = np.array([[-0.5, 0.0], [0.5, 0.1]])
BOX = np.array([[0.5, -0.5], [0.5, 0.0], [-0.5, 0.0], [-0.5, -0.5]])
FOOT = np.array([[-0.1, -0.5], [0.1, -0.5], [0.1, 0.5], [-0.1, 0.5]])
SWEEPS = 400


def distance(one, other):
    """Distance of two disjoint convex polygons (V, 2); 0 if they overlap."""

    def apart(a, b):
        for start, end in zip(a, np.roll(a, -1, 0), strict=True):
            normal = np.array([end[1] - start[1], start[0] - end[0]])
            if len(a) > 1 and ((b - start) @ normal > 0).all():
                return True
        return False

    def corner_to_side(a, b):
        nearest = np.inf
        for start, end in zip(b, np.roll(b, -1, 0), strict=True):
            along = np.clip((a - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
            nearest = min(nearest, np.linalg.norm(a - start - along[:, None] * (end - start), axis=1).min())
        return nearest

    if not apart(one, other) and not apart(other, one):
        return 0.0
    return min(corner_to_side(one, other), corner_to_side(other, one))


def foot_at(start, end, time):
    x, y, angle = (1 - time) * start + time * end
    sin, cos = np.sin(angle), np.cos(angle)
    return FOOT @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


@pytest.mark.parametrize("terrain", [EDGE, BOX], ids=["edge", "box"])
def test_time_of_impact_is_the_first_time_at_which_cores_are_a_slop_apart(terrain):
    rng = np.random.default_rng(0)
    start = rng.uniform([-0.8, 0.5, -1.5], [0.8, 0.8, 1.5], (SWEEPS, 3))
    end = start + rng.uniform([-0.3, -0.4, -0.4], [0.3, 0.1, 0.4], (SWEEPS, 3))

    def columns(x):
        return jnp.asarray(x.T[:, None], jnp.float32)

    (x0, y0, a0), (x1, y1, a1) = columns(start), columns(end)
    zero = jnp.zeros_like(x0)
    sweep = Sweep(start=(x0, y0), start_angle=a0, end=(x1, y1), end_angle=a1, offset=(zero, zero))
    outline = [jnp.broadcast_to(jnp.asarray(c, jnp.float32)[:, None, None], (len(c), 1, SWEEPS)) for c in terrain.T]
    body = [jnp.broadcast_to(jnp.asarray(c, jnp.float32)[:, None, None], (4, 1, SWEEPS)) for c in FOOT.T]
    hits, times = (np.asarray(x)[0] for x in jax.jit(time_of_impact)(tuple(outline), tuple(body), sweep))
    assert 50 < hits.sum() < SWEEPS - 50
    for i in range(SWEEPS):
        until = times[i] if hits[i] else 1.0
        passed = [distance(foot_at(start[i], end[i], t), terrain) for t in np.linspace(0, until, 60)]
        if passed[0] == 0:
            assert not hits[i], "an overlap at the start is no impact"
            continue
        if passed[0] < TARGET + TOLERANCE:
            assert hits[i] and times[i] == 0
            continue
        assert min(passed) > TARGET - 1.5 * TOLERANCE
        if hits[i]:
            assert passed[-1] == pytest.approx(TARGET, abs=1.5 * TOLERANCE)


def flat(count):
    x = np.arange(200) * TERRAIN_STEP
    one = Terrain(
        ground=np.stack([x, np.full(200, TERRAIN_HEIGHT)], axis=1).astype(np.float32),
        num_points=np.int32(200),
        polygons=np.zeros((0, 4, 2), np.float32),
        num_polygons=np.int32(0),
        finish=np.float32(88),
        overflow=np.bool_(False),
    )
    return jax.tree.map(lambda x: np.stack([x] * count), one)


@functools.cache
def stepper(solver):
    def step(physics, terrain, action):
        return advance(physics, terrain, action, jnp.zeros(()), Params(), BIPED, solver)

    return jax.jit(jax.vmap(step), compiler_options=OPTIONS)


def falling(speeds):
    """Walkers just above the ground, on the way down [m/s] and tumbling."""
    start = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * len(speeds)), initial_physics(Params()))
    down = jnp.asarray(speeds, jnp.float32)[:, None]
    return start.replace(velocity=start.velocity.at[:, :, 1].set(-down), spin=start.spin + 0.1 * down)


def lowest_corner(physics):
    """(B,) height of the lowest corner of a shin above flat ground [m]."""
    heights = []
    for shin in (2, 4):
        sin, cos = np.sin(physics.angle[:, shin]), np.cos(physics.angle[:, shin])
        reach = np.abs(sin) * 0.8 * 4 / 30 + np.abs(cos) * 17 / 30
        heights.append(np.asarray(physics.position[:, shin, 1] - reach) - TERRAIN_HEIGHT)
    return np.minimum(*heights)


def test_impacts_stop_feet_at_the_surface():
    physics, terrain, action = falling(np.linspace(5, 40, 16)), flat(16), np.zeros((16, 4), np.float32)
    stopped, touch = stepper(QUICK)(physics, terrain, action)
    sunk, late = stepper(BLIND)(physics, terrain, action)
    assert lowest_corner(sunk).min() < -0.1
    assert lowest_corner(stopped).min() > -0.02
    assert (touch.shin_event == 1).any(axis=1).all() and touch.shin_touch.any(axis=1).all()
    assert not late.shin_touch.any(), "without impacts the feet notice the ground a step later"
    assert not touch.overflow.any()


def test_a_step_without_impact_is_the_discrete_one():
    physics = falling(np.zeros(16))
    physics = physics.replace(position=physics.position + jnp.array([0.0, 5.0])[None, None])
    terrain, action = flat(16), np.ones((16, 4), np.float32)
    for one, other in zip(
        jax.tree.leaves(stepper(QUICK)(physics, terrain, action)),
        jax.tree.leaves(stepper(BLIND)(physics, terrain, action)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_walkers_of_a_batch_are_independent():
    physics, terrain = falling(np.linspace(0, 40, 16)), flat(16)
    action = np.random.default_rng(0).uniform(-1, 1, (16, 4)).astype(np.float32)
    order = np.random.default_rng(1).permutation(16)
    for _ in range(3):
        straight = stepper(QUICK)(physics, terrain, action)
        shuffled = stepper(QUICK)(*jax.tree.map(lambda x: x[order], (physics, terrain, action)))
        jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[order], y), straight, shuffled)
        physics = straight[0]


@pytest.mark.slow
def test_more_impacts_than_are_resolved_are_reported():
    impatient = Solver(velocity_iterations=12, position_iterations=4, one_sided=False, events=1)
    _, touch = stepper(impatient)(falling(np.linspace(5, 40, 16)), flat(16), np.zeros((16, 4), np.float32))
    assert touch.overflow.any()


@pytest.mark.parametrize("wanted", [[], [3], [0, 5, 39], range(40)])
def test_listed_work_comes_back_to_its_place(wanted):
    mask = np.zeros(40, bool)
    mask[list(wanted)] = True
    place, squares = jax.jit(lambda m: over_listed(m, 7, lambda i: i * i))(mask)
    np.testing.assert_array_equal(np.asarray(squares)[np.asarray(place)[mask]], np.flatnonzero(mask) ** 2)


def test_slots_hold_the_first_present_entries():
    present = jnp.array([[False, True, True, False, True], [False] * 5])
    index, filled, crowded = into_slots(present, 2)
    np.testing.assert_array_equal(index[0], [1, 2])
    np.testing.assert_array_equal(filled, [[True, True], [False, False]])
    np.testing.assert_array_equal(crowded, [True, False])
