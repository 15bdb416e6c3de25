"""What a teacher sets of time and sight, as an agent meets it: through `stepping`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs import stepping
from palaestra.envs.minigrid import cells
from palaestra.envs.minigrid.build import make_minigrid
from palaestra.envs.minigrid.core import success_reward

EMPTY, ROOMS = "MiniGrid-Empty-5x5-v0", "MiniGrid-FourRooms-v0"
PLAN = (2, 2, 1, 2, 2)  # to the goal square of the empty room


def params(env, **values):
    return env.task_params(jnp.asarray(env.task_space.from_dict(values)))


def played(env, actions, **values):
    """The Timesteps of the actions from one fixed level."""
    chosen = params(env, **values)
    state, _ = stepping.reset(env, jax.random.key(0), chosen)
    step = jax.jit(lambda state, action: stepping.step(env, jax.random.key(1), state, action, chosen))
    told = []
    for action in actions:
        state, timestep = step(state, np.int32(action))
        told.append(timestep)
    return told


def seen(env, **values):
    """(V, V) the kinds that the first observation shows, [column, row]."""
    _, obs = stepping.reset(env, jax.random.key(0), params(env, **values))
    return np.asarray(obs["image"])[..., 0]


def test_half_the_time_halves_the_limit_and_changes_the_reward():
    env = make_minigrid(EMPTY)
    for factor, limit in ((1.0, 100), (0.5, 50)):
        last = played(env, PLAN, time_factor=factor)[-1]
        assert bool(last.terminated) and bool(last.success)
        assert float(last.reward) == pytest.approx(1 - 0.9 * len(PLAN) / limit)
        turns = played(env, [0] * limit, time_factor=factor)
        assert [bool(t.truncated) for t in turns] == [False] * (limit - 1) + [True]
    assert float(success_reward(jnp.int32(5), jnp.int32(50))) == pytest.approx(0.91)


def test_a_limit_is_rounded_up_and_never_above_the_horizon():
    env = make_minigrid(EMPTY, horizon=7)
    assert [bool(t.truncated) for t in played(env, [0] * 7, time_factor=1.0)] == [False] * 6 + [True]
    env = make_minigrid(EMPTY)
    assert [bool(t.truncated) for t in played(env, [0] * 11, time_factor=0.101)] == [False] * 10 + [True]


def test_walls_that_hide_nothing_show_the_whole_window():
    env = make_minigrid(ROOMS, levels=8)
    hidden, whole = seen(env, level=0, see_through=0), seen(env, level=0, see_through=1)
    assert (hidden == cells.UNSEEN).any() and not (whole == cells.UNSEEN).any()
    shown = hidden != cells.UNSEEN
    np.testing.assert_array_equal(hidden[shown], whole[shown])


@pytest.mark.parametrize("sight", [1, 2, 3])
def test_sight_is_columns_to_each_side_and_half_the_rows_ahead(sight):
    env = make_minigrid(ROOMS, levels=8)
    whole, near = (seen(env, level=0, see_through=1, sight=k) for k in (3, sight))
    column, row = np.mgrid[:7, :7]
    inside = (abs(column - 3) <= sight) & (6 - row <= 2 * sight)
    np.testing.assert_array_equal(near, np.where(inside, whole, cells.UNSEEN))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"time_factor", "see_through", "sight"}),
        ({"view": "rgb"}, {"time_factor", "see_through", "sight"}),
        ({"view": "full"}, {"time_factor"}),
        ({"view": "symbolic"}, {"time_factor"}),
    ],
)
def test_views_that_show_no_window_have_no_sight(options, names):
    assert set(make_minigrid(EMPTY, **options).task_space.names) & {"time_factor", "see_through", "sight"} == names
    assert not hasattr(make_minigrid(EMPTY, tasks="levels", **options).task_space, "names")
