"""The start of an episode: what a level source makes, what a teacher edits, what the planner reads.

Letters: H rows, W columns, L words of a mission.
"""

from typing import Any

import jax
from flax import struct


class Level(struct.PyTreeNode):
    """One level. Rows are y, counted downward; columns are x."""

    grid: jax.Array  # (H, W) uint32 words, see cells.py
    x: jax.Array  # () int32, the agent's column
    y: jax.Array  # () int32, its row
    direction: jax.Array  # () int32, 0 right, 1 down, 2 left, 3 up
    carrying: jax.Array  # () uint32, the word of what the agent holds, 0 for nothing
    mission: jax.Array  # (L,) uint8, see words.py
    goal: Any  # what the level's rule needs to judge, see rules.py
    max_steps: jax.Array  # () int32
