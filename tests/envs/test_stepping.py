"""Episodes: the clock, truncation, and auto-reset to the next task."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs import stepping
from palaestra.envs.classic.cartpole import CartPole
from palaestra.envs.classic.pendulum import Pendulum

LANES = 6


@pytest.fixture
def env():
    return Pendulum(horizon=4)


def lanes_of(env, seed, count=LANES):
    key_task, key_start = jax.random.split(jax.random.key(seed))
    tasks = jax.vmap(env.task_space.sample)(jax.random.split(key_task, count))
    return stepping.prepare(env, jax.random.split(key_start, count), tasks, jnp.arange(count) + 10 * seed)


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_clock_counts_and_the_return_sums_raw_rewards(env, key):
    state, _ = stepping.reset(env, key)
    total = 0.0
    for t in range(1, 5):
        state, timestep = stepping.step(env, key, state, jnp.ones(1))
        total += float(timestep.reward)
        assert int(state.steps) == t
        assert float(state.return_) == pytest.approx(total, rel=1e-6)
        assert bool(timestep.truncated) is (t == 4)
        assert not bool(timestep.terminated)


def test_step_never_resets(env, key):
    state, _ = stepping.reset(env, key)
    for _ in range(6):
        state, timestep = stepping.step(env, key, state, jnp.ones(1))
    assert int(state.steps) == 6 and bool(timestep.truncated)


def test_termination_and_truncation_can_coincide_and_stay_two_flags(key):
    env = CartPole(horizon=3)
    state, _ = stepping.reset(env, key)
    state = state.replace(env=state.env.replace(angle=jnp.float32(1.0)), steps=jnp.int32(2))
    _, timestep = stepping.step(env, key, state, jnp.int32(0))
    assert bool(timestep.terminated) and bool(timestep.truncated) and bool(timestep.ended)


def test_success_is_an_episode_whose_return_exceeds_the_familys_threshold(key):
    env = CartPole()
    state, _ = stepping.reset(env, key)
    for return_, success in ((474.0, False), (475.0, True)):
        _, timestep = stepping.step(env, key, state.replace(return_=jnp.float32(return_)), jnp.int32(0))
        assert bool(timestep.success) is success


def test_advance_moves_ended_lanes_to_the_next_task_and_keeps_their_last_observation(env):
    lanes, starts = lanes_of(env, 0), lanes_of(env, 1)
    late = np.array([0, 3, 1, 3, 3, 2], np.int32)
    lanes = lanes.replace(episode=lanes.episode.replace(steps=jnp.asarray(late)))
    keys, actions = jax.random.split(jax.random.key(2), LANES), jnp.ones((LANES, 1))
    after, timestep, ended = stepping.advance(env, keys, lanes, actions, starts)

    expect = late == 3
    np.testing.assert_array_equal(ended.valid, expect)
    for i in range(LANES):
        episode, alone = stepping.step(
            env, keys[i], *jax.tree.map(lambda x, i=i: x[i], (lanes.episode, actions, lanes.params))
        )
        np.testing.assert_allclose(timestep.obs[i], alone.obs, atol=1e-6)
        assert float(ended.return_[i]) == pytest.approx(float(episode.return_), rel=1e-5)
        assert int(ended.length[i]) == late[i] + 1
        source = starts if expect[i] else lanes
        assert_equal(after.task[i], source.task[i])
        assert_equal(after.meta[i], source.meta[i])
        np.testing.assert_allclose(after.obs[i], starts.obs[i] if expect[i] else alone.obs, atol=1e-6)
        assert int(after.episode.steps[i]) == (0 if expect[i] else late[i] + 1)
    assert_equal((ended.task, ended.meta), (lanes.task, lanes.meta))


@pytest.mark.parametrize("mask", [[0] * 6, [1] * 6, [0, 1, 0, 0, 1, 1], [1, 0, 0, 0, 0, 0]])
def test_copying_rows_equals_selecting_them(env, mask):
    mask, old, new = jnp.asarray(mask, bool), lanes_of(env, 0), lanes_of(env, 1)
    expected = stepping._select_rows(mask, old, new)
    assert_equal(stepping._copy_rows(mask, old, new), expected)
    assert_equal(jax.jit(stepping.replace_rows)(mask, old, new), expected)


def test_copying_rows_equals_selecting_them_under_vmap(env):
    masks = jax.random.bernoulli(jax.random.key(3), 0.5, (3, LANES))
    old, new = (jax.tree.map(lambda *x: jnp.stack(x), *[lanes_of(env, s + d) for s in range(3)]) for d in (0, 5))
    expected = jax.vmap(stepping._select_rows)(masks, old, new)
    assert_equal(jax.jit(jax.vmap(stepping.replace_rows))(masks, old, new), expected)
    shared = jax.tree.map(lambda x: x[0], new)
    expected = jax.vmap(stepping._select_rows, (0, 0, None))(masks, old, shared)
    assert_equal(jax.vmap(stepping.replace_rows, (0, 0, None))(masks, old, shared), expected)


def test_empty_leaves_pass_through_under_vmap():
    """A track without obstacles has arrays of no rows."""
    old, new = ({"empty": jnp.zeros((2, 3, 0, 4)), "x": jnp.full((2, 3), x)} for x in (0.0, 1.0))
    mask = jnp.array([[True, False, False], [False, True, True]])
    after = jax.vmap(stepping._copy_rows)(mask, old, new)
    assert after["empty"].shape == (2, 3, 0, 4)
    np.testing.assert_array_equal(after["x"], mask)


def test_a_scan_over_advance_compiles_once_and_every_episode_has_the_horizons_length(env):
    traces = []

    @jax.jit
    def collect(lanes, starts, key):
        traces.append(1)

        def body(lanes, key):
            actions = jnp.zeros((LANES, 1))
            lanes, timestep, ended = stepping.advance(env, jax.random.split(key, LANES), lanes, actions, starts)
            return lanes, (timestep, ended)

        return jax.lax.scan(body, lanes, jax.random.split(key, 12))

    lanes = lanes_of(env, 0)
    for seed in (1, 2):
        lanes, (timestep, ended) = collect(lanes, lanes_of(env, seed), jax.random.key(seed))
        assert np.all(ended.length[ended.valid] == 4)
        assert int(ended.valid.sum()) == 3 * LANES
        assert not np.any(timestep.terminated)
    assert len(traces) == 1


def test_missing_params_mean_the_default_task(env, key):
    assert_equal(stepping.reset(env, key), stepping.reset(env, key, env.default_params))
    state, _ = stepping.reset(env, key)
    step = functools.partial(stepping.step, env, key, state, jnp.ones(1))
    assert_equal(step(), step(env.default_params))
