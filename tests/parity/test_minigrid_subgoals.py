"""When subgoals count and what they pay, told again in plain Python around live environments of the package."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.minigrid import bank, reference
from palaestra.envs.minigrid.subgoals.build import make_subgoals

LIMIT = 120
ALPHA = 0.2


class Tracker:
    """The rule in words: contents before and after a step, or the agent on the spot; one at a time, the last never."""

    def __init__(self, env, places, show_last):
        self.env, self.places = env, places
        self.index, self.since = 0, 0
        self.last = len(places) - (0 if show_last else 1)

    def contents(self):
        return [self._encoded(self.env.grid.get(*place)) for place in self.places]

    @staticmethod
    def _encoded(thing):
        return None if thing is None else (id(thing), *thing.encode())

    def step(self, action):
        before = self.contents()
        _, reward, terminated, truncated, _ = self.env.step(action)
        after = self.contents()
        self.since += 1
        here = tuple(int(v) for v in self.env.agent_pos)
        done = [b != a or place == here for b, a, place in zip(before, after, self.places, strict=True)]
        completed = self.index < self.last and done[self.index]
        paid = ALPHA * (1 - self.since / self.env.max_steps) if completed else 0.0
        if completed:
            self.index, self.since = self.index + 1, 0
        return reward + paid, terminated, truncated, completed, self.index

    def shown(self):
        if self.index >= self.last:
            return (0, 0)
        x, y = self.places[self.index]
        return (x - int(self.env.agent_pos[0]), y - int(self.env.agent_pos[1]))


def policy(rng):
    return int(rng.choice([0, 1, 2, 2, 2, 2, 3, 3, 4, 5, 5, 5]))


def told(name, episodes, show_last, chains):
    env = reference.make_reference(name)
    rows = []
    for seed in range(episodes):
        reference.reset(env, seed)
        count = int(chains.count[seed])
        places = list(zip(chains.x[seed, :count].tolist(), chains.y[seed, :count].tolist(), strict=True))
        tracker, rng = Tracker(env, places, show_last), np.random.default_rng(seed)
        row = {"action": [], "reward": [], "completed": [], "index": [], "shown": [], "terminated": []}
        for _ in range(LIMIT):
            action = policy(rng)
            reward, terminated, truncated, completed, index = tracker.step(action)
            values = (action, reward, completed, index, tracker.shown(), terminated)
            for key, value in zip(row, values, strict=True):
                row[key].append(value)
            if terminated or truncated:
                break
        rows.append({key: np.array(value) for key, value in row.items()})
    return rows


@functools.cache
def replay(env):
    params = env.default_params

    def episode(number, actions):
        chosen = params.replace(base=params.base.replace(level={"level": number}))
        state = env.initial(jax.random.key(0), chosen)

        def step(state, action):
            after = env.transition(state, action, jax.random.key(0), chosen)
            return after, (after.reward, after.completed, after.index, env._describe(after), after.terminated)

        return jax.lax.scan(step, state, actions)[1]

    return jax.jit(jax.vmap(episode))


def compare(name, episodes, show_last=False):
    levels = bank.import_bank(name, range(episodes))
    env = make_subgoals(name, levels=levels, show_last=show_last)
    chains = jax.device_get(jax.jit(jax.vmap(env.guide.scheme.chain))(levels.levels))
    rows = told(name, episodes, show_last, chains)
    actions = np.zeros((episodes, LIMIT), np.int32)
    for i, row in enumerate(rows):
        actions[i, : len(row["action"])] = row["action"]
    ours = jax.device_get(replay(env)(jnp.arange(episodes, dtype=jnp.float32), actions))
    reached = ended = 0
    for i, row in enumerate(rows):
        n = len(row["action"])
        reward, completed, index, shown, terminated = (leaf[i, :n] for leaf in ours)
        np.testing.assert_allclose(reward, row["reward"], atol=1e-6)
        np.testing.assert_array_equal(completed, row["completed"])
        np.testing.assert_array_equal(index, row["index"])
        np.testing.assert_array_equal(shown, row["shown"])
        np.testing.assert_array_equal(terminated, row["terminated"])
        reached, ended = reached + int(row["completed"].sum()), ended + int(row["terminated"].sum())
    return reached, ended


@pytest.mark.parametrize("show_last", [False, True])
def test_the_rule_in_words_is_the_rule_in_arrays(show_last):
    reached, ended = compare("MiniGrid-DoorKey-5x5-v0", 60, show_last)
    assert reached > 30 and ended > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least", "ends"),
    [
        ("MiniGrid-Unlock-v0", 200, True),
        ("MiniGrid-MultiRoom-N2-S4-v0", 200, True),
        ("MiniGrid-ObstructedMaze-1Dlhb-v0", 200, False),  # too hard for chance
    ],
)
def test_a_thousand_episodes_are_told_alike(name, least, ends):
    reached, ended = compare(name, 1000)
    assert reached > least and (ended > 0) == ends
