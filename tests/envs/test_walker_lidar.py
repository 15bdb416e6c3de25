"""Rays against Box2D's formulas, written as loops, and by hand; the other senses and the reward by hand."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.walker import sensing
from palaestra.envs.walker.lidar import DIRECTIONS, MAX_RANGE, Reach, lidar, reach_of
from palaestra.envs.walker.terrain import FINISH, FlatTrack, HardcoreTrack, StumpTrack, terrain_from_arrays
from palaestra.envs.walker.types import TERRAIN_HEIGHT, TERRAIN_STEP, Params

EVERYTHING = Reach(edges=(400,) * 10, polygons=(200,) * 10)
FLAT = reach_of(FlatTrack())
TRACKS = [FlatTrack(), HardcoreTrack(), StumpTrack(), StumpTrack(min_width=0.3, min_spacing=0.2)]
ROUGH = Params(stump_height=0.6, obstacle_spacing=0.5, stump_width=0.8, roughness=2.0)


def edge_hit(p, d, a, b):
    """b2EdgeShape::RayCast: fraction of d, or 1."""
    e = b - a
    n = np.array([e[1], -e[0]]) / np.hypot(*e)
    den = n @ d
    if den == 0:
        return 1.0
    t = n @ (a - p) / den
    s = (p + t * d - a) @ e / (e @ e)
    return t if 0 <= t <= 1 and 0 <= s <= 1 else 1.0


def polygon_hit(p, d, corners):
    """b2PolygonShape::RayCast: fraction of d, or 1."""
    lower, upper, face = 0.0, 1.0, None
    for i, a in enumerate(corners):
        e = corners[(i + 1) % len(corners)] - a
        n = np.array([e[1], -e[0]]) / np.hypot(*e)
        num, den = n @ (a - p), n @ d
        if den == 0 and num < 0:
            return 1.0
        if den < 0 and num < lower * den:
            lower, face = num / den, i
        elif den > 0 and num < upper * den:
            upper = num / den
        if upper < lower:
            return 1.0
    return 1.0 if face is None else lower


def oracle(terrain, origin, max_distance=MAX_RANGE):
    ground = np.asarray(terrain.ground, float)[: int(terrain.num_points)]
    polygons = np.asarray(terrain.polygons, float)[: int(terrain.num_polygons)]
    fractions = []
    for direction in np.array(DIRECTIONS) * max_distance:
        hits = [edge_hit(origin, direction, a, b) for a, b in itertools.pairwise(ground)]
        hits += [polygon_hit(origin, direction, corners) for corners in polygons]
        fractions.append(min(hits))
    return np.array(fractions)


@functools.partial(jax.jit, static_argnums=2)
def sense(terrain, origins, reach, max_distance=MAX_RANGE):
    return jax.vmap(lambda origin: lidar(terrain, origin, max_distance, reach))(origins)


def origins_over(terrain, count, seed=0):
    """Places above, in and a little below the ground, from before the track to past the finish."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 92, count)
    ground = np.asarray(terrain.ground, float)[: int(terrain.num_points)]
    return np.stack([x, np.interp(x, *ground.T) + rng.uniform(-0.3, 3, count)], axis=1)


@pytest.mark.parametrize("track", TRACKS, ids=str)
def test_lidar_follows_box2d(key, track):
    terrain = jax.jit(track)(key, ROUGH)
    origins = origins_over(terrain, 60)
    with jax.enable_x64(True):
        fractions = sense(terrain, jnp.asarray(origins), reach_of(track))
        assert fractions.dtype == np.float64
    expected = np.stack([oracle(terrain, origin) for origin in origins])
    assert 0.2 < (expected < 1).mean() < 1
    np.testing.assert_allclose(fractions, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("track", TRACKS, ids=str)
def test_windows_lose_nothing(key, track):
    terrain = jax.jit(track)(key, ROUGH)
    corners = np.asarray(terrain.ground)[: int(terrain.num_points)]
    at_points = np.concatenate([np.nextafter(corners, w) for w in (np.float32(-9), corners, np.float32(99))])
    at_points[:, 1] += 2
    origins = jnp.asarray(np.concatenate([origins_over(terrain, 1000, seed=1), at_points]), jnp.float32)
    windowed, full = sense(terrain, origins, reach_of(track)), sense(terrain, origins, EVERYTHING)
    np.testing.assert_array_equal(windowed, full)


def test_rays_hit_level_ground_where_geometry_says():
    terrain = jax.jit(FlatTrack())(jax.random.key(0), Params())
    (fractions,) = sense(terrain, jnp.array([[2.0, TERRAIN_HEIGHT + 1]]), FLAT)
    angle = 0.15 * np.arange(10)
    np.testing.assert_allclose(fractions, np.minimum(1 / np.cos(angle) / MAX_RANGE, 1), atol=1e-6)


def test_range_is_a_parameter():
    terrain = jax.jit(FlatTrack())(jax.random.key(0), Params())
    near, far = (sense(terrain, jnp.array([[2.0, TERRAIN_HEIGHT + 1]]), FLAT, r)[0] for r in (2.0, 4.0))
    np.testing.assert_allclose(near[:5], 2 * far[:5], rtol=1e-6)
    assert near[-1] == 1.0


def test_ray_through_a_vertex_hits_once_and_rounding_cannot_lose_it():
    terrain = jax.jit(FlatTrack())(jax.random.key(0), Params())
    x = np.asarray(terrain.ground)[:20, 0]
    for beside in (np.nextafter(x, -9), x, np.nextafter(x, 9)):
        origins = jnp.stack([jnp.asarray(beside), jnp.full(20, TERRAIN_HEIGHT + 1, jnp.float32)], axis=1)
        down = sense(terrain, origins, FLAT)[:, 0]
        np.testing.assert_allclose(down[beside >= 0], 1 / MAX_RANGE, rtol=1e-6)


def test_ground_is_two_sided_and_polygons_are_not():
    square = np.array([(3, 1), (3, 2), (1, 2), (1, 1)])
    terrain = terrain_from_arrays([(0, 0), (10, 0)], [square])
    above, inside = (lidar(terrain, jnp.array([2.0, y]), MAX_RANGE, EVERYTHING) for y in (3.0, 1.5))
    assert above[0] * MAX_RANGE == pytest.approx(1.0)
    assert inside[0] * MAX_RANGE == pytest.approx(1.5)  # out through the floor of the square, down to the ground
    falling = terrain_from_arrays([(0, 3), (2, 0)])
    from_below, from_above = (lidar(falling, jnp.array([0.1, y]), MAX_RANGE, EVERYTHING) for y in (1.0, 4.0))
    assert from_below[9] < 1 and (from_below[:3] == 1).all()
    assert from_above[0] < 1


def test_edges_in_line_with_a_ray_and_of_no_length_are_passed_through():
    terrain = terrain_from_arrays([(2, 1), (2, 1), (2, 0.5), (3, 0.5)])
    with jax.debug_nans(False):
        fractions = lidar(terrain, jnp.array([2.0, 2.0]), MAX_RANGE, EVERYTHING)
    assert fractions[0] * MAX_RANGE == pytest.approx(1.5)
    assert not np.isnan(fractions).any()


def test_nothing_lies_beyond_the_end_of_the_track(key):
    for track in TRACKS:
        terrain = jax.jit(track)(key, ROUGH)
        end = np.asarray(terrain.ground)[int(terrain.num_points) - 1]
        past = jnp.asarray(end + np.float32([0.01, 2.0]))
        np.testing.assert_array_equal(sense(terrain, past[None], reach_of(track)), 1.0)


def test_batches_in_any_nesting_equal_single_calls(key):
    track = HardcoreTrack()
    reach, terrains = reach_of(track), jax.vmap(lambda k: track(k, Params()))(jax.random.split(key, 6))
    origins = jnp.stack([jnp.linspace(5, 80, 6), jnp.full(6, TERRAIN_HEIGHT + 1.5, jnp.float32)], axis=1)
    one = lambda terrain, origin, distance: lidar(terrain, origin, distance, reach)  # noqa: E731
    flat = jax.jit(jax.vmap(one, (0, 0, None)))(terrains, origins, MAX_RANGE)
    fold = functools.partial(jax.tree.map, lambda a: a.reshape(2, 3, *a.shape[1:]))
    nested = jax.jit(jax.vmap(jax.vmap(one, (0, 0, None)), (0, 0, None)))(fold(terrains), fold(origins), MAX_RANGE)
    jitted = jax.jit(one)
    single = [jitted(jax.tree.map(lambda a, i=i: a[i], terrains), origins[i], MAX_RANGE) for i in range(6)]
    np.testing.assert_allclose(flat, np.stack(single), atol=1e-6)
    np.testing.assert_allclose(nested.reshape(6, 10), flat, atol=1e-6)


def test_reach_follows_from_the_track():
    assert FLAT.edges[0] == 2 and FLAT.edges[-1] == 13
    assert FLAT.column_width == TERRAIN_STEP
    assert reach_of(FlatTrack(), 2 * MAX_RANGE).edges[-1] > 20
    wide, narrow = reach_of(StumpTrack(min_spacing=2.0)), reach_of(StumpTrack())
    assert max(wide.edges) < max(narrow.edges) and max(wide.polygons) < max(narrow.polygons)


def test_reward_pays_progress_posture_and_effort():
    terms = sensing.reward_terms(
        jnp.float32(10.0),
        jnp.float32(-0.2),
        jnp.float32(10.06),
        jnp.float32(0.1),
        jnp.array([0.5, -0.5, 3.0, 0.0]),
        jnp.array(False),
    )
    np.testing.assert_allclose(terms["progress"], 0.26, rtol=1e-4)
    np.testing.assert_allclose(terms["posture"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(terms["effort"], -0.028 * 2, rtol=1e-6)
    assert terms["fall"] == 0
    potential = sensing.shaping(jnp.float32(10.06), jnp.float32(0.1)) - sensing.shaping(
        jnp.float32(10.0), jnp.float32(-0.2)
    )
    np.testing.assert_allclose(terms["progress"] + terms["posture"], potential, rtol=1e-4)


def test_falling_pays_nothing_else():
    zero = jnp.float32(0.0)
    terms = sensing.reward_terms(zero, zero, jnp.float32(1.0), zero, jnp.ones(4), jnp.array(True), torque_penalty=0.1)
    assert {name: float(value) for name, value in terms.items() if value} == {"fall": -100.0}
    double = sensing.reward_terms(zero, zero, zero, zero, jnp.ones(8), jnp.array(False), torque_penalty=0.1)
    assert float(double["effort"]) == pytest.approx(-0.8)


@pytest.mark.parametrize(
    ("x", "touched", "failed", "ended"),
    [(5.0, False, False, False), (5.0, True, True, True), (-0.1, False, True, True), (89.0, False, False, True)],
)
def test_episodes_end_by_a_fall_or_past_the_finish(x, touched, failed, ended):
    x, touched = jnp.float32(x), jnp.array(touched)
    assert bool(sensing.has_failed(x, touched)) == failed
    assert bool(sensing.terminal(x, touched, jnp.float32(FINISH))) == ended


@pytest.mark.parametrize("legs", [2, 4])
def test_observation_lists_hull_legs_and_lidar(legs):
    joints = jnp.arange(2.0 * legs)
    flags = jnp.arange(legs) % 2 == 1
    obs = sensing.observe(
        jnp.float32(0.3), jnp.float32(5.0), jnp.array([2.0, -3.0]), joints, 10 + joints, flags, jnp.linspace(0, 1, 10)
    )
    assert obs.shape == (sensing.observation_size(2 * legs),) and obs.dtype == np.float32
    np.testing.assert_allclose(obs[:4], [0.3, 0.2, 0.24, -0.24], rtol=1e-6)
    np.testing.assert_allclose(obs[4:14], [0, 2.5, 2, 11 / 6, 0, 2, 3, 4, 13 / 6, 1], rtol=1e-6)
    np.testing.assert_allclose(obs[-10:], np.linspace(0, 1, 10), rtol=1e-6)


def test_hull_origin_undoes_the_centre_of_mass():
    angle, origin, local = 0.7, np.array([3.0, 4.0]), np.array([-0.02, 0.5])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    position = origin + turn @ local
    found = sensing.hull_origin(*(jnp.asarray(a, jnp.float32) for a in (position, angle, local)))
    np.testing.assert_allclose(found, origin, atol=1e-6)
