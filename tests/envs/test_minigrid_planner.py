"""Plans against the package: the same mechanics, plans that work in its environments, and none that is shorter."""

import copy
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import PalaestraError
from palaestra.envs.minigrid import cells, ids, reference
from palaestra.envs.minigrid.planner import (
    UnsolvableError,
    UnsupportedRuleError,
    distance_field,
    optimal_return,
    plan,
    planning,
    regret,
    solvable,
)
from palaestra.envs.minigrid.planner.bound import Bound
from palaestra.envs.minigrid.planner.errands import StuckError, run_errands
from palaestra.envs.minigrid.planner.fields import BARRED, success_return
from palaestra.envs.minigrid.planner.goals import Outcome
from palaestra.envs.minigrid.planner.needs import Coarseness
from palaestra.envs.minigrid.planner.search import Branch, Search
from palaestra.envs.minigrid.planner.tasks import task_of
from palaestra.envs.minigrid.planner.world import CARRIED, GONE, INSIDE
from palaestra.envs.minigrid.reference import ReferenceError
from palaestra.envs.minigrid.subgoals.schemes import scheme_of

pytest.importorskip("minigrid")

NAMES = [name for family in ids.FAMILIES for name in family.names]
PLANNED = [name for name in NAMES if "Dynamic" not in name and "Playground" not in name]
# One or two of each family, small and large.
SOME = (
    *("Empty-Random-6x6", "DoorKey-8x8", "FourRooms", "MultiRoom-N6", "KeyCorridorS3R3", "KeyCorridorS6R3"),
    *("ObstructedMaze-1Dlhb", "ObstructedMaze-2Dlhb-v1", "BlockedUnlockPickup", "Unlock"),
    *("LavaGapS7", "LavaCrossingS9N2", "SimpleCrossingS9N3", "DistShift1", "MemoryS13Random", "PutNear-8x8-N3"),
    *("Fetch-8x8-N3", "GoToDoor-8x8", "GoToObject-8x8-N2", "RedBlueDoors-8x8", "LockedRoom"),
)
SOME_BABYAI = (
    *("GoToRedBall", "GoToLocalS8N7", "GoToSeqS5R2", "OpenDoorsOrderN4", "OpenDoorDebug", "PickupDistDebug"),
    *("PutNextLocal", "PutNextS7N4Carrying", "MoveTwoAcrossS5N2", "KeyInBox", "UnlockToUnlock", "UnlockPickupDist"),
    *("MiniBossLevel", "SynthLoc", "BossLevelNoUnlock"),
)


def id_of(family, name):
    return f"{family}-{name}" if name[-3:-1] == "-v" else f"{family}-{name}-v0"


CHOSEN = [id_of("MiniGrid", name) for name in SOME] + [id_of("BabyAI", name) for name in SOME_BABYAI]


def levels(name, seeds):
    """(live environment just reset, level, rule) for every seed."""
    try:
        env = reference.make_reference(name)
        reference.reset(env, 0)
    except ReferenceError as error:
        pytest.skip(str(error))
    rule = reference.rule_of(env)
    for seed in seeds:
        reference.reset(env, seed)
        yield env, reference.import_level(env), rule


def level_of(name, seed=0):
    return next(levels(name, [seed]))[1:]


def start_of(task):
    return Branch((), task.world.pose, task.start)


def check_plan(env, level, found):
    """Takes a plan's actions in the live environment: only the last one ends it, with the reward that it promises."""
    for step, action in enumerate(found.actions, start=1):
        _, reward, terminated, truncated, _ = env.step(action)
        assert terminated == (step == found.length)
        assert not truncated or (terminated and step == level.max_steps)
    assert reward == pytest.approx(1 - 0.9 * found.length / int(level.max_steps), abs=1e-12)
    assert reward == pytest.approx(found.optimal_return, abs=1e-12)
    assert found.subgoals[-1].step == found.length


# The mechanics and the rules, in lock-step.


def assert_same_world(task, config, env, objects):
    """The host's world is the live environment's, object by object."""
    where = {id(thing): (i % env.width, i // env.width) for i, thing in enumerate(env.grid.grid) if thing is not None}
    inside = {id(thing.contains) for thing in env.grid.grid if thing is not None and thing.contains is not None}
    for thing, place in zip(task.world.things, config.places, strict=True):
        live = objects[thing.number - 1]
        if place >= 0:
            assert where[id(live)] == task.world.board.position(place)
        else:
            assert id(live) not in where
            assert (env.carrying is live) == (place == CARRIED)
            if place == INSIDE and env.carrying is None:
                assert id(live) in inside
            assert place != GONE or live.type == "box"
    for i, door in enumerate(task.world.doors):
        live = objects[door.number - 1]
        assert (live.is_open, live.is_locked and not live.is_open) == (
            bool(config.opened >> i & 1),
            bool(config.locked >> i & 1),
        )


def play(env, level, rule, actions):
    """Takes actions in both, comparing after each; returns how the episode ended, if it did."""
    task, objects = task_of(level, rule), reference.read(env).objects
    pose, config = task.world.pose, task.start
    env.gen_obs = dict  # takes most of the time, and changes nothing
    for action in actions:
        _, reward, terminated, _, _ = env.step(action)
        outcome, pose, config = task.step(pose, config, action)
        assert terminated == (outcome is not Outcome.GOES_ON)
        assert not terminated or (reward > 0) == (outcome is Outcome.SUCCESS)
        assert task.world.board.position(pose.cell) == tuple(map(int, env.agent_pos))
        assert pose.direction == env.agent_dir
        assert_same_world(task, config, env, objects)
        if terminated:
            return outcome
    return Outcome.GOES_ON


@pytest.mark.parametrize("name", CHOSEN)
def test_host_steps_as_the_package(name):
    rng = np.random.default_rng(0)
    for env, level, rule in levels(name, range(5)):
        task = task_of(level, rule)
        clause = (task.first or 1).bit_length() - 1
        guide = run_errands(task, start_of(task), clause, 10_000).actions[: rng.integers(0, 40)]
        noise = rng.choice(7, 100, p=[0.15, 0.15, 0.35, 0.12, 0.08, 0.13, 0.02])
        play(env, level, rule, [*guide, *map(int, noise)][: int(level.max_steps)])


def test_random_play_ends_in_every_way():
    """Else the comparison above would not compare much."""
    rng, seen = np.random.default_rng(1), set()
    for name in ("BabyAI-OpenDoorDebug-v0", "MiniGrid-Fetch-8x8-N3-v0", "BabyAI-PutNextLocalS5N3-v0"):
        for env, level, rule in levels(name, range(12)):
            seen.add(play(env, level, rule, map(int, rng.integers(0, 7, int(level.max_steps)))))
    assert seen == set(Outcome)


# Plans work, and none is shorter.


@pytest.mark.parametrize("name", CHOSEN)
def test_plans_work_in_the_live_environment(name):
    for env, level, rule in levels(name, range(2, 5)):
        check_plan(env, level, plan(level, rule))


SHARED = ("observation_space", "action_space", "mission_space", "_np_random", "room_grid", "actions", "spec")


def twin(env):
    """A copy of a live environment, apart from what never changes."""
    return copy.deepcopy(env, {id(part): part for part in (getattr(env, name, None) for name in SHARED) if part})


def look(thing):
    return None if thing is None else (thing.encode(), look(thing.contains))


def remembered(instruction):
    """What an instruction of the package knows of the past."""
    told = [getattr(instruction, name, None) for name in ("a_done", "b_done")]
    told.append(look(getattr(instruction, "preCarrying", None)))
    for name in ("desc", "desc_move", "desc_fixed"):
        told.append(tuple(map(tuple, getattr(instruction, name).obj_poss)) if hasattr(instruction, name) else None)
    parts = [getattr(instruction, name) for name in ("instr_a", "instr_b") if hasattr(instruction, name)]
    return (*told, *map(remembered, parts))


def state_of(env):
    pose = (*map(int, env.agent_pos), int(env.agent_dir), look(env.carrying))
    return tuple(map(look, env.grid.grid)), pose, remembered(getattr(env, "instrs", None))


def shortest_by_trying_everything(env):
    """The fewest steps to success in copies of a live environment; None if there is no way."""
    env.gen_obs = dict
    frontier, seen = [env], {state_of(env)}
    for steps in itertools.count(1):
        following = []
        for before, action in itertools.product(frontier, range(7)):
            after = twin(before)
            _, reward, terminated, _, _ = after.step(action)
            if terminated and reward > 0:
                return steps
            state = state_of(after)
            if not terminated and state not in seen:
                seen.add(state)
                following.append(after)
        if not following:
            return None
        frontier = following


TINY = (
    *("MiniGrid-DoorKey-5x5-v0", "MiniGrid-Fetch-5x5-N2-v0", "MiniGrid-GoToObject-6x6-N2-v0"),
    *(
        "MiniGrid-KeyCorridorS3R1-v0",
        "MiniGrid-MemoryS7-v0",
        "MiniGrid-RedBlueDoors-6x6-v0",
        "MiniGrid-GoToDoor-5x5-v0",
    ),
    *("MiniGrid-PutNear-6x6-N2-v0", "MiniGrid-LavaGapS5-v0", "MiniGrid-MultiRoom-N2-S4-v0", "BabyAI-PutNextS4N1-v0"),
    *("BabyAI-GoToLocalS5N2-v0", "BabyAI-OpenDoorsOrderN2Debug-v0", "BabyAI-PutNextS5N2Carrying-v0"),
    *("BabyAI-GoToObjMazeS4R2-v0", "BabyAI-KeyCorridorS3R1-v0"),
)


def check_against_trying_everything(name, seeds):
    for env, level, rule in levels(name, seeds):
        steps = shortest_by_trying_everything(env)
        if steps is None:
            with pytest.raises(UnsolvableError):
                plan(level, rule)
        else:
            found = plan(level, rule)
            assert (found.length, found.optimal) == (steps, True)


@pytest.mark.parametrize("name", TINY)
def test_no_plan_is_shorter(name):
    check_against_trying_everything(name, range(5))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*TINY, "BabyAI-GoToSeqS5R2-v0", "BabyAI-PutNextS5N1-v0", "MiniGrid-KeyCorridorS3R2-v0"]
)
def test_no_plan_is_shorter_on_more_levels(name):
    check_against_trying_everything(name, range(100, 115))


class NoBound(Bound):
    """Knows nothing: every pose may be a step from success."""

    class _Everything(list):
        def __len__(self):
            return 1 << 30

        def __getitem__(self, left):
            return (-1, -1, -1, -1)

    def masks(self, pending, carried, truth):
        return self._Everything()

    def least(self, config, cell, direction, most):
        return 0


class PatientSearch(Search):
    """Does not conclude from an idle bound that everything was tried."""

    def _run_within(self, seeds):
        found = super()._run_within(seeds)
        self._pruned = True
        return found


def length_with(task, bound, search=Search):
    found = search(task, bound, 400_000).shortest(start_of(task), task.world.max_steps)
    return None if found is None else len(found.actions)


@pytest.mark.parametrize(
    "name",
    [
        *("MiniGrid-ObstructedMaze-1Dlh-v0", "BabyAI-MoveTwoAcrossS5N2-v0", "BabyAI-KeyInBox-v0"),
        *("BabyAI-GoToSeqS5R2-v0", "MiniGrid-KeyCorridorS3R2-v0", "BabyAI-PutNextLocalS5N3-v0"),
    ],
)
def test_bounds_cut_nothing_that_is_shorter(name):
    """Whatever a bound accounts for, the plan is as long as without any."""
    everything = frozenset({0})
    for _, level, rule in levels(name, range(40, 42)):
        task = task_of(level, rule)
        free = length_with(task, NoBound(task, everything, Coarseness(), 10_000), PatientSearch)
        for coarseness in (Coarseness(0, False), Coarseness(0), Coarseness(1), Coarseness(2), Coarseness()):
            assert length_with(task, Bound(task, everything, coarseness, 10_000)) == free


@pytest.mark.parametrize("name", CHOSEN)
def test_errands_solve_what_they_should_and_are_no_shorter(name):
    for env, level, rule in levels(name, range(2, 5)):
        task = task_of(level, rule)
        if len(task.clauses) > 1:
            continue
        found = run_errands(task, start_of(task), 0, task.world.max_steps)
        for action in found.actions:
            _, reward, terminated, _, _ = env.step(action)
        assert terminated and reward > 0
        assert len(found.actions) >= plan(level, rule).length


def test_errands_make_room_where_something_is_to_be_put():
    """The red key goes beside a box in a corner, and keys lie on either side of it."""
    level, rule = level_of("BabyAI-MoveTwoAcrossS8N9-v0", 38)
    task = task_of(level, rule)
    found = run_errands(task, start_of(task), 0, 1000)
    assert found.config.pending == 0b10


def test_errands_that_lead_nowhere_say_so():
    level, rule = level_of("MiniGrid-DoorKey-5x5-v0")
    kinds = cells.kind(level.grid)
    task = task_of(level.replace(grid=np.where(kinds == cells.KEY, cells.WALL, level.grid)), rule)
    with pytest.raises(StuckError):
        run_errands(task, start_of(task), 0, 1000)


def test_plans_are_made_clause_by_clause_where_proofs_take_too_much_work(monkeypatch):
    monkeypatch.setattr(planning, "_EFFORTS", (planning._Effort(Coarseness(), 60, 60),))
    staged = 0
    for name in ("BabyAI-BossLevel-v0", "BabyAI-GoToSeq-v0", "BabyAI-MoveTwoAcrossS8N9-v0", "BabyAI-Synth-v0"):
        for env, level, rule in levels(name, range(4)):
            found = plan(level, rule)
            check_plan(env, level, found)
            staged += not found.optimal
    assert staged > 8


# Levels that cannot be solved.


def within_reach_if_nothing_is_in_the_way(env):
    """Cells that an agent reaches which walks through things and has every key that it reaches, in boxes or not."""
    keys, reached = set(), {tuple(map(int, env.agent_pos))}
    while True:
        before = (len(keys), len(reached))
        for x, y in tuple(reached):
            for place in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                thing = env.grid.get(*place)
                for held in (thing, getattr(thing, "contains", None)):
                    if held is not None and held.type == "key":
                        keys.add(held.color)
                is_way = thing is None or thing.type in ("key", "ball", "box")
                if is_way or (thing.type == "door" and (not thing.is_locked or thing.color in keys)):
                    reached.add(place)
        if before == (len(keys), len(reached)):
            return reached


@pytest.mark.parametrize("name", ["MiniGrid-ObstructedMaze-2Dlhb-v0", "MiniGrid-ObstructedMaze-1Q-v0"])
def test_mazes_whose_key_was_overwritten_are_recognised(name):
    """The package's first version of these mazes may put a ball where the box with the key stands."""
    lost = 0
    for env, level, rule in levels(name, [5, 6, 7, 8, 9, 40]):
        x, y = next((x, y) for x in range(env.width) for y in range(env.height) if env.grid.get(x, y) is env.obj)
        possible = (x, y) in within_reach_if_nothing_is_in_the_way(env)
        assert solvable(level, rule) == possible
        lost += not possible
    assert lost >= 2


def test_a_level_that_takes_too_long_is_not_solvable():
    level, rule = level_of("MiniGrid-DoorKey-8x8-v0")
    length = plan(level, rule).length
    assert solvable(level.replace(max_steps=np.int32(length)), rule)
    with pytest.raises(UnsolvableError, match=f"max_steps={length - 1}"):
        plan(level.replace(max_steps=np.int32(length - 1)), rule)


def test_a_level_without_a_goal_square_is_not_solvable():
    level, rule = level_of("MiniGrid-Playground-v0")
    assert not solvable(level, rule)
    assert optimal_return(level, rule) == 0


def test_obstacles_that_move_have_no_plan():
    with pytest.raises(UnsupportedRuleError, match="move at random") as error:
        plan(*level_of("MiniGrid-Dynamic-Obstacles-5x5-v0"))
    assert isinstance(error.value, PalaestraError)


# Subgoals, returns, regret.


@pytest.mark.parametrize("name", [name for name in PLANNED if "WFC" not in name and scheme_of(name) is not None])
def test_subgoals_are_the_published_ones(name):
    """The schemes read them off a level without planning."""
    for _, level, rule in levels(name, range(2)):
        chain, found = scheme_of(name).chain(level), plan(level, rule).subgoals
        count = int(chain.count)
        published = list(zip(np.asarray(chain.x)[:count], np.asarray(chain.y)[:count], strict=True))
        assert [(subgoal.x, subgoal.y) for subgoal in found] == published
        assert [subgoal.word for subgoal in found] == [int(level.grid[y, x]) for x, y in published]


@pytest.mark.parametrize(
    ("name", "seed", "texts"),
    [
        ("MiniGrid-KeyCorridorS3R3-v0", 0, ["key", "locked door", "purple ball"]),
        ("MiniGrid-ObstructedMaze-1Dlhb-v0", 0, ["box", "green ball", "locked door", "blue ball"]),
        ("MiniGrid-LockedRoom-v0", 0, ["grey door", "key", "locked door", "goal"]),
        ("MiniGrid-FourRooms-v0", 0, ["opening", "goal"]),
        ("MiniGrid-RedBlueDoors-8x8-v0", 0, ["red door", "blue door"]),
        ("BabyAI-UnlockToUnlock-v0", 0, ["key", "locked door", "key", "locked door", "red ball"]),
        ("BabyAI-PutNextLocal-v0", 1, ["key", "box"]),
    ],
)
def test_subgoals_have_names(name, seed, texts):
    assert [subgoal.text for subgoal in plan(*level_of(name, seed)).subgoals] == texts


def test_every_clause_has_a_subgoal_at_the_step_that_meets_it():
    """ "go to a key and go to the ball after you go to the red ball and go to a key"."""
    level, rule = level_of("BabyAI-GoToSeqS5R2-v0", 1)
    task, found = task_of(level, rule), plan(level, rule)
    pose, config, met = task.world.pose, task.start, []
    for step, action in enumerate(found.actions, start=1):
        outcome, pose, after = task.step(pose, config, action)
        left = 0 if outcome is Outcome.SUCCESS else after.pending
        met += [step] * (config.pending & ~left).bit_count()
        config = after
    assert len(met) == 4
    assert set(met) <= {subgoal.step for subgoal in found.subgoals}


def test_regret_is_what_was_missed():
    level, rule = level_of("MiniGrid-Unlock-v0")
    best = plan(level, rule).optimal_return
    np.testing.assert_allclose(regret(level, rule, np.array([[0.0, best]])), [[best, 0.0]])


# Distances on the device.


def distances_by_search(grid, x, y, price):
    """(H, W, 4): Dijkstra's algorithm over poses, backward; `price` says what entering a cell costs, None if barred."""
    height, width = grid.shape
    field = np.full((height, width, 4), BARRED)
    field[y, x] = 0
    queue = [(0, x, y, d) for d in range(4)]
    while queue:
        queue.sort()
        cost, cx, cy, d = queue.pop(0)
        if cost > field[cy, cx, d]:
            continue
        back = (cx - int(cells.DX[d]), cy - int(cells.DY[d]))
        entering = 1 if (cx, cy) == (x, y) else price(int(grid[cy, cx]))
        before = [((cx, cy), (d + turn) % 4, 1) for turn in (1, 3)] + [(back, d, entering)]
        for (bx, by), bd, step in before:
            if step is None or not (0 <= bx < width and 0 <= by < height):
                continue
            stands = price(int(grid[by, bx])) is not None or (bx, by) == (x, y)
            if stands and cost + step < field[by, bx, bd]:
                field[by, bx, bd] = cost + step
                queue.append((cost + step, bx, by, bd))
    return field


def random_grid(rng, height=9, width=11):
    words = [cells.EMPTY, cells.WALL, cells.LAVA, *(cells.word(cells.DOOR, 2, state) for state in range(3))]
    words += [cells.word(cells.BALL, 1, 0, 3), cells.GOAL]
    return rng.choice(np.array(words, np.uint32), (height, width), p=[0.55, 0.2, 0.05, 0.04, 0.04, 0.04, 0.04, 0.04])


@pytest.mark.parametrize("prices", [{}, {"closed": BARRED}, {"closed": 0, "locked": 3, "things": 2}, {"lava": 0}])
def test_distances_are_shortest(prices):
    rng = np.random.default_rng(3)
    extra = {"closed": 1, "locked": BARRED, "things": BARRED, "lava": BARRED, **prices}

    def price(word):
        word = np.uint32(word)
        kind, state = int(cells.kind(word)), int(cells.state(word))
        named = {cells.BALL: "things", cells.LAVA_KIND: "lava"}.get(kind)
        if kind == cells.DOOR:
            named = (None, "closed", "locked")[state]
        if kind == cells.WALL_KIND:
            return None
        cost = 1 + (extra[named] if named else 0)
        return cost if cost < BARRED else None

    fields = jax.jit(lambda grid, x, y: distance_field(grid, x, y, **prices))
    for _ in range(8):
        grid = random_grid(rng)
        y, x = (int(rng.integers(0, size)) for size in grid.shape)
        field = np.asarray(fields(jnp.asarray(grid), jnp.int32(x), jnp.int32(y)))
        np.testing.assert_array_equal(field, distances_by_search(grid, x, y, price))


@pytest.mark.parametrize(
    "name",
    ["MiniGrid-FourRooms-v0", "MiniGrid-LavaCrossingS9N2-v0", "MiniGrid-MultiRoom-N6-v0", "MiniGrid-DistShift1-v0"],
)
def test_distances_to_the_goal_are_the_lengths_of_plans(name):
    for _, level, rule in levels(name, range(3)):
        y, x = np.argwhere(cells.kind(level.grid) == cells.GOAL_KIND)[0]
        field = distance_field(jnp.asarray(level.grid), jnp.int32(x), jnp.int32(y))
        distance = field[int(level.y), int(level.x), int(level.direction)]
        found = plan(level, rule)
        assert int(distance) == found.length
        assert float(success_return(distance, jnp.int32(level.max_steps))) == pytest.approx(found.optimal_return)


def test_distances_to_face_something_end_before_it():
    grid = jnp.full((3, 6), cells.WALL).at[1, 1:5].set(cells.EMPTY).at[1, 4].set(cells.word(cells.KEY, 0))
    field = distance_field(grid, jnp.int32(4), jnp.int32(1), facing=True)
    assert field[1, 3].tolist() == [0, 1, 2, 1]
    assert field[1, 1].tolist() == [2, 3, 4, 3]
    assert int(field[1, 4].min()) == BARRED


def test_distances_batch_and_fixed_sweeps_agree():
    grids = jnp.asarray(np.stack([level.grid for _, level, _ in levels("MiniGrid-FourRooms-v0", range(4))]))
    where = jnp.full(4, 1, jnp.int32)
    until_done = jax.vmap(distance_field)(grids, where, where)
    fixed = jax.vmap(lambda grid, x, y: distance_field(grid, x, y, sweeps=2 * (19 + 19)))(grids, where, where)
    np.testing.assert_array_equal(until_done, fixed)
    few = distance_field(grids[0], where[0], where[0], sweeps=3)
    np.testing.assert_array_equal(few, jnp.where(until_done[0] <= 3, until_done[0], BARRED))


# All of it, slowly.


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNED)
def test_every_level_is_solved_in_time(name):
    """200 levels of every id; those without a plan are proven to have none."""
    for env, level, rule in levels(name, range(200)):
        try:
            found = plan(level, rule)
        except UnsolvableError:
            continue
        check_plan(env, level, found)


def length_of_bot(env):
    """Steps that the package's own bot takes; None if it fails."""
    from minigrid.utils.baby_ai_bot import BabyAIBot

    bot, action = BabyAIBot(env), None
    for steps in range(1, env.max_steps + 1):
        action = bot.replan(action)
        _, reward, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            return steps if reward > 0 else None
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PLANNED if name.startswith("BabyAI") and "Carrying" not in name])
def test_the_package_bot_is_no_shorter(name):
    """Where a plan is proven shortest, never; elsewhere seldom, and not on average."""
    ours, theirs = 0, 0
    for env, level, rule in levels(name, range(40)):
        try:
            found = plan(level, rule)
        except UnsolvableError:
            found = None
        try:
            steps = length_of_bot(env)
        except Exception:  # the bot has faults of its own
            steps = None
        assert found is not None or steps is None
        if found is not None and steps is not None:
            assert found.length <= steps or not found.optimal
            ours, theirs = ours + found.length, theirs + steps
    assert ours <= theirs
