"""Plans for levels made by hand: starts on what ends an episode, what is held at reset, boxes in boxes, bad goals."""

import numpy as np
import pytest
from palaestra.envs.minigrid import cells, instructions, rules
from palaestra.envs.minigrid.core import DROP, FORWARD, LEFT, PICK_UP, TOGGLE
from palaestra.envs.minigrid.instructions import FollowInstruction
from palaestra.envs.minigrid.level import Level
from palaestra.envs.minigrid.planner import PlanningError, plan, planning, regret, solvable
from palaestra.envs.minigrid.planner.bound import Bound
from palaestra.envs.minigrid.planner.errands import run_errands
from palaestra.envs.minigrid.planner.goals import Outcome
from palaestra.envs.minigrid.planner.needs import Coarseness
from palaestra.envs.minigrid.planner.search import Branch
from palaestra.envs.minigrid.planner.tasks import task_of

COARSENESSES = sorted({effort.coarseness for effort in planning._EFFORTS} | {Coarseness()}, key=str)
CELLS = {".": cells.EMPTY, "#": cells.WALL, "G": cells.GOAL, "L": cells.LAVA, "_": cells.word(cells.FLOOR_KIND, 2)}


def level_of(rows, x, y, goal, direction=0, carrying=0, **words):
    """A level drawn with letters; `words` are those of further letters, for one cell each."""
    grid = np.array([[words[letter] if letter in words else CELLS[letter] for letter in row] for row in rows])
    return Level(
        grid=grid.astype(np.uint32),
        x=np.int32(x),
        y=np.int32(y),
        direction=np.int32(direction),
        carrying=np.uint32(carrying),
        mission=np.zeros(1, np.uint8),
        goal=goal,
        max_steps=np.int32(100),
    )


def instruction_of(places, *clauses, both=False):
    """One side.

    Args:
      places: (x, y) by number, where things are believed.
      clauses: (kind, numbers to move, numbers to move to).
    """
    fields = {name: np.array(value) for name, value in vars(instructions.no_instruction(8)).items()}
    for number, (x, y) in places.items():
        fields["x"][number], fields["y"][number] = fields["known_x"][number], fields["known_y"][number] = x, y
    fields["both"][0] = both
    for slot, (kind, moved, fixed) in enumerate(clauses):
        fields["kind"][slot] = kind
        fields["moved"][slot] = np.isin(np.arange(8), moved)
        fields["fixed"][slot] = np.isin(np.arange(8), fixed)
    return instructions.Instruction(**fields)


def check_errands(task):
    """Errands meet the first clause; returns how many actions they take."""
    found = run_errands(task, Branch((), task.world.pose, task.start), 0, 200)
    pose, config = task.world.pose, task.start
    for action in found.actions:
        outcome, pose, config = task.step(pose, config, action)
    assert outcome is Outcome.SUCCESS or not config.pending & 1
    return len(found.actions)


@pytest.mark.parametrize("coarseness", COARSENESSES, ids=str)
def test_who_starts_on_the_goal_must_come_back_to_it(monkeypatch, coarseness):
    monkeypatch.setattr(planning, "_EFFORTS", (planning._Effort(coarseness, 10_000, 10_000),))
    level = level_of(["####", "#G.#", "####"], 1, 1, rules.Nothing())
    found = plan(level, rules.ReachGoal())
    assert (found.length, found.optimal) == (4, True)
    assert found.actions[0] == FORWARD and found.actions[-1] == FORWARD
    assert not solvable(level_of(["###", "#G#", "###"], 1, 1, rules.Nothing()), rules.ReachGoal())
    assert check_errands(task_of(level, rules.ReachGoal())) == 4


@pytest.mark.parametrize("coarseness", COARSENESSES, ids=str)
def test_who_starts_on_lava_may_leave_it(monkeypatch, coarseness):
    monkeypatch.setattr(planning, "_EFFORTS", (planning._Effort(coarseness, 10_000, 10_000),))
    level = level_of(["#####", "#GL.#", "#####"], 2, 1, rules.Nothing())
    assert plan(level, rules.ReachGoal()).actions == (LEFT, LEFT, FORWARD)


def test_who_starts_at_the_right_end_of_a_fork_is_there():
    """Even one who stands at the wrong one, and turns, is there."""
    goal = rules.ForkGoal(np.int32(1), np.int32(1), np.int32(3), np.int32(1))
    assert plan(level_of(["#####", "#...#", "#####"], 1, 1, goal), rules.ChooseFork()).length == 1
    assert plan(level_of(["#####", "#...#", "#####"], 3, 1, goal, direction=2), rules.ChooseFork()).length == 2
    assert not solvable(level_of(["#####", "#...#", "#####"], 3, 1, goal), rules.ChooseFork())


@pytest.mark.parametrize("coarseness", COARSENESSES, ids=str)
def test_a_look_from_lava_succeeds_all_the_same(monkeypatch, coarseness):
    """The instruction is met in the step that falls in."""
    monkeypatch.setattr(planning, "_EFFORTS", (planning._Effort(coarseness, 10_000, 10_000),))
    goal = instruction_of({1: (4, 1)}, (instructions.GO_TO, [1], []))
    level = level_of(["######", "#..Lb#", "######"], 1, 1, goal, b=cells.word(cells.BALL, 0, 0, 1))
    assert plan(level, FollowInstruction()).actions == (FORWARD, FORWARD)


def test_a_look_that_fails_from_a_goal_square_fails_all_the_same():
    """The second side is met first, by the step onto the goal square."""
    goal = instruction_of({1: (4, 1)}, (instructions.GO_TO, [2], []), (0, [], []), (instructions.GO_TO, [1], []))
    goal = goal.replace(order=np.int32(instructions.BEFORE), strict_order=np.bool_(True))
    level = level_of(["######", "#..Gb#", "######"], 1, 1, goal, b=cells.word(cells.BALL, 0, 0, 1))
    assert not solvable(level, FollowInstruction())
    assert plan(level.replace(goal=goal.replace(strict_order=np.bool_(False))), FollowInstruction()).length == 2


def test_a_goal_square_ends_an_instruction_in_stages_too(monkeypatch):
    """No plan goes on after the episode has ended."""
    monkeypatch.setattr(planning, "_EFFORTS", (planning._Effort(Coarseness(), 10_000, 0),))
    ball, box = cells.word(cells.BALL, 0, 0, 1), cells.word(cells.BOX, 0, 0, 2)
    goal = instruction_of(
        {1: (6, 1), 2: (1, 1)}, (instructions.GO_TO, [1], []), (instructions.GO_TO, [2], []), both=True
    )
    level = level_of(["########", "#B..GGb#", "########"], 2, 1, goal, b=ball, B=box)
    task, found = task_of(level, FollowInstruction()), plan(level, FollowInstruction())
    pose, config = task.world.pose, task.start
    for step, action in enumerate(found.actions, start=1):
        outcome, pose, config = task.step(pose, config, action)
        assert (outcome is Outcome.SUCCESS) == (step == found.length)


@pytest.mark.parametrize("coarseness", COARSENESSES, ids=str)
def test_what_is_held_may_be_put_down_to_look_at_it(monkeypatch, coarseness):
    """ "go to the ball and go to a door", with the ball in hand."""
    monkeypatch.setattr(planning, "_EFFORTS", (planning._Effort(coarseness, 10_000, 10_000),))
    doors = {"d": cells.word(cells.DOOR, 0, cells.CLOSED, 2), "e": cells.word(cells.DOOR, 0, cells.CLOSED, 3)}
    ball = cells.word(cells.BALL, 0, 0, 1)
    goal = instruction_of(
        {2: (1, 0), 3: (2, 0)}, (instructions.GO_TO, [1], []), (instructions.GO_TO, [2, 3], []), both=True
    )
    level = level_of(["#de##", "#._.#", "#####"], 1, 1, goal, carrying=ball, **doors)
    found = plan(level, FollowInstruction())
    assert (found.actions, found.optimal) == ((FORWARD, DROP, LEFT), True)


@pytest.mark.parametrize("coarseness", COARSENESSES, ids=str)
def test_a_box_in_a_box_may_be_broken_too(monkeypatch, coarseness):
    """Twice toggled, there is nothing in the way, and the key is still in hand."""
    monkeypatch.setattr(planning, "_EFFORTS", (planning._Effort(coarseness, 10_000, 10_000),))
    box = cells.fill(cells.word(cells.BOX, 0, 0, 1), cells.word(cells.BOX, 1, 0, 2))
    door, key = cells.word(cells.DOOR, 0, cells.LOCKED, 3), cells.word(cells.KEY, 0, 0, 4)
    goal = rules.DoorGoal(np.int32(3), np.int32(1))
    level = level_of(["####", "#.bd", "####"], 1, 1, goal, carrying=key, b=box, d=door)
    found, task = plan(level, rules.OpenDoor()), task_of(level, rules.OpenDoor())
    assert (found.actions, found.optimal) == ((TOGGLE, TOGGLE, FORWARD, TOGGLE), True)
    _, pose, config = task.step(task.world.pose, task.start, TOGGLE)
    least = Bound(task, frozenset({0}), coarseness, 10_000).least(config, *pose, 50)
    assert least is not None and least <= 3


def near(kind, color, x, y):
    return rules.NearGoal(np.uint32(kind), np.uint32(color), np.int32(x), np.int32(y))


def test_what_is_held_at_reset_may_be_put_near_whatever_it_is():
    ball, box = cells.word(cells.BALL, 1, 0, 1), cells.word(cells.BOX, 2, 0, 2)
    level = level_of(["######", "#...B#", "######"], 1, 1, near(cells.KEY, 0, 4, 1), carrying=ball, B=box)
    found = plan(level, rules.PutNear())
    assert (found.actions, found.optimal) == ((FORWARD, DROP), True)
    assert check_errands(task_of(level, rules.PutNear())) == 2


def test_what_does_not_look_right_may_not_be_taken_even_if_it_was_held():
    """Picking up with the wrong thing in hand ends the episode."""
    level = level_of(
        ["#####", "#...#", "#####"], 1, 1, near(cells.KEY, 0, 3, 1), carrying=cells.word(cells.BALL, 1, 0, 1)
    )
    task = task_of(level, rules.PutNear())
    assert task.step(task.world.pose, task.start, PICK_UP)[0] is Outcome.FAILURE


def test_errands_put_down_what_they_are_to_look_at():
    goal = instruction_of({}, (instructions.GO_TO, [1], []))
    level = level_of(["####", "#..#", "####"], 1, 1, goal, carrying=cells.word(cells.BALL, 0, 0, 1))
    assert check_errands(task_of(level, FollowInstruction())) == 1


def test_errands_put_down_the_box_that_holds_what_they_fetch():
    box = cells.fill(cells.word(cells.BOX, 0, 0, 1), cells.word(cells.KEY, 1, 0, 2))
    level = level_of(["####", "#..#", "####"], 1, 1, rules.ObjectGoal(np.uint32(2)), carrying=box)
    assert check_errands(task_of(level, rules.PickUpObject())) == 3


@pytest.mark.parametrize("rule", [rules.OpenDoor(), rules.OpenInOrder()])
def test_a_goal_without_a_door_is_named(rule):
    goal = rules.DoorGoal(np.int32(2), np.int32(1))
    if isinstance(rule, rules.OpenInOrder):
        goal = rules.TwoDoorsGoal(*map(np.int32, (2, 1, 2, 1)))
    with pytest.raises(PlanningError, match=r"level\.goal: got \(2, 1\); expected the cell of a door"):
        plan(level_of(["####", "#..#", "####"], 1, 1, goal), rule)


@pytest.mark.parametrize("ask", [plan, solvable, lambda level, rule: regret(level, rule, 0.0)])
def test_several_levels_at_once_are_refused_by_name(ask):
    level = level_of(["####", "#.G#", "####"], 1, 1, rules.Nothing())
    several = level.replace(grid=np.stack([level.grid] * 2))
    with pytest.raises(PlanningError, match=r"level\.grid: got shape \(2, 3, 4\); expected \(H, W\)"):
        ask(several, rules.ReachGoal())
    assert plan(level, rules.ReachGoal()).actions == (FORWARD,)
