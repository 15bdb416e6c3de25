"""The published numbers, and settings and environments that do not fit together."""

import dataclasses

import pytest
from palaestra.agents.bonuses.count import Count
from palaestra.agents.bonuses.noveld import NovelD
from palaestra.agents.bonuses.ride import RIDE
from palaestra.agents.bonuses.rnd import RND
from palaestra.agents.bonuses.training import Training
from palaestra.agents.ppo import PPO, Config
from palaestra.agents.presets import PublishedMiniGrid, WithCount, WithNovelD, WithRIDE, WithRND
from palaestra.agents.spaces import action_head, observation_size
from palaestra.curricula import Fixed
from palaestra.envs.classic.cartpole import CartPole
from palaestra.envs.classic.pendulum import Pendulum
from palaestra.envs.errors import OptionError

from . import little_grid

PUBLISHED = {
    "network": "grid",
    "hidden": (256,),
    "num_envs": 16,
    "rollout_length": 128,
    "epochs": 4,
    "num_minibatches": 8,  # 16 * 128 / 8: minibatches of 256
    "normalize_observations": False,
    "normalize_rewards": False,
    "normalize_advantages": False,
    "bootstrap_truncated": False,
    "adam_epsilon": 1e-8,
    "bonus": None,
}
HYPER = {
    "learning_rate": 1e-4,
    "discount": 0.99,
    "lam": 0.95,
    "clip": 0.2,
    "entropy_cost": 5e-4,
    "value_cost": 0.5,
    "max_grad_norm": 0.5,
    "decay_steps": float("inf"),
}


def test_the_published_agents_numbers():
    preset = PublishedMiniGrid()
    assert {name: getattr(preset, name) for name in PUBLISHED} == PUBLISHED
    assert {f.name: getattr(preset.hyper, f.name) for f in dataclasses.fields(preset.hyper)} == HYPER


@pytest.mark.parametrize(
    ("preset", "bonus"), [(WithCount, Count()), (WithRND, RND()), (WithRIDE, RIDE()), (WithNovelD, NovelD())]
)
def test_presets_with_a_bonus_are_the_published_agent_with_one(preset, bonus):
    config = preset()
    assert config.bonus == bonus
    for field in dataclasses.fields(PublishedMiniGrid):
        if field.name != "bonus":
            assert getattr(config, field.name) == getattr(PublishedMiniGrid(), field.name)


@pytest.mark.parametrize(
    ("env", "config", "message"),
    [
        (CartPole(), PublishedMiniGrid(), "network='grid': got the observation space Box.*expected a Dict"),
        (CartPole(), Config(bonus=Count()), "counted observations: got Box.*expected spaces of whole numbers"),
        (CartPole(), Config(bonus=NovelD()), "counted observations: got Box.*expected spaces of whole numbers"),
        (Pendulum(), Config(bonus=RIDE()), "RIDE: got the action space Box.*expected Discrete"),
        (little_grid.LittleGrid(), Config(beside_image=("speed",)), "beside_image=.*with network='mlp'.*expected None"),
    ],
)
def test_agents_that_cannot_use_an_environment_say_so(env, config, message, key):
    with pytest.raises(OptionError, match=message) as caught:
        PPO(env, Fixed(), config).init(key)
    assert caught.value.code == 2 and caught.value.key


def test_spaces_without_a_form_are_refused():
    with pytest.raises(OptionError, match=r"env with the observation space .*expected Box, MultiBinary"):
        observation_size(little_grid.spaces.Text(3))
    with pytest.raises(OptionError, match=r"env with the action space .*expected a bounded Box or Discrete"):
        action_head(little_grid.spaces.MultiBinary(3))


@pytest.mark.parametrize("bonus", [RND, RIDE, NovelD])
def test_a_bonuss_minibatches_must_fit_the_rollout(bonus):
    with pytest.raises(
        OptionError, match=r"bonus.training.num_minibatches=8; expected a divisor of rollout_length=100"
    ):
        Config(rollout_length=100, num_minibatches=10, bonus=bonus())
    Config(rollout_length=100, num_minibatches=10, bonus=bonus(training=Training(num_minibatches=20)))


def test_unknown_networks_are_refused():
    with pytest.raises(ValueError, match=r"network='gird'; expected one of .'mlp', 'grid'"):
        Config(network="gird")
