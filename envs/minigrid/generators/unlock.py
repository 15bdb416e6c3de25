"""Two rooms with a locked door between them (minigrid 3.2, UnlockEnv, UnlockPickupEnv, BlockedUnlockPickupEnv)."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp

from ...tasks import Parameter
from .. import cells
from ..level import Level
from ..rules import DoorGoal, ObjectGoal, OpenDoor, PickUpObject, Rule
from . import placing, roomgrid
from .family import Generator, switch
from .placing import Shape
from .wording import COLORS_SORTED, color_word, fill_in, sentence

SIZE = 6


@dataclasses.dataclass(frozen=True)
class Unlock(Generator):
    """Open the door, or pick up the box behind it.

    Attributes:
      pick_up: whether there is a box and it is the goal.
      blocked: whether a ball lies before the door by default; the id that has it has twice the steps.
    """

    pick_up: bool = False
    blocked: bool = False
    shape: ClassVar[Shape] = roomgrid.shape_of(2, 1, SIZE)

    @property
    def max_steps(self) -> int:
        return (16 if self.blocked else 8) * SIZE**2

    @property
    def rule(self) -> Rule:
        return PickUpObject() if self.pick_up else OpenDoor()

    @property
    def missions(self) -> tuple[str, ...]:
        return fill_in("pick up the {color} box", color=COLORS_SORTED) if self.pick_up else ("open the door",)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (switch("blocked", self.blocked, "Whether a ball lies before the door."),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        blocked = placing.flag(values, "blocked")
        rolls = placing.rolls(key, 7)
        lock_color, ball_color, box_color = placing.below(rolls[:3], 6)
        left, right = (roomgrid.room(self.shape, SIZE, i, 0) for i in (0, 1))
        pose = roomgrid.default_pose(2, 1, SIZE)
        grid = roomgrid.walls(self.shape, 2, 1, SIZE)
        if self.pick_up:
            box_at = roomgrid.place(rolls[3], grid, right, pose)
            grid = placing.put_at(grid, *box_at, cells.word(cells.BOX, box_color, 0, 1))
        door_x, door_y = roomgrid.door_in(rolls[4], SIZE, 0, 0, roomgrid.RIGHT)
        grid = placing.put_at(grid, door_x, door_y, cells.word(cells.DOOR, lock_color, cells.LOCKED))
        ball_x = jnp.where(blocked, door_x - 1, -1)
        grid = placing.put_at(grid, ball_x, door_y, cells.word(cells.BALL, ball_color))
        key_at = roomgrid.place(rolls[5], grid, left, pose)
        grid = placing.put_at(grid, *key_at, cells.word(cells.KEY, lock_color))
        pose = roomgrid.place_agent(rolls[6], grid, left)
        if self.pick_up:
            mission = sentence("pick up the", color_word(box_color), "box")
            return placing.level(grid, pose, mission, ObjectGoal(jnp.uint32(1)), self.max_steps)
        goal = DoorGoal(x=jnp.int32(door_x), y=jnp.int32(door_y))
        return placing.level(grid, pose, sentence(*self.missions), goal, self.max_steps)
