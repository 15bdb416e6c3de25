"""Banks of levels, whole levels as tasks, and the way back into the package."""

import dataclasses
import pickle

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.gym import SingleEnv
from palaestra.envs.minigrid import cells, reference
from palaestra.envs.minigrid.bank import import_bank, stack
from palaestra.envs.minigrid.build import make_minigrid
from palaestra.envs.minigrid.core import start
from palaestra.envs.minigrid.export import ExportError, export_state
from palaestra.envs.minigrid.reference import ReferenceError
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
    with pytest.raises(ReferenceError, match="'MiniGrid-Nowhere-v0'"):
        import_bank("MiniGrid-Nowhere-v0", [0])
    with pytest.raises(ReferenceError, match="seeds; got none"):
        import_bank(CORRIDOR, [])
    small, large = (import_bank(f"MiniGrid-DoorKey-{n}-v0", [0]) for n in ("5x5", "6x6"))
    with pytest.raises(ReferenceError, match="grids of sizes"):
        stack([row(small.levels, 0), row(large.levels, 0)])


def can_make_mazes():
    """Wheels of minigrid lack the patterns; and some machines networkx."""
    try:
        reference.make_reference("MiniGrid-WFC-MazeSimple-v0").unwrapped._gen_grid(25, 25)
    except (FileNotFoundError, ImportError, ReferenceError, gymnasium.error.DependencyNotInstalled):
        return False
    return True


def test_an_id_whose_levels_the_package_cannot_make_says_so():
    name = "MiniGrid-WFC-MazeSimple-v0"
    if can_make_mazes():
        assert make_minigrid(name, levels=1).source.rule.num_actions == 7
        return
    with pytest.raises(ReferenceError, match=r"cannot make its levels.*install it from its sources"):
        make_minigrid(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view_size": 4}, "view_size=4; expected an odd"),
        ({"view": "radar"}, "view='radar'; expected one of"),
        ({"tasks": "worlds"}, "tasks='worlds'"),
        ({"tile_size": 0}, "tile_size=0"),
        ({"horizon": True}, "horizon=True"),
        ({"levels": 0}, "levels=0"),
        ({"levels": "many"}, "levels='many'"),
        ({"levels": 3, "source": import_bank}, "levels and source"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        make_minigrid(CORRIDOR, **options)


def test_ids_take_seeds_and_banks():
    env = gymnasium.make("palaestra/MiniGrid-KeyCorridorS3R2-v0", levels=[7], view_size=5)
    obs, _ = env.reset(seed=1)
    assert obs["image"].shape == (5, 5, 3)
    live = reference.make_reference(CORRIDOR)
    reference.reset(live, 7)
    assert obs["mission"] == live.mission


@pytest.mark.parametrize("name", EVERY_RULE)
def test_levels_survive_the_way_into_the_package_and_back(name):
    bank = import_bank(name, range(4))
    env = reference.make_reference(name)
    back = [reference.import_level(export_state(start(row(bank.levels, i)), bank.rule, env)) for i in range(len(bank))]
    ours, theirs = bank.levels, stack(back)
    assert_equal(theirs.replace(goal=()), ours.replace(goal=()))
    assert_equal(theirs.goal, ours.goal)


@pytest.mark.parametrize("name", EVERY_RULE)
def test_a_state_in_the_middle_goes_on_in_the_package_as_it_does_here(name):
    """The package's step from an exported state is ours, at many states along a random walk."""
    bank = import_bank(name, range(6))
    functional = make_minigrid(name, source=bank)
    step = jax.jit(lambda state, action: functional.transition(state, action, jax.random.key(0)))
    env = reference.make_reference(name)
    rng = np.random.default_rng(0)
    for i in range(len(bank)):
        state = start(jax.tree.map(jnp.asarray, row(bank.levels, i)))
        for t in range(40):
            action = np.int32(rng.choice([0, 1, 2, 2, 2, 3, 3, 4, 5, 5]))
            if t % 8 == 7 and not name.startswith("MiniGrid-Dynamic"):
                live = export_state(state, bank.rule, env)
                _, reward, terminated, truncated, _ = live.step(int(action))
                state = step(state, action)
                told = (float(state.reward), bool(state.terminated), bool(state.steps >= state.level.max_steps))
                assert told == (pytest.approx(reward, abs=1e-6), terminated, truncated)
                looks = cells.look(np.asarray(state.level.grid))
                np.testing.assert_array_equal(looks.T, cells.word(*np.moveaxis(live.grid.encode(), -1, 0)))
            else:
                state = step(state, action)
            if bool(state.terminated):
                break


def test_a_state_of_another_size_is_refused():
    bank = import_bank(CORRIDOR, [0])
    with pytest.raises(ExportError, match=r"got a grid \(5, 7\); expected \(5, 5\)"):
        export_state(start(row(bank.levels, 0)), bank.rule, reference.make_reference("MiniGrid-DoorKey-5x5-v0"))


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
