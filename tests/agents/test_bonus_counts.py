"""Hashes of observations, counts over training, and counts within episodes, against dictionaries."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from palaestra.agents.bonuses.contract import BonusState
from palaestra.agents.bonuses.count import Count, count_all
from palaestra.agents.bonuses.episodic import count_visits, no_visits
from palaestra.agents.bonuses.hashing import counted_part, hash_observation
from palaestra.agents.rollout import Rollout
from palaestra.envs.classic.cartpole import CartPole
from palaestra.envs.errors import OptionError
from palaestra.envs.registration import make_functional

from . import little_grid

SMALL_IMAGE = spaces.Box(0, 255, (2, 2, 3), np.uint8)


def rollout_of(images, ended=None):
    """A rollout (T, B) that leads to these images (T, B, ...), each step from the one before."""
    before = np.concatenate([np.zeros_like(images[:1]), images[:-1]])
    ended = np.zeros(images.shape[:2], bool) if ended is None else ended
    zeros = jnp.zeros(images.shape[:2])
    return Rollout(
        obs={"image": jnp.asarray(before)},
        action=zeros.astype(jnp.int32),
        log_prob=zeros,
        reward=zeros,
        next_obs={"image": jnp.asarray(images)},
        terminated=jnp.asarray(ended),
        truncated=jnp.zeros_like(ended),
    )


def counted_by_dictionary(places):
    seen, counts = collections.Counter(), np.zeros(places.shape, np.int32)
    for t, row in enumerate(places):
        seen.update(row.tolist())
        counts[t] = [seen[place] for place in row.tolist()]
    return counts, seen


def test_counts_of_a_known_sequence():
    table, counts = count_all(jnp.zeros(8, jnp.int32), jnp.array([[3, 3], [3, 5], [5, 3]]))
    np.testing.assert_array_equal(counts, [[2, 2], [3, 1], [2, 4]])
    np.testing.assert_array_equal(table, [0, 0, 0, 4, 0, 2, 0, 0])


def test_counts_equal_a_dictionarys_over_several_rollouts_under_jit_and_vmap():
    places = np.random.default_rng(0).integers(0, 12, (2, 3, 20, 5)).astype(np.int32)  # seeds, rollouts, T, B
    count = jax.jit(jax.vmap(count_all))
    table, parts = jnp.zeros((2, 16), jnp.int32), []
    for rollout in range(3):
        table, counts = count(table, places[:, rollout])
        parts.append(counts)
    for seed in range(2):
        expected, seen = counted_by_dictionary(places[seed].reshape(60, 5))
        np.testing.assert_array_equal(np.concatenate([p[seed] for p in parts]), expected)
        np.testing.assert_array_equal(table[seed], [seen[place] for place in range(16)])


def test_the_count_bonus_is_one_over_the_root_of_visits():
    env, bonus = little_grid.LittleGrid(), Count()
    image = np.zeros((3, 2, 4, 3, 3), np.uint8)
    image[1, 1, 0, 0, 0] = 1  # seen once; the plain image five times
    state = bonus.init(jax.random.key(0), env, 2)
    state, reward = jax.jit(bonus.reward, static_argnums=(0, 3))(env, state, rollout_of(image), None)
    expected = 1.0 / np.sqrt([[2, 2], [3, 1], [5, 5]])
    np.testing.assert_allclose(reward, expected, rtol=1e-6)
    assert isinstance(state, BonusState) and int(state.shared.sum()) == 6
    _, again = jax.jit(bonus.reward, static_argnums=(0, 3))(env, state, rollout_of(image), None)
    np.testing.assert_allclose(again[0], 1.0 / np.sqrt([7, 7]), rtol=1e-6)


def test_counting_on_two_devices_equals_counting_on_one():
    env, bonus = little_grid.LittleGrid(), Count(bits=10)
    images = np.random.default_rng(0).integers(0, 2, (6, 4, 1, 1, 1)).astype(np.uint8) * np.ones((4, 3, 3), np.uint8)
    state = bonus.init(jax.random.key(0), env, 4)
    table, alone = bonus.reward(env, state, rollout_of(images), None)
    halves = jax.tree.map(lambda x: jnp.stack(jnp.split(x, 2, axis=1)), rollout_of(images))
    share = jax.vmap(lambda half: bonus.reward(env, state, half, "devices"), axis_name="devices")
    tables, together = share(halves)
    np.testing.assert_array_equal(np.concatenate(together, axis=1), alone)
    np.testing.assert_array_equal(tables.shared[0], table.shared)
    np.testing.assert_array_equal(tables.shared[1], table.shared)


def test_visits_of_an_episode_count_its_start_and_begin_anew_after_its_end():
    before = jnp.array([[1], [2], [1], [7], [1]], jnp.uint32)
    after = jnp.array([[2], [1], [2], [1], [7]], jnp.uint32)
    ended = jnp.array([[False], [False], [True], [False], [False]])
    visits, met = count_visits(no_visits(1, 8), before, after, ended)
    np.testing.assert_array_equal(met[:, 0], [1, 2, 2, 1, 2])
    np.testing.assert_array_equal(visits.count, [3])


def test_visits_equal_a_dictionarys_across_rollouts():
    generator = np.random.default_rng(1)
    length, lanes, horizon = 90, 4, 15
    seen = generator.integers(0, 6, (length + 1, lanes)).astype(np.uint32)
    ended = generator.random((length, lanes)) < 0.15
    clock = np.zeros(lanes, int)
    for t in range(length):  # no episode is longer than the horizon
        clock += 1
        ended[t] |= clock >= horizon
        clock[ended[t]] = 0
    expected = np.zeros((length, lanes), np.int32)
    for lane in range(lanes):
        counts = None
        for t in range(length):
            counts = collections.Counter([seen[t, lane]]) if counts is None else counts
            counts[seen[t + 1, lane]] += 1
            expected[t, lane] = counts[seen[t + 1, lane]]
            counts = None if ended[t, lane] else counts
    visits, parts = no_visits(lanes, horizon), []
    count = jax.jit(count_visits)
    for first in range(0, length, 30):
        rows = slice(first, first + 30)
        visits, met = count(visits, seen[:-1][rows], seen[1:][rows], ended[rows])
        parts.append(met)
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_equal_observations_and_only_those_have_equal_hashes():
    generator = np.random.default_rng(2)
    images = generator.integers(0, 3, (4000, 2, 2, 3)).astype(np.uint8)
    hashes = np.asarray(jax.jit(lambda x: hash_observation(SMALL_IMAGE, x))(images))
    different = {image.tobytes(): h for image, h in zip(images, hashes, strict=True)}
    assert len(set(different.values())) == len(different) > 3900
    again = np.asarray(hash_observation(SMALL_IMAGE, images.reshape(40, 100, 2, 2, 3)))
    np.testing.assert_array_equal(again.reshape(-1), hashes)
    spread = np.bincount(hashes >> 28, minlength=16)  # the leading bits are places in the table
    assert spread.min() > 180 and spread.max() < 320


def test_the_same_numbers_in_other_places_are_another_observation():
    space = spaces.MultiDiscrete([5, 5, 5])
    hashes = hash_observation(space, jnp.array([[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 2, 3]]))
    assert len(set(np.asarray(hashes).tolist())) == 3 and hashes[0] == hashes[3]


def test_missions_and_directions_can_be_counted():
    space = make_functional("palaestra/MiniGrid-Empty-5x5-v0").observation_space
    assert set(counted_part(space, None).spaces) == {"image"}
    part = counted_part(space, ("direction", "mission"))
    obs = {"direction": jnp.array([0, 1, 0]), "mission": jnp.zeros((3, space["mission"].length), jnp.uint8)}
    obs["mission"] = obs["mission"].at[2, 0].set(7)
    assert len(set(np.asarray(hash_observation(part, obs)).tolist())) == 3


@pytest.mark.parametrize(
    ("space", "names", "message"),
    [
        (CartPole().observation_space, None, "expected spaces of whole numbers"),
        (little_grid.LittleGrid.observation_space, ("speed",), "expected spaces of whole numbers"),
        (little_grid.LittleGrid.observation_space, ("colour",), r"observation parts \['colour'\]"),
    ],
)
def test_what_cannot_be_counted_is_refused(space, names, message):
    with pytest.raises(OptionError, match=message):
        counted_part(space, names)


def test_an_impossible_table_is_refused():
    with pytest.raises(ValueError, match="bits=40"):
        Count(bits=40)
