"""The least of many critics' values, evaluated sparingly, against evaluating all of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy import least
from palaestra.agents.off_policy.networks import apply, normed_relu

from .cases import NORMED, WSRL, assert_trees_close, made_learned, made_transitions, quick

MEMBERS, ROWS = 5, 48


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(least, "BLOCK", 4)


def shares(kind):
    rng = np.random.default_rng(0)
    return {
        "even": np.arange(ROWS) % MEMBERS,
        "one": np.full(ROWS, 3),
        "two": np.where(np.arange(ROWS) < 7, 4, 0),
        "drawn": rng.integers(0, MEMBERS, ROWS),
    }[kind].astype(np.int32)


@pytest.mark.parametrize("kind", ["even", "one", "two", "drawn"])
def test_every_row_has_a_place_in_a_block_of_its_member(kind):
    member = shares(kind)
    owner, row, slot = (np.asarray(x) for x in quick(least.in_blocks, static_argnums=1)(member, MEMBERS))
    assert owner.shape == (least.num_blocks(MEMBERS, ROWS),) and row.shape == (owner.size * least.BLOCK,)
    assert len(set(slot)) == ROWS
    np.testing.assert_array_equal(row[slot], np.arange(ROWS))
    np.testing.assert_array_equal(owner[slot // least.BLOCK], member)


def test_values_by_named_members_are_theirs():
    learner = dataclasses.replace(WSRL, num_critics=MEMBERS)
    params, batch = made_learned(learner, 1).params["critic"], made_transitions(2, ROWS)
    member = shares("drawn")
    by = quick(least.value_by, static_argnums=0)(NORMED.critics, params, member, batch.obs, batch.action)
    everyone = apply(NORMED.critics(MEMBERS), params, batch.obs, batch.action)
    np.testing.assert_allclose(by, everyone[member, np.arange(ROWS)], rtol=1e-5, atol=1e-5)


def test_least_values_and_their_gradients_are_those_of_all():
    learner = dataclasses.replace(WSRL, num_critics=MEMBERS)
    params, batch = made_learned(learner, 1).params["critic"], made_transitions(2, ROWS)

    def sparing(action):
        return jnp.sum(jnp.sin(least.least_value(NORMED.critics, params, batch.obs, action, 16)))

    def plain(action):
        return jnp.sum(jnp.sin(jnp.min(apply(NORMED.critics(MEMBERS), params, batch.obs, action), 0)))

    (a, slope), (b, expected) = (quick(jax.value_and_grad(f))(batch.action) for f in (sparing, plain))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)


def test_actors_climb_the_same_way():
    """Whatever the platform does, with learners side by side."""
    assert least.is_worthwhile(WSRL.num_critics, WSRL.rows)
    learned, batch = made_learned(WSRL, 1), made_transitions(2, WSRL.rows)
    noise = jax.random.normal(jax.random.key(0), batch.action.shape)
    expected = quick(WSRL._actor_gradient_at_once)(learned, batch.obs, noise)
    twice = lambda tree: jax.tree.map(lambda x: jnp.stack([x, x]), tree)  # noqa: E731
    many = quick(jax.vmap(WSRL._actor_gradient))(twice(learned), twice(batch.obs), twice(noise))
    assert_trees_close(many, twice(expected), rtol=1e-4, atol=1e-5)


def test_few_critics_or_rows_are_evaluated_all(monkeypatch):
    monkeypatch.setattr(least, "BLOCK", 64)
    assert least.is_worthwhile(10, 1024) and not least.is_worthwhile(2, 256) and not least.is_worthwhile(10, 16)


def test_the_gradient_of_normed_features_is_the_derived_one():
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(1.0, 2.0, shape), jnp.float32)  # noqa: E731
    given, weight = (draw(3, 7, 6), draw(3, 6), draw(3, 6)), draw(3, 7, 6)

    def derived(x, scale, shift):
        centred = x - jnp.mean(x, -1, keepdims=True)
        normal = centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-6)
        return jnp.maximum(normal * scale[:, None] + shift[:, None], 0.0)

    with jax.numpy_rank_promotion("allow"):
        both = [
            quick(jax.value_and_grad(lambda *p, f=f: jnp.sum(f(*p) * weight), (0, 1, 2)))(*given)
            for f in (normed_relu, derived)
        ]
    assert_trees_close(*both, rtol=1e-4, atol=1e-5)
