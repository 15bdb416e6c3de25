"""Senses, reward and tracks beside Gymnasium's BipedalWalker, given the same state.

Every comparison reads bodies, joints and terrain out of a live Box2D world. The original computes in float64 on
float32 states; here everything is float32, hence 1e-5.
"""

import collections

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.walker import sensing
from palaestra.envs.walker.lidar import MAX_RANGE, lidar, reach_of
from palaestra.envs.walker.terrain import FlatTrack, HardcoreTrack, terrain_from_arrays
from palaestra.envs.walker.types import SCALE, TERRAIN_HEIGHT, TERRAIN_STEP, Params

pytest.importorskip("Box2D", reason="needs the extra box2d")
from gymnasium.envs.box2d.bipedal_walker import BipedalWalkerHeuristics

TOLERANCE = 1e-5


def polygon_fixtures(walker):
    """Obstacles of a Gymnasium walker in creation order; its terrain list is reversed."""
    shapes = [(body, body.fixtures[0].shape) for body in reversed(walker.terrain)]
    return [np.array([body.transform * v for v in shape.vertices]) for body, shape in shapes if len(shape.vertices) > 2]


def imported_terrain(walker):
    points = np.stack([walker.terrain_x, walker.terrain_y], axis=1)
    return terrain_from_arrays(points, polygon_fixtures(walker), max_points=200, max_polygons=64)


@jax.jit
def our_senses(terrain, center, angle, spin, velocity, local_center, joint_angle, joint_speed, ground_flag):
    origin = sensing.hull_origin(center, angle, local_center)
    fractions = lidar(terrain, origin, MAX_RANGE, reach_of(HardcoreTrack()))
    obs = sensing.observe(angle, spin, velocity, joint_angle, joint_speed, ground_flag, fractions)
    return origin, obs


@jax.jit
def our_reward(before, after, action, hull_touched, finish):
    failed = sensing.has_failed(after[0], hull_touched)
    terms = sensing.reward_terms(*before, *after, action, failed)
    return terms, sensing.terminal(after[0], hull_touched, finish)


def sense_box2d(walker, terrain):
    hull, joints = walker.hull, walker.joints
    numbers = (
        hull.worldCenter,
        hull.angle,
        hull.angularVelocity,
        hull.linearVelocity,
        hull.localCenter,
        [joint.angle for joint in joints],
        [joint.speed for joint in joints],
    )
    flags = jnp.array([walker.legs[1].ground_contact, walker.legs[3].ground_contact])
    return our_senses(terrain, *(jnp.asarray(np.array(n, np.float32)) for n in numbers), flags)


def policies(rng):
    heuristic = BipedalWalkerHeuristics()
    return {
        "random": lambda obs: rng.uniform(-1.5, 1.5, 4),
        "heuristic": lambda obs: heuristic.step_heuristic(obs).copy(),
        "still": lambda obs: np.zeros(4),
    }


@pytest.mark.parametrize("policy", ["random", "heuristic", "still"])
@pytest.mark.parametrize("hardcore", [False, True])
def test_senses_and_reward_equal_gymnasium_given_its_state(hardcore, policy):
    steps = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        env = gymnasium.make("BipedalWalker-v3", hardcore=hardcore)
        obs, _ = env.reset(seed=seed)
        act, walker = policies(rng)[policy], env.unwrapped
        terrain = imported_terrain(walker)
        origin, ours = sense_box2d(walker, terrain)
        np.testing.assert_allclose(ours, obs, rtol=0, atol=TOLERANCE)
        for _ in range(400):
            before = origin[0], jnp.float32(walker.hull.angle)
            action = act(obs)
            obs, reward, terminated, _, _ = env.step(action)
            origin, ours = sense_box2d(walker, terrain)
            after = origin[0], jnp.float32(walker.hull.angle)
            terms, ended = our_reward(
                before, after, jnp.asarray(action, jnp.float32), jnp.array(walker.game_over), terrain.finish
            )
            np.testing.assert_allclose(origin, walker.hull.position, rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(ours, obs, rtol=0, atol=TOLERANCE)
            assert float(sum(terms.values())) == pytest.approx(reward, abs=TOLERANCE)
            assert bool(ended) == terminated
            steps += 1
            if terminated:
                break
        env.close()
    assert steps > 60


def test_lidar_equals_gymnasium_wherever_the_hull_is():
    """The hull is put anywhere along hardcore tracks; Box2D casts the rays."""
    import Box2D

    class Nearest(Box2D.b2.rayCastCallback):
        def ReportFixture(self, fixture, point, normal, fraction):
            if fixture.filterData.categoryBits & 1 == 0:
                return -1
            self.fraction = fraction
            return fraction

    rng, errors = np.random.default_rng(0), []
    cast = jax.jit(jax.vmap(lambda t, p: lidar(t, p, MAX_RANGE, reach_of(HardcoreTrack())), (None, 0)))
    for seed in range(8):
        env = gymnasium.make("BipedalWalker-v3", hardcore=True)
        env.reset(seed=seed)
        walker = env.unwrapped
        x = rng.uniform(0, 92, 100)
        origins = np.stack([x, np.interp(x, walker.terrain_x, walker.terrain_y) + rng.uniform(-0.5, 3, 100)], 1)
        origins = origins.astype(np.float32)
        ours = np.asarray(cast(imported_terrain(walker), jnp.asarray(origins)))
        for origin, row in zip(origins.astype(float), ours, strict=True):
            for i in range(10):
                callback = Nearest()
                callback.fraction = 1.0
                end = origin + MAX_RANGE * np.array([np.sin(0.15 * i), -np.cos(0.15 * i)])
                walker.world.RayCast(callback, tuple(origin), tuple(end))
                errors.append(abs(row[i] - callback.fraction))
        env.close()
    errors = np.array(errors)
    # a ray that grazes a corner may hit it in one and pass it in the other
    assert (errors > TOLERANCE).mean() < 1e-3
    assert np.median(errors) < 1e-7


def test_generated_obstacles_have_the_vertex_order_of_box2d():
    env = gymnasium.make("BipedalWalker-v3", hardcore=True)
    env.reset(seed=1)
    polygons = polygon_fixtures(env.unwrapped)
    assert len(polygons) > 10
    for polygon in polygons:
        (right, top), (left, bottom) = polygon.max(axis=0), polygon.min(axis=0)
        np.testing.assert_array_equal(polygon, [(right, bottom), (right, top), (left, top), (left, bottom)])
    left = [p[:, 0].min() for p in polygons]
    assert left == sorted(left)
    env.close()


def track_statistics(points, polygons):
    """Increments of the height and counts of obstacles of one track, told apart by their sizes in columns."""
    y = points[:, 1]
    step = np.diff(y)[20:]
    width = np.rint((polygons[:, :, 0].max(1) - polygons[:, :, 0].min(1)) / TERRAIN_STEP).astype(int)
    height = np.rint((polygons[:, :, 1].max(1) - polygons[:, :, 1].min(1)) / TERRAIN_STEP).astype(int)
    kinds = collections.Counter(zip(width.tolist(), height.tolist(), strict=True))
    free = step[np.abs(step) < 0.1]
    return [
        len(polygons),
        kinds[(1, 4)],  # posts
        kinds[(1, 1)],  # stumps of either size
        kinds[(2, 2)],
        kinds[(4, 1)],  # pieces of stairs
        (step == 0).mean(),
        step.mean(),
        free.std(),
        (free**4).mean() * 1e6,
        (free[1:] * free[:-1]).mean() * 1e4,
        y[-1] - TERRAIN_HEIGHT,
        (y - TERRAIN_HEIGHT).std(),
        y.min(),
    ]


def compare_distributions(hardcore, count):
    """Largest difference of the means of all statistics, in standard errors."""
    theirs = []
    env = gymnasium.make("BipedalWalker-v3", hardcore=hardcore)
    env.reset(seed=0)
    for _ in range(count):
        walker = env.unwrapped
        walker._destroy()
        walker._generate_terrain(hardcore)
        walker.legs, walker.joints = [], []
        walker.hull = walker.world.CreateDynamicBody(position=(5, 9))
        points = np.stack([walker.terrain_x, walker.terrain_y], axis=1)
        theirs.append(track_statistics(points, np.array(polygon_fixtures(walker)).reshape(-1, 4, 2)))
    track = HardcoreTrack() if hardcore else FlatTrack()
    made = jax.jit(jax.vmap(lambda key: track(key, Params())))(jax.random.split(jax.random.key(1), 2000))
    ground, polygons, used = (np.asarray(a) for a in (made.ground, made.polygons, made.num_polygons))
    ours = [track_statistics(ground[i], polygons[i, : used[i]]) for i in range(len(ground))]
    theirs, ours = np.array(theirs), np.array(ours)
    error = np.sqrt(theirs.var(axis=0) / len(theirs) + ours.var(axis=0) / len(ours))
    return np.abs(theirs.mean(axis=0) - ours.mean(axis=0)) / np.maximum(error, 1e-9)


@pytest.mark.parametrize("hardcore", [False, True])
def test_tracks_are_distributed_as_gymnasiums(hardcore):
    assert compare_distributions(hardcore, 200).max() < 4


@pytest.mark.slow
@pytest.mark.parametrize("hardcore", [False, True])
def test_tracks_are_distributed_as_gymnasiums_over_1000(hardcore):
    assert compare_distributions(hardcore, 1000).max() < 4


def test_units_are_the_originals():
    assert pytest.approx(20.0) == sensing.VIEW[0] and pytest.approx(40 / 3) == sensing.VIEW[1]
    assert pytest.approx(160 / SCALE) == MAX_RANGE
    assert sensing.observation_size(4) == 24 and sensing.observation_size(8) == 34
