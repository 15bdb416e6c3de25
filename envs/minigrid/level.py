"""The start of an episode: what a level source makes, what a teacher edits, what the planner reads.

Letters: H rows, W columns, L words of a mission.
"""

from typing import Any, TypeAlias

from flax import struct

Leaf: TypeAlias = Any  # an array: NumPy where levels are read or planned on, JAX, traced or not, elsewhere


class Level(struct.PyTreeNode):
    """One level. Rows are y, counted downward; columns are x."""

    grid: Leaf  # (H, W) uint32 words, see cells.py
    x: Leaf  # () int32, the agent's column
    y: Leaf  # () int32, its row
    direction: Leaf  # () int32, 0 right, 1 down, 2 left, 3 up
    carrying: Leaf  # () uint32, the word of what the agent holds, 0 for nothing
    mission: Leaf  # (L,) uint8, see words.py
    goal: Any  # what the level's rule needs to judge, see rules.py
    max_steps: Leaf  # () int32
