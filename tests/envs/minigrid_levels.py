"""Levels of the `minigrid` package and of our generators, and what can be said of them in numbers.

Letters: N levels, H rows, W columns.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from palaestra.envs.minigrid import bank, cells, words
from palaestra.envs.minigrid.generators.catalog import NATIVE
from palaestra.envs.minigrid.instructions import Instruction
from palaestra.envs.minigrid.rules import LookGoal, NearGoal, ObjectGoal, ObstaclesGoal, PlaceGoal

THINGS = ("wall", "door", "key", "ball", "box", "goal", "lava")
BATCH = 500  # levels made together, whatever number is asked for: one program per source in all files
LEAST = 20  # levels of both sources in a class that is counted on its own


@functools.lru_cache(maxsize=256)
def program(source):
    """One program for all values of the source's parameters."""
    return jax.jit(jax.vmap(source.sample, (0, None)))


def defaults(source):
    return {p.name: p.default for p in source.parameters}


def ours(source, count, seed=0, **values):
    """N levels, NumPy; the parameters at their defaults but for `values`."""
    values = {name: jnp.float32(value) for name, value in {**defaults(source), **values}.items()}
    batches = jax.random.split(jax.random.key(seed), (-(-count // BATCH), BATCH))
    made = [jax.device_get(program(source)(keys, values)) for keys in batches]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *made)


def theirs(name, count, seed=0):
    """N levels of the package, NumPy; missions and sets of objects are filled up."""
    return bank.import_bank(name, range(seed, seed + count)).levels


def single(levels, index):
    """One of N levels."""
    return jax.tree.map(lambda leaf: leaf[index], levels)


def sentences(levels):
    return [words.decode(mission) for mission in levels.mission]


def form(sentence):
    """The sentence with every color and kind of thing replaced by a letter."""
    sentence = re.sub(rf"\b({'|'.join(cells.COLORS)})\b", "C", sentence)
    return re.sub(r"\b(key|ball|box)\b", "K", sentence)


def features(levels, seed=0):
    """Numbers (N,) by name that say what a level is like; equal distributions of levels give equal ones."""
    rng = np.random.default_rng(seed)
    height, width = levels.grid.shape[1:]
    kind, count = cells.kind(levels.grid), len(levels.grid)
    all_levels = np.arange(count)
    x, y, direction = levels.x, levels.y, levels.direction
    told = {
        "agent": y * width + x,
        "direction": direction,
        "ahead": kind[all_levels, y + cells.DY[direction], x + cells.DX[direction]],
        "max_steps": levels.max_steps,
        "walls_in_row": np.count_nonzero(kind[all_levels, y] == cells.WALL_KIND, axis=1),
    }
    for name in THINGS:
        there = (kind == cells.KINDS.index(name)).reshape(count, -1)
        told[f"count_{name}"] = there.sum(1)
        if name in ("wall", "lava"):
            told[f"rows_{name}"] = np.count_nonzero(there.reshape(count, height, width).any(2), axis=1)
        # A thing drawn from each level, so that levels stay independent.
        some = np.argmax(np.where(there, rng.random(there.shape), -1), axis=1)
        exists = there.any(1)
        word = levels.grid.reshape(count, -1)[all_levels, some]
        apart = (some // width - y + height) * 2 * width + some % width - x + width
        held = cells.content(word)
        for what, value in {
            "place": some,
            "apart": apart,
            "color": cells.color(word),
            "state": cells.state(word),
            "held": cells.kind(held) * 8 + cells.color(held),
        }.items():
            told[f"{what}_{name}"] = np.where(exists, value, -1)
    return {**told, **_mission_features(levels), **_goal_features(levels)}


def _mission_features(levels):
    split = [sentence.replace(",", " ,").split() for sentence in sentences(levels)]
    longest = max(map(len, split))
    return {
        f"word_{i}": np.array([words.WORDS.index(s[i]) if i < len(s) else 0 for s in split]) for i in range(longest)
    }


def _goal_features(levels):
    goal, width = levels.goal, levels.grid.shape[2]
    if isinstance(goal, Instruction):
        told = {"clause": goal.kind[:, 0], "strict": goal.strict[:, 0]}
        for name in ("moved", "fixed"):
            members = getattr(goal, name)[:, 0]
            place = np.where(members, goal.y * width + goal.x, 10**6)
            told |= {f"count_{name}": members.sum(1), f"least_{name}": place.min(1)}
        return told
    if isinstance(goal, ObjectGoal):
        found = cells.number(levels.grid) == goal.number[:, None, None]
        return {"target": found.reshape(len(found), -1).argmax(1)}
    if isinstance(goal, ObstaclesGoal):
        place = np.where(goal.x >= 0, goal.y * width + goal.x, -1)
        last = np.count_nonzero(goal.x >= 0, axis=1) - 1
        return {"first": place[:, 0], "last": place[np.arange(len(place)), last]}
    return {f"goal_{name}": value for name, value in vars(goal).items()}


def significance(a, b):
    """p-value of the chi-square test that two samples of whole numbers have one distribution; None if all are equal.

    Neighboring values are counted together until there are enough of them.
    """
    values, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    if len(values) == 1:
        return None
    table = np.stack(
        [np.bincount(place[: len(a)], minlength=len(values)), np.bincount(place[len(a) :], minlength=len(values))]
    )
    classes, pending = [], np.zeros(2, int)
    for column in table.T:
        pending = pending + column
        if pending.sum() >= LEAST:
            classes.append(pending)
            pending = np.zeros(2, int)
    if not classes:
        classes.append(pending)
    else:
        classes[-1] = classes[-1] + pending
    if len(classes) == 1:
        return 1.0
    return scipy.stats.chi2_contingency(np.stack(classes, 1), correction=False).pvalue


def compare(a, b):
    """{feature: p-value} of two sets of levels, without those that are the same in all levels."""
    told_a, told_b = features(a, seed=1), features(b, seed=2)
    assert told_a.keys() == told_b.keys()
    tested = {name: significance(told_a[name], told_b[name]) for name in told_a}
    return {name: p for name, p in tested.items() if p is not None}


def named(level):
    """The looks (kind, color) that the mission should name, by the goal."""
    goal = level.goal
    if isinstance(goal, LookGoal):
        return [(goal.kind, goal.color)]
    if isinstance(goal, ObjectGoal):
        return [_look(level.grid[cells.number(level.grid) == goal.number].item())]
    if isinstance(goal, PlaceGoal):
        return [_look(level.grid[goal.y, goal.x])]
    if isinstance(goal, NearGoal):
        return [(goal.kind, goal.color), _look(level.grid[goal.y, goal.x])]
    return []


def _look(word):
    return cells.kind(np.uint32(word)), cells.color(np.uint32(word))


def reachable(level):
    """(H, W) bool: where one could go from the agent's place if nothing but walls were in the way.

    Nobody goes through doors whose touch ends the episode.
    """
    kind = cells.kind(level.grid)
    free = kind != cells.WALL_KIND
    if isinstance(level.goal, PlaceGoal):
        free &= kind != cells.DOOR
    flood = np.zeros_like(free)
    flood[level.y, level.x] = True
    while True:
        grown = flood.copy()
        grown[1:] |= flood[:-1]
        grown[:-1] |= flood[1:]
        grown[:, 1:] |= flood[:, :-1]
        grown[:, :-1] |= flood[:, 1:]
        grown &= free
        if (grown == flood).all():
            return flood
        flood = grown


def representatives():
    """One id for every generator and length of mission: the smallest of those with the most parameters to choose."""
    found = {}
    for name, source in NATIVE.items():
        free = sum(parameter.is_free for parameter in source.parameters)
        kind = (type(source).__name__, source.mission_length)
        found.setdefault(kind, []).append((-free, source.height * source.width, name))
    return sorted(min(candidates)[2] for candidates in found.values())
