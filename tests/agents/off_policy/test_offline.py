"""Learning from data alone, and where learners meet environments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from palaestra.agents.off_policy.acting import Interface
from palaestra.agents.off_policy.bc import BC
from palaestra.agents.off_policy.config import Nets, Rewards
from palaestra.agents.off_policy.offline import Config, Offline
from palaestra.agents.off_policy.transitions import ACTION_LIMIT
from palaestra.envs.classic.pendulum import Pendulum
from palaestra.envs.errors import OptionError

from .cases import assert_trees_equal, made_transitions, quick
from .counting import Counting

ENV = Pendulum()


def test_an_iteration_has_its_number_of_updates_of_rows_of_the_data(key):
    data = made_transitions(0, 40, obs=3, action=1)
    agent = Offline(ENV, config=Config(learner=Counting(utd=2, batch_size=8), updates_per_iteration=7), data=data)
    assert agent.steps_per_iteration == 7
    state = agent.init(key)
    step = quick(agent.train_step)
    after, metrics = step(state, data)
    assert float(after.learned.params["critic"]) == int(after.updates) == 7
    assert float(metrics["train/old"]) == 0.0
    again, _ = step(state, data)
    assert_trees_equal(after.replace(key=None), again.replace(key=None))
    assert not np.array_equal(jax.random.key_data(after.key), jax.random.key_data(state.key))


def test_other_rows_are_drawn_for_every_update(key):
    """Cloning with a rate of zero reports the loss of the rows it was given."""
    data = made_transitions(0, 400, obs=3, action=1)
    learner = BC(nets=Nets(actor=(4,), std="uniform"), batch_size=8, hyper=BC().hyper.replace(rate=0.0))
    agent = Offline(ENV, config=Config(learner=learner, updates_per_iteration=1), data=data)
    step, state, losses = quick(agent.train_step), quick(agent.init)(key), []
    begin = state
    for _ in range(6):
        state, metrics = step(state, data)
        losses.append(float(metrics["train/actor_loss"]))
    assert len(set(losses)) == 6
    assert_trees_equal(state.learned.params, begin.learned.params)
    action = agent.act(key, state, jnp.zeros((2, 3)))
    assert ENV.action_space.contains(np.asarray(action[0]))


def test_training_without_data_is_refused(key):
    agent = Offline(ENV, config=Config(learner=Counting()))
    with pytest.raises(TypeError, match="data"):
        agent.train_step(agent.init(key))


def test_an_iteration_needs_an_update():
    with pytest.raises(OptionError, match="updates_per_iteration=0; expected at least 1"):
        Config(updates_per_iteration=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"critic": ()}, "nets.critic=()"), ({"actor": (0,)}, "nets.actor=(0,)")],
)
def test_networks_need_width(change, message):
    with pytest.raises(OptionError) as caught:
        Nets(**change)
    assert message in str(caught.value)


def test_rewards_are_scaled_and_shifted():
    rewards = Rewards(scale=10.0, bias=-5.0, failure=0.0)
    np.testing.assert_allclose(rewards.seen(jnp.array([0.0, 1.0])), [-5.0, 5.0])
    assert rewards.seen_failure == -5.0
    assert Rewards().seen_failure is None


def test_observations_of_64_bits_and_with_goals_are_seen_flat_and_in_32():
    box = spaces.Box(-1.0, 1.0, (2,), np.float64)
    goals = spaces.Dict(achieved_goal=box, desired_goal=box, observation=spaces.Box(-1.0, 1.0, (3,), np.float64))
    interface = Interface(goals, spaces.Box(-1.0, 1.0, (1,), np.float32))
    obs = {"achieved_goal": np.full((4, 2), 9.0), "desired_goal": np.full((4, 2), 2.0), "observation": np.ones((4, 3))}
    flat = interface.flat(obs)
    assert flat.dtype == jnp.float32
    assert interface.obs_size == 5
    np.testing.assert_array_equal(flat, np.tile([1.0, 1.0, 1.0, 2.0, 2.0], (4, 1)))
    plain = Interface(spaces.Box(-1.0, 1.0, (2, 2), np.float64), interface.action_space)
    assert plain.flat(np.ones((5, 6, 2, 2))).shape == (5, 6, 4)
    assert plain.flat(np.ones((5, 6, 2, 2))).dtype == jnp.float32


def test_actions_stay_inside_of_the_limit_and_reach_the_environments_bounds(key):
    box = spaces.Box(np.array([-3.0, 0.0], np.float32), np.array([1.0, 10.0], np.float32))
    interface, learner = Interface(spaces.Box(-1.0, 1.0, (3,), np.float32), box), Counting()
    learned = learner.init(key, 3, 2)
    flat = jnp.full((50, 3), 1e4)
    action = interface.choose(key, learner, learned, flat, likeliest=True)
    np.testing.assert_array_equal(action, np.float32(ACTION_LIMIT))
    assert np.abs(interface.choose(key, learner, learned, flat * 0.0, False)).max() <= ACTION_LIMIT
    np.testing.assert_allclose(interface.head.to_env(action)[0], [1.0, 10.0], atol=1e-4)
    middle = interface.choose(key, learner, learned, flat * 0.0, likeliest=True)
    np.testing.assert_allclose(interface.head.to_env(middle)[0], [-1.0, 5.0], atol=1e-6)
