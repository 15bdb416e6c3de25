"""Levels out of live `minigrid` environments; export.py writes them back.

`import_level` reads what an environment has just been reset to. Object numbers follow the grid from left to right,
column by column, then what boxes hold, then what the agent holds: two readings of one level are equal.

The package is imported by the functions that need it, since importing it costs half a second and pygame.

Letters: H rows, W columns, L words, O object numbers.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import PalaestraError
from . import cells, instructions, rules, words
from .instructions import Instruction
from .level import Level


class PackageError(PalaestraError, ValueError):
    """An environment of the package that is not one of those this family knows."""

    code = 2


@dataclasses.dataclass(frozen=True)
class Reading:
    """A level with the environment's objects by number."""

    level: Level
    objects: tuple[Any, ...]  # objects[number - 1]


def make_reference(name: str, **kwargs: Any) -> Any:
    """A bare environment of the package, without wrappers.

    Raises:
      PackageError: the package has no such id.
    """
    import gymnasium
    import minigrid  # noqa: F401  # registers its ids

    try:
        return gymnasium.make(name, disable_env_checker=True, **kwargs).unwrapped
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise _cannot_make(name, error) from error
    except gymnasium.error.Error as error:
        raise PackageError(f"level source: got {name!r}; expected an id of the minigrid package ({error})") from None


def _cannot_make(name: str, error: Exception) -> PackageError:
    return PackageError(
        f"{name}: the installed minigrid cannot make its levels ({error})",
        hint="Wheels of minigrid 3.2 lack these mazes' patterns: install it from its sources, with its extra wfc.",
    )


def reset(env: Any, seed: int) -> tuple[Any, dict[str, Any]]:
    """`env.reset(seed=seed)` without the lines that some classes print for every level they reject.

    Raises:
      PackageError: the package lacks files or packages that this class needs, as the mazes of wave function collapse.
    """
    from gymnasium.error import DependencyNotInstalled

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return env.reset(seed=seed)
    except (FileNotFoundError, ImportError, DependencyNotInstalled) as error:
        raise _cannot_make(type(env).__name__, error) from error


def rule_of(env: Any) -> rules.Rule:
    """How an environment of the package judges steps.

    Raises:
      PackageError: a class whose rule is not known here.
    """
    for names, rule in _RULES:
        if any(base.__name__ in names for base in type(env).__mro__):
            return rule
    raise PackageError(f"rule: got {type(env).__name__}; expected a class of the minigrid package")


_RULES: tuple[tuple[tuple[str, ...], rules.Rule], ...] = (
    (("RoomGridLevel",), instructions.FollowInstruction()),
    (
        ("KeyCorridorEnv", "UnlockPickupEnv", "BlockedUnlockPickupEnv", "ObstructedMazeEnv"),
        rules.PickUpObject(),
    ),
    (("UnlockEnv",), rules.OpenDoor()),
    (("FetchEnv",), rules.FetchLook()),
    (("GoToDoorEnv", "GoToObjectEnv"), rules.DoneNearby()),
    (("PutNearEnv",), rules.PutNear()),
    (("MemoryEnv",), rules.ChooseFork()),
    (("RedBlueDoorEnv",), rules.OpenInOrder()),
    (("DynamicObstaclesEnv",), rules.DodgeObstacles()),
    (
        (
            *("CrossingEnv", "DistShiftEnv", "DoorKeyEnv", "EmptyEnv", "FourRoomsEnv", "LavaGapEnv", "LockedRoomEnv"),
            *("MultiRoomEnv", "PlaygroundEnv", "WFCEnv"),
        ),
        rules.ReachGoal(),
    ),
)


def read(env: Any) -> Reading:
    """The level of a live environment of the package, bare, that was just reset, and its objects.

    Raises:
      PackageError: a rule not known here, or more objects than there are numbers.
      MissionError: a word that no mission has.
    """
    objects = tuple(_objects(env))
    numbers = {id(thing): number for number, thing in enumerate(objects, start=1)}
    if len(objects) > 255:
        raise PackageError(f"level: got {len(objects)} objects; expected at most 255")
    grid = np.full((env.height, env.width), cells.EMPTY, np.uint32)
    for x, y, thing in _things(env):
        grid[y, x] = _word(thing, numbers)
    level = Level(
        grid=grid,
        x=np.int32(env.agent_pos[0]),
        y=np.int32(env.agent_pos[1]),
        direction=np.int32(env.agent_dir),
        carrying=np.uint32(0) if env.carrying is None else _word(env.carrying, numbers),
        mission=words.encode(env.mission),
        goal=_goal(env, numbers),
        max_steps=np.int32(env.max_steps),
    )
    return Reading(level, objects)


def import_level(env: Any) -> Level:
    """`read` without the objects."""
    return read(env).level


def _things(env: Any) -> Iterator[tuple[int, int, Any]]:
    for x in range(env.width):
        for y in range(env.height):
            thing = env.grid.get(x, y)
            if thing is not None:
                yield x, y, thing


def _objects(env: Any) -> Iterator[Any]:
    """Doors, keys, balls and boxes; only these have an identity that anything asks for."""
    held = []
    for _, _, thing in _things(env):
        if thing.type in ("door", "key", "ball", "box"):
            yield thing
            held.append(thing.contains)
    yield from (thing for thing in held if thing is not None)
    if env.carrying is not None:
        yield env.carrying


def _word(thing: Any, numbers: dict[int, int]) -> Any:
    kind, color, state = thing.encode()
    word = cells.word(int(kind), int(color), int(state), numbers.get(id(thing), 0))
    return word if thing.contains is None else cells.fill(word, _word(thing.contains, numbers))


def _goal(env: Any, numbers: dict[int, int]) -> Any:
    return _GOALS[type(rule_of(env))](env, numbers)


def _look(kind: str, color: str) -> dict[str, np.uint32]:
    return {"kind": np.uint32(cells.KINDS.index(kind)), "color": np.uint32(cells.COLORS.index(color))}


def _places(**places: Any) -> dict[str, np.int32]:
    return {f"{prefix}{axis}": np.int32(place[i]) for prefix, place in places.items() for i, axis in enumerate("xy")}


def _place_of(env: Any, wanted: Any) -> tuple[int, int]:
    return next((x, y) for x, y, thing in _things(env) if thing is wanted)


def _instruction(env: Any, numbers: dict[int, int]) -> Instruction:
    """The instruction of a BabyAI environment that has just been reset."""
    fields: dict[str, Any] = {
        name: np.array(value) for name, value in vars(instructions.no_instruction(len(numbers) + 1)).items()
    }
    tree, order = env.instrs, type(env.instrs).__name__
    sides: tuple[Any, ...] = (tree,)
    if order in ("BeforeInstr", "AfterInstr"):
        sides = (tree.instr_a, tree.instr_b)
        fields["order"] = np.int32(instructions.BEFORE if order == "BeforeInstr" else instructions.AFTER)
        fields["strict_order"] = np.bool_(tree.strict)
    for side, branch in enumerate(sides):
        is_pair = type(branch).__name__ == "AndInstr"
        fields["both"][side] = is_pair
        for i, clause in enumerate((branch.instr_a, branch.instr_b) if is_pair else (branch,)):
            _read_clause(clause, numbers, fields, 2 * side + i)
    for x, y, thing in _things(env):
        if id(thing) in numbers:
            number = numbers[id(thing)]
            fields["x"][number], fields["y"][number] = fields["known_x"][number], fields["known_y"][number] = x, y
    _read_carried(env, numbers, fields)
    return Instruction(**fields)


_CLAUSES = {
    "GoToInstr": instructions.GO_TO,
    "OpenInstr": instructions.OPEN,
    "PickupInstr": instructions.PICK,
    "PutNextInstr": instructions.PUT_NEXT,
}


def _read_clause(clause: Any, numbers: dict[int, int], fields: dict[str, np.ndarray], slot: int) -> None:
    """Fills in a clause. "A grey object" describes walls, too, which have no number since nobody can pick them up."""
    fields["kind"][slot] = _CLAUSES[type(clause).__name__]
    fields["strict"][slot] = bool(getattr(clause, "strict", False))
    moved = clause.desc_move if hasattr(clause, "desc_move") else clause.desc
    fixed = clause.desc_fixed.obj_set if hasattr(clause, "desc_fixed") else ()
    for field, things in (("moved", moved.obj_set), ("fixed", fixed)):
        known = [numbers[id(thing)] for thing in things if id(thing) in numbers]
        fields[field][slot, known] = True


def _read_carried(env: Any, numbers: dict[int, int], fields: dict[str, np.ndarray]) -> None:
    """An object carried from the start counts as lying where it was placed, until a drop."""
    if env.carrying is None:
        return
    number = numbers[id(env.carrying)]
    for x, place in zip("xy", env.carrying.cur_pos, strict=True):
        fields[x][number] = fields[f"known_{x}"][number] = place


_GOALS: dict[type, Any] = {
    rules.ReachGoal: lambda env, numbers: rules.Nothing(),
    rules.PickUpObject: lambda env, numbers: rules.ObjectGoal(np.uint32(numbers[id(env.obj)])),
    rules.OpenDoor: lambda env, numbers: rules.DoorGoal(*map(np.int32, _place_of(env, env.door))),
    rules.FetchLook: lambda env, numbers: rules.LookGoal(**_look(env.targetType, env.targetColor)),
    rules.DoneNearby: lambda env, numbers: rules.PlaceGoal(*map(np.int32, env.target_pos)),
    rules.PutNear: lambda env, numbers: rules.NearGoal(
        **_look(env.move_type, env.moveColor), x=np.int32(env.target_pos[0]), y=np.int32(env.target_pos[1])
    ),
    rules.ChooseFork: lambda env, numbers: rules.ForkGoal(
        **_places(success_=env.success_pos, failure_=env.failure_pos)
    ),
    rules.OpenInOrder: lambda env, numbers: rules.TwoDoorsGoal(
        **_places(first_=_place_of(env, env.red_door), second_=_place_of(env, env.blue_door))
    ),
    rules.DodgeObstacles: lambda env, numbers: rules.ObstaclesGoal(
        x=np.array([obstacle.cur_pos[0] for obstacle in env.obstacles], np.int32),
        y=np.array([obstacle.cur_pos[1] for obstacle in env.obstacles], np.int32),
        blocked=np.bool_(False),
    ),
    instructions.FollowInstruction: _instruction,
}
