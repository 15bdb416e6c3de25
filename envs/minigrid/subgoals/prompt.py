"""What a language model is asked: the rules of the world, a level, and the form of the answer.

The wording is versioned, and the version is part of every cache key: an answer belongs to the question as it was put.

Letters: K subgoals.
"""

from collections.abc import Sequence
from typing import Any

from .. import cells
from ..level import Level
from .answers import MAX_SUBGOALS, OBJECTS, Subgoal, to_json
from .level_text import LEGEND, render

TEMPLATE_VERSION = "palaestra-minigrid-2"

_RULES = f"""\
You plan for an agent in a grid world. Break the mission into subgoals: the objects the agent has to act on, in order.
Rules: the agent moves between free cells and through open doors. It can carry one object at a time and can drop it on
a free cell. A closed door opens when toggled. A locked door opens only while the agent carries a key of the door's
colour. A box disappears when toggled and leaves what was hidden in it, often a key. Keys, balls and boxes block the
way until they are picked up. Lava ends the episode. Reaching the goal, or doing what the mission says, ends it with
success.
Positions are (x, y): x is the column from the left, y the row from the top, both from 0. {LEGEND}
Answer with JSON only: {{"subgoals": [{{"text": what to do, "object": one of {", ".join(OBJECTS)}, "color": the object's
colour or null, "x": column, "y": row, "confidence": 0 to 1, or null}}, ...]}}, at most {MAX_SUBGOALS} subgoals, each
naming an object of the level at its position. The last one completes the mission."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "subgoals": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_SUBGOALS,
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "maxLength": 80},
                    "object": {"type": "string", "enum": list(OBJECTS)},
                    "color": {"anyOf": [{"type": "string", "enum": list(cells.COLORS)}, {"type": "null"}]},
                    "x": {"type": "integer", "minimum": 0},
                    "y": {"type": "integer", "minimum": 0},
                    "confidence": {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]},
                },
                # All of them, as servers that follow a schema strictly demand; what is optional may be null.
                "required": ["text", "object", "color", "x", "y", "confidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["subgoals"],
    "additionalProperties": False,
}


def messages(level: Level, examples: Sequence[tuple[Level, Sequence[Subgoal]]] = ()) -> list[dict[str, str]]:
    """The conversation that asks for the subgoals of a level, NumPy.

    Args:
      examples: other levels with their subgoals, shown first as answered questions.
    """
    turns = [{"role": "system", "content": _RULES}]
    for other, subgoals in examples:
        turns += [{"role": "user", "content": render(other)}, {"role": "assistant", "content": to_json(subgoals)}]
    return [*turns, {"role": "user", "content": render(level)}]
