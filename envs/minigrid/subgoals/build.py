"""Makes the subgoal environment of an id of the `minigrid` package."""

from collections.abc import Sequence
from typing import Any

from ...errors import OptionError
from ..bank import LevelBank
from ..build import make_minigrid
from .env import AUTHORS, BONUS, POTENTIAL, SubgoalGrid
from .errors import EXACT, KINDS, PUBLISHED, ErrorModel
from .guides import Guide, SchemeGuide
from .schemes import scheme_of
from .texts import HASHED_TEXTS, TextTable

ORACLE = "oracle"


def make_subgoals(
    name: str,
    kind: str = "positional",
    teacher: str | ErrorModel = ORACLE,
    guide: Guide | None = None,
    levels: int | Sequence[int] | LevelBank | None = None,
    shaping: str = BONUS,
    discount: float = 0.99,
    texts: TextTable | None = None,
    show_last: bool = False,
    egocentric: bool = False,
    distractors: int = 0,
    compat: str | None = None,
    **base: Any,
) -> SubgoalGrid:
    """The functional environment of an id with subgoals.

    Args:
      name: id in the package, such as "MiniGrid-KeyCorridorS3R3-v0".
      kind: "positional", "representation" or "language".
      teacher: "oracle"; "llama", "deepseek" or "qwen" for errors as frequent as the authors measured on this id; or an
        error model of your own.
      guide: levels with subgoals from elsewhere, such as a `TableGuide` of a planner's or a language model's answers;
        by default the family's own scheme. It brings its levels, so `levels` must not be given.
      levels, base: as in `make_minigrid`.
      shaping, discount, texts, show_last, egocentric, distractors, compat: see `SubgoalGrid`.

    Raises:
      OptionError: an option that is none of those, a family without a scheme, or a teacher that was not measured here.
      PackageError: the package has no such id.
    """
    choices = (("kind", kind, KINDS), ("shaping", shaping, (BONUS, POTENTIAL)), ("compat", compat, (None, AUTHORS)))
    for option, value, allowed in choices:
        if value not in allowed:
            raise OptionError(f"{option}={value!r}; expected one of {list(allowed)}", key=option)
    if isinstance(distractors, bool) or not isinstance(distractors, int) or distractors < 0:
        raise OptionError(f"distractors={distractors!r}; expected a whole number of at least 0", key="distractors")
    if isinstance(discount, bool) or not isinstance(discount, int | float) or not 0 <= discount <= 1:
        raise OptionError(f"discount={discount!r}; expected a number from 0 to 1", key="discount")
    if base.get("tasks", "parameters") != "parameters":
        raise OptionError(f'tasks={base["tasks"]!r}; expected "parameters": subgoals come with levels', key="tasks")
    if guide is None:
        scheme = scheme_of(name)
        if scheme is None:
            raise OptionError(f"guide=None; expected one, since {name!r} has no scheme of subgoals", key="guide")
        environment = make_minigrid(name, levels=levels, **base)
        guide = SchemeGuide(environment.source, scheme)
    elif levels is not None:
        raise OptionError("levels and guide; expected one of them, since a guide brings its levels", key="levels")
    else:
        environment = make_minigrid(name, source=guide.source, **base)
    return SubgoalGrid(
        base=environment,
        guide=guide,
        horizon=environment.horizon,
        kind=kind,
        errors=error_model(name, teacher),
        shaping=shaping,
        discount=float(discount),
        texts=HASHED_TEXTS if texts is None else texts,
        show_last=show_last,
        egocentric=egocentric,
        distractors=distractors,
        compat=compat,
    )


def error_model(name: str, teacher: str | ErrorModel) -> ErrorModel:
    """The error model a teacher's name stands for on an id.

    Raises:
      OptionError: a name that was not measured there.
    """
    if isinstance(teacher, ErrorModel):
        return teacher
    known = {ORACLE: EXACT} | {who: model for (where, who), model in PUBLISHED.items() if where == name}
    if teacher not in known:
        raise OptionError(f"teacher={teacher!r}; expected one of {list(known)} on {name}", key="teacher")
    return known[teacher]
