"""Episodes of the `minigrid` package, and the same actions in ours, compared step by step.

Letters: N episodes, T steps.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.envs.minigrid import bank, cells, reference
from palaestra.envs.minigrid.build import make_minigrid
from palaestra.envs.minigrid.core import act, start
from palaestra.envs.minigrid.observe import encode, full_words
from palaestra.envs.minigrid.rules import DodgeObstacles
from palaestra.envs.minigrid.words import decode

LIMIT = 200  # steps of a random episode
LIKELY = (0, 1, 2, 2, 2, 2, 3, 3, 4, 5, 5, 6)  # actions of a random player who gets around


@dataclasses.dataclass
class Episodes:
    """What the package said to N episodes of at most T steps; rows past an episode's length are zero."""

    name: str
    seeds: tuple
    actions: np.ndarray  # (N, T) int32
    lengths: np.ndarray  # (N,)
    missions: list
    first: dict  # {field: (N, ...)} at the reset
    later: dict  # {field: (N, T, ...)} after each step
    last_grids: np.ndarray  # (N, W, H, 3), the whole grid at the end

    @property
    def steps(self):
        return int(self.lengths.sum())

    @property
    def successes(self):
        return int((self.later["reward"].max(1) > 0).sum())


def play(name, policy, limit, steps):
    """Plays episodes of seeds from 0 in the package until there are so many steps.

    `policy(env, rng)` gives the actions of an episode one after the other. An agent that faces a cell outside of the
    grid, which the package refuses to look up, ends an episode.
    """
    env, episodes = reference.make_reference(name), {}
    while sum(len(actions) for _, actions, *_ in episodes.values()) < steps:
        episodes[len(episodes)] = play_one(env, len(episodes), policy, limit)
    return gather(name, episodes)


def gather(name, episodes):
    """{seed: what `play_one` gave} as arrays."""
    firsts, actions, laters, grids, missions = zip(*episodes.values(), strict=True)
    lengths = np.array([len(a) for a in actions])
    limit = -(-max(lengths) // 100) * 100  # few distinct shapes
    padded = np.zeros((len(episodes), limit), np.int32)
    for row, taken in zip(padded, actions, strict=True):
        row[: len(taken)] = taken
    later = {k: _padded([[record[k] for record in later] for later in laters], limit) for k in laters[0][0]}
    first = {k: np.stack([record[k] for record in firsts]) for k in firsts[0]}
    return Episodes(name, tuple(episodes), padded, lengths, list(missions), first, later, np.stack(grids))


def play_one(env, seed, policy, limit):
    """One episode of at most `limit` steps: what was said first, the actions, what was said later, grid, mission."""
    obs, _ = reference.reset(env, seed)
    rng = np.random.default_rng(seed)
    first, mission = _record(env, obs, 0.0, False, False), obs["mission"]
    actions, later = [], []
    for action in itertools.islice(policy(env, rng), limit):
        x, y = env.front_pos
        if not (0 <= x < env.width and 0 <= y < env.height):  # the package refuses to look up such a cell
            break
        obs, reward, terminated, truncated, _ = env.step(action)
        actions.append(action)
        later.append(_record(env, obs, reward, terminated, truncated))
        if terminated or truncated:
            break
    grid = env.grid.encode()
    grid[tuple(env.agent_pos)] = (cells.AGENT, cells.RED, env.agent_dir)
    return first, actions, later, grid, mission


def _record(env, obs, reward, terminated, truncated):
    record = {
        "image": obs["image"],
        "direction": np.int32(obs["direction"]),
        "place": np.array(env.agent_pos, np.int32),
        "carries": np.array((0, 0, 0) if env.carrying is None else env.carrying.encode(), np.uint8),
        "reward": np.float64(reward),
        "terminated": np.bool_(terminated),
        "truncated": np.bool_(truncated),
    }
    if hasattr(env, "obstacles"):
        record["obstacles"] = np.array([obstacle.cur_pos for obstacle in env.obstacles], np.int32)
    return record


def _padded(rows, limit):
    out = np.zeros((len(rows), limit, *np.shape(rows[0][0])), np.asarray(rows[0][0]).dtype)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return out


def random_policy(env, rng):
    """Actions of a random player, without end."""
    while True:
        action = int(rng.choice(LIKELY))
        yield action if action < env.action_space.n else 2


def differences(episodes, **options):
    """What ours says differently: {field: steps at which it differs}, empty if nothing."""
    env = make_minigrid(episodes.name, levels=bank.import_bank(episodes.name, episodes.seeds), **options)
    levels = jax.tree.map(jnp.asarray, env.source.levels)
    obstacles = episodes.later.get("obstacles", np.zeros((*episodes.actions.shape, 0, 2), np.int32))
    first, later, last = jax.device_get(replay(env)(levels, episodes.actions, obstacles))
    during = np.arange(episodes.actions.shape[1]) < episodes.lengths[:, None]
    found = {}
    for name in first:
        wrong = _unequal(later[name], episodes.later[name]) & during
        count = int(wrong.sum()) + int(_unequal(first[name][:, None], episodes.first[name][:, None]).sum())
        if count:
            found[name] = count
    ends = last[np.arange(len(last)), episodes.lengths - 1]
    grids = int(_unequal(ends[:, None], episodes.last_grids[:, None]).sum())
    said = sum(a != b for a, b in zip(episodes.missions, map(decode, env.source.levels.mission), strict=True))
    return found | {k: v for k, v in (("grid", grids), ("mission", said)) if v}


def shows_empty_hands_first(name):
    """Whether the package makes the first observation before it hands out the object; ours does on request only."""
    return name.endswith("Carrying-v0")


def differences_after_all(episodes):
    """`differences` with every oddity of the package on."""
    odd = {"reference_first_view": True} if shows_empty_hands_first(episodes.name) else {}
    return differences(episodes, **odd)


def _unequal(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (np.abs(a - b) > 1e-6).reshape(*a.shape[:2], -1).any(-1)


@functools.cache
def replay(env):
    """(levels (N,), actions (N, T), obstacles (N, T, K, 2)) -> what ours says at the start, later, and whole grids."""
    rule, params = env.source.rule, env.default_params

    def say(state):
        level = state.level
        image = env.observation(state, jax.random.key(0), params)["image"]
        return {
            "image": image,
            "direction": level.direction,
            "place": jnp.stack([level.x, level.y]),
            "carries": encode(level.carrying),
            "reward": state.reward,
            "terminated": state.terminated,
            "truncated": (state.steps >= env.time_limit(state)) & (state.steps > 0),
        }

    def step(state, inputs):
        action, places = inputs
        before, action = rule.prepare(state, action, jax.random.key(0))
        if isinstance(rule, DodgeObstacles):
            before = _put_obstacles(state, before, places)
        state = rule.judge(before, action, act(before, action))
        return state, (say(state), encode(full_words(state.level)))

    def episode(level, actions, obstacles):
        state = start(level)
        _, (later, grids) = jax.lax.scan(step, state, (actions, obstacles))
        return say(state), later, grids

    return jax.jit(jax.vmap(episode))


def _put_obstacles(state, moved, places):
    """The state before the agent's step with obstacles where the package's draws put them."""
    goal, grid = state.level.goal, state.level.grid
    ball = cells.word(cells.BALL, cells.BLUE)
    grid = grid.at[goal.y, goal.x].set(cells.EMPTY).at[places[:, 1], places[:, 0]].set(ball)
    goal = moved.level.goal.replace(x=places[:, 0], y=places[:, 1])
    return moved.replace(level=moved.level.replace(grid=grid, goal=goal))
