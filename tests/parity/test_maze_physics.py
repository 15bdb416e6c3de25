"""PointMaze beside gymnasium-robotics' environments: maps, motion, rewards, successes and starts.

In 64 bits whole trajectories agree. In 32 bits steps from the same states do: a ball that grazes an outer corner
multiplies differences, so that whole trajectories of any two programs part in the end.
"""

import functools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.maze.env import GOAL_RADIUS, PointMaze
from palaestra.envs.maze.maps import MAZES, layout
from palaestra.envs.maze.physics import move
from palaestra.envs.maze.types import Params, State
from palaestra.envs.maze.waypoints import WaypointController
from palaestra.envs.registration import make_functional

robotics = pytest.importorskip("gymnasium_robotics", reason="needs the extra robotics")
mujoco = pytest.importorskip("mujoco", reason="comes with the extra robotics")

gymnasium.register_envs(robotics)

NAMES = ("UMaze", "Open", "Medium", "Large")
PACKAGE_MAPS = {"UMaze": "U_MAZE", "Medium": "MEDIUM_MAZE", "Large": "LARGE_MAZE", "Open": "OPEN"}
STEPS = 500
# [m], [m/s]: 64 bits, over all steps, by the tolerance at which MuJoCo's solver stops; 1e-8 is the original's.
WHOLE = {1e-8: 1e-5, 0.0: 1e-7}
FREE = 1e-12  # [m], [m/s]: 64 bits, away from walls
STEP_POSITION, STEP_VELOCITY = 1e-6, 1e-5  # [m], [m/s]: 32 bits, one step


@functools.cache
def reference(name, **options):
    return gymnasium.make(f"PointMaze_{name}-v3", **options).unwrapped


def put(env, position, velocity=(0.0, 0.0)):
    """Where the package's ball is from now on."""
    env.point_env.set_state(np.array(position, float), np.array(velocity, float))


def state_of(env):
    """Copies: the simulation writes into the arrays it shows."""
    return env.data.qpos.copy(), env.data.qvel.copy()


def wall_contacts(env):
    """Contacts of the step that was taken last, but for the floor's."""
    names = [[env.model.geom(i).name for i in contact.geom] for contact in env.data.contact]
    return [contact for contact, pair in zip(env.data.contact, names, strict=True) if "ground" not in pair]


@functools.cache
def margin():
    """[m] of contacts in the installed MuJoCo, which changed with version 4."""
    env = reference("UMaze")
    env.reset(seed=0)
    put(env, [-1.42, 1.0])
    return wall_contacts(env)[0].includemargin


@functools.cache
def trajectory_of(name):
    """(xs (STEPS, 2)) -> positions, velocities (STEPS, 2) under the actions, from a state."""

    def run(position, velocity, actions):
        def body(ball, action):
            ball = move(layout(name), *ball, action, Params(margin=margin()))
            return ball, ball

        return jax.lax.scan(body, (position, velocity), actions)[1]

    return jax.jit(run)


def random_actions(seed, count=STEPS):
    """Pushes of 25 steps in random directions, some beyond the bounds, half of them shaken."""
    generator = np.random.default_rng(seed)
    pushes = np.repeat(generator.uniform(-1.5, 1.5, (count // 25 + 1, 2)), 25, 0)[:count]
    return pushes + (seed % 2) * generator.normal(scale=0.5, size=(count, 2))


def hugging_actions(seed, count=STEPS):
    """Full pushes into a wall while going along it, then into corners: changes of direction are rare."""
    generator = np.random.default_rng(100 + seed)
    signs = np.repeat(generator.choice([-1.0, 1.0], (count // 100 + 1, 2)), 100, 0)[:count]
    return signs * np.where(np.arange(count)[:, None] // 50 % 2, [1.0, 0.2], [0.2, 1.0])


def play(env, actions):
    """What the package's ball does: states before and after each step, and how many contacts there were."""
    before, after, contacts = [], [], []
    for action in actions:
        before.append(np.concatenate(state_of(env)))
        env.step(action)
        after.append(np.concatenate(state_of(env)))
        contacts.append(len(wall_contacts(env)))
    return np.array(before), np.array(after), np.array(contacts)


@functools.cache
def plays(name, tolerance=1e-8):
    """Of several seeds and kinds of actions: (actions, before, after, contacts)."""
    env, out = reference(name), []
    env.model.opt.tolerance = tolerance
    for seed in range(4):
        for actions in (random_actions(seed), hugging_actions(seed)):
            env.reset(seed=seed)
            out.append((actions, *play(env, actions)))
    env.model.opt.tolerance = 1e-8
    return out


@pytest.mark.parametrize("name", MAZES)
def test_maps_are_the_packages(name):
    maps = robotics.envs.maze.maps
    stem, _, kind = name.partition("_")
    theirs = getattr(maps, PACKAGE_MAPS[stem] + (f"_{kind.upper()}" if kind else ""))
    assert MAZES[name][0] == tuple("".join(map(str, row)) for row in theirs)
    for suffix in ("", "Dense"):
        spec = gymnasium.spec(f"PointMaze_{name}{suffix}-v3")
        env = make_functional(f"palaestra/PointMaze_{name}{suffix}-v0")
        assert spec.max_episode_steps == env.horizon
        assert spec.kwargs["reward_type"] == env.reward_type
    maze = gymnasium.make(f"PointMaze_{name}-v3").unwrapped.maze
    for cells, places in (
        (env.plan.starts, maze.unique_reset_locations),
        (env.plan.goals, maze.unique_goal_locations),
    ):
        assert sorted(map(tuple, env.plan.centres[cells])) == sorted(map(tuple, places))


def test_the_default_task_is_the_packages_ball():
    model, params = reference("UMaze").model, Params()
    assert model.body("particle").mass == pytest.approx(params.mass, rel=1e-12)
    assert (model.actuator_gear[:, 0] == params.force).all() and (model.dof_damping == params.damping).all()
    assert margin() == pytest.approx(params.margin if int(mujoco.__version__.split(".")[0]) >= 4 else 0.002)
    env = PointMaze()
    task = env.task_params(env.task_space.default)
    np.testing.assert_allclose([task.mass, task.force, task.damping], [params.mass, 100.0, 1.0], rtol=1e-6)


def test_free_flight_agrees_to_rounding(double_precision):
    """To and fro in the middle of the open maze, 100 steps, from above the largest speed."""
    env = reference("Open")
    env.reset(seed=0)
    start, velocity = np.array([-1.5, -0.5]), np.array([5.5, 2.0])
    put(env, start, velocity)
    actions, after = [], []
    for t in range(100):
        position, speed = state_of(env)
        actions.append(5.0 * (np.array([np.cos(t / 8), 0.5 * np.sin(t / 8)]) - position) - speed)
        env.step(actions[-1])
        after.append(np.concatenate(state_of(env)))
        assert not wall_contacts(env)
    assert np.ptp(after, axis=0).min() > 0.5
    run = trajectory_of("Open")(start, velocity, np.array(actions))
    np.testing.assert_allclose(np.concatenate(run, 1), after, rtol=0, atol=FREE)


@pytest.mark.parametrize(("name", "tolerance"), [*((name, 1e-8) for name in NAMES), ("Medium", 0.0), ("Large", 0.0)])
def test_whole_trajectories_agree_in_double_precision(name, tolerance, double_precision):
    touching = 0
    for actions, before, after, contacts in plays(name, tolerance):
        run = trajectory_of(name)(jnp.asarray(before[0, :2]), jnp.asarray(before[0, 2:]), jnp.asarray(actions))
        np.testing.assert_allclose(np.concatenate(run, 1), after, rtol=0, atol=WHOLE[tolerance])
        touching += (contacts > 0).sum()
    assert touching > 0.2 * STEPS * len(plays(name)), "walls are what this is about"
    assert max(contacts.max() for *_, contacts in plays(name)) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_single_steps_agree_in_single_precision(name):
    """The package's ball is put where 32 bits can say it is."""
    env = reference(name)
    actions, before = (np.float32(np.concatenate(parts)) for parts in list(zip(*plays(name), strict=True))[:2])
    after = []
    for state, action in zip(before, actions, strict=True):
        put(env, state[:2], state[2:])
        env.step(action)
        after.append(state_of(env))
    step = jax.jit(jax.vmap(lambda p, v, a: move(layout(name), p, v, a, Params(margin=margin()))))
    positions, velocities = step(before[:, :2], before[:, 2:], actions)
    theirs = np.array(after)
    np.testing.assert_allclose(positions, theirs[:, 0], rtol=0, atol=STEP_POSITION)
    np.testing.assert_allclose(velocities, theirs[:, 1], rtol=0, atol=STEP_VELOCITY)


def test_three_contacts_at_once_agree(double_precision):
    """Deep in an inner corner, moving in and out: two walls and the box across."""
    env, generator = reference("UMaze"), np.random.default_rng(0)
    env.reset(seed=0)
    most = 0
    for _ in range(300):
        position = np.array([-1.42, 1.42]) + generator.uniform(-0.03, 0.03, 2)
        velocity, action = generator.uniform(-5, 5, 2), generator.uniform(-1, 1, 2)
        put(env, position, velocity)
        _, after, contacts = play(env, action[None])
        ours = trajectory_of("UMaze")(jnp.asarray(position), jnp.asarray(velocity), jnp.asarray(action[None]))
        np.testing.assert_allclose(np.concatenate(ours, 1), after, rtol=0, atol=1e-6)
        most = max(most, contacts.max())
    assert most == 3


@pytest.mark.parametrize("options", [{}, {"reward_type": "dense"}, {"continuing_task": False}])
def test_observations_rewards_ends_and_success_agree(options, key):
    """Step by step from the package's own states, about a goal that is near."""
    env, ours = reference("Open", **options), PointMaze("Open", **options)
    step = jax.jit(lambda state, action: ours.transition(state, action, key))
    seen = set()
    for seed in range(3):
        env.reset(seed=seed)
        put(env, env.goal + 0.4 * np.sign(-env.goal))
        for action in random_actions(seed, 150):
            position, velocity = (jnp.asarray(x, jnp.float32) for x in state_of(env))
            goal = jnp.asarray(env.goal, jnp.float32)
            state = State(position=position, velocity=velocity, goal=goal, reached=jnp.zeros((), bool))
            obs, reward, terminated, _, info = env.step(action)
            if abs(np.linalg.norm(obs["achieved_goal"] - obs["desired_goal"]) - GOAL_RADIUS) < 1e-4:
                continue  # rounding decides
            after = step(state, jnp.asarray(action, jnp.float32))
            said = ours.observation(after, key)
            assert set(said) == set(obs) and all(said[name].shape == obs[name].shape for name in obs)
            for name in obs:
                np.testing.assert_allclose(said[name], obs[name], rtol=0, atol=STEP_VELOCITY)
            np.testing.assert_allclose(ours.reward(state, action, after, key), reward, rtol=0, atol=1e-5)
            assert bool(ours.transition_info(state, action, after)["at_goal"]) is info["success"]
            assert bool(ours.terminal(after, key)) is terminated
            seen.add(info["success"])
    assert seen == {True, False}


def test_reached_goals_move_when_the_packages_do(key):
    """Both at the goal: this step shows the old goal, the next one another, out of reach."""
    env, ours = reference("Open", reset_target=True), PointMaze("Open", reset_target=True)
    env.reset(seed=0)
    put(env, env.goal + 0.1)
    state = State(
        position=jnp.asarray(env.goal + 0.1, jnp.float32),
        velocity=jnp.zeros(2),
        goal=jnp.asarray(env.goal, jnp.float32),
        reached=jnp.zeros((), bool),
    )
    step = jax.jit(lambda state: ours.transition(state, jnp.zeros(2), key))
    for expected in (True, False):
        before, (obs, reward, *_) = np.array(state.goal), env.step(np.zeros(2))
        state = step(state)
        assert (float(ours.reward(state, jnp.zeros(2), state, key)) == reward) and bool(reward) is expected
        for goal in (state.goal, obs["desired_goal"]):
            assert np.allclose(goal, before, rtol=0, atol=1e-6) is expected


def test_starts_and_goals_are_as_likely_as_the_packages(key):
    """Of every pair of cells in the U; the package draws starts anew while they are near the goal."""
    env, ours, count = reference("UMaze"), PointMaze("UMaze"), 3000
    states = jax.jit(jax.vmap(ours.initial))(jax.random.split(key, count))
    pairs = []
    for seed in range(count):
        env.reset(seed=None if seed else 0)
        pairs.append(np.concatenate([env.reset_pos, env.goal]))
    tables = [table_of(np.asarray(x), ours) for x in (np.concatenate([states.position, states.goal], 1), pairs)]
    expected = count / (7 * 6)
    for table in tables:
        assert np.trace(table) == 0
        chi_square = ((table[~np.eye(7, dtype=bool)] - expected) ** 2 / expected).sum()
        assert chi_square < 41 + 5 * np.sqrt(2 * 41)


def table_of(pairs, env):
    """(7, 7) how often each start goes with each goal, of pairs (K, 4)."""
    cells = [np.linalg.norm(env.plan.centres[None] - x[:, None], axis=-1).argmin(1) for x in np.split(pairs, 2, 1)]
    table = np.zeros((7, 7))
    np.add.at(table, tuple(cells), 1)
    return table


@pytest.mark.parametrize("name", ("Medium", "Large"))
def test_the_controller_solves_the_packages_environments(name, key):
    env = gymnasium.make(f"PointMaze_{name}-v3", continuing_task=False)
    controller = WaypointController(name)
    act, init = jax.jit(controller.act), jax.jit(controller.init)
    for seed in range(5):
        obs, _ = env.reset(seed=seed)
        key, key_plan = jax.random.split(key)
        plan, ended = init(key_plan, obs), False
        while not ended:
            key, key_act = jax.random.split(key)
            plan, action = act(key_act, plan, obs)
            obs, _, terminated, truncated, info = env.step(np.asarray(action))
            ended = terminated or truncated
        assert info["success"], f"seed {seed}"
