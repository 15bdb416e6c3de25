"""What a planner in words answers, checked against the level it is about.

Letters: N levels, K subgoals.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import OptionError, short
from .. import cells
from ..level import Level
from .chain import Chain
from .errors import POSITIONAL
from .level_text import name_of

MAX_SUBGOALS = 12
OBJECTS = ("key", "ball", "box", "door", "goal")


@dataclasses.dataclass(frozen=True)
class Subgoal:
    """One step of a plan.

    Attributes:
      text: what to do, in the planner's words.
      object: what to act on, one of `OBJECTS`.
      color: its colour; None where it has none or none was said.
      x, y: where it is.
      confidence: as the planner says; None if it does not.
    """

    text: str
    object: str
    color: str | None
    x: int
    y: int
    confidence: float | None = None


def subgoal_at(level: Level, x: int, y: int) -> Subgoal:
    """The exact subgoal for what stands in a cell of a level.

    Raises:
      OptionError: nothing that a subgoal can be about stands there.
    """
    word = level.grid[y, x]
    kind = cells.KINDS[int(cells.kind(word))]
    if kind not in OBJECTS:
        raise OptionError(f"subgoal: cell ({x}, {y}); got {short(kind)}; expected one of {list(OBJECTS)}", key="x")
    color = None if kind == "goal" else cells.COLORS[int(cells.color(word))]
    verb = {"door": "open", "goal": "go to"}.get(kind, "pick up")
    return Subgoal(text=f"{verb} the {name_of(word)}", object=kind, color=color, x=x, y=y)


def to_json(subgoals: Sequence[Subgoal]) -> str:
    """An answer as a planner should give it."""
    return json.dumps({"subgoals": [dataclasses.asdict(subgoal) for subgoal in subgoals]})


def problems(answer: Any, level: Level) -> list[str]:
    """What is wrong with an answer, in words that a planner can act on; empty if nothing."""
    entries = answer.get("subgoals") if isinstance(answer, Mapping) else None
    if not isinstance(entries, list) or not entries:
        return ['expected {"subgoals": [...]} with at least one subgoal']
    found = [f"got {len(entries)} subgoals; expected at most {MAX_SUBGOALS}"] if len(entries) > MAX_SUBGOALS else []
    seen: set[tuple[int, int]] = set()
    for number, entry in enumerate(entries):
        wrong = _problem(entry, level, seen)
        if wrong:
            found.append(f"subgoals[{number}]: {wrong}")
    return found


def valid_prefix(answer: Any, level: Level) -> tuple[Subgoal, ...]:
    """The subgoals of an answer up to the first that is wrong."""
    seen: set[tuple[int, int]] = set()
    kept = []
    for entry in _entries(answer):
        if _problem(entry, level, seen):
            break
        kept.append(_read(entry))
    return tuple(kept)


def usable(answer: Any, level: Level) -> tuple[Subgoal, ...]:
    """The subgoals of an answer that can be shown to an agent, right or wrong.

    Left out are entries that are no subgoals, lie outside of the grid or repeat a cell; kept are those that speak of an
    object that is not there, which is how mistaken teachers mislead.
    """
    kept: dict[tuple[int, int], Subgoal] = {}
    for entry in _entries(answer):
        if not _malformed(entry, level):
            kept.setdefault((entry["x"], entry["y"]), _read(entry))
    return tuple(kept.values())


def completes(answer: Any, level: Level, kept: Sequence[Subgoal]) -> bool:
    """Whether the last of the subgoals `kept` of an answer is the answer's own last, which is the task itself.

    Where it is not, the task has no entry, and all that were kept are there to help.
    """
    entries = answer.get("subgoals") if isinstance(answer, Mapping) else None
    if not kept or not isinstance(entries, list) or len(entries) > MAX_SUBGOALS or _malformed(entries[-1], level):
        return False
    return entries.index(entries[-1]) == len(entries) - 1 and _read(entries[-1]) == kept[-1]


def _entries(answer: Any) -> list[Any]:
    entries = answer.get("subgoals") if isinstance(answer, Mapping) else None
    return entries[:MAX_SUBGOALS] if isinstance(entries, list) else []


def _read(entry: Mapping[str, Any]) -> Subgoal:
    confidence = entry.get("confidence")
    return Subgoal(
        text=str(entry.get("text", "")),
        object=entry["object"],
        color=entry.get("color"),
        x=entry["x"],
        y=entry["y"],
        confidence=float(confidence) if isinstance(confidence, int | float) else None,
    )


def _problem(entry: Any, level: Level, seen: set[tuple[int, int]]) -> str | None:
    """What is wrong with one entry; `seen` grows by its cell."""
    malformed = _malformed(entry, level)
    if malformed:
        return malformed
    kind, color, place = entry["object"], entry.get("color"), (entry["x"], entry["y"])
    word = level.grid[entry["y"], entry["x"]]
    there = cells.KINDS[int(cells.kind(word))]
    if there != kind:
        return f"there is no {kind} at {place} but {'nothing' if there == 'empty' else f'a {there}'}"
    if color is not None and kind != "goal" and cells.COLORS[int(cells.color(word))] != color:
        return f"the {kind} at {place} is {cells.COLORS[int(cells.color(word))]}, not {color}"
    if place in seen:
        return f"{place} appears twice"
    seen.add(place)
    return None


def _malformed(entry: Any, level: Level) -> str | None:
    """Why an entry is no subgoal in this grid at all."""
    if not isinstance(entry, Mapping):
        return f"got {entry!r:.40}; expected an object"
    height, width = level.grid.shape
    for name, high in (("x", width), ("y", height)):
        value = entry.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < high:
            return f"{name} is {value!r:.40}; expected a whole number from 0 to {high - 1}"
    kind, color = entry.get("object"), entry.get("color")
    if kind not in OBJECTS:
        return f"object is {kind!r:.40}; expected one of {list(OBJECTS)}"
    if color is not None and color not in cells.COLORS:
        return f"color is {color!r:.40}; expected one of {list(cells.COLORS)} or null"
    return None


def chains(
    plans: Sequence[Sequence[Subgoal]], levels: Level, kind: str, complete: Sequence[bool] | None = None
) -> Chain:
    """Plans for N levels as chains with leading axis N, NumPy.

    Args:
      plans: one per level; an empty one gives no help.
      levels: leading axis N.
      kind: "positional" takes a plan's cells; the others take its objects, wherever the nearest one to the cell is.
      complete: (N,) whether a plan's last entry completes the mission, so that it is the task itself; by default it
        does. An empty plan has none.
    """
    count = np.array([len(plan) for plan in plans], np.int32)
    x, y = np.zeros((2, len(plans), max(1, int(count.max()))), np.int32)
    for row, plan in enumerate(plans):
        for i, subgoal in enumerate(plan):
            x[row, i], y[row, i] = place_of(subgoal, levels.grid[row], kind)
    whole = np.ones(len(plans), bool) if complete is None else np.array(complete, bool)
    return Chain(x=x, y=y, count=count, complete=whole & (count > 0))


def place_of(subgoal: Subgoal, grid: np.ndarray, kind: str) -> tuple[int, int]:
    """Where a subgoal is; a named object that is not in the level is taken for what its cell holds."""
    if kind == POSITIONAL:
        return subgoal.x, subgoal.y
    fits = cells.kind(grid) == cells.KINDS.index(subgoal.object)
    if subgoal.color is not None:
        fits = fits & (cells.color(grid) == cells.COLORS.index(subgoal.color))
    places = np.argwhere(fits)
    if not len(places):
        return subgoal.x, subgoal.y
    away = np.abs(places - (subgoal.y, subgoal.x)).sum(1)
    y, x = places[int(np.argmin(away))]
    return int(x), int(y)
