"""Pictures: what is where, and beside Gymnasium's own."""

import subprocess
import sys

import numpy as np
import pytest
from palaestra.envs.walker import render
from palaestra.envs.walker.terrain import FINISH, terrain_from_arrays
from palaestra.envs.walker.types import SCALE, TERRAIN_HEIGHT

BOX = np.array([(5, 3.5), (5, 4.5), (4, 4.5), (4, 3.5)])
TRACK = terrain_from_arrays([(0, TERRAIN_HEIGHT), (FINISH + 4, TERRAIN_HEIGHT)], [BOX], max_polygons=3)
HULL = np.array([(34, -8), (34, 1), (6, 9), (-30, 9), (-30, -8)]) / SCALE
PLACE = np.array([9, 6])  # of the hull in scenes without legs
LEG = np.array([(4, -17), (4, 17), (-4, 17), (-4, -17)]) / SCALE


def at(frame, x, y, scroll=0.0):
    """The pixel at a place in the world."""
    return tuple(frame[round(render.HEIGHT - 1 - y * SCALE), round((x - scroll) * SCALE)].tolist())


def walker_at(x, rays=None):
    y = TERRAIN_HEIGHT + 2.27
    origins = [(x, y), (x + 0.1, y - 0.3), (x + 0.1, y - 1.4), (x - 0.1, y - 0.3), (x - 0.1, y - 1.4)]
    return render.draw_walker(TRACK, [HULL, *[LEG] * 4], origins, np.zeros(5), rays)


def test_a_scene_has_its_colors_in_their_places():
    frame = render.draw(TRACK, [HULL + PLACE], [render.HULL], scroll=0.0)
    assert frame.shape == (400, 600, 3) and frame.dtype == np.uint8
    assert at(frame, 9, 6) == render.HULL[0]
    assert at(frame, 12, 6) == render.SKY
    assert at(frame, 12, 2) == at(frame, 12, 0.1) == render.EARTH
    assert at(frame, 4.5, 4) == render.OBSTACLE[0]
    np.testing.assert_allclose(at(frame, 5, 4), render.OBSTACLE[1], atol=60)
    assert np.array_equal(frame, render.draw(TRACK, [HULL + PLACE], [render.HULL], scroll=0.0))


def test_ground_of_falling_height_hides_nothing_above_it():
    slope = terrain_from_arrays([(0, 2), (10, 6), (95, 6)])
    frame = render.draw(slope, [], [], scroll=0.0)
    for x in (1.3, 5.0, 9.0):
        height = 2 + 0.4 * x
        assert at(frame, x, height - 0.15) == render.EARTH
        assert at(frame, x, height + 0.15) == render.SKY


def test_nothing_is_drawn_past_the_end_of_the_ground():
    frame = render.draw(TRACK, [], [], scroll=80.0)
    assert at(frame, FINISH + 3.9, 2, 80.0) == render.EARTH
    assert at(frame, FINISH + 4.2, 2, 80.0) == render.SKY


def test_the_view_follows_the_hull():
    y = TERRAIN_HEIGHT + 2.27
    for x in (5.0, 40.03, 87.9):
        assert at(walker_at(x), x, y, render.scroll_to(x)) == render.HULL[0]
    assert render.scroll_to(1.0) == 0.0
    assert render.scroll_to(40.0) == pytest.approx(36.0)


def test_flags_mark_start_and_finish():
    flag = np.array(render.FLAG)
    start, middle, finish = walker_at(5.0), walker_at(30.0), walker_at(80.0)
    assert (start == flag).all(axis=2).any()
    assert not (middle == flag).all(axis=2).any()
    assert (finish == flag).all(axis=2).any()


def test_legs_differ_and_are_behind_the_hull():
    far, near = render.leg_colors(0), render.leg_colors(1)
    assert sum(far[0]) > sum(near[0])
    frame = walker_at(20.0)
    y, scroll = TERRAIN_HEIGHT + 2.27, render.scroll_to(20.0)
    assert at(frame, 20.0, y - 0.1, scroll) == render.HULL[0]
    assert at(frame, 20.15, y - 1.5, scroll) == far[0]
    assert at(frame, 19.85, y - 1.5, scroll) == near[0]


def test_rays_are_drawn_where_asked_for():
    ends = np.array([(23.0, TERRAIN_HEIGHT + 2.27 - 0.5), (20.0, TERRAIN_HEIGHT), (300.0, -50.0)])
    red = lambda frame: ((frame[..., 0] > 240) & (frame[..., 1] < 60)).sum()  # noqa: E731
    assert red(walker_at(20.0, ends)) > 60
    assert red(walker_at(20.0)) == 0


def test_shapes_out_of_view_and_without_area_are_no_trouble():
    away = np.array([(500, 0), (-500, 0), (0, -900)])
    shapes = [*(BOX[None] + away[:, None]), np.zeros((4, 2)), np.array([(1, 1), (2, 2), (2, 2)])]
    plain = render.draw(TRACK, [], [], scroll=0.0)
    np.testing.assert_array_equal(render.draw(TRACK, shapes, [render.HULL] * 5, scroll=0.0), plain)


def test_polygons_look_the_same_in_either_direction():
    there, back = (render.draw(TRACK, [s + PLACE], [render.HULL], 0.0) for s in (HULL, HULL[::-1]))
    np.testing.assert_array_equal(there, back)


def test_drawing_needs_neither_pygame_nor_matplotlib():
    code = "import sys, palaestra.envs.walker.render; sys.exit(bool({'pygame', 'matplotlib'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("hardcore", [False, True])
def test_pictures_look_like_gymnasiums(hardcore):
    pytest.importorskip("Box2D")
    pytest.importorskip("pygame")
    import gymnasium

    env = gymnasium.make("BipedalWalker-v3", hardcore=hardcore, render_mode="rgb_array")
    env.reset(seed=3)
    for _ in range(20):
        env.step(np.zeros(4))
    theirs, walker = env.render(), env.unwrapped
    polygons = [b.fixtures[0].shape.vertices for b in walker.terrain if len(b.fixtures[0].shape.vertices) > 2]
    terrain = terrain_from_arrays(np.stack([walker.terrain_x, walker.terrain_y], 1), [np.array(p) for p in polygons])
    bodies = [walker.hull, *walker.legs]
    ours = render.draw_walker(
        terrain,
        [np.array(body.fixtures[0].shape.vertices) for body in bodies],
        [tuple(body.position) for body in bodies],
        [body.angle for body in bodies],
    )
    below_clouds = np.abs(ours.astype(int) - theirs)[180:]
    assert below_clouds.mean() < 1.0  # of 255; outlines are anti-aliased differently
    assert (below_clouds.max(axis=2) > 60).mean() < 0.005
    env.close()
