"""Mazes, placement, ends of episodes, and the controller that knows the way; the physics are in tests/parity."""

import dataclasses
import functools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs import stepping
from palaestra.envs.errors import OptionError
from palaestra.envs.maze.env import GOAL_RADIUS, PointMaze
from palaestra.envs.maze.maps import MAZES, layout
from palaestra.envs.maze.physics import locate
from palaestra.envs.maze.types import State
from palaestra.envs.maze.waypoints import WaypointController
from palaestra.envs.registration import make_functional

MANY = 2000
ROOM = "111111/100101/100001/111111"


@functools.cache
def starts_of(env, count=MANY):
    """(states, cells (count,) of starts, cells (count,) of goals) of the default task or, with tasks, of each."""

    def one(key, path_length):
        params = env.default_params.replace(path_length=path_length)
        return env.initial(key, params)

    def starts(path_length):
        lengths = jnp.full(count, path_length, jnp.float32)
        states = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), count), lengths)
        return states, cells_of(env, states.position), cells_of(env, states.goal)

    return functools.cache(starts)


def cells_of(env, places):
    cells = np.asarray(jax.vmap(lambda place: locate(env.plan, place)[0])(places))
    assert not env.plan.walls[cells[:, 0], cells[:, 1]].any()
    return env.plan.number[cells[:, 0], cells[:, 1]]


def at(env, position, goal, **changes):
    """A state at rest."""
    state = State(
        position=jnp.asarray(position, jnp.float32),
        velocity=jnp.zeros(2),
        goal=jnp.asarray(goal, jnp.float32),
        reached=jnp.zeros((), bool),
    )
    return state.replace(**changes)


def step_from(env, state, key, action=(0.0, 0.0)):
    """(state, timestep) of one step, the episode as if begun now."""
    episode = stepping.EpisodeState(env=state, steps=jnp.zeros((), jnp.int32), return_=jnp.zeros(()))
    return jax.jit(functools.partial(stepping.step, env))(key, episode, jnp.asarray(action, jnp.float32))


@pytest.mark.parametrize("maze", MAZES)
def test_layouts_hold_together(maze):
    plan = layout(maze)
    count = len(plan.cells)
    assert (plan.number[tuple(plan.cells.T)] == np.arange(count)).all()
    assert plan.starts.any() and plan.goals.any()
    assert (plan.distance == plan.distance.T).all() and plan.distance.max() < count
    steps = np.abs(plan.cells[:, None] - plan.cells[None]).sum(-1)
    assert ((plan.distance == 1) == (steps == 1)).all()
    rows = np.arange(count)[:, None]
    after = plan.distance[plan.towards, np.arange(count)[None]]
    assert (after == np.maximum(plan.distance - 1, 0)).all(), "each hop is one step nearer"
    assert (plan.distance[rows, plan.towards] == (plan.distance > 0)).all()
    middles = jax.vmap(lambda place: locate(plan, place)[0])(jnp.asarray(plan.centres, jnp.float32))
    np.testing.assert_array_equal(middles, plan.cells)


def test_what_is_beside_a_cell_is_what_the_map_says():
    plan = layout("Medium")
    row, column = 4, 2
    assert [plan.walls[row, column + 1], plan.walls[row - 1, column], plan.walls[row - 1, column + 1]] == [1, 0, 0]
    assert plan.beside[row, column, 1, 1] == 1  # right, up
    assert plan.beside[row, column, 0, 0] == 2  # left, down
    assert plan.beside[row, column, 0, 1] == 4  # left, up


@pytest.mark.parametrize("name", ("UMaze", "Large_Diverse_G", "Medium_Diverse_GR"))
def test_starts_and_goals_are_drawn_from_the_cells_that_allow_them(name):
    env = make_functional(f"palaestra/PointMaze_{name}-v0")
    states, starts, goals = starts_of(env)(np.inf)
    plan = env.plan
    assert set(starts) == set(np.flatnonzero(plan.starts)) and set(goals) == set(np.flatnonzero(plan.goals))
    assert (starts != goals).all()
    for places, cells in ((states.position, starts), (states.goal, goals)):
        shifts = np.asarray(places) - plan.centres[cells]
        assert np.abs(shifts).max() <= 0.25 + 1e-6 and np.abs(shifts).max() > 0.24
        assert np.abs(shifts.mean(0)).max() < 0.02
    # Goals uniformly, then starts uniformly among the others: within five standard deviations.
    count, expected = np.bincount(goals, minlength=len(plan.goals)), MANY * plan.goals / plan.goals.sum()
    assert (np.abs(count - expected) <= 5 * np.sqrt(expected)).all()
    assert not np.asarray(states.velocity).any() and not np.asarray(states.reached).any()


@pytest.mark.parametrize(("name", "low", "high"), [("Large", 1, 19), ("Large_Diverse_G", 5, 15)])
def test_path_length_bounds_the_way(name, low, high):
    env = PointMaze(name)
    parameter = env.task_space.parameters[0]
    assert (parameter.name, parameter.low, parameter.high, parameter.default) == ("path_length", low, high, high)
    lengths = np.unique(env.placement.ways[env.placement.ways < len(env.placement.ways)])
    for path_length in (low, 9, high):
        _, starts, goals = starts_of(env)(float(path_length))
        ways = env.plan.distance[starts, goals]
        assert set(ways) == {length for length in lengths if length <= path_length}
    _, starts, goals = starts_of(env)(0.0)  # less than there is
    assert set(env.plan.distance[starts, goals]) == {low}


def test_fixed_cells_are_kept_and_reachable_goals_drawn():
    env = PointMaze("Medium", start_cell=(1, 1), goal_cell=(6, 6))
    states, _, _ = starts_of(env, 50)(np.inf)
    assert not env.task_space.parameters[0].is_free
    np.testing.assert_allclose(np.asarray(states.position).mean(0), [-2.5, 2.5], atol=0.1)
    np.testing.assert_allclose(np.asarray(states.goal).mean(0), [2.5, -2.5], atol=0.1)
    env = PointMaze("UMaze", start_cell=(1, 1))
    _, starts, goals = starts_of(env)(2.0)
    assert len(set(starts)) == 1 and set(env.plan.distance[starts, goals]) == {0, 1, 2}
    env = PointMaze("UMaze", goal_cell=(1, 1), noise=0.0)
    states, starts, goals = starts_of(env)(np.inf)
    assert len(set(goals)) == 1 and len(set(starts)) == len(env.plan.cells) - 1
    np.testing.assert_allclose(states.goal[0], [-1.0, 1.0], atol=1e-6)


def test_a_map_of_ones_own_keeps_starts_and_goals_connected():
    env = PointMaze("1111111/1001001/1111111")
    _, starts, goals = starts_of(env)(np.inf)
    assert (env.plan.distance[starts, goals] == 1).all()
    gymnasium.make("palaestra/PointMaze_UMaze-v0", maze=ROOM).reset(seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maze": "Huge"}, "maze='Huge'; expected one of"),
        ({"maze": "111/101"}, "a border with gaps"),
        ({"maze": "1111/101/111"}, "expected equal ones"),
        ({"maze": "111/101/111"}, "two free cells"),
        ({"maze": "11111/10101/11111"}, "no way from a start to a goal"),
        ({"maze": "Open_Diverse_G", "goal_cell": (1, 1)}, "no way from a start to a goal"),
        ({"maze": "111111/100101/111111"}, "a goal to which no start leads"),
        ({"start_cell": (0, 0)}, "start_cell=(0, 0); expected (row, column) of a free cell"),
        ({"goal_cell": (1, -1)}, "goal_cell=(1, -1)"),
        ({"reward_type": "shaped"}, "reward_type='shaped'; expected one of"),
        ({"noise": 0.5}, "noise=0.5; expected"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(OptionError) as caught:
        PointMaze(**options)
    assert message in str(caught.value)


def test_rewards_and_ends(key):
    near, far = [GOAL_RADIUS - 0.01, 0.0], [GOAL_RADIUS + 0.01, 0.0]
    sparse, dense = PointMaze("Open"), PointMaze("Open", reward_type="dense")
    episodic = PointMaze("Open", continuing_task=False)
    for place, expected in ((near, 1.0), (far, 0.0)):
        _, timestep = step_from(sparse, at(sparse, place, [0.0, 0.0]), key)
        assert float(timestep.reward) == expected
        assert bool(timestep.success) is bool(timestep.info["at_goal"]) is bool(expected)
        assert not timestep.terminated
        _, timestep = step_from(episodic, at(episodic, place, [0.0, 0.0]), key)
        assert bool(timestep.terminated) is bool(expected)
    _, timestep = step_from(dense, at(dense, [0.3, 0.4], [0.0, 0.0]), key)
    assert float(timestep.reward) == pytest.approx(np.exp(-0.5), rel=1e-5)
    put_in = sparse.compute_reward(jnp.zeros((3, 2)), jnp.asarray([[0.0, 0.4], [0.5, 0.0], [0.4, 0.4]]))
    np.testing.assert_array_equal(put_in, [1.0, 0.0, 0.0])


def test_success_stays_after_the_goal_was_left(key):
    env = PointMaze("Open")
    episode, first = step_from(env, at(env, [0.44, 0.0], [0.0, 0.0], velocity=jnp.asarray([0.5, 0.0])), key)
    moved = episode.env.replace(velocity=jnp.asarray([5.0, 0.0]))
    _, second = step_from(env, moved, key)
    assert first.success and second.success and not second.info["at_goal"]


def test_a_reached_goal_moves_if_asked_and_is_shown_once_more(key):
    env = PointMaze("Open", reset_target=True)
    state = at(env, [0.3, 0.0], [0.0, 0.0])
    reaching, timestep = step_from(env, state, key)
    assert timestep.reward == 1.0
    np.testing.assert_array_equal(timestep.obs["desired_goal"], state.goal)
    keys = jax.random.split(key, MANY)
    goals = jax.vmap(lambda k: env.transition(reaching.env, jnp.zeros(2), k).goal)(keys)
    assert np.hypot(*(np.asarray(goals) - np.asarray(reaching.env.position)).T).min() > GOAL_RADIUS
    assert len(set(cells_of(env, goals))) >= 14
    kept = PointMaze("Open")
    np.testing.assert_array_equal(step_from(kept, reaching.env, key)[0].env.goal, state.goal)


def test_balls_stay_out_of_walls_on_the_wildest_tasks():
    """At the lightest ball and the strongest force, with pushes that last long enough to reach full speed."""
    env = PointMaze("Large")
    task = {"mass": 2.0, "force": 200.0, "damping": 0.1}
    params = jax.tree.map(jnp.float32, env.task_params(env.task_space.from_dict(task)))

    @jax.vmap
    def run(key):
        key_start, key_actions = jax.random.split(key)
        actions = jnp.repeat(jax.random.uniform(key_actions, (40, 2), minval=-2.0, maxval=2.0), 20, 0)

        def body(state, action):
            state = env.transition(state, action, key, params)
            cell, _ = locate(env.plan, state.position)
            return state, (jnp.asarray(env.plan.walls)[cell[0], cell[1]], jnp.abs(state.velocity))

        return jax.lax.scan(body, env.initial(key_start, params), actions)[1]

    in_wall, speed = jax.jit(run)(jax.random.split(jax.random.key(3), 200))
    assert not in_wall.any()
    assert 5.5 < speed.max() < 10.0, "observations stay in their space"


@functools.cache
def controlled(env, count):
    """Whether each of `count` episodes under the controller is a success."""
    controller = WaypointController(env.maze)

    @jax.vmap
    def run(key):
        key_start, key_plan, key_steps = jax.random.split(key, 3)
        episode, obs = stepping.reset(env, key_start)

        def body(carry, key):
            episode, obs, plan = carry
            key_act, key_step = jax.random.split(key)
            plan, action = controller.act(key_act, plan, obs)
            episode, timestep = stepping.step(env, key_step, episode, action)
            return (episode, timestep.obs, plan), (timestep.success, timestep.reward)

        keys = jax.random.split(key_steps, env.horizon)
        return jax.lax.scan(body, (episode, obs, controller.init(key_plan, obs)), keys)[1]

    return jax.jit(run)(jax.random.split(jax.random.key(2), count))


@pytest.mark.parametrize("name", ("Medium", "Large"))
def test_the_controller_reaches_every_goal(name):
    reached, _ = controlled(make_functional(f"palaestra/PointMaze_{name}-v0"), 200)
    assert reached[:, -1].all()


def test_the_controller_follows_goals_that_move():
    env = dataclasses.replace(make_functional("palaestra/PointMaze_UMaze-v0"), reset_target=True)
    _, rewards = controlled(env, 50)
    assert 2.0 < np.asarray(rewards).sum(1).mean() < 40.0


def test_the_controller_aims_at_the_goal_in_its_cell_and_at_the_next_cell_before(key):
    controller = WaypointController("UMaze", noise=0.0)
    obs = {"observation": np.zeros(4), "achieved_goal": np.array([-0.8, 0.8]), "desired_goal": np.array([-1.1, 1.2])}
    plan = controller.init(key, obs)
    np.testing.assert_allclose(plan.waypoint, obs["desired_goal"], atol=1e-6)
    _, action = controller.act(key, plan, obs)
    np.testing.assert_allclose(action, [-1.0, 1.0])
    obs["desired_goal"] = np.array([-1.0, -1.0])  # the other end of the U
    plan, _ = controller.act(key, plan, obs)
    shift = np.asarray(plan.waypoint) - np.array([0.0, 1.0])
    assert (shift <= 0).all() and (shift >= -0.2).all()
    obs["achieved_goal"] = np.asarray(plan.waypoint) + 0.05
    plan, _ = controller.act(key, plan, obs)
    assert layout("UMaze").cells[int(plan.cell)].tolist() == [1, 3]


def test_pictures_show_walls_ball_and_goal(key):
    env = PointMaze("UMaze")
    _, image = env.render_image(at(env, [-1.0, 1.0], [1.0, -1.0]))
    assert image.dtype == np.uint8 and image.shape == (240, 240, 3)
    colours = {tuple(image[y, x]) for y, x in ((10, 10), (72, 72), (168, 168), (168, 72))}
    assert len(colours) == 4, "wall, ball, goal and floor"
