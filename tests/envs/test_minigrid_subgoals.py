"""Subgoals: what they are, when they count, what they pay, and how mistaken teachers err."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.minigrid import cells
from palaestra.envs.minigrid.bank import import_bank
from palaestra.envs.minigrid.ids import WITH_SUBGOALS
from palaestra.envs.minigrid.planner import plan
from palaestra.envs.minigrid.subgoals import answers
from palaestra.envs.minigrid.subgoals.build import make_subgoals
from palaestra.envs.minigrid.subgoals.chain import Chain, insert
from palaestra.envs.minigrid.subgoals.env import SubgoalState
from palaestra.envs.minigrid.subgoals.errors import (
    KINDS,
    POSITIONAL,
    PUBLISHED,
    REPRESENTATION,
    ErrorModel,
    candidates,
    err,
)
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

    named = jax.device_get(
        jax.jit(jax.vmap(lambda level, chain: candidates(level, chain, scheme.mistakes)))(levels, truth)
    )
    own = named[np.arange(episodes)[:, None], truth.y, truth.x]
    another = named.sum((1, 2))[:, None] > own  # (episodes, K), whether there is something else to name
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
        else:
            assert not same[there & ~right & another].any() and same[there & ~another].all()
            assert another[there].any()


def chance_of(distance, mean, deviation):
    """P(max(1, trunc(Normal(mean, deviation))) == distance)."""
    below = lambda x: 0.5 * (1 + math.erf((x - mean) / (deviation * math.sqrt(2))))  # noqa: E731
    return below(distance + 1) - (below(distance) if distance > 1 else 0.0)


@pytest.mark.parametrize("as_published", [False, True])
def test_misplaced_subgoals_lie_at_the_drawn_distance(as_published):
    bank, chains = chains_of(CORRIDOR)
    level, chain = row(bank.levels, 0), row(chains, 0)
    model = ErrorModel(mean=2.0, deviation=1.5)

    @jax.jit
    @jax.vmap
    def misplace(key):
        return err(key, level, chain, POSITIONAL, 0.0, model, scheme_of(CORRIDOR).mistakes, as_published)[0]

    draws = 4000
    moved = jax.device_get(misplace(jax.random.split(jax.random.key(0), draws)))
    height, width = level.grid.shape
    assert (moved.x >= 0).all() and (moved.x < width).all() and (moved.y >= 0).all() and (moved.y < height).all()
    dx, dy = (moved.x - chain.x)[:, 0], (moved.y - chain.y)[:, 0]
    rows, columns = np.mgrid[:height, :width]
    right, away = columns - chain.x[0], np.abs(columns - chain.x[0]) + np.abs(rows - chain.y[0])
    there = {d: (right == d) & (rows == chain.y[0]) if as_published else away == d for d in range(1, 20)}
    # A distance at which there is no cell leads to any cell; other than the right one, unless as published.
    lost = sum(chance_of(d, 2.0, 1.5) for d, cells_there in there.items() if not cells_there.any())
    for d in (1, 2, 3):
        anywhere = lost * there[d].sum() / (height * width - (0 if as_published else 1))
        expected = (chance_of(d, 2.0, 1.5) if there[d].any() else 0.0) + anywhere
        found = there[d][moved.y[:, 0], moved.x[:, 0]].mean()
        assert abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / draws)
    assert as_published or ((np.abs(dx) + np.abs(dy)) > 0).all()


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


def test_vectors_outside_of_the_declared_range_are_refused():
    rows = np.zeros((NO_TEXT, 5), np.float32)
    rows[3, 2] = -1.5
    with pytest.raises(TextError, match=r"got numbers up to 1\.5 in size; expected all within \[-1, 1\]"):
        TextTable(rows)
    corner = TextTable(np.eye(NO_TEXT, dtype=np.float32))
    for texts in (TextTable(), corner):
        env = make_subgoals(CORRIDOR, kind="language", levels=LEVELS, texts=texts)
        subgoal = np.asarray(env.observation(env.initial(jax.random.key(0)), jax.random.key(0))["subgoal"])
        assert env.observation_space["subgoal"].contains(subgoal) and subgoal.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "smell"}, "kind='smell'"),
        ({"teacher": "gpt"}, r"teacher='gpt'; expected one of \['oracle', 'llama'"),
        ({"shaping": "none"}, "shaping='none'"),
        ({"compat": "me"}, "compat='me'"),
        ({"distractors": -1}, "distractors=-1"),
        ({"discount": 1.5}, "discount=1.5; expected a number from 0 to 1"),
        ({"discount": "much"}, "discount='much'"),
        ({"discount": float("nan")}, "discount=nan"),
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
        (
            chains.replace(count=np.array([0, 3]), complete=np.array([False, False])),
            r"count\[1\]: got 3; expected 0 to 2",
        ),
        (chains.replace(complete=np.array([True])), r"complete: got bool \(1,\); expected bool \(2,\)"),
        (chains.replace(complete=np.array([1, 1])), "complete: got int64"),
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


def guided(plans, complete, **options):
    """An environment on the first levels of the corridor, with these plans."""
    bank = import_bank(CORRIDOR, range(len(plans)))
    return make_subgoals(
        CORRIDOR, guide=TableGuide(bank, answers.chains(plans, bank.levels, "positional", complete)), **options
    )


def exact_steps(number):
    bank, chains = chains_of(CORRIDOR)
    level, chain = row(bank.levels, number), row(chains, number)
    return [answers.subgoal_at(level, int(x), int(y)) for x, y in zip(chain.x, chain.y, strict=True)]


def on_subgoal(state, index):
    """The state with a subgoal current and the agent on its cell, as if it stood there."""
    level = state.base.level.replace(x=state.chain.x[index], y=state.chain.y[index])
    return state.replace(index=jnp.int32(index), base=state.base.replace(level=level))


def helped(env, index):
    """(whether subgoal `index` is shown, what standing on it pays)."""
    state = env.initial(jax.random.key(0), env.task_params(env.task_space.from_dict({"level": 0})))
    seen = np.asarray(env.observation(state.replace(index=jnp.int32(index)), jax.random.key(0))["subgoal"])
    after = env.transition(on_subgoal(state, index), jnp.int32(6), jax.random.key(0))
    return bool(seen.any()), float(after.reward)


@pytest.mark.parametrize("show_last", [False, True])
def test_a_plan_that_does_not_reach_the_task_helps_to_its_end(show_last):
    steps = exact_steps(0)
    whole = guided([steps, steps], [True, True], show_last=show_last)
    cut = guided([steps[:2], steps], [False, True], show_last=show_last)
    unsaid = guided([steps[:2], steps], None, show_last=show_last)
    assert [helped(whole, i)[0] for i in range(3)] == [True, True, show_last]
    assert [helped(cut, i)[0] for i in range(3)] == [True, True, False]
    assert [helped(unsaid, i)[0] for i in range(2)] == [True, show_last]
    assert helped(cut, 1)[1] == pytest.approx(helped(whole, 1)[1]) and helped(cut, 1)[1] > 0.19
    assert helped(cut, 2)[1] == 0 and (helped(unsaid, 1)[1] > 0) == show_last
    assert cut != whole and cut.guide != guided([steps[:2], steps], [True, True]).guide


@pytest.mark.parametrize("shaping", ["bonus", "potential"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_plan_pays_for_nothing_and_shows_nothing(kind, shaping):
    none = {"positional": 0.0, "representation": -1.0, "language": 0.0}[kind]
    for distractors in (0, 2):
        env = guided([[], exact_steps(1)], None, show_last=True, kind=kind, shaping=shaping, distractors=distractors)
        params = env.task_params(env.task_space.from_dict({"level": 0}))
        state = env.initial(jax.random.key(0), params)
        assert int(state.chain.count) == distractors
        if not distractors:
            assert (np.asarray(env.observation(state, jax.random.key(0), params)["subgoal"]) == none).all()
            after = env.transition(state, jnp.int32(6), jax.random.key(0), params)
            assert float(after.reward) == 0 and not bool(after.completed) and int(after.index) == 0


def test_distractors_of_a_plan_that_is_cut_come_before_the_task_alone():
    """They may come after its last subgoal, since that is not the task itself."""
    steps = exact_steps(0)
    env = guided([steps[:2]] * 2, [False, False], distractors=1)
    params = env.task_params(env.task_space.from_dict({"level": 0}))
    states = jax.jit(jax.vmap(lambda key: env.initial(key, params)))(jax.random.split(jax.random.key(0), 60))
    places = np.stack([states.chain.x, states.chain.y], -1)
    # Only free cells are drawn, so that a distractor lies on no subgoal.
    strange = ~(places[:, :, None] == np.array([(s.x, s.y) for s in steps])).all(-1).any(-1)
    assert set(np.argmax(strange, 1)) == {0, 1, 2} and (strange.sum(1) == 1).all()
    assert (np.asarray(states.chain.count) == 3).all() and (np.asarray(states.chain.helping) == 3).all()


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_payments_by_potential_sum_to_nothing_over_a_solved_episode(discount):
    """Discounted, they telescope: the potential is 0 where an episode begins and where it has terminated."""
    name = "MiniGrid-DoorKey-5x5-v0"
    bank = import_bank(name, range(2))
    env = make_subgoals(name, levels=bank, shaping="potential", discount=discount)
    level = row(bank.levels, 1)
    params = env.task_params(env.task_space.from_dict({"level": 1}))
    state, step = env.initial(jax.random.key(0), params), jax.jit(env.transition)
    paid = []
    for action in plan(level, bank.rule).actions:
        after = step(state, jnp.int32(action), jax.random.key(0), params)
        paid.append(float(after.reward - after.base.reward))
        state = after
    assert bool(state.terminated) and int(state.index) == 2
    assert sum(value > 0.05 for value in paid) == 2 and paid[-1] < -0.1
    assert sum(discount**t * value for t, value in enumerate(paid)) == pytest.approx(0.0, abs=1e-6)
    if discount < 1:  # holding what was reached costs a little
        share = 0.2 / 3
        assert min(abs(value - share * (discount - 1)) for value in paid) < 1e-6


@pytest.mark.parametrize(("kind", "none"), [("positional", 0.0), ("representation", -1.0), ("language", 0.0)])
def test_hidden_subgoals_are_not_shown_but_paid(kind, none):
    env = make_subgoals(CORRIDOR, kind=kind, levels=LEVELS)
    for drop_out in (0.0, 1.0):
        params = env.task_params(env.task_space.from_dict({"level": 0, "drop_out": drop_out}))
        state = env.initial(jax.random.key(0), params)
        seen = np.asarray(env.observation(state, jax.random.key(0), params)["subgoal"])
        assert (seen == none).all() == bool(drop_out)
        paid = env.transition(on_subgoal(state, 0), jnp.int32(6), jax.random.key(0), params)
        assert float(paid.reward) > 0.19 and bool(paid.completed)


def test_the_share_of_hidden_subgoals_is_drop_out():
    env, episodes = make_subgoals(CORRIDOR, levels=LEVELS), 2000
    params = env.task_params(env.task_space.from_dict({"drop_out": 0.3}))
    begin = jax.jit(jax.vmap(lambda key: env.initial(key, params).shown))
    shown = np.asarray(begin(jax.random.split(jax.random.key(0), episodes)))
    assert abs(shown.mean() - 0.7) < 4 * np.sqrt(0.3 * 0.7 / shown.size)
    assert abs(np.corrcoef(shown.T)[0, 1]) < 4 / np.sqrt(episodes)  # each subgoal on its own


@pytest.mark.parametrize("show_last", [False, True])
def test_a_frame_is_drawn_around_the_current_subgoal(show_last):
    env = make_subgoals(CORRIDOR, levels=LEVELS, show_last=show_last)
    state = env.initial(jax.random.key(0))
    plain = env.base.render_image(state.base)[1]
    for index in range(4):
        picture = env.render_image(state.replace(index=jnp.int32(index)))[1]
        changed = {(int(x) // 32, int(y) // 32) for y, x in np.argwhere((picture != plain).any(-1))}
        if index < (3 if show_last else 2):
            x, y = int(state.chain.x[index]), int(state.chain.y[index])
            cell = picture[32 * y : 32 * y + 32, 32 * x : 32 * x + 32]
            assert changed == {(x, y)}
            assert (cell[0] == (255, 140, 0)).all() and (cell[:, -1] == (255, 140, 0)).all()
            np.testing.assert_array_equal(cell[3:-3, 3:-3], plain[32 * y + 3 : 32 * y + 29, 32 * x + 3 : 32 * x + 29])
        else:
            assert not changed


def test_a_state_holds_nothing_that_nobody_reads():
    names = {field.name for field in dataclasses.fields(SubgoalState)}
    assert names == {"base", "chain", "shown", "index", "since", "completed", "reward", "terminated"}
