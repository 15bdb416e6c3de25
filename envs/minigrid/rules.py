"""What counts as success: one rule per kind of task, each judging a step after the mechanics have made it.

A rule is static (part of the environment); the numbers it judges by are the level's `goal`, which the rule may keep
up to date. All of them reproduce the `step` methods of the package's environments, oddities included.

Letters: N obstacles.
"""

import dataclasses
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ..tasks import TaskError
from . import cells
from .core import DONE, DROP, FORWARD, PICK_UP, TOGGLE, State, cell_at, in_front, success_reward
from .level import Leaf, Level

MISSES = (((9 - np.arange(10)) / 9.0) ** 101).astype(np.float32)
"""(10,) how probable it is that 101 draws among 9 cells find none of the free ones, by their number."""


class Rule(Protocol):
    """How a family of tasks turns a step of the mechanics into a step of the task.

    Attributes:
      goal: the class of the level's `goal`.
      follows_things: whether the target is found wherever it stands, so that things may be moved about.
      num_actions: actions are 0 to num_actions - 1.
    """

    goal: ClassVar[type]
    follows_things: ClassVar[bool]
    num_actions: ClassVar[int]

    def prepare(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, jax.Array]:
        """What happens before the mechanics: the world's own moves, and the action that they get. Consumes `key`."""

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        """`after` with this rule's reward, end and goal. `before` and `action` are what `prepare` returned."""

    def validate(self, level: Level) -> None:
        """Checks the goal of a concrete level whose shapes and grid are right.

        Raises:
          TaskError: a goal that speaks of what is not there.
        """


class Nothing(struct.PyTreeNode):
    """The goal of a rule that judges by the grid alone."""


@dataclasses.dataclass(frozen=True)
class ReachGoal:
    """The mechanics alone: the goal square ends the episode with success, lava without."""

    goal: ClassVar[type] = Nothing
    follows_things: ClassVar[bool] = True
    num_actions: ClassVar[int] = 7

    def prepare(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, jax.Array]:
        return state, action

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        return after

    def validate(self, level: Level) -> None:
        for name, value in vars(level.goal).items():
            if name.endswith(("x", "y")):
                check_places(level, name, value)


class ObjectGoal(struct.PyTreeNode):
    """One object, by its number."""

    number: Leaf  # () uint32


class DoorGoal(struct.PyTreeNode):
    """One door, by its place."""

    x: Leaf  # () int32
    y: Leaf  # () int32


class LookGoal(struct.PyTreeNode):
    """Any object that looks like this."""

    kind: Leaf  # () uint32
    color: Leaf  # () uint32


class PlaceGoal(struct.PyTreeNode):
    """One cell."""

    x: Leaf  # () int32
    y: Leaf  # () int32


class NearGoal(struct.PyTreeNode):
    """What to carry, and the cell to drop it near."""

    kind: Leaf  # () uint32
    color: Leaf  # () uint32
    x: Leaf  # () int32
    y: Leaf  # () int32


class ForkGoal(struct.PyTreeNode):
    """The cell that counts as success and the one that counts as failure."""

    success_x: Leaf  # () int32
    success_y: Leaf  # () int32
    failure_x: Leaf  # () int32
    failure_y: Leaf  # () int32


class TwoDoorsGoal(struct.PyTreeNode):
    """The door to open first and the one to open second."""

    first_x: Leaf  # () int32
    first_y: Leaf  # () int32
    second_x: Leaf  # () int32
    second_y: Leaf  # () int32


class ObstaclesGoal(struct.PyTreeNode):
    """Where the moving obstacles are, in the order in which they move."""

    x: Leaf  # (N,) int32, negative for one that is not there
    y: Leaf  # (N,) int32
    blocked: Leaf  # () bool, whether something stood before the agent before they moved


@dataclasses.dataclass(frozen=True)
class PickUpObject(ReachGoal):
    """Success when the action pick up leaves the goal's object in the agent's hands."""

    goal: ClassVar[type] = ObjectGoal

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        goal, carrying = after.level.goal, after.level.carrying
        has = (carrying != 0) & (cells.number(carrying) == goal.number)
        return _succeed(after, (action == PICK_UP) & has)


@dataclasses.dataclass(frozen=True)
class OpenDoor(ReachGoal):
    """Success when the action toggle, wherever it is aimed, finds the goal's door open."""

    goal: ClassVar[type] = DoorGoal

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        goal = after.level.goal
        return _succeed(after, (action == TOGGLE) & _is_open(after.level, goal.x, goal.y))


@dataclasses.dataclass(frozen=True)
class FetchLook(ReachGoal):
    """Anything in the agent's hands ends the episode, with success if it looks as the goal says."""

    goal: ClassVar[type] = LookGoal

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        goal, carrying = after.level.goal, after.level.carrying
        fits = (cells.kind(carrying) == goal.kind) & (cells.color(carrying) == goal.color)
        return end_episode(after, carrying != 0, fits)


@dataclasses.dataclass(frozen=True)
class DoneNearby(ReachGoal):
    """Done ends the episode, with success beside the goal's cell; toggle ends it, too."""

    goal: ClassVar[type] = PlaceGoal
    follows_things: ClassVar[bool] = False

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        level, goal = after.level, after.level.goal
        beside = jnp.abs(level.x - goal.x) + jnp.abs(level.y - goal.y) == 1
        ended = _succeed(after, (action == DONE) & beside)
        return ended.replace(terminated=ended.terminated | (action == DONE) | (action == TOGGLE))


@dataclasses.dataclass(frozen=True)
class PutNear(ReachGoal):
    """Taking the wrong thing ends the episode, and so does a drop: with success if near the goal's cell."""

    goal: ClassVar[type] = NearGoal
    follows_things: ClassVar[bool] = False

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        level, goal = after.level, after.level.goal
        carrying, held = level.carrying, before.level.carrying
        looks_wrong = (cells.kind(carrying) != goal.kind) | (cells.color(carrying) != goal.color)
        wrong = (action == PICK_UP) & (carrying != 0) & looks_wrong
        x, y = in_front(level)
        near = (jnp.abs(x - goal.x) <= 1) & (jnp.abs(y - goal.y) <= 1)
        lets_go = (action == DROP) & (held != 0)
        ended = _succeed(after, lets_go & (carrying == 0) & near)
        return ended.replace(terminated=ended.terminated | wrong | lets_go)


@dataclasses.dataclass(frozen=True)
class ChooseFork(ReachGoal):
    """Two cells end the episode, one with success; picking up is not possible and toggles instead."""

    goal: ClassVar[type] = ForkGoal
    follows_things: ClassVar[bool] = False

    def prepare(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, jax.Array]:
        return state, jnp.where(action == PICK_UP, TOGGLE, action)

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        level, goal = after.level, after.level.goal
        right = (level.x == goal.success_x) & (level.y == goal.success_y)
        wrong = (level.x == goal.failure_x) & (level.y == goal.failure_y)
        return end_episode(after, right | wrong, right)


@dataclasses.dataclass(frozen=True)
class OpenInOrder(ReachGoal):
    """Success when the goal's second door opens after its first; failure in the other order."""

    goal: ClassVar[type] = TwoDoorsGoal
    follows_things: ClassVar[bool] = False

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        goal = after.level.goal
        first, second = (
            tuple(_is_open(s.level, x, y) for s in (before, after))
            for x, y in ((goal.first_x, goal.first_y), (goal.second_x, goal.second_y))
        )
        return end_episode(after, second[1] | (first[1] & second[0]), second[1] & first[0])


@dataclasses.dataclass(frozen=True)
class DodgeObstacles(ReachGoal):
    """Reach the goal square among obstacles that move before every step; walking into anything else costs 1.

    Only turns and forward count: any other action turns left. Whether the way is blocked is decided before the
    obstacles move.
    """

    goal: ClassVar[type] = ObstaclesGoal
    follows_things: ClassVar[bool] = False
    num_actions: ClassVar[int] = 3

    def prepare(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, jax.Array]:
        level = state.level
        front = cell_at(level.grid, *in_front(level))
        blocked = (front != cells.EMPTY) & (cells.kind(front) != cells.GOAL_KIND)
        grid, x, y = move_obstacles(level, key)
        goal = level.goal.replace(x=x, y=y, blocked=blocked)
        action = jnp.where(action >= self.num_actions, 0, action)
        return state.replace(level=level.replace(grid=grid, goal=goal)), action

    def judge(self, before: State, action: jax.Array, after: State) -> State:
        crashes = (action == FORWARD) & after.level.goal.blocked
        return after.replace(terminated=after.terminated | crashes, reward=jnp.where(crashes, -1.0, after.reward))

    def validate(self, level: Level) -> None:
        goal, grid = level.goal, np.asarray(level.grid)
        there = np.asarray(goal.x) >= 0  # negative for an obstacle that is not there
        x, y = np.asarray(goal.x)[there], np.asarray(goal.y)[there]
        check_places(level, "x", x)
        check_places(level, "y", y)
        kinds = cells.kind(grid[y, x])
        if (kinds != cells.BALL).any():
            i = int(np.argmax(kinds != cells.BALL))
            raise TaskError(
                f"level.goal.x, level.goal.y: got ({x[i]}, {y[i]}), a cell with {cells.KINDS[kinds[i]]}; "
                f"expected a ball where an obstacle is"
            )


def move_obstacles(level: Level, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Each obstacle in turn goes to a free cell of its 3 x 3 neighbourhood. Consumes `key`.

    `minigrid` draws cells of the neighbourhood up to 101 times until one is empty and not the agent's, else the
    obstacle stays. The same distribution comes from one uniform choice among the free cells, made with the
    probability that 101 draws find one (a table, since the power itself becomes NaN in a compiled program).

    Returns:
      grid (H, W), x (N,), y (N,).
    """
    goal = level.goal
    count = goal.x.shape[0]
    keys = jax.random.split(key, count)
    grid, xs, ys = level.grid, goal.x, goal.y
    aside = jnp.arange(9, dtype=jnp.int32) % 3 - 1
    ahead = jnp.arange(9, dtype=jnp.int32) // 3 - 1
    for i in range(count):
        x, y = xs[i] + aside, ys[i] + ahead
        free = (grid[y, x] == cells.EMPTY) & ~((x == level.x) & (y == level.y))
        key_cell, key_luck = jax.random.split(keys[i])
        choice = jnp.argmax(jnp.where(free, jax.random.uniform(key_cell, (9,)), -1.0))
        misses = jnp.asarray(MISSES)[jnp.sum(free)]
        moves = (jax.random.uniform(key_luck) >= misses) & (xs[i] >= 0)
        new_x, new_y = (jnp.where(moves, new[choice], old[i]) for new, old in ((x, xs), (y, ys)))
        ball = grid[ys[i], xs[i]]
        grid = grid.at[ys[i], xs[i]].set(jnp.where(moves, cells.EMPTY, ball))
        grid = grid.at[new_y, new_x].set(jnp.where(moves, ball, grid[new_y, new_x]))
        xs, ys = xs.at[i].set(new_x), ys.at[i].set(new_y)
    return grid, xs, ys


def check_places(level: Level, name: str, value: Any, low: int = 0) -> None:
    """Checks coordinates (...,) of a level's goal.

    Args:
      name: the goal's field; its last letter is the axis.
      low: the least that is allowed, below 0 where one may stand for nowhere.

    Raises:
      TaskError: outside of the grid.
    """
    high = np.shape(level.grid)[1 if name.endswith("x") else 0] - 1
    values = np.atleast_1d(np.asarray(value))
    outside = values[(values < low) | (values > high)]
    if len(outside):
        raise TaskError(f"level.goal.{name}: got {int(outside[0])}; expected whole numbers in [{low}, {high}]")


def _is_open(level: Level, x: jax.Array, y: jax.Array) -> jax.Array:
    return cells.state(level.grid[y, x]) == cells.OPEN


def _succeed(after: State, success: jax.Array) -> State:
    """Ends the episode with success where `success`; leaves what the mechanics decided elsewhere."""
    paid = success_reward(after.steps, after.level.max_steps)
    return after.replace(reward=jnp.where(success, paid, after.reward), terminated=after.terminated | success)


def end_episode(after: State, ends: jax.Array, success: jax.Array) -> State:
    """Ends the episode where `ends`, paying for success and nothing else, whatever the mechanics decided."""
    paid = jnp.where(success, success_reward(after.steps, after.level.max_steps), 0.0)
    return after.replace(reward=jnp.where(ends, paid, after.reward), terminated=after.terminated | ends)
