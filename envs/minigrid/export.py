"""States back into live `minigrid` environments, to render, plan or go on there.

    env = reference.make_reference("BabyAI-BossLevel-v0")
    export_state(state, env)

The environment must be of the state's id, since rooms and sizes are its own; everything that a step reads or changes
is written: objects with their identity and what boxes hold, the agent, hands, counters, targets, instructions.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..errors import PalaestraError
from . import cells, instructions, reference, rules, words
from .core import State
from .instructions import Instruction


class ExportError(PalaestraError, ValueError):
    """A state that does not fit the environment it should be written to."""

    code = 2


def export_state(state: State, env: Any) -> Any:
    """Puts a bare environment of the package into `state` and returns it.

    Args:
      state: of one environment, concrete.
      env: an environment of the same id, see `reference.make_reference`; it is reset first.

    Raises:
      ExportError: the environment's grid has another size, or its class another kind of goal.
      PackageError: a class whose rule is not known, or that lacks files or packages.
    """
    from minigrid.core.grid import Grid

    state = jax.device_get(state)
    level = state.level
    if level.grid.shape != (env.height, env.width):
        raise ExportError(
            f"export: got a grid {level.grid.shape}; expected {(env.height, env.width)}, the environment's"
        )
    rule = reference.rule_of(env)
    if not isinstance(level.goal, rule.goal):
        raise ExportError(
            f"export: got a goal {type(level.goal).__name__}; expected {rule.goal.__name__}, the environment's"
        )
    reference.reset(env, 0)
    objects: dict[int, Any] = {}
    env.grid = Grid(env.width, env.height)
    for y, x in np.argwhere(level.grid != cells.EMPTY):
        thing = _object(level.grid[y, x], objects)
        thing.cur_pos = thing.init_pos = (int(x), int(y))
        env.grid.set(int(x), int(y), thing)
    env.agent_pos, env.agent_dir = (int(level.x), int(level.y)), int(level.direction)
    env.carrying = _object(level.carrying, objects) if level.carrying else None
    if env.carrying is not None:
        env.carrying.cur_pos = np.array([-1, -1])
    env.step_count, env.max_steps = int(state.steps), int(level.max_steps)
    env.mission = words.decode(level.mission)
    _TARGETS[type(rule)](env, level.goal, objects)
    return env


def _object(word: Any, objects: dict[int, Any]) -> Any:
    """The package's object for a word; `objects` (by number) grows by it."""
    from minigrid.core.world_object import WorldObj

    thing: Any = WorldObj.decode(int(cells.kind(word)), int(cells.color(word)), int(cells.state(word)))
    inside = cells.content(word)
    if inside:
        thing.contains = _object(inside, objects)
    if cells.number(word):
        objects[int(cells.number(word))] = thing
    return thing


def _set_object(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    env.obj = objects.get(int(goal.number))


def _set_door(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    env.door = env.grid.get(int(goal.x), int(goal.y))


def _set_look(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    env.targetType, env.targetColor = cells.KINDS[goal.kind], cells.COLORS[goal.color]


def _set_place(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    env.target_pos = (int(goal.x), int(goal.y))


def _set_near(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    env.move_type, env.moveColor = cells.KINDS[goal.kind], cells.COLORS[goal.color]
    env.target_pos = (int(goal.x), int(goal.y))


def _set_fork(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    env.success_pos = (int(goal.success_x), int(goal.success_y))
    env.failure_pos = (int(goal.failure_x), int(goal.failure_y))


def _set_two_doors(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    env.red_door = env.grid.get(int(goal.first_x), int(goal.first_y))
    env.blue_door = env.grid.get(int(goal.second_x), int(goal.second_y))


def _set_obstacles(env: Any, goal: Any, objects: dict[int, Any]) -> None:
    there = [(int(x), int(y)) for x, y in zip(goal.x, goal.y, strict=True) if x >= 0]
    env.obstacles = [env.grid.get(x, y) for x, y in there]


def _set_instruction(env: Any, goal: Instruction, objects: dict[int, Any]) -> None:
    from minigrid.envs.babyai.core import verifier

    for number, thing in objects.items():
        thing.cur_pos = (int(goal.x[number]), int(goal.y[number]))
    sides = [_side(env, goal, objects, side) for side in (0, 1)]
    if goal.order == instructions.ONE_SIDE:
        env.instrs = sides[0]
        return
    before = goal.order == instructions.BEFORE
    sequence: Any = verifier.BeforeInstr if before else verifier.AfterInstr
    tree = sequence(*sides, bool(goal.strict_order))
    tree.env = env
    tree.a_done, tree.b_done = ("success" if done and goal.first_done else False for done in (before, not before))
    env.instrs = tree


def _side(env: Any, goal: Instruction, objects: dict[int, Any], side: int) -> Any:
    from minigrid.envs.babyai.core import verifier

    first, second = 2 * side, 2 * side + 1
    if goal.kind[first] == instructions.NO_CLAUSE:
        return None
    if not goal.both[side]:
        return _clause(env, goal, objects, first)
    pair: Any = verifier.AndInstr(_clause(env, goal, objects, first), _clause(env, goal, objects, second))
    pair.env = env
    pair.a_done, pair.b_done = ("success" if goal.done[slot] else False for slot in (first, second))
    return pair


def _clause(env: Any, goal: Instruction, objects: dict[int, Any], slot: int) -> Any:
    from minigrid.envs.babyai.core import verifier

    kind, strict = int(goal.kind[slot]), bool(goal.strict[slot])
    moved = _description(goal, goal.moved[slot], objects, "door" if kind == instructions.OPEN else None)
    clause: Any
    if kind == instructions.GO_TO:
        clause = verifier.GoToInstr(moved)
    elif kind == instructions.OPEN:
        clause = verifier.OpenInstr(moved, strict)
    elif kind == instructions.PICK:
        clause = verifier.PickupInstr(moved, strict)
    else:
        clause = verifier.PutNextInstr(moved, _description(goal, goal.fixed[slot], objects, None), strict)
    clause.env = env
    clause.preCarrying = objects.get(int(goal.held[slot]))
    return clause


def _description(goal: Instruction, members: np.ndarray, objects: dict[int, Any], kind: str | None) -> Any:
    """The set of objects a clause speaks of; the words are in the mission alone."""
    from minigrid.envs.babyai.core import verifier

    described: Any = verifier.ObjDesc(kind)
    numbers = [int(number) for number in np.flatnonzero(members)]
    described.obj_set = [objects[number] for number in numbers if number in objects]
    known = [(int(goal.known_x[number]), int(goal.known_y[number])) for number in numbers]
    described.obj_poss = [place for place in known if place[0] != instructions.NOWHERE]
    return described


_TARGETS: dict[type, Callable[[Any, Any, dict[int, Any]], None]] = {
    rules.ReachGoal: lambda env, goal, objects: None,
    rules.PickUpObject: _set_object,
    rules.OpenDoor: _set_door,
    rules.FetchLook: _set_look,
    rules.DoneNearby: _set_place,
    rules.PutNear: _set_near,
    rules.ChooseFork: _set_fork,
    rules.OpenInOrder: _set_two_doors,
    rules.DodgeObstacles: _set_obstacles,
    instructions.FollowInstruction: _set_instruction,
}
