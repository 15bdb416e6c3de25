"""Implicit Q-learning and behaviour cloning against their losses written out, and cloning that clones."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy.bc import BC
from palaestra.agents.off_policy.config import Nets
from palaestra.agents.off_policy.iql import IQL, Hyper
from palaestra.envs.errors import OptionError

from .cases import BATCH, assert_trees_close, made_learned, made_transitions, quick

NETS = Nets(critic=(12,), actor=(12,), last_scale=0.01, std="uniform")
IQL_ = IQL(nets=NETS, batch_size=BATCH, hyper=Hyper(expectile=0.9, sharpness=2.0))


def layers(tree, x):
    """A dense layer with a ReLU."""
    return jnp.maximum(x @ tree["Dense_0"]["kernel"] + tree["Dense_0"]["bias"][None], 0.0)


def value_of(tree, obs):
    own = tree["params"]
    return (layers(own["Trunk_0"], obs) @ own["Dense_0"]["kernel"] + own["Dense_0"]["bias"][None])[:, 0]


def critics_of(tree, obs, action):
    def one(own):
        hidden = jnp.maximum(jnp.concatenate([obs, action], -1) @ own["hidden_0"] + own["hidden_0_bias"][None], 0.0)
        return (hidden @ own["out"] + own["out_bias"][None])[:, 0]

    return jax.vmap(one)(tree["params"])


def head_of(tree, obs):
    own = tree["params"]
    mean = layers(own["Trunk_0"], obs) @ own["mean"]["kernel"] + own["mean"]["bias"][None]
    return mean, jnp.broadcast_to(own["log_std"], mean.shape)


def log_normal(x, mean, log_std):
    return jnp.sum(-0.5 * ((x - mean) / jnp.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi), -1)


def first_gradients(learned):
    """What Adam saw in its first step, from its first moment."""
    return jax.tree.map(lambda mean: mean / 0.1, {name: own.mu for name, own in learned.opt_state.items()})


def written_out(params, target_params, batch):
    """IQL's three losses, each of its own network's parameters."""

    def loss(own, fixed):
        reached = jnp.min(critics_of(target_params["critic"], batch.obs, batch.action), 0)
        error = reached - value_of(own["value"], batch.obs)
        value = jnp.mean(jnp.where(error > 0, 0.9, 0.1) * error**2)
        target = batch.reward + 0.99 * batch.mask * value_of(fixed["value"], batch.next_obs)
        critic = jnp.mean((critics_of(own["critic"], batch.obs, batch.action) - target[None]) ** 2)
        weight = jnp.minimum(jnp.exp(2.0 * (reached - value_of(fixed["value"], batch.obs))), 100.0)
        mean, log_std = head_of(own["actor"], batch.obs)
        actor = -jnp.mean(weight * log_normal(batch.action, jnp.tanh(mean), log_std))
        return value + critic + actor, {"value": value, "critic": critic, "actor": actor}

    return jax.grad(lambda own: loss(own, params), has_aux=True)(params)


def test_one_pass_of_iql_has_the_gradients_of_its_losses_from_the_parameters_before():
    learned, batch = made_learned(IQL_, 1), made_transitions(0, BATCH)
    after, metrics = quick(IQL_.update)(jax.random.key(0), learned, batch)
    gradients, losses = quick(written_out)(learned.params, learned.target_params, batch)
    for name, value in losses.items():
        np.testing.assert_allclose(metrics[f"train/{name}_loss"], value, rtol=1e-5)
    assert_trees_close(first_gradients(after), gradients, rtol=1e-4, atol=1e-6)
    # Adam's first step is its rate, whatever the gradient's size.
    moved = jax.tree.map(lambda a, b: a - b, after.params, learned.params)
    expected = jax.tree.map(lambda g: -3e-4 * g / (jnp.abs(g) + 1e-8), gradients)
    assert_trees_close(moved, expected, rtol=0.0, atol=2e-6)
    target = jax.tree.map(lambda a, b: 0.005 * a + 0.995 * b, after.params["critic"], learned.target_params["critic"])
    assert_trees_close(after.target_params["critic"], target, rtol=1e-5, atol=1e-6)


def test_passes_of_one_update_follow_one_another():
    twice, batch = dataclasses.replace(IQL_, utd=2), made_transitions(0, 2 * BATCH)
    learned, step = made_learned(IQL_, 1), quick(IQL_.update)
    together, _ = quick(twice.update)(jax.random.key(0), learned, batch)
    for half in range(2):
        own = jax.tree.map(lambda x, half=half: x[half * BATCH : (half + 1) * BATCH], batch)
        learned, _ = step(jax.random.key(5), learned, own)  # with all critics taken and no dropout, no draw matters
    assert_trees_close(together.params, learned.params, rtol=0.0, atol=1e-6)


def test_dropout_is_for_training_alone():
    learner = dataclasses.replace(IQL_, dropout=0.5)
    learned, batch = made_learned(learner, 1), made_transitions(0, BATCH)
    step = quick(learner.update)
    losses = [float(step(jax.random.key(i), learned, batch)[1]["train/actor_loss"]) for i in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    mean, _ = head_of(learned.params["actor"], batch.obs)
    np.testing.assert_allclose(learner.policy(learned, batch.obs).mode(), jnp.tanh(mean), rtol=1e-5, atol=1e-6)


def test_gradients_of_cloning():
    learner = BC(nets=NETS, batch_size=BATCH)
    learned, batch = made_learned(learner, 1), made_transitions(0, BATCH)
    after, metrics = quick(learner.update)(jax.random.key(0), learned, batch)

    def loss(params):
        before = jnp.arctanh(batch.action)
        log_prob = log_normal(before, *head_of(params["actor"], batch.obs)) - jnp.sum(
            jnp.log(1.0 - batch.action**2), -1
        )
        return -jnp.mean(log_prob)

    value, gradients = quick(jax.value_and_grad(loss))(learned.params)
    np.testing.assert_allclose(metrics["train/actor_loss"], value, rtol=1e-4)
    assert_trees_close(first_gradients(after), gradients, rtol=1e-3, atol=1e-5)


def test_cloning_finds_the_actions_of_the_data():
    learner = dataclasses.replace(BC(nets=NETS, batch_size=64, utd=500), hyper=BC().hyper.replace(rate=3e-3))
    batch = made_transitions(0, learner.rows)
    wanted = jnp.tanh(batch.obs[:, :2])
    learned, _ = quick(learner.update)(jax.random.key(0), made_learned(learner, 1), batch.replace(action=wanted))
    error = learner.policy(learned, batch.obs[:200]).mode() - wanted[:200]
    assert float(jnp.sqrt(jnp.mean(error**2))) < 0.1


@pytest.mark.parametrize(
    ("learner", "change", "message"),
    [
        (IQL, {"target_members": 3}, "target_members=3"),
        (IQL, {"dropout": 1.0}, "dropout=1.0"),
        (IQL, {"batch_size": 0}, "batch_size=0; expected at least 1"),
        (BC, {"utd": 0}, "utd=0; expected at least 1"),
    ],
)
def test_impossible_settings_are_refused(learner, change, message):
    with pytest.raises(OptionError, match=message):
        learner(**change)
