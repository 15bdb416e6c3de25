"""Pictures, made of the package's own tiles.

A tile is drawn by the package once and kept; what is left is to look up which tile stands where, on the host for
`render`, or on the device for learners that see pixels.

Letters: H rows, W columns, V cells along a side of the window, P pixels along a side of a tile.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import cells
from .level import Level
from .observe import View, partial_words
from .vision import places

TILE = 32
NO_AGENT = 4  # beside the four directions
LOOKS = 512


@functools.cache
def tile(look: int, agent: int, lit: bool, pixels: int) -> np.ndarray:
    """(P, P, 3) uint8: a cell as the package draws it.

    Args:
      look: kind, colour and state in one number, see cells.py.
      agent: the direction of the agent that stands in it, or NO_AGENT.
      lit: whether it is highlighted as seen.
      pixels: P.
    """
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import WorldObj

    kind = int(cells.kind(np.uint32(look)))
    thing = None
    if kind not in (cells.UNSEEN, cells.NOTHING):
        thing = WorldObj.decode(kind, int(cells.color(np.uint32(look))), int(cells.state(np.uint32(look))))
    direction = None if agent == NO_AGENT else agent
    return np.array(Grid.render_tile(thing, agent_dir=direction, highlight=lit, tile_size=pixels))


def codes(words: Any, agent: Any, lit: Any) -> Any:
    """(...,) int32 that tell tiles apart: `words` of cells, the `agent` in them, whether they are `lit`."""
    return (cells.look(words).astype(np.int32) * (NO_AGENT + 1) + agent) * 2 + lit


def draw(code: np.ndarray, pixels: int) -> np.ndarray:
    """(H * P, W * P, 3) uint8 from codes (H, W), on the host."""
    rows = [np.concatenate([_tile_of(c, pixels) for c in row], axis=1) for row in code.tolist()]
    return np.concatenate(rows, axis=0)


def _tile_of(code: int, pixels: int) -> np.ndarray:
    rest, lit = divmod(code, 2)
    look, agent = divmod(rest, NO_AGENT + 1)
    return tile(look, agent, bool(lit), pixels)


class Atlas(NamedTuple):
    """All tiles that can occur."""

    rows: np.ndarray  # (LOOKS * 5 * 2,) int16, the tile of a code
    tiles: np.ndarray  # (N, P, P, 3) uint8


@functools.cache
def atlas(pixels: int) -> Atlas:
    """Every look with and without the agent and light: 368 tiles, drawn in a second or two."""
    rows = np.zeros(LOOKS * (NO_AGENT + 1) * 2, np.int16)
    tiles: list[np.ndarray] = []
    for look in _looks():
        agents = range(NO_AGENT + 1) if _may_hold_agent(look) else (NO_AGENT,)
        for agent in agents:
            for lit in (0, 1):
                code = codes(np.uint32(look), agent, lit)
                rows[code] = len(tiles)
                tiles.append(_tile_of(int(code), pixels))
    return Atlas(rows, np.stack(tiles))


def _looks() -> list[int]:
    colored = (cells.WALL_KIND, cells.FLOOR_KIND, cells.DOOR, cells.KEY, cells.BALL, cells.BOX)
    looks = [cells.UNSEEN, cells.NOTHING, int(cells.GOAL), int(cells.LAVA)]
    for kind in colored:
        for color in range(len(cells.COLORS)):
            states = (cells.OPEN, cells.CLOSED, cells.LOCKED) if kind == cells.DOOR else (0,)
            looks += [int(cells.word(kind, color, state)) for state in states]
    return looks


def _may_hold_agent(look: int) -> bool:
    """Cells the agent can stand in, and things it may carry, which its own view shows in its place."""
    word = np.uint32(look)
    return bool(cells.is_passable(word) | cells.is_portable(word))


def paint(code: jax.Array, pixels: int) -> jax.Array:
    """(H * P, W * P, 3) uint8 from codes (H, W), on the device."""
    height, width = code.shape
    rows, tiles = atlas(pixels)
    chosen = jnp.asarray(tiles)[jnp.asarray(rows)[code]]
    return chosen.transpose(0, 2, 1, 3, 4).reshape(height * pixels, width * pixels, 3)


def full_codes(level: Level, view: View) -> jax.Array:
    """(H, W) int32: the whole grid, with what the agent sees lit."""
    agent = jnp.full(level.grid.shape, NO_AGENT, jnp.int32).at[level.y, level.x].set(level.direction)
    return codes(level.grid, agent, _lit(level, view).astype(jnp.int32))


def partial_codes(level: Level, view: View) -> jax.Array:
    """(V, V) int32 [row, column]: the agent's window, with what it sees lit; the agent looks up."""
    size = view.cells.shape[0]
    agent = jnp.full((size, size), NO_AGENT, jnp.int32).at[size // 2, size - 1].set(3)
    return codes(partial_words(view), agent, view.seen.astype(jnp.int32)).T


def _lit(level: Level, view: View) -> jax.Array:
    """(H, W) bool: the cells of the grid that the agent sees."""
    height, width = level.grid.shape
    x, y = places(level, view.cells.shape[0])
    row = jnp.where((x >= 0) & (y >= 0) & view.seen, y, height)
    return jnp.zeros((height, width), bool).at[row, x].set(True, mode="drop")
