"""PPO's rollouts that are longer than an episode."""

import jax
import numpy as np
import pytest
from palaestra.agents.ppo import PPO, Config
from palaestra.curricula import Random
from palaestra.envs.classic.pendulum import Pendulum


@pytest.mark.parametrize(
    ("horizon", "rollout_length", "stretches"),
    [(200, 32, 1), (200, 64, 1), (200, 128, 2), (200, 100, 2), (200, 2048, 32), (32, 128, 4), (5, 12, 2), (1, 4, 4)],
)
def test_a_stretch_is_about_as_long_as_asked_or_as_an_episode(horizon, rollout_length, stretches):
    config = Config(num_envs=2, rollout_length=rollout_length, num_minibatches=1)
    assert PPO(Pendulum(horizon=horizon), Random(), config).stretches == stretches


def test_a_rollout_that_cannot_be_cut_well_stays_whole():
    config = Config(num_envs=2, rollout_length=127, num_minibatches=1, start_every=32)
    assert PPO(Pendulum(), Random(), config).stretches == 1


def test_the_first_train_step_gives_every_lane_an_episode(key):
    agent = PPO(Pendulum(), Random(), Config(hidden=(8,), num_envs=3, rollout_length=4, epochs=1, num_minibatches=1))
    state = jax.jit(agent.init)(key)
    assert np.all(np.asarray(state.lanes.episode.steps) == -1)
    state, _ = jax.jit(agent.train_step)(state)
    np.testing.assert_array_equal(state.lanes.episode.steps, [4, 4, 4])
    assert len(np.unique(np.asarray(state.lanes.obs), axis=0)) == 3


def test_no_start_and_no_task_is_repeated_in_a_rollout_of_several_episodes(key, monkeypatch):
    config = Config(hidden=(8,), num_envs=3, rollout_length=12, epochs=1, num_minibatches=1, episode_log=12)
    agent = PPO(Pendulum(horizon=4), Random(), config)
    monkeypatch.setattr(PPO, "update", lambda self, key, state, batch: (state, {"batch": batch}))
    train = jax.jit(agent.train_step)
    state, metrics = train(jax.jit(agent.init)(key))
    first = metrics["batch"]
    _, metrics = train(state)
    batch = metrics["batch"]
    assert len(np.unique(np.asarray(first.obs)[[0, 8]].reshape(6, -1), axis=0)) == 6
    assert batch.reward.shape == (12, 3)
    starts = np.asarray(batch.obs)[[0, 4, 8]].reshape(9, -1)
    assert len(np.unique(starts, axis=0)) == 9
    np.testing.assert_array_equal(np.asarray(batch.obs)[1:4], np.asarray(batch.next_obs)[:3])
    episodes = jax.device_get(metrics["episodes"])
    assert episodes.valid.sum() == 9
    assert len(np.unique(episodes.task[episodes.valid], axis=0)) == 9
