"""The runner with a real agent and teacher, on as many devices as the tests have."""

import dataclasses

import jax
import pytest
from palaestra.agents.ppo import PPO, Config
from palaestra.curricula.random import Random
from palaestra.envs.registration import make_functional
from palaestra.experiments.metrics import read_rows
from palaestra.experiments.records import read_curriculum, read_episodes
from palaestra.experiments.runner import train
from palaestra.experiments.settings import RunSettings
from stopping import StopAt, bits

SMALL = Config(hidden=(8,), num_envs=8, rollout_length=16, epochs=1, num_minibatches=2, episode_log=8)
SETTINGS = RunSettings(total_timesteps=128 * 6, log_every=128, eval_every=256, eval_episodes=2)


LAYOUTS = [pytest.param(1, id="lanes"), pytest.param(8, id="seeds", marks=pytest.mark.slow)]


@pytest.mark.parametrize("num_seeds", LAYOUTS)
def test_ppo_stopped_and_resumed_ends_with_the_same_bits_on_many_devices(tmp_path, num_seeds):
    assert jax.device_count() == 8
    agent = PPO(env=make_functional("palaestra/CartPole-v0", horizon=30), teacher=Random(), config=SMALL)
    settings = dataclasses.replace(SETTINGS, num_seeds=num_seeds)
    whole = train(agent, settings, tmp_path / "whole")
    train(agent, settings, tmp_path / "parts", callbacks=[StopAt(256)])
    parts = train(agent, settings, tmp_path / "parts", resume="must")
    assert bits(whole.state) == bits(parts.state)
    rows = read_rows(tmp_path / "parts" / "metrics.jsonl")
    assert len(rows) == 6 * num_seeds
    assert {"rollout/ep_rew_mean", "train/value_loss", "teacher/episodes"} <= set(rows[-1])
    assert len(read_episodes(tmp_path / "parts")["return"]) > 10
    assert read_curriculum(tmp_path / "parts")["step"].tolist() == [128 * i for i in range(1, 7)]
