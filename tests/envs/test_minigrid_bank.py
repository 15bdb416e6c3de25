"""Banks of levels, whole levels as tasks, and the way back into the package."""

import dataclasses
import pickle

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.exchange import check_task
from palaestra.envs.gym import SingleEnv
from palaestra.envs.minigrid import cells, reference, rules, words
from palaestra.envs.minigrid.bank import import_bank, stack
from palaestra.envs.minigrid.build import make_minigrid
from palaestra.envs.minigrid.core import start
from palaestra.envs.minigrid.export import ExportError, export_state
from palaestra.envs.minigrid.reference import PackageError
from palaestra.envs.tasks import TaskError

BOSS, CORRIDOR = "BabyAI-MiniBossLevel-v0", "MiniGrid-KeyCorridorS3R2-v0"
# One id of every rule.
EVERY_RULE = (
    *("MiniGrid-DoorKey-5x5-v0", CORRIDOR, "MiniGrid-Unlock-v0", "MiniGrid-Fetch-5x5-N2-v0"),
    *("MiniGrid-GoToDoor-5x5-v0", "MiniGrid-PutNear-6x6-N2-v0", "MiniGrid-MemoryS7-v0"),
    *("MiniGrid-RedBlueDoors-6x6-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0", BOSS, "BabyAI-OpenDoorsOrderN4Debug-v0"),
)


def row(levels, i):
    return jax.tree.map(lambda leaf: leaf[i], levels)


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_bank_knows_where_its_levels_are_from():
    bank = import_bank(BOSS, [3, 1, 4])
    assert (bank.name, list(bank.seeds), len(bank)) == (BOSS, [3, 1, 4], 3)
    again = import_bank(BOSS, range(5))
    assert_equal(row(bank.levels, 1).grid, row(again.levels, 1).grid)
    assert (
        bank != again
        and bank == pickle.loads(pickle.dumps(bank))
        and hash(bank) == hash(pickle.loads(pickle.dumps(bank)))
    )
    changed = dataclasses.replace(bank, levels=bank.levels.replace(x=bank.levels.x + 1))
    assert changed != bank
    judged_otherwise = dataclasses.replace(bank, rule=rules.ReachGoal())
    assert judged_otherwise != bank and len({judged_otherwise, bank}) == 2


def test_levels_that_all_share_cannot_be_written_to():
    bank = import_bank(CORRIDOR, [0])
    for leaf in (bank.seeds, *jax.tree.leaves(bank.levels)):
        with pytest.raises(ValueError, match="read-only"):
            leaf[...] = 0


def test_a_bank_gives_the_level_asked_for_or_any():
    bank = import_bank(CORRIDOR, range(8))
    sample = jax.jit(jax.vmap(lambda key, which: bank.sample(key, {"level": which})))
    keys = jax.random.split(jax.random.key(0), 400)
    third = sample(keys, jnp.full(400, 3.0))
    assert_equal(third.grid, np.broadcast_to(bank.levels.grid[3], third.grid.shape))
    drawn = np.asarray(sample(keys, jnp.full(400, -1.0)).grid)
    counts = [(drawn == level).all((1, 2)).sum() for level in bank.levels.grid]
    assert sum(counts) == 400 and min(counts) > 20


def test_bad_banks_are_refused():
    with pytest.raises(PackageError, match="'MiniGrid-Nowhere-v0'"):
        import_bank("MiniGrid-Nowhere-v0", [0])
    with pytest.raises(PackageError, match="seeds; got none"):
        import_bank(CORRIDOR, [])
    small, large = (import_bank(f"MiniGrid-DoorKey-{n}-v0", [0]) for n in ("5x5", "6x6"))
    with pytest.raises(PackageError, match="grids of sizes"):
        stack([row(small.levels, 0), row(large.levels, 0)])


def can_make_mazes():
    """Wheels of minigrid lack the patterns; and some machines networkx."""
    try:
        reference.make_reference("MiniGrid-WFC-MazeSimple-v0").unwrapped._gen_grid(25, 25)
    except (FileNotFoundError, ImportError, PackageError, gymnasium.error.DependencyNotInstalled):
        return False
    return True


def test_an_id_whose_levels_the_package_cannot_make_says_so():
    name = "MiniGrid-WFC-MazeSimple-v0"
    if can_make_mazes():
        assert make_minigrid(name, levels=1).source.rule.num_actions == 7
        return
    with pytest.raises(PackageError, match=r"cannot make its levels.*install it from its sources"):
        make_minigrid(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view_size": 4}, "view_size=4; expected an odd"),
        ({"view_size": 33}, "view_size=33; expected an odd whole number from 3 to 31"),
        ({"view": "radar"}, "view='radar'; expected one of"),
        ({"tasks": "worlds"}, "tasks='worlds'"),
        ({"tile_size": 0}, "tile_size=0"),
        ({"horizon": True}, "horizon=True"),
        ({"levels": 0}, "levels=0"),
        ({"levels": "many"}, "levels='many'"),
        ({"levels": 2.5}, "levels=2.5; expected a bank, seeds"),
        ({"levels": ["a"]}, r"levels=\['a'\]"),
        ({"levels": [1, True]}, r"levels=\[1, True\]"),
        ({"levels": [-1]}, r"levels=\[-1\]"),
        ({"levels": np.arange(0)}, r"levels=array\(\[\]"),
        ({"levels": np.arange(2.0)}, r"levels=array\(\[0., 1.\]"),
        ({"levels": 3, "source": import_bank}, "levels and source"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        make_minigrid(CORRIDOR, **options)


def test_ids_take_seeds_numbers_and_banks():
    live = reference.make_reference(CORRIDOR)
    expected, _ = reference.reset(live, 0)
    of_other_seeds = 0
    for levels, count in (([7], 1), (1, 1), (np.int64(3), 3), (np.arange(2), 2), (import_bank(CORRIDOR, [0]), 1)):
        env = gymnasium.make(f"palaestra/{CORRIDOR}", levels=levels, view_size=np.int64(7))
        assert len(env.unwrapped.functional.source) == count
        obs, _ = env.reset(seed=1, options={"task": {"level": 0}})
        of_other_seeds += not np.array_equal(obs["image"], expected["image"])
    assert of_other_seeds == 1


def test_a_bank_of_another_id_is_refused():
    """Its name would be a lie in every result."""
    with pytest.raises(OptionError, match=f"levels: a bank of '{CORRIDOR}'; expected one of '{BOSS}'") as caught:
        make_minigrid(BOSS, levels=import_bank(CORRIDOR, [0]))
    assert caught.value.key == "levels"
    with pytest.raises(OptionError, match="a bank of"):
        gymnasium.make(f"palaestra/{BOSS}", levels=import_bank(CORRIDOR, [0]))


@pytest.mark.parametrize("name", EVERY_RULE)
def test_levels_survive_the_way_into_the_package_and_back(name):
    bank = import_bank(name, range(4))
    env = reference.make_reference(name)
    back = [reference.import_level(export_state(start(row(bank.levels, i)), env)) for i in range(len(bank))]
    ours, theirs = bank.levels, stack(back)
    assert_equal(theirs.replace(goal=()), ours.replace(goal=()))
    assert_equal(theirs.goal, ours.goal)


EXPORTS = 24  # of every rule


def assert_same_state(live, state):
    """The package's environment is where ours is."""
    level = jax.device_get(state.level)
    assert (tuple(map(int, live.agent_pos)), live.agent_dir) == ((level.x, level.y), level.direction)
    assert (live.step_count, live.max_steps) == (state.steps, level.max_steps)
    assert live.mission == words.decode(level.mission)
    carried = (0, 0, 0) if live.carrying is None else live.carrying.encode()
    assert cells.look(level.carrying) == cells.word(*map(int, carried))
    np.testing.assert_array_equal(cells.look(level.grid).T, cells.word(*np.moveaxis(live.grid.encode(), -1, 0)))
    if hasattr(live, "obstacles"):
        there = [tuple(map(int, obstacle.cur_pos)) for obstacle in live.obstacles]
        assert there == list(zip(level.goal.x, level.goal.y, strict=True))


@pytest.mark.parametrize("name", EVERY_RULE)
def test_a_state_in_the_middle_goes_on_in_the_package_as_it_does_here(name):
    """States along random walks, exported, are the same; and so is what the package's next three steps make of them."""
    bank = import_bank(name, range(6))
    functional = make_minigrid(name, source=bank)
    step = jax.jit(lambda state, action, key: functional.transition(state, action, key))
    draws_alone = isinstance(bank.rule, rules.DodgeObstacles)  # where the package moves them is not ours to know
    env = reference.make_reference(name)
    rng = np.random.default_rng(0)
    exports = later = carries = 0
    for episode in range(100):
        if exports == EXPORTS:
            break
        state, key = start(jax.tree.map(jnp.asarray, row(bank.levels, episode % len(bank)))), jax.random.key(episode)
        live, go_on = None, 0
        for _ in range(40):
            if go_on == 0 and rng.random() < 0.2 and exports < EXPORTS:
                live, go_on = export_state(state, env), 3
                assert_same_state(live, state)
                exports += 1
                later += bool(state.steps > 0)
                carries += bool(state.level.carrying != 0)
            action = np.int32(rng.choice([0, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6]))
            key, key_step = jax.random.split(key)
            state = step(state, action, key_step)
            if go_on and not draws_alone:
                _, reward, terminated, truncated, _ = live.step(int(action))
                told = (float(state.reward), bool(state.terminated), bool(state.steps >= state.level.max_steps))
                assert told == (pytest.approx(reward, abs=1e-6), terminated, truncated)
                assert_same_state(live, state)
            go_on = max(0, go_on - 1)
            if bool(state.terminated):
                break
    assert (exports, later >= 10) == (EXPORTS, True)
    if name in (CORRIDOR, BOSS):
        assert carries > 0


def test_a_state_of_another_size_or_goal_is_refused():
    bank = import_bank(CORRIDOR, [0])
    with pytest.raises(ExportError, match=r"got a grid \(5, 7\); expected \(5, 5\)"):
        export_state(start(row(bank.levels, 0)), reference.make_reference("MiniGrid-DoorKey-5x5-v0"))
    empty = import_bank("MiniGrid-Empty-5x5-v0", [0])
    with pytest.raises(ExportError, match="got a goal Nothing; expected PlaceGoal"):
        export_state(start(row(empty.levels, 0)), reference.make_reference("MiniGrid-GoToDoor-5x5-v0"))


def test_whole_levels_are_tasks():
    functional = make_minigrid("MiniGrid-DoorKey-6x6-v0", levels=4, tasks="levels")
    level = functional.task_space.default
    env = SingleEnv(functional, task=level)
    _, info = env.reset(seed=0)
    np.testing.assert_array_equal(info["task"]["grid"], level.grid)
    other = level.replace(direction=np.int32((level.direction + 1) % 4))
    assert env.reset(options={"task": other})[0]["direction"] == other.direction
    wall = np.argwhere(level.grid == cells.WALL)[0]
    for wrong, message in (
        (level.replace(direction=np.int32(4)), "level.direction: got 4"),
        (level.replace(x=np.int32(-1)), "level.x: got -1"),
        (level.replace(x=wall[1].astype(np.int32), y=wall[0].astype(np.int32)), "a cell with a wall"),
        (level.replace(grid=np.zeros_like(level.grid)), "level.grid: got kinds from 0"),
        (level.replace(max_steps=np.int32(0)), "level.max_steps"),
    ):
        with pytest.raises(TaskError, match=message):
            env.reset(options={"task": wrong})


def level_of(name):
    return make_minigrid(name, levels=4, tasks="levels").task_space


def with_goal(level, **fields):
    return level.replace(goal=level.goal.replace(**fields))


def with_cell(level, y, x, word):
    grid = np.array(level.grid)
    grid[y, x] = word
    return level.replace(grid=grid)


BALL, BAD_COLOR = cells.word(cells.BALL, cells.RED), cells.word(cells.BALL, 6)
WRONG_LEVELS = (
    ("MiniGrid-DoorKey-6x6-v0", lambda l: with_cell(l, 1, 1, BAD_COLOR), r"level.grid: got colours up to 6"),
    (
        "MiniGrid-DoorKey-6x6-v0",
        lambda l: with_cell(l, 1, 1, cells.word(cells.DOOR, 0, 3)),
        r"level.grid: got states up to 3; expected 0 to 2",
    ),
    (
        "MiniGrid-DoorKey-6x6-v0",
        lambda l: with_cell(l, 1, 1, cells.fill(cells.word(cells.BOX), cells.word(12))),
        r"level.grid: got kinds in boxes up to 12",
    ),
    (
        "MiniGrid-DoorKey-6x6-v0",
        lambda l: l.replace(carrying=cells.WALL),
        r"level.carrying: got the kind 2; expected 0",
    ),
    ("MiniGrid-DoorKey-6x6-v0", lambda l: l.replace(carrying=BAD_COLOR), r"level.carrying: got colours up to 6"),
    (
        "MiniGrid-DoorKey-6x6-v0",
        lambda l: l.replace(mission=np.full_like(l.mission, 250)),
        rf"level.mission: got the word 250; expected numbers below {len(words.WORDS)}",
    ),
    ("MiniGrid-GoToDoor-5x5-v0", lambda l: with_goal(l, x=np.int32(5)), r"level.goal.x: got 5; .* in \[0, 4\]"),
    ("MiniGrid-GoToDoor-5x5-v0", lambda l: with_goal(l, y=np.int32(-1)), r"level.goal.y: got -1"),
    ("MiniGrid-MemoryS7-v0", lambda l: with_goal(l, failure_y=np.int32(9)), r"level.goal.failure_y: got 9"),
    ("MiniGrid-Dynamic-Obstacles-5x5-v0", lambda l: with_goal(l, x=l.goal.x + 9), r"level.goal.x: got 1"),
    (
        "MiniGrid-Dynamic-Obstacles-5x5-v0",
        lambda l: with_cell(l, l.goal.y[0], l.goal.x[0], cells.EMPTY),
        r"level.goal.x, level.goal.y: got \(\d, \d\), a cell with empty; expected a ball",
    ),
    (BOSS, lambda l: with_goal(l, known_y=l.goal.known_y + 99), r"level.goal.known_y: got \d+; .* in \[-1, "),
    (
        BOSS,
        lambda l: with_goal(l, kind=l.goal.kind + 5),
        r"level.goal.kind: got .*; expected whole numbers in \[0, 4\]",
    ),
    (BOSS, lambda l: with_goal(l, order=np.int32(3)), r"level.goal.order: got \[3\]"),
    (BOSS, lambda l: with_goal(l, held=np.full(4, 255, np.uint32)), r"level.goal.held: got the object number 255"),
    (
        BOSS,
        lambda l: l.replace(carrying=BALL | np.uint32(255 << 16)),
        r"level.grid or carrying: got the object number 255",
    ),
    (
        BOSS,
        lambda l: l.replace(carrying=cells.fill(cells.word(cells.BOX), BALL | np.uint32(200 << 16))),
        r"level, in boxes: got the object number 200; expected numbers below \d+, which the goal's sets hold",
    ),
)


@pytest.mark.parametrize(("name", "change", "message"), WRONG_LEVELS)
def test_levels_that_nothing_could_play_are_refused(name, change, message):
    space = level_of(name)
    space.validate(space.default)
    with pytest.raises(TaskError, match=message):
        space.validate(change(space.default))


@pytest.mark.parametrize("name", EVERY_RULE)
def test_levels_of_the_package_are_levels(name):
    space = level_of(name)
    for i in range(len(space.source)):
        space.validate(row(space.source.levels, i))


def test_an_obstacle_that_is_not_there_needs_no_ball():
    space = level_of("MiniGrid-Dynamic-Obstacles-5x5-v0")
    level = space.default
    space.validate(with_goal(level, x=np.array([-1, *level.goal.x[1:]], np.int32)))


def test_one_level_for_all_is_checked_once(monkeypatch):
    space, checked = level_of("MiniGrid-DoorKey-6x6-v0"), []
    check = type(space).validate
    monkeypatch.setattr(type(space), "validate", lambda self, level: (checked.append(0), check(self, level))[1])
    levels = check_task(space, space.default, 50)
    assert len(checked) == 1 and levels.grid.shape == (50, 6, 6) and levels.grid.flags.writeable
    with pytest.raises(TaskError, match=r"^level\.direction: got 4"):
        check_task(space, space.default.replace(direction=np.int32(4)), 50)
    directions = np.array([0, 1, 4, 2], np.int32)
    with pytest.raises(TaskError, match=r"^tasks\[2\]: level\.direction: got 4"):
        check_task(space, space.default.replace(direction=directions), 4)
    np.testing.assert_array_equal(
        check_task(space, space.default.replace(direction=directions % 4), 4).direction[:2], [0, 1]
    )


@pytest.mark.parametrize(("name", "things"), [("MiniGrid-DoorKey-8x8-v0", True), ("MiniGrid-MemoryS7-v0", False)])
def test_mutated_levels_are_levels(name, things):
    """Edits keep the border, the agent on free ground and every object; targets by place stay where they are."""
    space = make_minigrid(name, levels=4, tasks="levels").task_space
    keys = jax.random.split(jax.random.key(1), 64)
    mutate = jax.jit(jax.vmap(lambda key: space.mutate(key, space.default, 12)))
    mutants = jax.device_get(mutate(keys))
    original = space.default
    kept = [cells.KEY, cells.BALL, cells.BOX, cells.DOOR, cells.GOAL_KIND]
    places = [cells.kind(level) * np.isin(cells.kind(level), kept) for level in (*mutants.grid, original.grid)]
    for i in range(64):
        mutant = row(mutants, i)
        space.validate(mutant)
        assert mutant.grid[mutant.y, mutant.x] == cells.EMPTY
        assert sorted(places[i].ravel()) == sorted(places[-1].ravel())
        for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
            np.testing.assert_array_equal(mutant.grid[edge], original.grid[edge])
    assert (np.stack(places[:-1]) != places[-1]).any() == things
    assert len({mutant.tobytes() for mutant in mutants.grid}) > 60
    assert_equal(space.mutate(keys[0], original, 0), original)
