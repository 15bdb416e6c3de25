"""Whole levels as tasks: for teachers that collect and edit levels instead of setting numbers.

    env = make_minigrid("MiniGrid-Empty-16x16-v0", tasks="levels")
    level = env.task_space.mutate(key, env.task_space.default, num_edits=20)

Letters: H rows, W columns.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..tasks import TaskError
from . import cells
from .generators.placing import choose_cell
from .level import Level
from .source import Source
from .words import WORDS


@dataclasses.dataclass(frozen=True)
class Levels:
    """The levels of a source, and all that editing makes of them."""

    source: Source

    @functools.cached_property
    def default(self) -> Level:
        """A level of the source's default parameters, the same in every process; NumPy."""
        with jax.ensure_compile_time_eval():  # may be asked for the first time while something is traced
            return jax.device_get(self.sample(jax.random.key(0)))

    def sample(self, key: jax.Array) -> Level:
        """A level of the source's default parameters. `key` is consumed."""
        return self.source.sample(key, {p.name: jnp.asarray(p.default, jnp.float32) for p in self.source.parameters})

    def mutate(self, key: jax.Array, level: Level, num_edits: int) -> Level:
        """The level after `num_edits` random edits, as in ACCEL (Parker-Holder et al. 2022). `key` is consumed.

        Each edit is one of: a wall inside becomes free or a free cell a wall; the agent moves to another free cell and
        turns; where the rule allows it, something portable or the goal square moves to another free cell. Nothing
        makes sure that the level can still be solved.
        """
        kinds = 3 if self.source.rule.follows_things else 2

        def edit(level: Level, key: jax.Array) -> tuple[Level, None]:
            key_kind, key_edit = jax.random.split(key)
            kind = jax.random.randint(key_kind, (), 0, kinds)
            return jax.lax.switch(kind, (_flip_wall, _move_agent, _move_thing)[:kinds], key_edit, level), None

        return jax.lax.scan(edit, level, jax.random.split(key, num_edits))[0]

    def validate(self, level: Level) -> None:
        """Checks what shapes cannot tell.

        Raises:
          TaskError: the agent is outside, inside something, or its direction is none; there is no time; a cell, what
            is carried or a word of the mission is none; or the goal does not fit, see `Rule.validate`.
        """
        height, width = np.shape(level.grid)
        for name, value, high in (("x", level.x, width), ("y", level.y, height), ("direction", level.direction, 4)):
            if not 0 <= int(value) < high:
                raise TaskError(f"level.{name}: got {int(value)}; expected a whole number in [0, {high - 1}]")
        kinds = cells.kind(np.asarray(level.grid))
        if kinds.min() < cells.NOTHING or kinds.max() > cells.LAVA_KIND:
            raise TaskError(f"level.grid: got kinds from {kinds.min()} to {kinds.max()}; expected 1 to 9")
        here = np.asarray(level.grid)[int(level.y), int(level.x)]
        if not cells.is_passable(here):
            raise TaskError(f"level.x, level.y: got a cell with a {cells.KINDS[cells.kind(here)]}; expected a free one")
        if int(level.max_steps) < 1:
            raise TaskError(f"level.max_steps: got {int(level.max_steps)}; expected at least 1")
        if level.carrying and not cells.is_portable(level.carrying):
            kind = int(cells.kind(level.carrying))
            raise TaskError(f"level.carrying: got the kind {kind}; expected 0, or the word of a key, ball or box")
        _check_looks("grid", np.asarray(level.grid))
        _check_looks("carrying", np.atleast_1d(np.asarray(level.carrying)))
        codes = np.asarray(level.mission)
        if codes.size and codes.max() >= len(WORDS):
            raise TaskError(f"level.mission: got the word {codes.max()}; expected numbers below {len(WORDS)}")
        self.source.rule.validate(level)


def _check_looks(name: str, words: np.ndarray) -> None:
    """Colours, states and what boxes hold, which fit more bits than there are of them."""
    held = cells.content(words[cells.kind(words) == cells.BOX])
    for what, values, high in (
        ("colours", cells.color(words), len(cells.COLORS) - 1),
        ("states", cells.state(words), cells.LOCKED),
        ("kinds in boxes", cells.kind(held), cells.LAVA_KIND),
        ("colours in boxes", cells.color(held), len(cells.COLORS) - 1),
    ):
        if values.size and values.max() > high:
            raise TaskError(f"level.{name}: got {what} up to {values.max()}; expected 0 to {high}")


def _choose(key: jax.Array, allowed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(x, y) of a cell drawn uniformly among those `allowed` (H, W). Consumes `key`."""
    return choose_cell(jax.random.bits(key, (), jnp.uint32), allowed)


def _free(level: Level) -> jax.Array:
    """(H, W) bool: cells with nothing in them, not even the agent."""
    return (level.grid == cells.EMPTY).at[level.y, level.x].set(False)


def _inside(level: Level) -> Any:
    height, width = level.grid.shape
    inside = np.zeros((height, width), bool)
    inside[1:-1, 1:-1] = True
    return jnp.asarray(inside)


def _flip_wall(key: jax.Array, level: Level) -> Level:
    walls = level.grid == cells.WALL
    allowed = _inside(level) & (walls | _free(level))
    x, y = _choose(key, allowed)
    flipped = jnp.where(walls[y, x], cells.EMPTY, cells.WALL)
    return level.replace(grid=level.grid.at[y, x].set(jnp.where(jnp.any(allowed), flipped, level.grid[y, x])))


def _move_agent(key: jax.Array, level: Level) -> Level:
    key_place, key_turn = jax.random.split(key)
    free = _free(level)
    x, y = _choose(key_place, free)
    can = jnp.any(free)
    return level.replace(
        x=jnp.where(can, x, level.x),
        y=jnp.where(can, y, level.y),
        direction=jax.random.randint(key_turn, (), 0, 4, jnp.int32),
    )


def _move_thing(key: jax.Array, level: Level) -> Level:
    key_thing, key_place = jax.random.split(key)
    things = cells.is_portable(level.grid) | (cells.kind(level.grid) == cells.GOAL_KIND)
    free = _free(level)
    (x, y), (new_x, new_y) = _choose(key_thing, things), _choose(key_place, free)
    moved = level.grid.at[new_y, new_x].set(level.grid[y, x]).at[y, x].set(cells.EMPTY)
    return level.replace(grid=jnp.where(jnp.any(things) & jnp.any(free), moved, level.grid))
