"""Learning while acting: when updates begin, what is kept and drawn, and that seeds in company are seeds alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from palaestra.agents.contract import OnlineAgent
from palaestra.agents.off_policy.config import Nets, Rewards
from palaestra.agents.off_policy.learning import Config
from palaestra.agents.off_policy.online import Online
from palaestra.agents.off_policy.sac import SAC, Conservative, Hyper
from palaestra.agents.off_policy.transitions import ACTION_LIMIT, returns_to_go
from palaestra.curricula import Fixed
from palaestra.envs.classic.cartpole import CartPole
from palaestra.envs.classic.pendulum import Pendulum
from palaestra.envs.errors import OptionError

from .cases import assert_trees_close, assert_trees_equal, made_transitions, quick
from .counting import OLD, Counting

HORIZON = 7
ENV = Pendulum(horizon=HORIZON)
TINY = SAC(nets=Nets((8,), (8,)), utd=3, batch_size=8)
SCHEDULE = Config(learner=TINY, num_envs=2, warmup=20, buffer_size=64, start_every=10, rewards=Rewards(0.1, 1.0))
ITERATIONS = 5
SEEDS = 2


def keys(count=SEEDS):
    return jnp.stack([jax.random.key(seed) for seed in range(count)])


@pytest.fixture(scope="module")
def course():
    """States and metrics after every iteration of one learner, and how often the program was traced."""
    agent, traces = Online(ENV, Fixed(), SCHEDULE), []

    def train_step(state):
        traces.append(1)
        return agent.train_step(state)

    step, begin = quick(train_step), quick(agent.init)
    courses = []
    for key in keys():
        state = begin(key)
        courses.append([(state, {})])
        for _ in range(ITERATIONS):
            state, metrics = step(state)
            courses[-1].append((state, metrics))
    return courses, len(traces)


def test_follows_the_agent_contract(course, key):
    agent, (state, metrics) = Online(ENV, Fixed(), SCHEDULE), course[0][0][-1]
    assert isinstance(agent, OnlineAgent)
    assert agent.steps_per_iteration == 20
    obs = jnp.zeros((3, 3))
    action = agent.act(key, state, obs)
    assert action.shape == (3, 1)
    assert ENV.action_space.contains(np.asarray(action[0]))
    likeliest = [agent.act(jax.random.key(i), state, obs, deterministic=True) for i in range(2)]
    np.testing.assert_array_equal(*likeliest)
    assert all(np.all(np.isfinite(v)) for k, v in metrics.items() if k != "episodes")


def test_training_is_traced_once(course):
    assert course[1] == 1


def test_nothing_changes_before_the_warm_up_is_over_and_there_are_enough_rows(course):
    """Two lanes: 20 steps of warm-up are the first iteration; 24 rows are there at the second step of the next."""
    states, metrics = zip(*course[0][0], strict=True)
    assert int(states[0].replay.size) == int(states[0].steps) == 0
    assert_trees_equal(states[0].learned, states[1].learned)
    assert [int(state.steps) for state in states] == [0, 20, 40, 60, 80, 100]
    assert [int(state.replay.size) for state in states] == [0, 20, 40, 60, 64, 64]
    assert [float(m["train/updates_sum"]) for m in metrics[1:]] == [0.0, 9.0, 10.0, 10.0, 10.0]
    for name, own in states[2].learned.opt_state.items():
        assert int(own.count) == (27 if name == "critic" else 9)
        changed = [
            np.any(a != b)
            for a, b in zip(jax.tree.leaves(own.mu), jax.tree.leaves(states[1].learned.opt_state[name].mu), strict=True)
        ]
        assert any(changed)


def test_the_replay_has_what_happened(course):
    """Two lanes of ten steps, rows by time and then lane; the pendulum's reward, scaled; the clock ends the seventh."""
    rows = jax.tree.map(lambda x: np.asarray(x[:20]).reshape(10, 2, *x.shape[1:]), course[0][0][1][0].replay.rows)
    np.testing.assert_array_equal(rows.obs[1:7], rows.next_obs[:6])
    np.testing.assert_array_equal(rows.obs[8:], rows.next_obs[7:9])
    assert not np.any(rows.obs[7] == rows.next_obs[6])
    np.testing.assert_array_equal(rows.ended, (np.arange(10) == 6)[:, None].repeat(2, 1))
    np.testing.assert_array_equal(rows.mask, 1.0)
    angle, spin, torque = np.arctan2(rows.obs[..., 1], rows.obs[..., 0]), rows.obs[..., 2], 2 * rows.action[..., 0]
    reward = -(angle**2 + 0.1 * spin**2 + 0.001 * torque**2)
    np.testing.assert_allclose(rows.reward, 0.1 * reward + 1.0, rtol=1e-4, atol=1e-5)
    assert np.abs(rows.action).max() <= ACTION_LIMIT
    assert len(np.unique(rows.action)) == 20
    assert np.std(rows.action) > 0.3, "even draws"


def test_finished_episodes_count_rewards_as_they_are(course):
    metrics = course[0][0][1][1]
    assert float(metrics["rollout/episodes"]) == 2.0
    assert float(metrics["rollout/length_sum"]) == 2.0 * HORIZON
    rows = jax.tree.map(lambda x: np.asarray(x[:14]), course[0][0][1][0].replay.rows)
    np.testing.assert_allclose(metrics["rollout/return_sum"], np.sum(rows.reward - 1.0) / 0.1, rtol=1e-4)


def test_seeds_in_company_are_seeds_alone(course):
    agent = Online(ENV, Fixed(), SCHEDULE)
    step, states = quick(jax.vmap(agent.train_step)), quick(jax.vmap(agent.init))(keys())
    for number in range(1, ITERATIONS + 1):
        states, metrics = step(states)
        for seed in range(SEEDS):
            own, expected = jax.tree.map(lambda x, i=seed: x[i], (states, metrics)), course[0][seed][number]
            assert_trees_close(own[0].learned.params, expected[0].learned.params, rtol=1e-3, atol=1e-4)
            assert_trees_close(own[0].replay.rows, expected[0].replay.rows, rtol=1e-3, atol=1e-3)
            assert float(own[1]["train/updates_sum"]) == float(expected[1]["train/updates_sum"])


def configured(**changes):
    return Config(**({"learner": Counting(), "buffer_size": 32, "start_every": 1, "warmup": 0} | changes))


def fed(steps, data=None, **changes):
    """An agent that counts, given some steps of every lane: (states, metrics) step by step."""
    agent = Online(ENV, Fixed(), configured(**changes))
    new = made_transitions(1, agent.config.num_envs, obs=3, action=1, with_returns=False)

    def one(state, x):
        key, ended = x
        state, metrics = agent.absorb(key, state, new.replace(ended=jnp.broadcast_to(ended, new.ended.shape)), data)
        return state, (state, metrics)

    def course(key):
        ended = jnp.arange(steps) % HORIZON == HORIZON - 1
        return jax.lax.scan(one, agent.init(key), (jax.random.split(key, steps), ended))[1]

    return quick(course)(jax.random.key(0))


def lived(steps, **changes):
    """The state of an agent that counts, after some steps in its environment."""
    agent = Online(ENV, Fixed(), configured(start_every=steps, buffer_size=steps, **changes))
    return quick(lambda key: agent.train_step(agent.init(key))[0])(jax.random.key(0))


def old_data(count):
    """Offline transitions for the pendulum, told apart by their observations."""
    data = made_transitions(0, count, obs=3, action=1)
    return data.replace(obs=jnp.full_like(data.obs, OLD))


@pytest.mark.parametrize(
    ("changes", "updates_after_steps"),
    [
        ({"warmup": 5}, [0, 0, 0, 0, 0, 1, 2, 3]),  # over after five
        ({"warmup": 2}, [0, 0, 0, 1, 2, 3, 4, 5]),  # four rows to a batch
        ({"warmup": 4, "num_envs": 3}, [0, 1, 2, 3]),  # three transitions a step
        ({"warmup": 5, "updates_per_step": 3}, [0, 0, 0, 0, 0, 3, 6, 9]),
        ({"warmup": 2, "buffer_size": 4}, [0, 0, 0, 1, 2, 3, 4, 5]),
        ({"learner": Counting(needs_returns=True)}, [0] * 6 + [1, 2, 3]),  # the first episode ends with the seventh
        ({"retain": "mixed"}, [0, 1, 2, 3]),  # two of its own
        ({"retain": "mixed", "mix": 0.25, "learner": Counting(utd=1, batch_size=4)}, [0, 0, 1, 2]),
        ({"retain": "append"}, [1, 2, 3, 4]),
        ({"retain": "append", "warmup": 2}, [0, 0, 1, 2]),
    ],
)
def test_updates_begin_when_warm_up_is_over_and_a_batch_is_there(changes, updates_after_steps):
    data = old_data(12) if "retain" in changes else None
    states, metrics = fed(len(updates_after_steps), data, **changes)
    np.testing.assert_array_equal(states.learned.params["critic"], updates_after_steps)
    np.testing.assert_array_equal(jnp.cumsum(metrics["train/updates_sum"]), updates_after_steps)
    np.testing.assert_array_equal(states.steps, changes.get("num_envs", 1) * (1 + np.arange(len(updates_after_steps))))


@pytest.mark.parametrize(("mix", "old"), [(0.5, 2), (0.25, 1), (0.75, 3)])
def test_mixed_batches_have_their_share_at_every_update(mix, old):
    learner = Counting(utd=3, batch_size=4)
    _, metrics = fed(20, old_data(12), learner=learner, retain="mixed", mix=mix, buffer_size=64)
    learned = np.asarray(metrics["train/updates_sum"]) > 0
    assert learned.any()
    for name in ("old", "least_old"):
        np.testing.assert_array_equal(metrics[f"train/{name}"][learned], old / 4)


def test_appended_data_is_diluted_as_the_learner_sees_more():
    learner = Counting(utd=1, batch_size=500)
    _, metrics = fed(40, old_data(20), learner=learner, retain="append", buffer_size=64)
    np.testing.assert_allclose(metrics["train/old"], 20.0 / (20.0 + np.arange(1, 41)), atol=0.1)


def test_actor_and_temperature_stay_as_long_as_asked():
    states, _ = fed(8, warmup=3, freeze_actor=6)
    params, optimizers = states.learned.params, states.learned.opt_state
    for name, expected in (("critic", [0, 0, 0, 1, 2, 3, 4, 5]), ("actor", [0] * 6 + [1, 2])):
        np.testing.assert_array_equal(params[name], expected)
        np.testing.assert_array_equal(optimizers[name], expected)
    np.testing.assert_array_equal(params["temperature"], params["actor"])


def test_warm_up_acts_evenly_or_by_the_policy():
    """The policy that counts acts about 0.1 times its first observation, with a deviation of 1, cut off at the box."""
    even, policy = lived(200, warmup=1000), lived(200, warmup=1000, warmup_actions="policy")
    at_limits = [np.mean(np.abs(state.replay.rows.action) >= 0.99998) for state in (even, policy)]
    assert at_limits[0] == 0.0
    assert 0.2 < at_limits[1] < 0.45


def test_calibrated_learners_keep_the_returns_of_their_episodes():
    replay = lived(30, learner=Counting(needs_returns=True), rewards=Rewards(0.1)).replay
    rows = jax.tree.map(lambda x: x[:28], replay.rows)  # four episodes
    expected = returns_to_go(rows.reward, rows.mask, rows.ended, 0.9)
    np.testing.assert_allclose(rows.return_to_go, expected, rtol=1e-4, atol=1e-5)
    assert int(replay.usable) == 28


class Unbounded(Pendulum):
    """Torque without end."""

    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)


@pytest.mark.parametrize("env", [Unbounded(), CartPole()], ids=["unbounded", "discrete"])
def test_actions_other_than_bounded_numbers_are_refused(env, key):
    with pytest.raises(OptionError, match=r"action space .* expected a bounded Box"):
        Online(env, Fixed(), SCHEDULE)


@pytest.mark.parametrize(("retain", "data"), [("none", old_data(4)), ("mixed", None), ("append", None)])
def test_data_and_what_becomes_of_it_belong_together(retain, data):
    with pytest.raises(OptionError, match=f"retain='{retain}'"):
        fed(1, data, retain=retain)


ENDLESS = dataclasses.replace(TINY, hyper=Hyper(discount=1.0))
CALIBRATED = dataclasses.replace(TINY, conservative=Conservative(calibrated=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mix": 1.0}, "mix=1.0; expected a share between 0 and 1"),
        ({"buffer_size": 23}, "buffer_size=23; expected at least 24"),
        ({"retain": "mixed", "mix": 0.01}, "0 transitions; expected some of either kind"),
        ({"rewards": Rewards(failure=0.0), "learner": ENDLESS}, "failure=0.0 with a discount of 1"),
        ({"warmup": -1}, "warmup=-1; expected at least 0"),
        ({"updates_per_step": 0}, "updates_per_step=0"),
        ({"learner": CALIBRATED}, "num_envs=2; expected 1 for a calibrated learner"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(OptionError, match=message):
        dataclasses.replace(SCHEDULE, **change)


def test_a_replay_must_hold_an_episode_where_returns_are_kept():
    """And an update besides: steps of an episode that goes on cannot be drawn."""
    least = HORIZON + CALIBRATED.rows
    assert Online(ENV, Fixed(), Config(learner=CALIBRATED, buffer_size=least))
    with pytest.raises(OptionError, match=f"buffer_size={least - 1}; expected at least {least}"):
        Online(ENV, Fixed(), Config(learner=CALIBRATED, buffer_size=least - 1))


def test_data_of_another_environment_is_refused():
    for data in (old_data(4).replace(obs=np.zeros((4, 2), np.float32)), old_data(0)):
        with pytest.raises(OptionError, match=r"data.obs with shape .* expected \('N', 3\) with N > 0"):
            Online(ENV, Fixed(), SCHEDULE, data=data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_members": 3}, "target_members=3; expected 1 to num_critics=2"),
        ({"conservative": Conservative(members=3)}, "conservative.members=3; expected 1 to num_critics=2"),
        ({"utd": 0}, "utd=0; expected at least 1"),
    ],
)
def test_impossible_learners_are_refused(change, message):
    with pytest.raises(OptionError, match=message):
        dataclasses.replace(TINY, **change)


def test_calibrated_learners_refuse_transitions_without_returns():
    batch = made_transitions(0, TINY.rows, with_returns=False)
    learned = jax.eval_shape(lambda key: CALIBRATED.init(key, 5, 2), jax.random.key(0))
    with pytest.raises(OptionError, match="transitions without returns"):
        jax.eval_shape(CALIBRATED.update, jax.random.key(0), learned, batch)
