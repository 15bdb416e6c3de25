"""BabyAI's instructions of one clause, and the words for them.

Letters: N things, of which the i-th has the object number i + 1.
"""

import jax
import jax.numpy as jnp
import numpy as np

from .. import cells, words
from ..instructions import Instruction, no_instruction
from .roomgrid import Pose

# Where things are, as seen from where the agent starts.
LOCATIONS = ("on your left", "on your right", "in front of you", "behind you")
LOCATION_WORDS = np.stack([words.encode(location, 4) for location in (*LOCATIONS, "")])
"""(5, 4) uint8: the words of a location, or none."""
NO_LOCATION = len(LOCATIONS)


def instruct(
    kind: int,
    moved: jax.Array,
    x: jax.Array,
    y: jax.Array,
    fixed: jax.Array | None = None,
    strict: bool = False,
) -> Instruction:
    """An instruction of one clause.

    Args:
      kind: `GO_TO` and the like.
      moved: (N,) bool, which things it speaks of; for `PUT_NEXT`, those to be moved.
      x, y: (N,) int32, where all things are; negative for those that are not there, which are left out of the sets.
      fixed: (N,) bool, for `PUT_NEXT`: those to be moved to; None for the other kinds.
      strict: whether handling another thing fails.

    Returns:
      An instruction over N + 1 object numbers, of one side with one clause, nothing of it done.
    """
    empty: Instruction = jax.tree.map(jnp.asarray, no_instruction(x.shape[0] + 1))
    there = x >= 0
    x, y = (empty.x.at[1:].set(jnp.where(there, place, -1)) for place in (x, y))
    return empty.replace(
        kind=empty.kind.at[0].set(kind),
        strict=empty.strict.at[0].set(strict),
        moved=empty.moved.at[0, 1:].set(moved & there),
        fixed=empty.fixed if fixed is None else empty.fixed.at[0, 1:].set(fixed & there),
        x=x,
        y=y,
        known_x=x,
        known_y=y,
    )


def located(x: jax.Array, y: jax.Array, pose: Pose) -> jax.Array:
    """(4, N) bool: which things are in each of the `LOCATIONS`, seen from the agent's pose."""
    look_x, look_y = jnp.asarray(cells.DX)[pose.direction], jnp.asarray(cells.DY)[pose.direction]
    ahead = (x - pose.x) * look_x + (y - pose.y) * look_y
    aside = (y - pose.y) * look_x - (x - pose.x) * look_y
    return jnp.stack([aside < 0, aside > 0, ahead > 0, ahead < 0])
