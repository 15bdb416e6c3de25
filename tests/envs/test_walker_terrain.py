"""Track generators against loops written from the description of the original, and what every track promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.walker.terrain import FlatTrack, HardcoreTrack, StumpTrack, terrain_from_arrays
from palaestra.envs.walker.types import SCALE, TERRAIN_HEIGHT, TERRAIN_LENGTH, TERRAIN_STEP, Params

STEP, H = TERRAIN_STEP, TERRAIN_HEIGHT
TRACKS = [FlatTrack(), HardcoreTrack(), StumpTrack(), StumpTrack(max_stumps=60, min_spacing=1.0)]


def box(left, right, bottom, top):
    return [(right, bottom), (right, top), (left, top), (left, bottom)]


def machine_oracle(draws, hardcore):
    """The original's state machine, column by column, in float64."""
    noise, lots = 2 * draws[:TERRAIN_LENGTH].astype(float) - 1, [*draws[TERRAIN_LENGTH:].astype(float), 0.0]
    state, counter, velocity, y, oneshot = "grass", 20, 0.0, H, False
    ground, polygons = [], []
    pause = original_y = size = sign = steps = None
    for i in range(TERRAIN_LENGTH):
        x = i * STEP
        if state == "grass" and not oneshot:
            velocity = 0.8 * velocity + 0.01 * np.sign(H - y)
            if i > 20:
                velocity += noise[i] / SCALE
            y += velocity
        elif state == "pit" and oneshot:
            counter = 3 + size
            polygons += [box(a, a + STEP, y - 4 * STEP, y) for a in (x, x + counter * STEP)]
            counter += 2
            original_y = y
        elif state == "pit":
            y = original_y - (4 * STEP if counter > 1 else 0)
        elif state == "stump" and oneshot:
            counter = 1 + size
            polygons.append(box(x, x + counter * STEP, y, y + counter * STEP))
        elif state == "stairs" and oneshot:
            steps, original_y = 3 + size, y
            for s in range(steps):
                top = y + s * sign * STEP
                polygons.append(box(x + 4 * s * STEP, x + 4 * (s + 1) * STEP, top - STEP, top))
            counter = 4 * steps
        elif state == "stairs":
            y = original_y + (steps * 4 - counter - sign) / 4 * sign * STEP
        oneshot = False
        ground.append((x, y))
        counter -= 1
        if counter == 0:
            oneshot = True
            if hardcore and state == "grass":
                lot = int(lots.pop(0) * 60)
                state = ("stump", "stairs", "pit")[lot % 3]
                size, sign, pause = lot // 3 % 2, 2 * (lot // 6 % 2) - 1, 5 + lot // 12
                counter = None  # set by the obstacle
            else:
                counter = pause if hardcore else 5 + int(lots.pop(0) * 5)
                state = "grass"
    return np.array(ground), np.array(polygons).reshape(-1, 4, 2)


def stump_oracle(draws, height, spacing, width, roughness):
    """teachDeepRL's loop with float64 sums, without its edge of no length, with the point that ends the ground."""
    x, y, velocity = 20 * STEP, H, 0.0
    ground, polygons = [(0.0, H)], []
    for normal_height, normal_width, uniform in draws.astype(float):
        ground.append((x, y))
        if x >= 200 * STEP:
            break
        h = max(0.05, height + 0.1 * normal_height) * STEP
        w = (1.0 if width == 1 else max(0.05, width + 0.1 * normal_width)) * STEP
        polygons.append(box(x, x + w, y, y + h))
        x += w
        velocity = 0.8 * velocity + 0.01 * np.sign(H - y) + uniform * roughness / SCALE
        y += velocity
        ground.append((x, y))
        if x >= 200 * STEP:
            break
        x += max(0.01, spacing)
    return np.array(ground), np.array(polygons)


def assert_matches(terrain, ground, polygons, atol=2e-5):
    assert int(terrain.num_points) == len(ground)
    assert int(terrain.num_polygons) == len(polygons)
    np.testing.assert_allclose(terrain.ground[: len(ground)], ground, rtol=0, atol=atol)
    np.testing.assert_allclose(terrain.polygons[: len(polygons)], polygons, rtol=0, atol=atol)
    assert not bool(terrain.overflow)


@pytest.mark.parametrize("hardcore", [False, True])
def test_column_tracks_follow_the_original_state_machine(key, hardcore):
    track = HardcoreTrack() if hardcore else FlatTrack()
    draws = jax.vmap(track.draw)(jax.random.split(key, 100))
    terrains = jax.jit(jax.vmap(lambda d: track(None, Params(), d)))(draws)
    for i in range(len(draws)):
        terrain = jax.tree.map(lambda leaf, i=i: leaf[i], terrains)
        assert_matches(terrain, *machine_oracle(np.asarray(draws[i]), hardcore))


@pytest.mark.parametrize(
    ("height", "spacing", "width", "roughness"),
    [(0.0, 1.0, 1.0, 0.0), (3.0, 6.0, 1.0, 0.0), (1.5, 0.0, 1.0, 1.0), (-3.0, 2.5, 0.4, 3.0), (9.0, 4.0, 2.0, 10.0)],
)
def test_stump_tracks_follow_the_original_loop(key, height, spacing, width, roughness):
    track = StumpTrack(max_stumps=250, min_width=0.05)
    params = Params(stump_height=height, obstacle_spacing=spacing, stump_width=width, roughness=roughness)
    make = jax.jit(lambda d: track(None, params, d))
    for one in jax.random.split(key, 10):
        draws = track.draw(one)
        oracle = stump_oracle(np.asarray(draws), height, spacing, width, roughness)
        assert_matches(make(draws), *oracle, atol=1e-4)


def test_draws_are_what_they_say(key):
    stumps = np.asarray(StumpTrack(max_stumps=20_000).draw(key))
    np.testing.assert_allclose(stumps.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(stumps.std(axis=0), [1, 1, 3**-0.5], atol=0.03)
    np.testing.assert_allclose(np.corrcoef(stumps.T), np.eye(3), atol=0.03)
    np.testing.assert_allclose((stumps[:, :2] ** 4).mean(axis=0), 3, atol=0.2)
    assert np.abs(stumps[:, 2]).max() <= 1
    uniform = np.asarray(HardcoreTrack().draw(key))
    assert uniform.min() >= 0 and uniform.max() < 1


def test_extreme_draws_stay_in_range():
    for draw in (0.0, np.float32(1 - 2**-24)):
        for track in (FlatTrack(), HardcoreTrack()):
            draws = np.full(track.draw(jax.random.key(0)).shape, draw, np.float32)
            assert_matches(
                track(None, Params(), jnp.asarray(draws)),
                *machine_oracle(draws * (1 - 2**-22), isinstance(track, HardcoreTrack)),
                atol=1e-3,
            )


def test_start_pad_is_exactly_level(key):
    for track, columns in ((FlatTrack(), 21), (HardcoreTrack(), 21), (StumpTrack(), 2)):
        ground = np.asarray(track(key, Params(roughness=5.0)).ground)
        assert (ground[:columns, 1] == np.float32(H)).all()
    assert ground[1, 0] == pytest.approx(20 * STEP, abs=1e-6)


@pytest.mark.parametrize("track", TRACKS, ids=str)
def test_every_track_keeps_the_promises_of_terrain(key, track):
    params = Params(stump_height=1.0, obstacle_spacing=jnp.float32(0.0), stump_width=1.5, roughness=4.0)
    for one in jax.random.split(key, 5):
        terrain = jax.jit(track)(one, params)
        ground, polygons = np.asarray(terrain.ground), np.asarray(terrain.polygons)
        points, count = int(terrain.num_points), int(terrain.num_polygons)
        assert ground.shape == (track.max_points, 2) and ground.dtype == np.float32
        assert polygons.shape == (track.max_polygons, 4, 2) and polygons.dtype == np.float32
        assert (np.diff(ground[:, 0]) > 0).all()
        assert ground[points - 1, 0] > 190 * STEP
        assert (np.diff(polygons[:, :, 0].min(axis=1)) > 0).all()
        edge = np.roll(polygons, -1, axis=1) - polygons
        turn = edge[..., 0] * np.roll(edge[..., 1], -1, axis=1) - edge[..., 1] * np.roll(edge[..., 0], -1, axis=1)
        assert (turn > 0).all(), "convex and counter-clockwise, spare ones too"
        assert (polygons[:, 0] == np.stack([polygons[..., 0].max(1), polygons[..., 1].min(1)], 1)).all()
        assert (polygons[:count, :, 0] < 216 * STEP).all()
        assert (polygons[count:, :, 0] > 1000).all() and (polygons[count:, :, 1] < -1000).all()
        assert (ground[points:, 0] > 1000).all()
        assert float(terrain.finish) == pytest.approx(190 * STEP)
        assert not bool(terrain.overflow)


@pytest.mark.parametrize("track", TRACKS, ids=str)
def test_windows_hold_whatever_an_interval_meets(key, track):
    terrain = track(key, Params(stump_height=1.0, obstacle_spacing=0.0, stump_width=1.0))
    ground = np.asarray(terrain.ground)[: int(terrain.num_points), 0]
    polygons = np.asarray(terrain.polygons)[: int(terrain.num_polygons), :, 0]
    rng = np.random.default_rng(0)
    for length in (0.0, 0.01, 0.3, 1.0, 2.0, 5.2044):
        starts = np.concatenate([rng.uniform(0, 88, 200), ground[:-30] + 1e-4, ground[30:-30] - 1e-4])
        for low in starts:
            high = low + length
            edges = ((ground[:-1] <= high) & (ground[1:] >= low)).sum()
            pieces = ((polygons.min(axis=1) <= high) & (polygons.max(axis=1) >= low)).sum()
            assert edges <= track.edges_within(length)
            assert pieces <= track.polygons_within(length)


def test_worst_case_of_stumps_fits(key):
    terrain = StumpTrack()(key, Params(obstacle_spacing=0.0, stump_height=3.0))
    assert int(terrain.num_polygons) == 177
    assert int(terrain.num_points) == 355
    assert not bool(terrain.overflow)


def test_overflow_is_flagged_and_the_ground_still_reaches_the_end(key):
    terrain = StumpTrack(max_stumps=50)(key, Params(obstacle_spacing=0.5))
    assert bool(terrain.overflow)
    assert int(terrain.num_polygons) == 50
    assert int(terrain.num_points) == 102
    assert float(terrain.ground[-1, 0]) >= 200 * STEP - 1e-4
    assert float(terrain.ground[-1, 1]) == pytest.approx(H)
    small = HardcoreTrack(max_polygons=3)(key, Params())
    assert bool(small.overflow) and int(small.num_polygons) == 3


def test_ground_reaches_the_finish_unless_the_original_is_asked_for(key):
    params = Params(obstacle_spacing=6.0)
    ours, original = (StumpTrack(reference_end=flag)(key, params) for flag in (False, True))
    last = int(original.num_points) - 1
    assert float(original.ground[last, 0]) < float(original.finish)
    assert int(ours.num_points) == last + 2
    assert float(ours.ground[last + 1, 0]) > 200 * STEP
    np.testing.assert_array_equal(ours.ground[: last + 1], original.ground[: last + 1])


def test_stumps_have_unit_width_unless_width_is_scheduled(key):
    def widths(width, **bounds):
        polygons = np.asarray(StumpTrack(**bounds)(key, Params(obstacle_spacing=3.0, stump_width=width)).polygons)[:15]
        return (polygons[:, 0, 0] - polygons[:, 3, 0]) / STEP

    np.testing.assert_allclose(widths(1.0), 1.0, atol=1e-4)
    assert 0.05 < widths(2.0).std() < 0.2
    np.testing.assert_allclose(widths(0.0, min_width=0.05).min(), 0.05, atol=1e-4)
    np.testing.assert_allclose(widths(0.5), 1.0, atol=1e-4)


def test_params_may_be_batched(key):
    make = jax.vmap(lambda h, s: StumpTrack()(key, Params(stump_height=h, obstacle_spacing=s)))
    terrains = make(jnp.array([0.5, 2.0]), jnp.array([0.5, 4.0]))
    heights = terrains.polygons[:, :10, 1, 1] - terrains.polygons[:, :10, 0, 1]
    np.testing.assert_allclose(heights.mean(axis=1) / STEP, [0.5, 2.0], atol=0.15)
    assert int(terrains.num_polygons[0]) > 2 * int(terrains.num_polygons[1])


def test_tracks_are_static_values():
    assert {StumpTrack(), StumpTrack(), HardcoreTrack(), FlatTrack()} == {FlatTrack(), HardcoreTrack(), StumpTrack()}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StumpTrack(max_stumps=0), "max_stumps=0"),
        (lambda: StumpTrack(min_spacing=0.0), r"min_spacing=0.0; expected at least 0.01"),
        (lambda: StumpTrack(min_width=0.0), r"min_width=0.0; expected at least 0.05"),
        (lambda: FlatTrack()(None, Params()), "key=None"),
        (lambda: HardcoreTrack(max_polygons=0), "max_polygons=0"),
        (lambda: terrain_from_arrays([(0, 0), (1, 0), (0.5, 0)]), "x descends"),
        (lambda: terrain_from_arrays([(0, 0), (1, 0)], max_points=1), "max_points=1"),
        (lambda: terrain_from_arrays([(0, 0), (1, 0)], [np.zeros((5, 2))]), r"\[5\] corners"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_tracks_can_be_brought_in_from_arrays():
    triangle, square = np.array([(5, 0), (5, 1), (4, 0)]), np.array(box(2, 3, 0, 1))
    terrain = terrain_from_arrays([(0, 0), (1, 0), (9, 1)], [triangle, square], max_points=5, max_polygons=4)
    assert (int(terrain.num_points), int(terrain.num_polygons)) == (3, 2)
    np.testing.assert_array_equal(terrain.polygons[0], square)
    np.testing.assert_array_equal(terrain.polygons[1], [*triangle, triangle[-1]])
    assert (np.diff(terrain.polygons[:, :, 0].min(axis=1)) > 0).all()
    assert (np.diff(terrain.ground[:, 0]) > 0).all()
