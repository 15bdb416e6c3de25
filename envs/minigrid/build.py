"""Makes the environment of an id of the `minigrid` package."""

from collections.abc import Sequence
from typing import Any

from ..errors import OptionError
from .bank import LevelBank, import_bank
from .env import MiniGrid
from .source import Source

BANK_SIZE = 256


def make_minigrid(
    name: str,
    levels: int | Sequence[int] | LevelBank | None = None,
    view_size: int = 7,
    horizon: int | None = None,
) -> MiniGrid:
    """The functional environment of an id.

    Args:
      name: id in the package, such as "MiniGrid-DoorKey-8x8-v0".
      levels: a bank of levels, or the seeds from which the package makes one, or how many (seeds from 0). None makes
        a new level for every episode where a generator of ours knows how, else draws from a bank of 256.
      view_size: cells along a side of the agent's window, odd.
      horizon: a cap on the steps of an episode; the package's limits by default.

    Raises:
      OptionError: a view size that is even or below 3, a horizon below 1, or no levels.
      ReferenceError: the package has no such id.
    """
    if isinstance(view_size, bool) or not isinstance(view_size, int) or view_size < 3 or view_size % 2 == 0:
        raise OptionError(f"view_size={view_size!r}; expected an odd whole number of at least 3", key="view_size")
    if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1):
        raise OptionError(f"horizon={horizon!r}; expected a whole number of at least 1", key="horizon")
    source = _source(name, levels)
    return MiniGrid(source=source, horizon=horizon or source.max_steps, view_size=view_size)


def _source(name: str, levels: Any) -> Source:
    if isinstance(levels, LevelBank):
        return levels
    if levels is None:
        levels = BANK_SIZE
    if isinstance(levels, int) and not isinstance(levels, bool):
        if levels < 1:
            raise OptionError(f"levels={levels}; expected at least 1", key="levels")
        return import_bank(name, range(levels))
    return import_bank(name, levels)
