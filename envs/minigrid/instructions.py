"""BabyAI's instructions as arrays, and the rule that follows them.

An instruction has one or two *sides* in sequence, and a side one or two *clauses* that may be met in any order. So four
clauses are always enough: 0 and 1 belong to side a, 2 and 3 to side b. What a clause speaks of ("a red ball on your
left") is resolved when the level is made, into a set of object numbers; from then on the clause follows those objects.

Letters: O object numbers (0 is no object), 4 clauses.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ..tasks import TaskError
from . import cells
from .core import DROP, PICK_UP, TOGGLE, State, cell_at, in_front
from .level import Leaf, Level
from .rules import ReachGoal, check_places, end_episode

NO_CLAUSE, GO_TO, OPEN, PICK, PUT_NEXT = range(5)
ONE_SIDE, BEFORE, AFTER = range(3)
NOWHERE = -1


class Instruction(struct.PyTreeNode):
    """What to do, what of it is done, and where the objects are."""

    order: Leaf  # () int32: one side; a before b; a after b
    strict_order: Leaf  # () bool, whether meeting the later side first fails
    both: Leaf  # (2,) bool, whether the side has two clauses
    kind: Leaf  # (4,) int32
    strict: Leaf  # (4,) bool, whether handling another object fails
    moved: Leaf  # (4, O) bool, the objects spoken of; those to be moved
    fixed: Leaf  # (4, O) bool, for PUT_NEXT: those to be moved to
    done: Leaf  # (4,) bool, clauses met, where their side has two
    first_done: Leaf  # () bool, whether the side that comes first is met
    held: Leaf  # (4,) uint32, number of what was carried when the clause was last asked
    x: Leaf  # (O,) int32, where each object was last put, NOWHERE since it was picked up
    y: Leaf  # (O,) int32
    known_x: Leaf  # (O,) int32, where it stood when last looked for: at the start and after drops
    known_y: Leaf  # (O,) int32


class _Verdict(NamedTuple):
    success: jax.Array
    failure: jax.Array
    instruction: Instruction


@dataclasses.dataclass(frozen=True)
class FollowInstruction(ReachGoal):
    """Success when the instruction is met, failure when it can no longer be."""

    goal: ClassVar[type] = Instruction
    follows_things: ClassVar[bool] = False

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        instruction = _look_for_objects(before, action, after)
        view = _View.of(after, action)
        verdict = _follow(instruction, view)
        after = after.replace(level=after.level.replace(goal=verdict.instruction))
        return end_episode(after, verdict.success | verdict.failure, verdict.success)

    def validate(self, level: Level) -> None:
        goal = level.goal
        for name in ("x", "y", "known_x", "known_y"):
            check_places(level, name, getattr(goal, name), NOWHERE)
        for name, high in (("order", AFTER), ("kind", PUT_NEXT)):
            values = np.atleast_1d(np.asarray(getattr(goal, name)))
            if values.min() < 0 or values.max() > high:
                raise TaskError(f"level.goal.{name}: got {values.tolist()}; expected whole numbers in [0, {high}]")
        numbers = np.shape(goal.moved)[1]
        words = np.append(np.asarray(level.grid), np.asarray(level.carrying))
        told = {"level.grid or carrying": cells.number(words), "level.goal.held": np.asarray(goal.held)}
        told["level, in boxes"] = cells.number(cells.content(words))
        for name, values in told.items():
            if values.max() >= numbers:
                raise TaskError(
                    f"{name}: got the object number {values.max()}; expected numbers below {numbers}, "
                    f"which the goal's sets hold"
                )


class _View(NamedTuple):
    """What clauses ask about a step."""

    action: jax.Array
    front: jax.Array  # () uint32, the cell in front
    front_x: jax.Array
    front_y: jax.Array
    carried: jax.Array  # () uint32, number of what is carried

    @classmethod
    def of(cls, after: State, action: jax.Array) -> "_View":
        x, y = in_front(after.level)
        front = cell_at(after.level.grid, x, y)
        return cls(action, front, x, y, cells.number(after.level.carrying))


def _look_for_objects(before: State, action: jax.Array, after: State) -> Instruction:
    """Follows what was picked up or put down, and looks for all objects anew if the action was a drop.

    An object that was picked up is still believed where it stood until the next drop, even one that fails: so does
    the package.
    """
    instruction: Instruction = after.level.goal
    numbers = jnp.arange(instruction.x.shape[0], dtype=jnp.uint32)
    taken, held = cells.number(after.level.carrying), cells.number(before.level.carrying)
    x, y = in_front(after.level)
    picked = (numbers == taken) & (taken != held)
    dropped = (numbers == held) & (taken != held)
    new_x, new_y = (
        jnp.where(picked, NOWHERE, jnp.where(dropped, place, old))
        for place, old in ((x, instruction.x), (y, instruction.y))
    )
    there = _stands_there(after, numbers, new_x, new_y)
    looks = action == DROP
    known_x, known_y = (
        jnp.where(looks, jnp.where(there, new, NOWHERE), old)
        for new, old in ((new_x, instruction.known_x), (new_y, instruction.known_y))
    )
    return instruction.replace(x=new_x, y=new_y, known_x=known_x, known_y=known_y)


def _stands_there(after: State, numbers: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """(O,) bool: which objects are in the grid at (x, y): neither carried nor, as opened boxes are, gone."""
    found = after.level.grid[jnp.maximum(y, 0), jnp.maximum(x, 0)]
    return (x >= 0) & (cells.number(found) == numbers)


def _follow(instruction: Instruction, view: _View) -> _Verdict:
    """One step of the sequence: the side that comes first, then the other."""
    success, failure, held = _ask_clauses(instruction, view)
    a_first = instruction.order != AFTER
    a, b = (_side(instruction, success, failure, side) for side in (0, 1))
    first, second = (
        _Side(*(jnp.where(a_first, p, q) for p, q in zip(*pair, strict=True))) for pair in ((a, b), (b, a))
    )
    in_sequence = instruction.order != ONE_SIDE
    asks_first = ~instruction.first_done
    first_met = asks_first & first.success
    second_is_next = in_sequence & (instruction.first_done | first_met)
    too_early = in_sequence & instruction.strict_order & asks_first & ~first.success & ~first.failure
    asks_second = second_is_next | too_early
    succeeds = jnp.where(in_sequence, second_is_next & second.success, first_met)
    fails = (asks_first & first.failure) | (second_is_next & second.failure) | (too_early & second.success)
    asked_a = jnp.where(a_first, asks_first, asks_second)
    asked_b = jnp.where(a_first, asks_second, asks_first)
    asked = jnp.stack([asked_a, asked_a, asked_b, asked_b]) & ~instruction.done
    return _Verdict(
        success=succeeds,
        failure=fails & ~succeeds,
        instruction=instruction.replace(
            held=jnp.where(asked, held, instruction.held),
            done=instruction.done | (asked & success & jnp.repeat(instruction.both, 2, total_repeat_length=4)),
            first_done=instruction.first_done | first_met,
        ),
    )


class _Side(NamedTuple):
    success: jax.Array
    failure: jax.Array


def _side(instruction: Instruction, success: jax.Array, failure: jax.Array, side: int) -> _Side:
    """Whether a side would be met or failed if asked. A side of two clauses never fails: so in the package."""
    first, second = 2 * side, 2 * side + 1
    both = instruction.both[side]
    met = success | instruction.done
    return _Side(success=jnp.where(both, met[first] & met[second], success[first]), failure=~both & failure[first])


def _ask_clauses(instruction: Instruction, view: _View) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(success (4,), failure (4,), held (4,)) of every clause, as if all were asked."""
    kind, strict = instruction.kind, instruction.strict
    numbers = jnp.arange(instruction.x.shape[0], dtype=jnp.uint32)
    facing = (instruction.known_x == view.front_x) & (instruction.known_y == view.front_y)
    reaches = _holds(instruction.moved, facing)

    is_door = cells.kind(view.front) == cells.DOOR
    is_front = numbers == cells.number(view.front)
    opens = _holds(instruction.moved, is_front) & is_door & (cells.state(view.front) == cells.OPEN)
    toggles = view.action == TOGGLE

    picks = view.action == PICK_UP
    carries = view.carried != 0
    takes = _holds(instruction.moved, numbers == view.carried) & carries & (instruction.held == 0)

    places = (view.action == DROP) & _next_to(instruction)
    success = (
        ((kind == GO_TO) & reaches)
        | ((kind == OPEN) & toggles & opens)
        | ((kind == PICK) & picks & takes)
        | ((kind == PUT_NEXT) & places)
    )
    failure = strict & (
        ((kind == OPEN) & toggles & is_door & ~opens)
        | ((kind == PICK) & picks & carries & ~takes)
        | ((kind == PUT_NEXT) & picks & carries)
    )
    return success, failure, jnp.broadcast_to(view.carried, (4,))


def _holds(sets: jax.Array, members: jax.Array) -> jax.Array:
    """(4,) bool: whether a set (4, O) holds any of the members (O,) bool."""
    return jnp.any(sets & members[None, :], axis=-1)


def _next_to(instruction: Instruction) -> jax.Array:
    """(4,) bool: whether what was carried belongs to the moved set and lies beside one of the fixed set."""
    held = instruction.held.astype(jnp.int32)
    belongs = (held > 0) & jnp.take_along_axis(instruction.moved, held[:, None], axis=1)[:, 0]
    aside = jnp.abs(instruction.x[held][:, None] - instruction.known_x[None, :])
    ahead = jnp.abs(instruction.y[held][:, None] - instruction.known_y[None, :])
    known = (instruction.known_x != NOWHERE)[None, :]
    return belongs & jnp.any(instruction.fixed & known & (aside + ahead == 1), axis=-1)


def no_instruction(objects: int) -> Instruction:
    """An instruction over object numbers below `objects` that is neither met nor failed, to be filled in."""
    return Instruction(
        order=np.int32(ONE_SIDE),
        strict_order=np.bool_(False),
        both=np.zeros(2, bool),
        kind=np.full(4, NO_CLAUSE, np.int32),
        strict=np.zeros(4, bool),
        moved=np.zeros((4, objects), bool),
        fixed=np.zeros((4, objects), bool),
        done=np.zeros(4, bool),
        first_done=np.bool_(False),
        held=np.zeros(4, np.uint32),
        x=np.full(objects, NOWHERE, np.int32),
        y=np.full(objects, NOWHERE, np.int32),
        known_x=np.full(objects, NOWHERE, np.int32),
        known_y=np.full(objects, NOWHERE, np.int32),
    )


def with_object_numbers(instruction: Instruction, objects: int) -> Instruction:
    """The same instruction over more object numbers, NumPy."""
    empty, size = no_instruction(objects), instruction.x.shape[0]
    grown = {}
    for name in ("moved", "fixed", "x", "y", "known_x", "known_y"):
        grown[name] = getattr(empty, name)
        grown[name][..., :size] = getattr(instruction, name)
    return instruction.replace(**grown)


def with_hands_empty(level: Level) -> Level:
    """The level with what the agent holds back where it lay; its goal must be an `Instruction`."""
    number = cells.number(level.carrying).astype(jnp.int32)
    x, y = level.goal.x[number], level.goal.y[number]
    row = jnp.where(level.carrying == 0, level.grid.shape[0], y)
    grid = level.grid.at[row, x].set(level.carrying, mode="drop")
    return level.replace(grid=grid, carrying=jnp.uint32(0))
