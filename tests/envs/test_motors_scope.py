"""Pictures of drives: what is shown, when it changes, and that nothing is left behind."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from palaestra.envs.motors import scope
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, motor_ids

SHAPE = (scope.HEIGHT, scope.WIDTH, 3)


def rgb(color):
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def count(frame, color):
    """Pixels that have a colour exactly."""
    return int((frame == np.array(rgb(color))).all(axis=2).sum())


def state_with(env, rows, steps, degrees=None):
    """A state whose last measurements and references are `rows` (N, S + R), without simulating them."""
    state = jax.device_get(jax.eval_shape(env.initial, jax.random.key(0), env.default_params))
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), state.replace(references=None))
    trace = np.zeros((env.trace, rows.shape[1]), np.float32)
    trace[-len(rows) :] = rows
    zeros = zeros if degrees is None else zeros.replace(degrees=np.asarray(degrees))
    return zeros.replace(trace=trace, steps=np.int32(steps))


def waves(env, count=500):
    """(count, S + R) sines that differ from column to column."""
    width = len(env.layout.names) + len(env.observed.references)
    return 0.8 * np.sin(np.linspace(0, 12, count)[:, None] + np.arange(width))


@pytest.fixture(scope="module")
def pmsm():
    return make_motor("PMSM", "Cont", "CC").for_rendering()


@pytest.mark.parametrize("action", ["Cont", "Finite"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_pictures_of_one_size(family, action):
    env = make_motor(family, action, "TC").for_rendering()
    _, frame = scope.draw_scope(env, state_with(env, waves(env), 900))
    assert frame.shape == SHAPE and frame.dtype == np.uint8
    assert count(frame, scope.COLORS[0]) > 200


@pytest.mark.parametrize("family,action,task", motor_ids())
def test_references_currents_voltages_torque_and_speed_are_shown(family, action, task):
    env = make_motor(family, action, task)
    shown = scope.panels(env)
    assert len(shown) == 4
    first = [t for t in shown[0].traces if t.is_reference]
    assert [t.columns[0] - len(env.layout.names) for t in first] == list(range(len(env.observed.references)))
    columns = {column for panel in shown for trace in panel.traces for column in trace.columns}
    watched = {name for limit in env.limits for name in limit.names}
    for name in ("torque", "omega", *env.machine.phases, *env.observed.references, *watched):
        assert env.layout.index(name) in columns


def test_lines_are_in_physical_units(pmsm):
    current = scope.panels(pmsm)[0]
    row = np.zeros((1, len(pmsm.layout.names) + 2))
    row[0, pmsm.layout.index("i_sd")], row[0, pmsm.layout.index("i_sq")] = 0.3, -0.4
    row[0, -1] = 0.5
    values = {(t.label, t.is_reference): t.values(row)[0] for t in current.traces}
    np.testing.assert_allclose(values["$i_{\\mathrm{sd}}$", False], 120.0)
    np.testing.assert_allclose(values["$i_{\\mathrm{sq}}$", True], 200.0)
    np.testing.assert_allclose(values["$|i_{\\mathrm{s}}|$", False], 200.0)
    assert current.limits == (-400.0, 400.0) and current.ends


def test_a_picture_does_not_depend_on_earlier_ones(pmsm):
    first, second = state_with(pmsm, waves(pmsm), 900), state_with(pmsm, waves(pmsm)[::-1], 901)
    kept, a = scope.draw_scope(pmsm, first)
    same, b = scope.draw_scope(pmsm, second, kept)
    assert same is kept and (a != b).any()
    np.testing.assert_array_equal(scope.draw_scope(pmsm, first, kept)[1], a)
    np.testing.assert_array_equal(scope.draw_scope(pmsm, second)[1], b)


def test_another_drive_gets_another_figure(pmsm):
    other = make_motor("PMSM", "Cont", "TC").for_rendering()
    kept, frame = scope.draw_scope(pmsm, state_with(pmsm, waves(pmsm), 900))
    fresh, _ = scope.draw_scope(other, state_with(other, waves(other), 900), kept)
    assert fresh is not kept
    equal = make_motor("PMSM", "Cont", "CC").for_rendering()
    again, repeated = scope.draw_scope(equal, state_with(pmsm, waves(pmsm), 900), kept)
    assert again is kept
    np.testing.assert_array_equal(repeated, frame)


def test_only_steps_that_were_taken_are_shown(pmsm):
    early = scope.draw_scope(pmsm, state_with(pmsm, waves(pmsm), 100))[1]
    late = scope.draw_scope(pmsm, state_with(pmsm, waves(pmsm), 10_000))[1]
    left = slice(90, 500)  # pixels of the axes in which only the late picture has lines
    assert count(early[:, left], scope.COLORS[1]) == 0 < count(late[:, left], scope.COLORS[1])
    assert count(early, scope.COLORS[1]) > 50


def test_limits_are_lines_and_what_is_beyond_them_is_shaded(pmsm):
    frame = scope.draw_scope(pmsm, state_with(pmsm, waves(pmsm), 0))[1]
    assert count(frame, scope.LIMIT) + count(frame[:210], scope.LIMIT) > 600
    assert count(frame[:210], scope.BEYOND) > 2 * 600 * 8
    free = make_motor("PMSM", "Cont", "CC", watched=()).for_rendering()
    frame = scope.draw_scope(free, state_with(free, waves(free), 0))[1]
    assert count(frame, scope.BEYOND) == 0 < count(frame, scope.LIMIT)


def test_the_end_of_an_episode_is_told(pmsm):
    ink = []
    for degrees in ([0.0, 0.0], [1.0, 0.0]):
        title = scope.draw_scope(pmsm, state_with(pmsm, waves(pmsm), 50, degrees))[1][:35, 300:]
        ink.append((title < 100).all(axis=2).sum())
    assert ink[1] > ink[0] + 100 > 100


def test_a_simulated_drive_moves_in_its_picture(pmsm):
    state = jax.jit(pmsm.initial)(jax.random.key(0), pmsm.default_params)
    step = jax.jit(pmsm.transition)
    frames = []
    for _ in range(3):
        state = step(state, np.array([0.1, 0.0, -0.1], np.float32), jax.random.key(1), pmsm.default_params)
        frames.append(pmsm.render_image(jax.device_get(state), None, pmsm.default_params)[1])
    assert (frames[0] != frames[1]).any() and (frames[1] != frames[2]).any()


def test_a_state_without_a_trace_is_refused():
    env = make_motor("PMSM", "Cont", "CC")
    with pytest.raises(ValueError, match="for_rendering"):
        scope.draw_scope(env, state_with(env.for_rendering(), waves(env), 0))


@pytest.mark.parametrize("family,action", [("PMSM", "Cont"), ("DFIM", "Finite"), ("ShuntDc", "Finite")])
def test_an_episode_is_plotted_whole(family, action, tmp_path):
    env = make_motor(family, action, "CC")
    rows, size = waves(env, 300), len(env.layout.names)
    actions = np.stack([env.action_space.sample() for _ in range(300)])
    for name, given in (("a.png", None), ("b.png", actions), ("c.svg", actions)):
        scope.plot_episode(env, rows[:, :size], rows[:, size:], given, tmp_path / name)
    plain, full, vector = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.svg"))
    assert plain[:4] == full[:4] == b"\x89PNG" and plain != full and vector.startswith(b"<?xml")
    with pytest.raises(ValueError, match="expected"):
        scope.plot_episode(env, rows, rows[:, size:])


def test_drawing_is_lazy_and_touches_no_global_state():
    code = """
import sys, jax, palaestra.envs.motors.scope as scope
from palaestra.envs.motors.build import make_motor
assert "matplotlib" not in sys.modules
import matplotlib
before = dict(matplotlib.rcParams)
env = make_motor().for_rendering()
scope.draw_scope(env, jax.device_get(env.initial(jax.random.key(0), env.default_params)))
assert dict(matplotlib.rcParams) == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
