"""Makes the environment of an id of the `minigrid` package."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import OptionError, short
from .bank import LevelBank, import_bank
from .env import MiniGrid
from .generators.catalog import NATIVE
from .instructions import FollowInstruction
from .source import Source
from .views import KINDS
from .vision import MAX_SIZE

BANK_SIZE = 256


def make_minigrid(
    name: str,
    levels: int | Sequence[int] | LevelBank | None = None,
    view_size: int = 7,
    view: str = "partial",
    tile_size: int = 8,
    tasks: str = "parameters",
    horizon: int | None = None,
    source: Source | None = None,
    reference_first_view: bool = False,
) -> MiniGrid:
    """The functional environment of an id.

    Args:
      name: id in the package, such as "MiniGrid-DoorKey-8x8-v0".
      levels: a bank of this id's levels, or the seeds from which the package makes one, or how many (seeds from 0).
        None makes a new level for every episode where a generator of ours knows how, else draws from a bank of 256.
      view_size: cells along a side of the agent's window, odd, from 3 to 31.
      view: what the image shows: "partial", "one_hot", "rgb_partial", "full", "symbolic" or "rgb", see views.py.
      tile_size: pixels along a side of a cell in views in colours.
      tasks: what a teacher sets: "parameters", or "levels" for whole levels.
      horizon: a cap on the steps of an episode; the package's limits by default.
      source: a source of levels of one's own, instead of `levels`.
      reference_first_view: see `MiniGrid`.

    Raises:
      OptionError: a view, kind of tasks or number that is none of those, no levels, or a bank of another id.
      PackageError: the package has no such id.
    """
    if not _is_whole(view_size, 3) or view_size % 2 == 0 or view_size > MAX_SIZE:
        raise OptionError(
            f"view_size={view_size!r}; expected an odd whole number from 3 to {MAX_SIZE}", key="view_size"
        )
    if view not in KINDS:
        raise OptionError(f"view={view!r}; expected one of {sorted(KINDS)}", key="view")
    if tasks not in ("parameters", "levels"):
        raise OptionError(f'tasks={tasks!r}; expected "parameters" or "levels"', key="tasks")
    for option, value in (("tile_size", tile_size), ("horizon", 1 if horizon is None else horizon)):
        if not _is_whole(value, 1):
            raise OptionError(f"{option}={value!r}; expected a whole number of at least 1", key=option)
    if source is None:
        source = _source(name, levels)
    elif levels is not None:
        raise OptionError("levels and source; expected one of them", key="levels")
    if reference_first_view and not isinstance(source.rule, FollowInstruction):
        raise OptionError(f"reference_first_view on {name!r}; expected an id of BabyAI", key="reference_first_view")
    return MiniGrid(
        source=source,
        horizon=int(horizon or source.max_steps),
        view_size=int(view_size),
        view=view,
        tile_size=int(tile_size),
        tasks=tasks,
        reference_first_view=reference_first_view,
    )


def _source(name: str, levels: Any) -> Source:
    if isinstance(levels, LevelBank):
        if levels.name != name:
            raise OptionError(f"levels: a bank of {levels.name!r}; expected one of {name!r}", key="levels")
        return levels
    if levels is None:
        return NATIVE.get(name) or import_bank(name, range(BANK_SIZE))
    if _is_whole(levels, 1):
        return import_bank(name, range(levels))
    seeds = _seeds(levels)
    if not seeds:
        raise OptionError(
            f"levels={short(levels)}; expected a bank, seeds of at least 0, or how many (at least 1)", key="levels"
        )
    return import_bank(name, seeds)


def _seeds(levels: Any) -> tuple[int, ...]:
    """The seeds in a sequence or array; () if it is none, is empty, or holds anything else."""
    try:
        items = tuple(levels)
    except TypeError:
        return ()
    return tuple(operator.index(item) for item in items) if all(_is_whole(item, 0) for item in items) else ()


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)
