"""Plans on small random levels, against trying everything: what the package's levels seldom have, these often have.

A level is two rooms with a door or two between them, keys, balls, boxes with something in them, and any rule. In some
the agent starts on a goal square or on lava, or holds something.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.minigrid import cells, core, instructions, rules
from palaestra.envs.minigrid.instructions import FollowInstruction
from palaestra.envs.minigrid.level import Level
from palaestra.envs.minigrid.planner import planning
from palaestra.envs.minigrid.planner.board import bits
from palaestra.envs.minigrid.planner.bound import Bound
from palaestra.envs.minigrid.planner.errands import StuckError, run_errands
from palaestra.envs.minigrid.planner.goals import Outcome
from palaestra.envs.minigrid.planner.needs import Coarseness
from palaestra.envs.minigrid.planner.search import Branch, Search
from palaestra.envs.minigrid.planner.tasks import task_of

from .minigrid_planned import check_shortest

HEIGHT, WIDTH, WALL_X = 5, 8, 4
NUMBERS = 24  # object numbers
MOST_STATES = 3000
DOORWAYS = ((WALL_X, 1), (WALL_X, 3))
COARSENESSES = sorted({effort.coarseness for effort in planning._EFFORTS} | {Coarseness()}, key=str)


class Draft:
    """A random level in the making: a grid, and what stands where by number."""

    def __init__(self, rng, crowd):
        self.rng = rng
        self.grid = np.full((HEIGHT, WIDTH), cells.WALL, np.uint32)
        self.grid[1:4, 1:WALL_X] = self.grid[1:4, WALL_X + 1 : WIDTH - 1] = cells.EMPTY
        self.places = [(0, 0)]  # by number, (0, 0) for what is not in the grid
        self.free = [(x, y) for y in (1, 2, 3) for x in (1, 2, 3, 5, 6)]
        rng.shuffle(self.free)
        for x, y in DOORWAYS[: rng.integers(1, 3)]:
            state = int(rng.choice([cells.OPEN, cells.CLOSED, cells.LOCKED], p=[0.2, 0.4, 0.4]))
            self.put(cells.word(cells.DOOR, int(rng.integers(2)), state, self.number()), x, y)
        self.doors = list(range(1, len(self.places)))
        for _ in range(crowd):
            self.put(self.thing(), *self.free.pop())
        if rng.random() < 0.3:
            x, y = self.free.pop()
            self.grid[y, x] = cells.word(cells.FLOOR_KIND, cells.BLUE)
        self.x, self.y = self.free.pop()
        if rng.random() < 0.15:
            # What the agent stands on ends nothing until the agent leaves it and comes back.
            self.grid[self.y, self.x] = rng.choice([cells.GOAL, cells.LAVA])

    def number(self):
        self.places.append((0, 0))
        return len(self.places) - 1

    def thing(self):
        kind = int(self.rng.choice([cells.KEY, cells.BALL, cells.BOX]))
        box = cells.word(kind, int(self.rng.integers(2)), 0, self.number())
        if kind == cells.BOX and self.rng.random() < 0.6:
            inside = int(self.rng.choice([cells.KEY, cells.BALL, cells.BOX]))
            return cells.fill(box, cells.word(inside, int(self.rng.integers(2)), 0, self.number()))
        return box

    def put(self, word, x, y):
        self.grid[y, x] = word
        self.places[int(cells.number(word))] = (x, y)

    def level(self, goal, carrying=0):
        return Level(
            grid=self.grid,
            x=np.int32(self.x),
            y=np.int32(self.y),
            direction=np.int32(self.rng.integers(4)),
            carrying=np.uint32(carrying),
            mission=np.zeros(1, np.uint8),
            goal=goal,
            max_steps=np.int32(200),
        )


def some(rng, members, count=2):
    """A set (NUMBERS,) bool of one or more of `members`."""
    chosen = rng.choice(members, min(len(members), rng.integers(1, count + 1)), replace=False)
    return np.isin(np.arange(NUMBERS), chosen)


def instructed_level(rng, crowd=3):
    """A level with an instruction of up to four clauses; in some the agent holds something at reset."""
    draft = Draft(rng, crowd)
    carrying = draft.thing() if rng.random() < 0.2 else 0
    fields = {name: np.array(value) for name, value in vars(instructions.no_instruction(NUMBERS)).items()}
    for number, (x, y) in enumerate(draft.places):
        if (x, y) != (0, 0):
            fields["x"][number], fields["y"][number] = fields["known_x"][number], fields["known_y"][number] = x, y
    if carrying:
        # It counts as lying where it was when the level was made, or nowhere.
        number, (x, y) = int(cells.number(carrying)), draft.free[0]
        fields["x"][number], fields["y"][number] = x, y
        if rng.random() < 0.5:
            fields["known_x"][number], fields["known_y"][number] = x, y
    seen = [number for number in range(1, len(draft.places)) if fields["x"][number] != instructions.NOWHERE]
    things = [number for number in seen if number not in draft.doors]
    fields["order"] = np.int32(rng.choice([instructions.ONE_SIDE, instructions.BEFORE, instructions.AFTER]))
    fields["strict_order"] = np.bool_(rng.random() < 0.15)
    fields["both"] = rng.random(2) < 0.3
    for slot in range(4):
        kind = int(rng.choice([instructions.GO_TO, instructions.OPEN, instructions.PICK, instructions.PUT_NEXT]))
        members = {instructions.GO_TO: seen, instructions.OPEN: draft.doors}.get(kind, things)
        fields["kind"][slot] = kind
        fields["strict"][slot] = rng.random() < 0.15
        fields["moved"][slot] = some(rng, members)
        fields["fixed"][slot] = some(rng, seen) & ~fields["moved"][slot]
    return draft.level(instructions.Instruction(**fields), carrying), FollowInstruction()


def ruled_level(rng, crowd=4):
    """A level with any other rule; in some the agent holds something at reset."""
    draft = Draft(rng, crowd)
    carrying = draft.thing() if rng.random() < 0.2 else 0
    words = {int(cells.number(word)): word for word in draft.grid.ravel() if cells.is_portable(word)}
    inside = [cells.content(word) for word in words.values() if cells.content(word)]
    wanted = rng.choice(np.array([*words.values(), *inside], np.uint32))
    look = (cells.kind(wanted), cells.color(wanted))
    x, y = map(np.int32, draft.places[int(rng.integers(1, len(draft.places)))])
    (first_x, first_y), (second_x, second_y) = draft.places[draft.doors[0]], draft.places[draft.doors[-1]]
    choices = [
        (rules.PickUpObject(), rules.ObjectGoal(cells.number(wanted))),
        (rules.FetchLook(), rules.LookGoal(*look)),
        (rules.OpenDoor(), rules.DoorGoal(np.int32(first_x), np.int32(first_y))),
        (rules.PutNear(), rules.NearGoal(*look, np.maximum(x, 1), np.maximum(y, 1))),
        (rules.DoneNearby(), rules.PlaceGoal(np.maximum(x, 1), np.maximum(y, 1))),
        (rules.ReachGoal(), rules.Nothing()),
    ]
    if len(draft.doors) == 2:
        places = map(np.int32, (first_x, first_y, second_x, second_y))
        choices.append((rules.OpenInOrder(), rules.TwoDoorsGoal(*places)))
    rule, goal = choices[rng.integers(len(choices))]
    if isinstance(rule, rules.ReachGoal) and type(rule) is rules.ReachGoal:
        (gx, gy), (lx, ly) = draft.free[:2]
        draft.grid[gy, gx], draft.grid[ly, lx] = cells.GOAL, cells.LAVA
    return draft.level(goal, carrying), rule


LEVELS = {"instructed": instructed_level, "ruled": ruled_level}


def fewest_steps(task):
    """By trying all actions in all states, with the rules alone: -1 if that takes too long, None if there is no way."""
    frontier = [(task.world.pose, task.start)]
    seen = set(frontier)
    for steps in itertools.count(1):
        following = []
        for (pose, config), action in itertools.product(frontier, range(7)):
            outcome, *after = task.step(pose, config, action)
            if outcome is Outcome.SUCCESS:
                return steps
            if outcome is Outcome.GOES_ON and tuple(after) not in seen:
                seen.add(tuple(after))
                following.append(tuple(after))
        if not following:
            return None
        if len(seen) > MOST_STATES:
            return -1
        frontier = following


@functools.lru_cache
def cases(kind, count, seed=0):
    """(level, rule, fewest steps) of random levels, without those where trying everything takes too long."""
    rng = np.random.default_rng(seed)
    levels = [LEVELS[kind](rng) for _ in range(count)]
    tried = [(level, rule, fewest_steps(task_of(level, rule))) for level, rule in levels]
    return [case for case in tried if case[2] != -1]


def check_plans(kind, count, seed):
    lengths = []
    for level, rule, steps in cases(kind, count, seed):
        check_shortest(level, rule, steps)
        if steps is not None:
            lengths.append(steps)
    return lengths


@pytest.mark.parametrize("kind", LEVELS)
def test_plans_are_as_short_as_any(kind):
    lengths = check_plans(kind, 120, seed=0)
    assert len(lengths) > 40
    assert max(lengths) > 10


def only(coarseness):
    """Efforts that hold one bound alone, with work enough for any of these levels."""
    return (planning._Effort(coarseness, 100_000, 10**6),)


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("coarseness", COARSENESSES, ids=str)
def test_every_bound_alone_finds_plans_as_short_as_any(monkeypatch, coarseness, kind):
    monkeypatch.setattr(planning, "_EFFORTS", only(coarseness))
    check_plans(kind, 120, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("efforts", [planning._EFFORTS, *map(only, COARSENESSES)], ids=str)
def test_plans_are_as_short_as_any_on_more_levels(monkeypatch, efforts, kind, seed):
    monkeypatch.setattr(planning, "_EFFORTS", efforts)
    check_plans(kind, 600, seed)


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("coarseness", COARSENESSES, ids=str)
def test_every_bound_is_one(kind, coarseness):
    """Nowhere on a shortest plan does the bound exceed what is left; the search asks it from the second action on.

    The first action is tried without it: at a fresh start a toggle may find a door open that nobody opened, and what is
    held from the start counts as just picked up.
    """
    for level, rule, steps in cases(kind, 120):
        if steps is None:
            continue
        task = task_of(level, rule)
        bound = Bound(task, frozenset({0}), coarseness, 100_000)
        actions = shortest_plan(task)
        pose, config = task.world.pose, task.start
        for done, action in enumerate(actions[:-1], start=1):
            _, pose, config = task.step(pose, config, action)
            least = bound.least(config, *pose, 200)
            assert least is not None and least <= steps - done


@pytest.mark.parametrize("kind", LEVELS)
def test_errands_in_a_crowd_do_what_they_say_or_give_up(kind):
    """Whatever errands within errands carry elsewhere; they find a way in most levels that have one."""
    rng, met, stuck = np.random.default_rng(0), 0, 0
    for _ in range(300):
        level, rule = LEVELS[kind](rng, crowd=8)
        task = task_of(level, rule)
        clause = next(bits(task.first or 1))
        try:
            found = run_errands(task, Branch((), task.world.pose, task.start), clause, 200)
        except StuckError:
            stuck += 1
            continue
        met += 1
        pose, config = task.world.pose, task.start
        for step, action in enumerate(found.actions, start=1):
            outcome, pose, config = task.step(pose, config, action)
            assert outcome is not Outcome.FAILURE
            ends = outcome is Outcome.SUCCESS or not config.pending >> clause & 1
            assert ends == (step == len(found.actions))
    assert met > stuck


def shortest_plan(task):
    """Its actions, by the search with the bound that accounts for least."""
    search = Search(task, Bound(task, frozenset({0}), Coarseness(0), 100_000), 10**6)
    return search.shortest(Branch((), task.world.pose, task.start), 200).actions


@functools.lru_cache
def device_step():
    """FollowInstruction on the device, one program for all levels of a shape."""

    def step(state, action):
        before, act = FollowInstruction().prepare(state, action, jax.random.key(0))
        return FollowInstruction().judge(before, act, core.act(before, act))

    return jax.jit(step)


def test_host_follows_instructions_as_the_device():
    rng, ends = np.random.default_rng(5), []
    for _ in range(120):
        level, rule = instructed_level(rng)
        ends.append(follow_both(rng, level, task_of(level, rule)))
    assert ends.count(Outcome.SUCCESS) > 5
    assert ends.count(Outcome.FAILURE) > 5


def follow_both(rng, level, task):
    """Plays at random in both; returns how it ended."""
    state = core.start(jax.tree.map(jnp.asarray, level))
    pose, config = task.world.pose, task.start
    for action in rng.choice(7, 80, p=[0.15, 0.15, 0.2, 0.18, 0.14, 0.16, 0.02]):
        state = device_step()(state, jnp.int32(action))
        outcome, pose, config = task.step(pose, config, int(action))
        assert bool(state.terminated) == (outcome is not Outcome.GOES_ON)
        assert not state.terminated or (float(state.reward) > 0) == (outcome is Outcome.SUCCESS)
        assert task.world.board.position(pose.cell) == (int(state.level.x), int(state.level.y))
        numbers = np.asarray(cells.number(state.level.grid))
        for thing, place in zip(task.world.things, config.places, strict=True):
            if place >= 0:
                x, y = task.world.board.position(place)
                assert numbers[y, x] == thing.number
            else:
                assert thing.number not in numbers
        carried = 0 if config.carried < 0 else task.world.things[config.carried].number
        assert int(cells.number(state.level.carrying)) == carried
        if outcome is not Outcome.GOES_ON:
            return outcome
    return Outcome.GOES_ON
