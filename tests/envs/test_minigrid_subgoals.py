"""Subgoals: what they are, when they count, what they pay, and how mistaken teachers err."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.minigrid import cells
from palaestra.envs.minigrid.bank import import_bank
from palaestra.envs.minigrid.ids import WITH_SUBGOALS
from palaestra.envs.minigrid.subgoals.build import make_subgoals
from palaestra.envs.minigrid.subgoals.chain import Chain, insert
from palaestra.envs.minigrid.subgoals.errors import KINDS, POSITIONAL, PUBLISHED, REPRESENTATION, ErrorModel, err
from palaestra.envs.minigrid.subgoals.guides import GuideError, TableGuide
from palaestra.envs.minigrid.subgoals.schemes import scheme_of
from palaestra.envs.minigrid.subgoals.texts import NO_TEXT, TEXTS, TextError, TextTable, text_number

CORRIDOR = "MiniGrid-KeyCorridorS3R3-v0"
LEVELS = 24

# The kinds of things that stand at the subgoals, in order.
ORDERS = {
    "KeyCorridor": ["key", "locked door", "ball"],
    "ObstructedMaze-1Dl-": ["key", "locked door", "ball"],
    "ObstructedMaze-1Dlh-": ["box", "locked door", "ball"],
    "ObstructedMaze-1Dlhb-": ["box", "ball", "locked door", "ball"],
    "MultiRoom-N2": ["door", "goal"],
    "MultiRoom-N4-S5-v1": ["door"] * 3 + ["goal"],
    "MultiRoom-": ["door"] * 5 + ["goal"],
    "BlockedUnlockPickup": ["ball", "key", "locked door", "box"],
    "UnlockPickup": ["key", "locked door", "box"],
    "Unlock-": ["key", "locked door"],
    "DoorKey": ["key", "locked door", "goal"],
    "LockedRoom": ["door", "key", "locked door", "goal"],
}


def row(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


@functools.cache
def chains_of(name):
    bank = import_bank(name, range(LEVELS))
    return bank, jax.device_get(jax.jit(jax.vmap(scheme_of(name).chain))(bank.levels))


def said(word):
    kind = cells.KINDS[int(cells.kind(word))]
    return "locked door" if kind == "door" and cells.state(word) == cells.LOCKED else kind


@pytest.mark.parametrize("name", WITH_SUBGOALS)
def test_chains_are_the_published_ones(name):
    order = next(order for part, order in ORDERS.items() if part in name)
    bank, chains = chains_of(name)
    for level, chain in zip(
        (row(bank.levels, i) for i in range(LEVELS)), (row(chains, i) for i in range(LEVELS)), strict=True
    ):
        assert int(chain.count) == len(order)
        words = level.grid[chain.y, chain.x][: len(order)]
        assert [said(word) for word in words] == order
        assert len(set(zip(chain.x[: len(order)].tolist(), chain.y[: len(order)].tolist(), strict=True))) == len(order)


def test_the_target_comes_last_and_the_blocker_stands_before_the_door():
    bank, chains = chains_of("MiniGrid-ObstructedMaze-1Dlhb-v0")
    for i in range(LEVELS):
        level, chain = row(bank.levels, i), row(chains, i)
        words = level.grid[chain.y, chain.x]
        assert cells.number(words[3]) == level.goal.number
        assert (chain.x[1] + 1, chain.y[1]) == (chain.x[2], chain.y[2])


def test_rooms_doors_come_in_the_order_of_the_way():
    """From door to door: the next one is the first that is met when the ones after it are walls."""
    bank, chains = chains_of("MiniGrid-MultiRoom-N6-v0")
    for i in range(LEVELS):
        level, chain = row(bank.levels, i), row(chains, i)
        for k in range(5):
            open_to = {(int(chain.x[j]), int(chain.y[j])) for j in range(k)}
            reached = flood(level, open_to)
            beside = {(x + dx, y + dy) for x, y in reached for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))}
            met = {(int(x), int(y)) for x, y in zip(chain.x[k:5], chain.y[k:5], strict=True)} & beside
            assert met == {(int(chain.x[k]), int(chain.y[k]))}


def flood(level, open_doors):
    reached, work = set(), [(int(level.x), int(level.y))]
    while work:
        x, y = work.pop()
        if (x, y) in reached or not (cells.is_passable(level.grid[y, x]) or (x, y) in open_doors):
            continue
        reached.add((x, y))
        work += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return reached


SLOW_TO_COMPILE = ("KeyCorridorS6R3", "1Dlh-", "MultiRoom-N4")


def measured_ids():
    for name in sorted({name for name, _ in PUBLISHED}):
        slow = any(part in name for part in SLOW_TO_COMPILE)
        yield pytest.param(name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("name", list(measured_ids()))
@pytest.mark.parametrize("kind", [POSITIONAL, REPRESENTATION])
def test_accuracies_are_those_of_the_table(name, kind):
    """Within three standard errors, in every cell of the published table (language errs as representation does)."""
    scheme = scheme_of(name)
    bank, chains = chains_of(name)
    episodes = 4000
    picks = np.arange(episodes) % LEVELS
    levels, truth = (jax.tree.map(lambda leaf: jnp.asarray(leaf)[picks], tree) for tree in (bank.levels, chains))

    @jax.jit
    def answers(keys, accuracy, mean, deviation):
        model = ErrorModel(mean=mean, deviation=deviation)
        one = lambda key, level, chain: err(key, level, chain, kind, accuracy, model, scheme.mistakes, False)  # noqa: E731
        return jax.vmap(one)(keys, levels, truth)

    keys = jax.random.split(jax.random.key(0), episodes)
    for teacher in ("llama", "deepseek", "qwen"):
        model = PUBLISHED[name, teacher]
        given, right = jax.device_get(answers(keys, model.accuracy(kind), model.mean, model.deviation))
        there = np.arange(truth.x.shape[1]) < np.asarray(truth.count)[:, None]
        same = (given.x == truth.x) & (given.y == truth.y)
        p, n = model.accuracy(kind), int(there.sum())
        assert abs(right[there].mean() - p) < 3 * np.sqrt(p * (1 - p) / n)
        assert same[right].all()
        if kind == POSITIONAL:
            assert not same[there & ~right].any()
        else:  # a single door has no other to be mistaken for
            assert name == "MiniGrid-MultiRoom-N2-S4-v0" or same[there & ~right].mean() < 0.5


@pytest.mark.parametrize("as_published", [False, True])
def test_misplaced_subgoals_lie_at_the_drawn_distance(as_published):
    bank, chains = chains_of(CORRIDOR)
    level, chain = row(bank.levels, 0), row(chains, 0)
    model = ErrorModel(mean=2.0, deviation=1.5)

    @jax.jit
    @jax.vmap
    def misplace(key):
        return err(key, level, chain, POSITIONAL, 0.0, model, scheme_of(CORRIDOR).mistakes, as_published)[0]

    moved = jax.device_get(misplace(jax.random.split(jax.random.key(0), 4000)))
    height, width = level.grid.shape
    assert (moved.x >= 0).all() and (moved.x < width).all() and (moved.y >= 0).all() and (moved.y < height).all()
    dx, dy = moved.x - chain.x, moved.y - chain.y
    distance = (np.abs(dx) + np.abs(dy))[:, 0]
    if as_published:
        within = (dy[:, 0] == 0) & (dx[:, 0] > 0)
        assert within.mean() > 0.5
        distance = distance[within]
    drawn = np.maximum(1, np.trunc(np.random.default_rng(0).normal(2.0, 1.5, 100_000)))
    for d in (1, 2, 3):
        expected = (drawn == d).mean()
        found = (distance == d).mean() if not as_published else (distance == d).sum() / 4000
        assert abs(found - expected) < (0.03 if not as_published else 0.1)


def test_mistaken_objects_are_others_outside_of_the_goals_room():
    name = "MiniGrid-ObstructedMaze-1Dlhb-v0"
    bank, chains = chains_of(name)
    mistakes = scheme_of(name).mistakes

    @jax.jit
    @jax.vmap
    def mistake(key):
        level, chain = row(bank.levels, 0), row(chains, 0)
        return err(key, level, chain, REPRESENTATION, 0.0, ErrorModel(), mistakes, False)[0]

    level, chain = row(bank.levels, 0), row(chains, 0)
    given = jax.device_get(mistake(jax.random.split(jax.random.key(0), 300)))
    for k in range(3):
        named = {said(level.grid[y, x]) for x, y in zip(given.x[:, k], given.y[:, k], strict=True)}
        others = {"box", "ball", "locked door"} - {said(level.grid[chain.y[k], chain.x[k]])}
        assert named == others
        assert (given.x[:, k] <= 5).all()


def test_distractors_go_anywhere_but_last():
    chain = Chain(x=jnp.array([1, 2, 3, 0]), y=jnp.array([1, 2, 3, 0]), count=jnp.int32(3))
    longer = insert(chain, jnp.array([0, 2], jnp.int32), jnp.array([8, 9]), jnp.array([8, 9]))
    assert longer.x[:5].tolist() == [8, 1, 2, 9, 3] and int(longer.count) == 5
    env = make_subgoals(CORRIDOR, levels=LEVELS, distractors=3)
    states = jax.jit(jax.vmap(lambda key: env.initial(key)))(jax.random.split(jax.random.key(0), 64))
    plain = jax.jit(jax.vmap(lambda key: make_subgoals(CORRIDOR, levels=LEVELS).initial(key)))(
        jax.random.split(jax.random.key(0), 64)
    )
    assert (np.asarray(states.chain.count) == 6).all()
    for i in range(64):
        assert states.chain.x[i, 5] == plain.chain.x[i, 2] and states.chain.y[i, 5] == plain.chain.y[i, 2]


def test_every_text_stands_for_what_it_names():
    for number, text in enumerate(TEXTS):
        *adjective, noun = text.split()
        if text == "ball":
            continue
        color = cells.COLORS.index(adjective[0]) if adjective and adjective[0] in cells.COLORS else cells.BLUE
        state = cells.LOCKED if adjective == ["locked"] else cells.CLOSED if noun == "door" else 0
        word = cells.word(cells.KINDS.index(noun), color, state)
        assert int(text_number(jnp.asarray(word))) == number
    for word in (cells.WALL, cells.EMPTY, cells.LAVA):
        assert int(text_number(jnp.asarray(word))) == NO_TEXT
    vectors = TextTable().vectors
    assert vectors.shape == (NO_TEXT + 1, 384) and not vectors[-1].any()
    cosine = vectors[:-1] @ vectors[:-1].T
    np.testing.assert_allclose(np.diag(cosine), 1, atol=1e-6)
    assert (cosine - 2 * np.eye(len(TEXTS))).max() < 0.99
    with pytest.raises(TextError, match=r"shape \(3, 4\)"):
        TextTable(np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "smell"}, "kind='smell'"),
        ({"teacher": "gpt"}, r"teacher='gpt'; expected one of \['oracle', 'llama'"),
        ({"shaping": "none"}, "shaping='none'"),
        ({"compat": "me"}, "compat='me'"),
        ({"distractors": -1}, "distractors=-1"),
        ({"tasks": "levels"}, "tasks='levels'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        make_subgoals(CORRIDOR, levels=2, **options)


def test_families_without_a_scheme_need_a_guide():
    with pytest.raises(OptionError, match="no scheme of subgoals"):
        make_subgoals("BabyAI-BossLevel-v0")
    bank = import_bank("BabyAI-GoToLocal-v0", range(2))
    chains = Chain(x=np.array([[1, 2], [3, 3]]), y=np.array([[1, 1], [4, 4]]), count=np.array([2, 1]))
    env = make_subgoals("BabyAI-GoToLocal-v0", guide=TableGuide(bank, chains))
    state = env.initial(jax.random.key(0), env.task_params(env.task_space.from_dict({"level": 1})))
    assert (int(state.chain.x[0]), int(state.chain.y[0]), int(state.chain.count)) == (3, 4, 1)
    for wrong, message in (
        (chains.replace(count=np.array([2])), "count"),
        (chains.replace(count=np.array([0, 1])), r"count\[0\]: got 0"),
        (chains.replace(x=np.array([[1, 2], [8, 3]])), r"subgoals.x\[1, 0\]: got 8"),
    ):
        with pytest.raises(GuideError, match=message):
            TableGuide(bank, wrong)


def test_kinds_say_the_same_subgoal():
    """Where it is, what it looks like, and what it is called, of the same state."""
    seen = {}
    for kind in KINDS:
        env = make_subgoals(CORRIDOR, kind=kind, levels=LEVELS)
        state = env.initial(jax.random.key(3))
        seen[kind] = np.asarray(env.observation(state, jax.random.key(0))["subgoal"])
    word = state.base.level.grid[state.chain.y[0], state.chain.x[0]]
    offset = (state.chain.x[0] - state.base.level.x, state.chain.y[0] - state.base.level.y)
    assert seen["positional"].tolist() == [float(v) for v in offset]
    assert seen["representation"].tolist() == [float(f(word)) for f in (cells.kind, cells.color, cells.state)]
    np.testing.assert_array_equal(seen["language"], TextTable().vectors[TEXTS.index("key")])
    turned = make_subgoals(CORRIDOR, levels=LEVELS, egocentric=True)
    for direction in range(4):
        facing = state.replace(base=state.base.replace(level=state.base.level.replace(direction=jnp.int32(direction))))
        right, ahead = np.asarray(turned.observation(facing, jax.random.key(0))["subgoal"])
        dx, dy = int(cells.DX[direction]), int(cells.DY[direction])
        assert (ahead * dx - right * dy, ahead * dy + right * dx) == tuple(map(int, offset))
