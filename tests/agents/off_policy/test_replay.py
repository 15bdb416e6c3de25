"""The ring against a list, returns in it against those of whole episodes, and where batches are drawn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy.replay import add, add_with_return, draw, draw_appended, draw_mixed, init_replay
from palaestra.agents.off_policy.transitions import Transitions, returns_to_go

from .cases import assert_trees_equal, made_transitions, quick


def numbered(numbers, ended=None):
    """Transitions that are told apart by every one of their numbers."""
    numbers = np.asarray(numbers, np.float32)
    ended = np.zeros(len(numbers), bool) if ended is None else ended
    wide = lambda n: jnp.asarray(np.repeat(numbers[:, None], n, 1))  # noqa: E731
    flat = jnp.asarray(numbers)
    return Transitions(wide(3), wide(2), flat, wide(3) + 0.5, flat, jnp.asarray(ended))


@pytest.mark.parametrize(("capacity", "together"), [(7, 1), (7, 3), (6, 3), (4, 4)])
def test_ring_keeps_the_newest(capacity, together):
    replay, step = init_replay(capacity, 3, 2), quick(add)
    for first in range(0, 8 * together, together):
        replay = step(replay, numbered(range(first, first + together)))
        count = first + together
        assert int(replay.size) == min(count, capacity)
        kept = range(max(0, count - capacity), count)
        rows = jax.tree.map(np.asarray, replay.rows)
        at = [number % capacity for number in kept]
        assert_trees_equal(jax.tree.map(lambda x, at=at: x[at], rows), numbered(kept))


def test_draws_are_even_over_what_is_there(key):
    replay = init_replay(10, 3, 2)
    for part in (range(4), range(4, 8)):
        replay = add(replay, numbered(part))
    found = quick(draw, static_argnums=2)(key, replay, 8000)
    counts = np.bincount(np.asarray(found.reward).astype(int), minlength=10)
    np.testing.assert_allclose(counts[:8], 1000, atol=150)
    assert counts[8:].sum() == 0
    np.testing.assert_array_equal(found.next_obs[:, 0], found.reward + 0.5)
    replay = add(replay, numbered(range(8, 13)))  # wraps
    assert set(np.asarray(quick(draw, static_argnums=2)(key, replay, 2000).reward)) == set(range(3, 13))


@pytest.mark.parametrize("failure", [None, -5.0])
def test_returns_in_the_ring_are_those_of_whole_episodes(failure, key):
    """Random episodes of 1 to H steps, through a ring of about two, looked at after every step."""
    rng, horizon, capacity, steps, discount = np.random.default_rng(0), 6, 13, 150, 0.9
    lengths = rng.integers(1, horizon + 1, steps)
    ended = np.zeros(steps, bool)
    ended[np.cumsum(lengths)[np.cumsum(lengths) <= steps] - 1] = True
    over = ended & (rng.random(steps) < 0.5)
    reward = rng.choice([-5.0, 5.0], steps, p=[0.8, 0.2]).astype(np.float32)
    numbers = numbered(range(steps), ended).replace(reward=jnp.asarray(reward), mask=jnp.asarray(1.0 - over))
    numbers = numbers.replace(mask=numbers.mask.astype(jnp.float32))

    def step(replay, x):
        key, row = x
        replay = add_with_return(replay, jax.tree.map(lambda x: x[None], row), horizon, discount, failure)
        return replay, (replay.size, replay.usable, draw(key, replay, 64))

    begin = init_replay(capacity, 3, 2, with_returns=True)
    _, (size, usable, drawn) = quick(lambda: jax.lax.scan(step, begin, (jax.random.split(key, steps), numbers)))()
    returns = np.asarray(returns_to_go(numbers.reward, numbers.mask, numbers.ended, discount, failure))
    begun = np.maximum.accumulate(np.where(np.r_[True, ended[:-1]], np.arange(steps), 0))
    looked_at = 0
    for t in range(steps):
        open_from = t + 1 if ended[t] else begun[t]
        oldest = max(0, t + 1 - capacity)
        assert int(size[t]) == min(t + 1, capacity)
        assert int(usable[t]) == open_from - oldest
        if open_from == oldest:
            continue
        found = np.asarray(drawn.obs[t, :, 0]).astype(int)
        assert set(found) <= set(range(oldest, open_from)), "an episode that goes on, or a row that is gone"
        np.testing.assert_allclose(drawn.return_to_go[t], returns[found], rtol=1e-4)
        looked_at += 1
    assert looked_at > 100


@pytest.mark.parametrize(("size", "old"), [(8, 4), (6, 2), (5, 4)])
def test_every_batch_has_its_share_of_offline_data(size, old, key):
    data, replay = numbered(np.full(20, 7.0)), add(init_replay(10, 3, 2), numbered(np.full(6, 3.0)))
    found = quick(draw_mixed, static_argnums=(3, 4, 5))(key, replay, data, 4, size, old)
    assert found.obs.shape == (4 * size, 3)
    np.testing.assert_array_equal(np.sum(np.asarray(found.reward).reshape(4, size) == 7.0, 1), old)
    np.testing.assert_array_equal(np.sum(np.asarray(found.reward).reshape(4, size) == 3.0, 1), size - old)


def test_mixed_batches_are_of_different_rows(key):
    data, replay = numbered(range(1000)), add(init_replay(1000, 3, 2), numbered(range(1000, 2000)))
    found = np.asarray(quick(draw_mixed, static_argnums=(3, 4, 5))(key, replay, data, 4, 64, 32).reward)
    assert len(set(found)) > 200
    assert not np.array_equal(found[:32], found[64:96])


def test_appended_draws_are_even_over_both(key):
    data, replay = numbered(range(30)), init_replay(40, 3, 2)
    appended = quick(draw_appended, static_argnums=3)
    assert set(np.asarray(appended(key, replay, data, 8000).reward)) == set(range(30))
    replay = add(replay, numbered(range(30, 40)))
    found = appended(key, replay, data, 8000)
    np.testing.assert_allclose(np.bincount(np.asarray(found.reward).astype(int), minlength=40), 200, atol=60)
    np.testing.assert_array_equal(found.next_obs[:, 2], found.reward + 0.5)
    assert found.ended.dtype == bool


def test_episodes_that_go_on_are_not_appended(key):
    data, replay = numbered(range(5)), init_replay(10, 3, 2, with_returns=True)
    step = quick(lambda replay, row: add_with_return(replay, row, 5, 0.9, None))
    for number, ended in ((5, True), (6, False), (7, False)):
        replay = step(replay, numbered([number], np.array([ended])))
    known = data.replace(return_to_go=jnp.zeros(5))
    assert set(np.asarray(quick(draw_appended, static_argnums=3)(key, replay, known, 500).reward)) == set(range(6))


def test_made_transitions_can_be_kept():
    """Types and shapes of the ring are those of transitions."""
    rows = made_transitions(0, 4, with_returns=False)
    replay = add(init_replay(4, 5, 2), rows)
    assert_trees_equal(jax.tree.map(np.asarray, replay.rows), rows)
