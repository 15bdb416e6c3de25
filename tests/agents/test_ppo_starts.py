"""PPO's rollouts that are longer than an episode."""

import jax
import numpy as np
import pytest
from palaestra.agents.ppo import PPO, Config
from palaestra.curricula import Random
from palaestra.envs.classic.pendulum import Pendulum


@pytest.mark.parametrize(
    ("horizon", "rollout_length", "stretches"),
    [(200, 128, 1), (200, 200, 1), (200, 1024, 8), (5, 12, 3), (5, 7, 7), (1, 4, 4)],
)
def test_a_stretch_is_never_longer_than_an_episode(horizon, rollout_length, stretches):
    config = Config(num_envs=2, rollout_length=rollout_length, num_minibatches=1)
    assert PPO(Pendulum(horizon=horizon), Random(), config).stretches == stretches


def test_no_start_and_no_task_is_repeated_in_a_rollout_of_several_episodes(key, monkeypatch):
    config = Config(hidden=(8,), num_envs=3, rollout_length=12, epochs=1, num_minibatches=1, episode_log=12)
    agent = PPO(Pendulum(horizon=4), Random(), config)
    seen = []

    def look(key, state, batch):
        seen.append(batch)
        return state, {}

    monkeypatch.setattr(PPO, "update", lambda self, *args: look(*args))
    _, metrics = agent.train_step(agent.init(key))
    (batch,) = seen
    assert batch.reward.shape == (12, 3)
    starts = np.asarray(batch.obs)[[0, 4, 8]].reshape(9, -1)
    assert len(np.unique(starts, axis=0)) == 9
    np.testing.assert_array_equal(np.asarray(batch.obs)[1:4], np.asarray(batch.next_obs)[:3])
    episodes = jax.device_get(metrics["episodes"])
    assert episodes.valid.sum() == 9
    assert len(np.unique(episodes.task[episodes.valid], axis=0)) == 9
