"""What the subgoals of a family are, read off a fresh level on the device.

The first three are the published sequences; the others follow their pattern. A scheme is static: it says which cells
of a level are subgoals and which objects a mistaken teacher may name instead.

Letters: H rows, W columns, K subgoals at most.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import cells
from ..level import Level
from .chain import Chain, chain_of


@dataclasses.dataclass(frozen=True)
class Mistakes:
    """Which objects a mistaken teacher may name.

    Attributes:
      only_doors: doors alone, as the authors' teachers in KeyCorridor and MultiRoom.
      room_size: side of a room with its walls where rooms form a grid: what stands in the goal's room is never named
        there; 0 where they do not.
    """

    only_doors: bool = False
    room_size: int = 0


ANY_OBJECT = Mistakes()


@dataclasses.dataclass(frozen=True)
class Scheme:
    """How a family's levels come apart.

    Attributes:
      chain: level -> its subgoals.
      size: K.
      mistakes: what may be named instead.
    """

    chain: Callable[[Level], Chain]
    size: int
    mistakes: Mistakes = ANY_OBJECT


def _kind(level: Level, kind: int) -> jax.Array:
    return cells.kind(level.grid) == kind


def _locked(level: Level) -> jax.Array:
    return _kind(level, cells.DOOR) & (cells.state(level.grid) == cells.LOCKED)


def _target(level: Level) -> jax.Array:
    return cells.number(level.grid) == level.goal.number


def _key_or_box(level: Level) -> jax.Array:
    """Where the key is: lying about, or in a box."""
    return _kind(level, cells.KEY) | (cells.kind(cells.content(level.grid)) == cells.KEY)


def _key_corridor(level: Level) -> Chain:
    return chain_of([_key_or_box(level), _locked(level), _target(level)])


def _obstructed(level: Level) -> Chain:
    """The key or its box, the ball before the door, the door, the ball to pick up."""
    blocker = _kind(level, cells.BALL) & ~_target(level)
    return chain_of([_key_or_box(level), blocker, _locked(level), _target(level)])


def _blocked_unlock_pickup(level: Level) -> Chain:
    blocker = _kind(level, cells.BALL)
    return chain_of([blocker, _kind(level, cells.KEY), _locked(level), _target(level)])


def _door_key(level: Level) -> Chain:
    return chain_of([_kind(level, cells.KEY), _locked(level), _kind(level, cells.GOAL_KIND)])


def _unlock(level: Level) -> Chain:
    return chain_of([_kind(level, cells.KEY), _kind(level, cells.DOOR)])


def _locked_room(level: Level) -> Chain:
    """The door of the room with the key, the key, the locked door, the goal."""
    doors, keys = _kind(level, cells.DOOR) & ~_locked(level), _kind(level, cells.KEY)
    height, width = level.grid.shape
    rows, columns = (jnp.asarray(axis) for axis in np.mgrid[:height, :width].astype(np.int32))
    key = jnp.argmax(keys.ravel()).astype(jnp.int32)
    key_x, key_y = key % width, key // width
    # Rooms are a third of the height each, three on either side of the hallway; their doors face it.
    third = height // 3
    same_side = (columns < width // 2) == (key_x < width // 2)
    key_rooms_door = doors & same_side & (rows // third == key_y // third)
    return chain_of([key_rooms_door, keys, _locked(level), _kind(level, cells.GOAL_KIND)])


@dataclasses.dataclass(frozen=True)
class _MultiRoom:
    """The doors in the order in which they are reached, then the goal."""

    rooms: int

    def __call__(self, level: Level) -> Chain:
        doors = _kind(level, cells.DOOR)
        distance = _walking_distance(level)
        width, most = level.grid.shape[1], self.rooms - 1
        order = jnp.argsort(jnp.where(doors, distance, _FAR).ravel(), stable=True)[:most].astype(jnp.int32)
        count = jnp.sum(doors, dtype=jnp.int32)
        goal = jnp.argmax(_kind(level, cells.GOAL_KIND).ravel()).astype(jnp.int32)
        places = jnp.append(order, goal).at[jnp.minimum(count, most)].set(goal)
        return Chain(x=places % width, y=places // width, count=count + 1)


_FAR = 1 << 20


def _walking_distance(level: Level) -> jax.Array:
    """(H, W) int32: steps from the agent through free cells and doors, by relaxation until nothing changes."""
    passable = cells.is_passable(level.grid) | _kind(level, cells.DOOR)
    begin = jnp.full(level.grid.shape, _FAR, jnp.int32).at[level.y, level.x].set(0)

    def relax(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        now, _ = state
        padded = jnp.pad(now, 1, constant_values=_FAR)
        near = jnp.minimum(
            jnp.minimum(padded[:-2, 1:-1], padded[2:, 1:-1]), jnp.minimum(padded[1:-1, :-2], padded[1:-1, 2:])
        )
        new = jnp.where(passable, jnp.minimum(now, near + 1), now)
        return new, jnp.any(new != now)

    distance: Any = jax.lax.while_loop(lambda state: state[1], relax, (begin, jnp.ones((), bool)))[0]
    return distance


def scheme_of(name: str) -> Scheme | None:
    """The scheme of an id of the package; None where levels must be planned instead."""
    for pattern, make in _SCHEMES:
        if re.match(pattern, name):
            return make()
    return None


_SCHEMES: tuple[tuple[str, Callable[..., Scheme]], ...] = (
    (r"MiniGrid-KeyCorridorS", lambda: Scheme(_key_corridor, 3, Mistakes(only_doors=True))),
    (r"MiniGrid-ObstructedMaze-1Dl", lambda: Scheme(_obstructed, 4, Mistakes(room_size=6))),
    (r"MiniGrid-MultiRoom-N2-S4-v0", lambda: Scheme(_MultiRoom(2), 2, Mistakes(only_doors=True))),
    (r"MiniGrid-MultiRoom-N4-S5-v1", lambda: Scheme(_MultiRoom(4), 4, Mistakes(only_doors=True))),
    (r"MiniGrid-MultiRoom-", lambda: Scheme(_MultiRoom(6), 6, Mistakes(only_doors=True))),
    (r"MiniGrid-BlockedUnlockPickup-", lambda: Scheme(_blocked_unlock_pickup, 4, Mistakes(room_size=6))),
    (r"MiniGrid-UnlockPickup-", lambda: Scheme(_key_corridor, 3, Mistakes(room_size=6))),
    (r"MiniGrid-Unlock-", lambda: Scheme(_unlock, 2)),
    (r"MiniGrid-DoorKey-", lambda: Scheme(_door_key, 3)),
    (r"MiniGrid-LockedRoom-", lambda: Scheme(_locked_room, 4)),
)
