"""Returns of whole episodes against a loop over each, backwards."""

import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy.config import Rewards
from palaestra.agents.off_policy.transitions import returns_to_go

DISCOUNT = 0.9


def by_loop(episodes, discount, failure=None):
    """Of episodes [(rewards, terminated)]: the sum from every step on, or for ever what a failed one always got."""
    found = []
    for rewards, _ in episodes:
        after, backwards = 0.0, []
        for reward in reversed(rewards):
            after = reward + discount * after
            backwards.append(after)
        failed = failure is not None and all(reward == failure for reward in rewards)
        found += [failure / (1 - discount)] * len(rewards) if failed else backwards[::-1]
    return found


def by_arrays(episodes, discount, failure=None):
    reward = [reward for rewards, _ in episodes for reward in rewards]
    last = [i == len(rewards) - 1 for rewards, _ in episodes for i in range(len(rewards))]
    over = [terminated for rewards, terminated in episodes for _ in rewards]
    mask = 1.0 - np.float32(last) * np.float32(over)
    return returns_to_go(jnp.float32(reward), jnp.asarray(mask), jnp.array(last), discount, failure)


CASES = {
    "success": [([-5.0, -5.0, 5.0], True)],
    "failure": [([-5.0, -5.0, -5.0], False)],
    "failure that ends itself": [([-5.0, -5.0], True)],
    "dense, cut off": [([1.0, 2.0, 3.0], False)],
    "one step": [([5.0], True)],
    "one failed step": [([-5.0], False)],
    "success at once, then failures": [([5.0], True), ([-5.0, -5.0], False), ([-5.0], True)],
    "failures around a success": [([-5.0] * 3, False), ([-5.0, 5.0], True), ([-5.0] * 2, False)],
    "a reward like failure's in another": [([-5.0, 0.0], False), ([-5.0, -5.0], False), ([0.0, -5.0], True)],
}


@pytest.mark.parametrize("failure", [None, -5.0])
@pytest.mark.parametrize("episodes", CASES.values(), ids=CASES)
def test_episodes_by_hand(episodes, failure):
    found = by_arrays(episodes, DISCOUNT, failure)
    np.testing.assert_allclose(found, by_loop(episodes, DISCOUNT, failure), rtol=1e-6)


def test_many_random_episodes():
    rng = np.random.default_rng(0)
    episodes = [(list(rng.choice([-5.0, 5.0], n, p=[0.8, 0.2])), rng.random() < 0.5) for n in rng.integers(1, 9, 60)]
    np.testing.assert_allclose(by_arrays(episodes, 0.99, -5.0), by_loop(episodes, 0.99, -5.0), rtol=1e-5, atol=1e-6)


def test_failure_for_ever_of_the_published_antmaze():
    np.testing.assert_allclose(by_arrays([([-5.0] * 4, False)], 0.99, -5.0), -500.0, rtol=1e-5)


def test_failure_is_known_by_its_reward_however_scale_and_bias_round():
    rewards = Rewards(scale=3.0, failure=-0.3)
    seen = rewards.seen(jnp.full(3, -0.3))
    assert float(seen[0]) != np.float32(rewards.seen_failure), "a case that rounds"
    ended = jnp.array([False, False, True])
    found = returns_to_go(seen, jnp.ones(3), ended, DISCOUNT, rewards.seen_failure)
    np.testing.assert_allclose(found, -9.0, rtol=1e-5)
