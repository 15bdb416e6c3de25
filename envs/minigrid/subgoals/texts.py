"""The closed set of words for subgoals, and a vector for each.

Letters: N texts, E dimensions.
"""

import dataclasses
import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...errors import PalaestraError
from ...hashed_text import hash_embedding
from .. import cells

TEXTS = (
    "locked door",
    *(f"{color} door" for color in cells.COLORS),
    "key",
    "box",
    "ball",
    *(f"{color} ball" for color in cells.COLORS),
    "goal",
)
"""(N,) what a subgoal can be called: the published pool."""

NO_TEXT = len(TEXTS)
_DOOR, _KEY, _BOX, _BALL, _GOAL = 1, 7, 8, 10, 16


class TextError(PalaestraError, ValueError):
    """Vectors that do not fit the texts."""

    code = 2


def text_number(word: Any) -> jax.Array:
    """() int32: the text for what a cell holds, `NO_TEXT` for what no subgoal is.

    A door is called locked while it is, else by its colour; balls by their colour; keys and boxes by their kind.
    """
    kind, color = cells.kind(word), cells.color(word).astype(jnp.int32)
    door = jnp.where(cells.state(word) == cells.LOCKED, 0, _DOOR + color)
    number = jnp.full_like(color, NO_TEXT)
    choices = ((cells.DOOR, door), (cells.KEY, _KEY), (cells.BOX, _BOX), (cells.BALL, _BALL + color))
    for which, value in (*choices, (cells.GOAL_KIND, _GOAL)):
        number = jnp.where(kind == which, value, number)
    return number


@dataclasses.dataclass(frozen=True, eq=False)
class TextTable:
    """A vector for each of `TEXTS`, computed once by any encoder; hashed words by default.

    Attributes:
      rows: (N, E) float32 within [-1, 1], as rows of length 1 are; None for the default.

    Raises:
      TextError: another number of rows, or numbers outside of [-1, 1], which observations are declared to lie in.
    """

    rows: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.rows is None:
            return
        shape = np.shape(self.rows)
        if len(shape) != 2 or shape[0] != len(TEXTS) or not np.isfinite(self.rows).all():
            raise TextError(f"texts: got vectors of shape {shape}; expected ({len(TEXTS)}, E), finite")
        largest = float(np.abs(self.rows).max(initial=0.0))
        if largest > 1.0:
            raise TextError(f"texts: got numbers up to {largest:g} in size; expected all within [-1, 1]")

    @functools.cached_property
    def vectors(self) -> np.ndarray:
        """(N + 1, E) float32; the last row, for what has no text, is 0."""
        rows = hash_embedding(TEXTS) if self.rows is None else np.asarray(self.rows, np.float32)
        return np.concatenate([rows, np.zeros((1, rows.shape[1]), np.float32)])

    @property
    def dimensions(self) -> int:
        """E."""
        return self.vectors.shape[1]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the vectors."""
        return hashlib.sha256(self.vectors.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextTable) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


HASHED_TEXTS = TextTable()
