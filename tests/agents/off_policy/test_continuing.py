"""Going on from another learner: what is carried over, what is dropped, what does not fit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy.bc import BC
from palaestra.agents.off_policy.continuing import carry_over, hold_still
from palaestra.agents.off_policy.iql import IQL
from palaestra.agents.off_policy.learning import Config
from palaestra.agents.off_policy.online import Online, State
from palaestra.agents.off_policy.sac import Conservative
from palaestra.curricula import Fixed
from palaestra.envs.classic.pendulum import Pendulum
from palaestra.envs.errors import OptionError

from .cases import NORMED, WSRL, assert_trees_equal, made_learned

CQL = dataclasses.replace(WSRL, conservative=Conservative(members=2, gap=0.8))


def trained(learner, seed):
    """A learner all of whose numbers, moments among them, are its own."""
    learned = made_learned(learner, seed)
    rng = np.random.default_rng(seed)
    moments = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape).astype(x.dtype)), learned.opt_state)
    return learned.replace(opt_state=moments)


def test_everything_is_carried_over_but_the_penaltys_weight():
    fresh, start = trained(WSRL, 1), trained(CQL, 2)
    assert "weight" in start.params
    found = carry_over(fresh, start, with_optimizers=True)
    assert set(found.params) == set(found.opt_state) == {"actor", "critic", "temperature"}
    for name in found.params:
        assert_trees_equal(found.params[name], start.params[name])
        assert_trees_equal(found.opt_state[name], start.opt_state[name])
    assert_trees_equal(found.target_params, start.target_params)
    assert_trees_equal(found.hyper, fresh.hyper)


def test_optimisers_may_begin_anew():
    fresh, start = trained(WSRL, 1), trained(CQL, 2)
    found = carry_over(fresh, start, with_optimizers=False)
    assert_trees_equal(found.opt_state, fresh.opt_state)
    assert_trees_equal(found.params["critic"], start.params["critic"])


def test_a_penalty_that_goes_on_keeps_its_weight():
    found = carry_over(trained(CQL, 1), start := trained(CQL, 2), with_optimizers=True)
    assert_trees_equal((found.params, found.opt_state), (start.params, start.opt_state))


def test_of_learners_of_another_kind_what_they_share():
    iql = IQL(nets=NORMED, num_critics=10, target_members=2)
    fresh, start = trained(WSRL, 1), trained(iql, 2)
    found = carry_over(fresh, start, with_optimizers=True)
    assert set(found.params) == {"actor", "critic", "temperature"}
    assert_trees_equal(found.target_params, start.target_params)
    assert_trees_equal(found.params["temperature"], fresh.params["temperature"])
    clone = trained(BC(nets=NORMED), 3)
    found = carry_over(fresh, clone, with_optimizers=True)
    assert_trees_equal(found.params["actor"], clone.params["actor"])
    assert_trees_equal((found.params["critic"], found.target_params), (fresh.params["critic"], fresh.target_params))


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (dataclasses.replace(WSRL, num_critics=5), "critic"),
        (dataclasses.replace(WSRL, nets=dataclasses.replace(NORMED, actor=(8,))), "actor"),
        (dataclasses.replace(WSRL, nets=dataclasses.replace(NORMED, actor_norm=False)), "actor"),
    ],
    ids=["other count", "other width", "other layers"],
)
def test_networks_that_do_not_fit_are_refused_by_name(other, name):
    with pytest.raises(OptionError, match=f"network '{name}' to begin from has the shapes") as caught:
        carry_over(made_learned(WSRL, 1), made_learned(other, 2), True)
    assert "num_critics" in caught.value.hint


@pytest.mark.parametrize("reset_optimizer", [False, True])
def test_agents_begin_from_learners_with_a_vacant_replay(reset_optimizer, key):
    agent = Online(Pendulum(), Fixed(), Config(learner=WSRL, buffer_size=64, reset_optimizer=reset_optimizer))
    shapes = jax.eval_shape(agent.init, key)
    state = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes.replace(key=None)).replace(key=key)
    start = trained(CQL, 2)
    pendulum = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), shapes.learned)
    with pytest.raises(OptionError, match="to begin from"):
        agent.begin_from(state, start)  # of other observations
    after: State = agent.begin_from(state, pendulum)
    assert_trees_equal((after.replay, after.steps), (state.replay, state.steps))
    assert int(after.replay.size) == 0
    assert_trees_equal(after.learned.params, pendulum.params)
    assert_trees_equal(after.learned.opt_state, (state.learned if reset_optimizer else pendulum).opt_state)


@pytest.mark.parametrize("frozen", [True, False])
def test_held_still_are_actor_and_temperature_with_their_optimisers(frozen):
    before, after = trained(CQL, 1), trained(CQL, 2)
    found = hold_still(jnp.asarray(frozen), after, before)
    for name in found.params:
        expected = before if frozen and name in ("actor", "temperature") else after
        assert_trees_equal(found.params[name], expected.params[name])
        assert_trees_equal(found.opt_state[name], expected.opt_state[name])
    assert_trees_equal(found.target_params, after.target_params)
