"""Levels made on the device are levels of the package: same shapes, rules, missions and things in them."""

import gymnasium
import jax
import jax.numpy as jnp
import minigrid  # noqa: F401  # registers its ids
import numpy as np
import pytest
from palaestra.envs.minigrid import cells, instructions, reference, words
from palaestra.envs.minigrid.generators.catalog import NATIVE
from palaestra.envs.minigrid.ids import FAMILIES
from palaestra.envs.minigrid.instructions import Instruction
from palaestra.envs.minigrid.rules import ForkGoal, ObstaclesGoal, TwoDoorsGoal

from . import minigrid_levels as levels

COUNT = 200
FAST = levels.representatives()
WHOLE_FAMILIES = {family.page for family in FAMILIES if family.page.startswith("minigrid-")} - {"minigrid-wfc"}


def fast_and_slow(fast):
    """All ids; those not in `fast` are slow."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in NATIVE]


FREE = [(name, parameter.name) for name in FAST for parameter in NATIVE[name].parameters if parameter.is_free]


def test_every_id_of_these_families_is_here():
    whole = {name for family in FAMILIES if family.page in WHOLE_FAMILIES for name in family.names}
    assert whole <= set(NATIVE)
    assert set(NATIVE) <= {name for family in FAMILIES for name in family.names}
    babyai = set(NATIVE) - whole
    mazes = {n for n, s in gymnasium.registry.items() if n.startswith("BabyAI-GoToObjMaze")}
    local = {
        n for n in gymnasium.registry if n.startswith(("BabyAI-GoToLocal", "BabyAI-PutNextLocal", "BabyAI-GoToRed"))
    }
    opening = {
        n for n in gymnasium.registry if n.startswith(("BabyAI-OpenDoor", "BabyAI-UnlockLocal")) and "Order" not in n
    }
    assert mazes | local | opening <= babyai


def test_equal_sources_are_one_and_others_differ():
    assert len(set(NATIVE.values())) == len(NATIVE)
    assert NATIVE["MiniGrid-Empty-5x5-v0"] == type(NATIVE["MiniGrid-Empty-5x5-v0"])(5)


@pytest.mark.parametrize("name", NATIVE)
def test_a_source_says_what_the_package_says(name):
    env, source = reference.make_reference(name), NATIVE[name]
    reference.reset(env, 0)
    level = reference.import_level(env)
    assert (source.height, source.width) == level.grid.shape
    assert source.rule == reference.rule_of(env)
    assert source.see_through == env.see_through_walls
    assert source.max_steps == env.max_steps
    assert source.mission_length == max(1, *(len(words.encode(m)) for m in source.missions))
    assert all(words.decode(words.encode(m)) == m for m in source.missions)
    assert 1 <= len(source.missions) <= 200 and len(set(source.missions)) == len(source.missions)


@pytest.mark.parametrize("name", NATIVE)
def test_shapes_and_dtypes(name):
    source = NATIVE[name]
    values = {p.name: jnp.float32(p.default) for p in source.parameters}
    level = jax.eval_shape(source.sample, jax.random.key(0), values)
    told = {field: (leaf.shape, leaf.dtype) for field, leaf in vars(level).items() if field != "goal"}
    assert told == {
        "grid": ((source.height, source.width), np.uint32),
        **{field: ((), np.int32) for field in ("x", "y", "direction", "max_steps")},
        "carrying": ((), np.uint32),
        "mission": ((source.mission_length,), np.uint8),
    }
    env = reference.make_reference(name)
    reference.reset(env, 0)
    expected = reference.import_level(env).goal
    assert jax.tree.structure(level.goal) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(level.goal), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype and ours.ndim == theirs.ndim


@pytest.mark.parametrize("name", fast_and_slow(FAST))
def test_levels_look_like_those_of_the_package(name):
    source = NATIVE[name]
    ours, theirs = levels.ours(source, COUNT), levels.theirs(name, 50)
    assert set(ours.max_steps) == set(theirs.max_steps)
    assert not ours.carrying.any()
    for kind in range(1, 10):
        counted, expected = (np.count_nonzero(cells.kind(s.grid) == kind, axis=(1, 2)) for s in (ours, theirs))
        if len(set(expected)) == 1 and cells.KINDS[kind] not in ("wall", "empty"):
            assert set(counted) == set(expected), cells.KINDS[kind]
        assert counted.min() <= expected.max() and expected.min() <= counted.max(), cells.KINDS[kind]
    walls, expected = ((s.grid == cells.WALL) for s in (ours, theirs))
    if (expected == expected[0]).all():
        assert (walls == expected[0]).all()


@pytest.mark.parametrize("name", fast_and_slow(FAST))
def test_missions_have_the_forms_of_the_package_and_name_what_is_there(name):
    source = NATIVE[name]
    ours, theirs = levels.ours(source, COUNT), levels.theirs(name, 50)
    known = {levels.form(sentence) for sentence in source.missions}
    assert {levels.form(s) for s in levels.sentences(theirs)} <= known
    assert {levels.form(s) for s in levels.sentences(ours)} <= known
    if len(source.missions) < 100:
        assert set(levels.sentences(ours)) | set(levels.sentences(theirs)) <= set(source.missions)
    for i in range(COUNT):
        level = levels.single(ours, i)
        sentence = words.decode(level.mission)
        for kind, color in levels.named(level):
            assert f"{cells.COLORS[color]} {cells.KINDS[kind]}" in sentence


@pytest.mark.parametrize("name", fast_and_slow(FAST))
def test_the_agent_stands_free_and_inside_closed_walls(name):
    source = NATIVE[name]
    made = levels.ours(source, COUNT)
    for i in range(50):
        check_soundness(levels.single(made, i))


def check_soundness(level):
    """The agent's cell is empty, the outer walls are closed, a goal square can be reached and targets are there."""
    height, width = level.grid.shape
    assert level.grid[level.y, level.x] == cells.EMPTY and 0 <= level.direction < 4
    there = levels.reachable(level)
    border = np.ones((height, width), bool)
    border[1:-1, 1:-1] = False
    kind = cells.kind(level.grid)
    assert set(kind[there & border]) <= {cells.DOOR}
    goals = kind == cells.GOAL_KIND
    assert goals.sum() <= 1 and not (goals & ~there).any()
    assert set(kind.ravel()) <= set(range(1, 10))
    if isinstance(level.goal, Instruction):
        check_instruction(level)
    if isinstance(level.goal, ObstaclesGoal):
        present = level.goal.x >= 0
        balls = kind[level.goal.y[present], level.goal.x[present]]
        assert (balls == cells.BALL).all() and present.sum() == np.count_nonzero(kind == cells.BALL)
        assert len(set(zip(level.goal.x[present], level.goal.y[present], strict=True))) == present.sum()
    if isinstance(level.goal, ForkGoal):
        goal = level.goal
        up = np.sign(goal.success_y - goal.failure_y)
        shown = level.grid[level.y - 1, 1]
        assert level.grid[goal.success_y + up, goal.success_x] == shown
        assert level.grid[goal.failure_y - up, goal.failure_x] != shown
        assert level.grid[goal.success_y, goal.success_x] == level.grid[goal.failure_y, goal.failure_x] == cells.EMPTY
    if isinstance(level.goal, TwoDoorsGoal):
        goal = level.goal
        first, second = level.grid[goal.first_y, goal.first_x], level.grid[goal.second_y, goal.second_x]
        assert first == cells.word(cells.DOOR, cells.RED, cells.CLOSED)
        assert second == cells.word(cells.DOOR, cells.BLUE, cells.CLOSED)


def check_instruction(level):
    """Every object has a number of its own and is where the goal says; the sets are what the mission describes."""
    goal = level.goal
    numbers = cells.number(level.grid)
    things = np.isin(cells.kind(level.grid), (cells.DOOR, cells.KEY, cells.BALL, cells.BOX))
    assert (things == (numbers > 0)).all()
    listed = np.flatnonzero(goal.x >= 0)
    assert sorted(numbers[things]) == list(listed)
    assert (numbers[goal.y[listed], goal.x[listed]] == listed).all()
    assert (goal.known_x == goal.x).all() and (goal.known_y == goal.y).all()
    assert goal.moved[0].any() and not goal.moved[1:].any() and not goal.fixed[1:].any()
    assert goal.fixed[0].any() == (goal.kind[0] == instructions.PUT_NEXT)
    parts = words.decode(level.mission).split(" next to ")
    for part, members in zip(parts, (goal.moved[0], goal.fixed[0]), strict=False):
        described = described_by(part, level)
        assert set(np.flatnonzero(members)) == described, (part, described)
        assert (" a " in f" {part}") == (len(described) > 1)


def described_by(part, level):
    """The numbers of what a noun phrase fits, found in plain Python."""
    named = part.split()
    found = set()
    for y, x in np.argwhere(cells.number(level.grid) > 0):
        word = level.grid[y, x]
        if cells.KINDS[cells.kind(word)] not in named:
            continue
        colors = set(named) & set(cells.COLORS)
        if colors and cells.COLORS[cells.color(word)] not in colors:
            continue
        aside, ahead = x - level.x, y - level.y
        for _ in range(level.direction):  # turn the agent until it looks along x
            aside, ahead = ahead, -aside
        fits = {"left": ahead < 0, "right": ahead > 0, "front": aside > 0, "behind": aside < 0}
        if all(fits[where] for where in fits if where in named):
            found.add(int(cells.number(word)))
    return found


def test_every_parameter_of_every_generator_is_tried():
    every = {(type(s), p.name) for s in NATIVE.values() for p in s.parameters if p.is_free}
    assert {(type(NATIVE[name]), parameter) for name, parameter in FREE} == every


@pytest.mark.parametrize(("name", "parameter"), FREE)
def test_every_parameter_changes_the_level(name, parameter):
    source = NATIVE[name]
    (told,) = (p for p in source.parameters if p.name == parameter)
    standard = levels.ours(source, COUNT)
    changed = levels.ours(source, COUNT, **{parameter: told.low if told.default > told.low else told.high})
    drawn = ("grid", "x", "y", "direction")
    assert any((getattr(standard, field) != getattr(changed, field)).any() for field in drawn)


@pytest.mark.parametrize("name", fast_and_slow({name for name, _ in FREE}))
def test_levels_are_sound_at_every_end_of_the_parameters(name):
    source = NATIVE[name]
    ends = ({p.name: p.low for p in source.parameters}, {p.name: p.high for p in source.parameters})
    for values in ends:
        made = levels.ours(source, COUNT, **values)
        assert made.max_steps.min() > 0 and made.max_steps.max() <= source.max_steps
        for i in range(40):
            check_soundness(levels.single(made, i))


SMALLER = (
    ("MiniGrid-Empty-16x16-v0", "MiniGrid-Empty-5x5-v0", {"size": 5}),
    ("MiniGrid-DoorKey-16x16-v0", "MiniGrid-DoorKey-6x6-v0", {"size": 6}),
    ("MiniGrid-KeyCorridorS6R3-v0", "MiniGrid-KeyCorridorS3R2-v0", {"room_size": 3, "num_rows": 2}),
    (
        "MiniGrid-LavaCrossingS11N5-v0",
        "MiniGrid-SimpleCrossingS9N2-v0",
        {"river_places": 3, "num_crossings": 2, "lava": 0},
    ),
    ("MiniGrid-MemoryS17Random-v0", "MiniGrid-MemoryS9-v0", {"half_size": 4, "random_length": 0}),
    ("MiniGrid-MultiRoom-N6-v0", "MiniGrid-MultiRoom-N2-S4-v0", {"num_rooms": 2, "max_room_size": 4}),
    ("MiniGrid-ObstructedMaze-Full-v1", "MiniGrid-ObstructedMaze-1Q-v1", {"num_quarters": 1}),
    ("MiniGrid-Dynamic-Obstacles-16x16-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0", {"size": 5, "num_obstacles": 2}),
    ("MiniGrid-RedBlueDoors-8x8-v0", "MiniGrid-RedBlueDoors-6x6-v0", {"size": 6}),
    ("MiniGrid-GoToDoor-8x8-v0", "MiniGrid-GoToDoor-6x6-v0", {"size": 6}),
    ("BabyAI-GoToLocal-v0", "BabyAI-GoToLocalS8N5-v0", {"num_distractors": 5}),
)


@pytest.mark.slow
@pytest.mark.parametrize(("large", "small", "values"), SMALLER, ids=lambda v: v if isinstance(v, str) else "")
def test_a_smaller_level_is_the_smaller_id_in_the_upper_left_corner(large, small, values):
    source, other = NATIVE[large], NATIVE[small]
    made = levels.ours(source, 5000, seed=2, **values)
    beyond = made.grid.copy()
    beyond[:, : other.height, : other.width] = cells.WALL
    assert (beyond == cells.WALL).all()
    cut = made.replace(grid=made.grid[:, : other.height, : other.width])
    told = levels.compare(cut, levels.ours(other, 5000, seed=3))
    assert min(told.values(), default=1.0) > 0.001 / (len(SMALLER) * len(told)), told


SINGLES = (
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
    "BabyAI-PutNextLocalS5N3-v0",
)


@pytest.mark.parametrize("name", fast_and_slow(SINGLES))
def test_a_batch_holds_the_same_levels_as_single_draws(name):
    source = NATIVE[name]
    together = levels.ours(source, COUNT)
    values = {p.name: jnp.float32(p.default) for p in source.parameters}
    keys = jax.random.split(jax.random.key(0), COUNT)
    draw = jax.jit(source.sample)
    for i in range(5):
        alone = jax.device_get(draw(keys[i], values))
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(levels.single(together, i)), strict=True):
            np.testing.assert_array_equal(a, b)
