"""Plans for levels in a file: asked of a language model, written by a person, or made by the planner.

Letters: N levels, K subgoals at most.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..envs.minigrid import cells
from ..envs.minigrid.bank import LevelBank, import_bank
from ..envs.minigrid.level import Level
from ..envs.minigrid.subgoals import answers
from ..envs.minigrid.subgoals.answers import Subgoal
from ..envs.minigrid.subgoals.guides import TableGuide
from ..envs.minigrid.subgoals.level_text import render
from ..envs.minigrid.subgoals.schemes import ANY_OBJECT, scheme_of
from .errors import InputFileError, problem
from .files import write_json

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class LevelPlan:
    """What somebody planned for one level.

    Attributes:
      seed: of the level.
      subgoals: in order.
      complete: whether the last of them completes the mission. It is then the task itself, which an environment
        neither shows nor pays; where it does not, all are there to help.
      mistakes: what was wrong with the answer, if anything.
      said: the answer as it was given.
    """

    seed: int
    subgoals: tuple[Subgoal, ...]
    complete: bool = True
    mistakes: tuple[str, ...] = ()
    said: str = ""


@dataclasses.dataclass(frozen=True)
class Plans:
    """Plans for N levels of one id.

    Attributes:
      name: id in the minigrid package.
      teacher: who planned.
      template: version of the question that was put, if one was.
      plans: one per level, in any order of seeds.
    """

    name: str
    teacher: str
    template: str
    plans: tuple[LevelPlan, ...]

    @property
    def bank(self) -> LevelBank:
        """The levels, read from the package again."""
        return import_bank(self.name, [plan.seed for plan in self.plans])

    def guide(self, kind: str) -> TableGuide:
        """The levels with these plans as their subgoals, for `make_subgoals(guide=...)`.

        Args:
          kind: "positional" takes the plans' cells; "representation" and "language" take the objects they name.
        """
        bank, scheme = self.bank, scheme_of(self.name)
        complete = [plan.complete for plan in self.plans]
        chains = answers.chains([plan.subgoals for plan in self.plans], bank.levels, kind, complete)
        return TableGuide(bank, chains, scheme.mistakes if scheme else ANY_OBJECT)


def check_least(settings: Any, least: Mapping[str, int]) -> None:
    """Refuses settings below what they must be.

    Args:
      settings: whose attributes they are.
      least: {name: smallest value}.

    Raises:
      ValueError: naming the setting, its value and the smallest one.
    """
    for name, value in least.items():
        if getattr(settings, name) < value:
            raise ValueError(f"{name}={getattr(settings, name)}; expected at least {value}")


def levels_of(bank: LevelBank) -> list[Level]:
    """The levels of a bank, one by one."""
    return [jax.tree.map(lambda leaf, i=i: leaf[i], bank.levels) for i in range(len(bank))]


def save_plans(path: Path, plans: Plans, with_levels: bool = False) -> None:
    """Writes plans as JSON; a reader never meets half of it.

    Args:
      with_levels: beside every plan the level as text, for a person who is to fill it in.
    """
    texts = [render(level) for level in levels_of(plans.bank)] if with_levels else [None] * len(plans.plans)
    entries = []
    for plan, text in zip(plans.plans, texts, strict=True):
        entry = dataclasses.asdict(plan)
        entries.append(entry if text is None else {"seed": plan.seed, "level": text.splitlines(), **entry})
    told = {"format": FORMAT, "id": plans.name, "teacher": plans.teacher, "template": plans.template, "plans": entries}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, told)


def load_plans(path: Path) -> Plans:
    """The plans of a file, each checked against its level.

    Raises:
      InputFileError: no such file, another format, or a plan that does not fit its level; names seed and entry.
      PackageError: an id that the package does not have.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _refuse(path, "plans", str(error), "a file of `palaestra subgoals`") from error
    if not isinstance(told, Mapping) or told.get("format") != FORMAT:
        found = told.get("format") if isinstance(told, Mapping) else told
        raise _refuse(path, "format", found, str(FORMAT))
    entries = told.get("plans")
    if not isinstance(entries, list) or not entries:
        raise _refuse(path, "plans", entries, "a list with at least one plan")
    seeds: list[Any] = [entry.get("seed") if isinstance(entry, Mapping) else None for entry in entries]
    for i, seed in enumerate(seeds):
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0 or seed in seeds[:i]:
            raise _refuse(path, f"plans[{i}].seed", seed, "a whole number of its own")
    bank = import_bank(str(told.get("id")), seeds)
    pairs = zip(entries, levels_of(bank), strict=True)
    return Plans(
        name=bank.name,
        teacher=str(told.get("teacher", "")),
        template=str(told.get("template", "")),
        plans=tuple(_read_plan(path, entry, level) for entry, level in pairs),
    )


def _read_plan(path: Path, entry: Mapping[str, Any], level: Level) -> LevelPlan:
    """A plan that tells no mistakes must have none; of others, what can be shown to an agent."""
    for field, kind, expected in _FIELDS:
        if not isinstance(entry.get(field, kind()), kind):
            raise _refuse(path, f"seed {entry['seed']}, {field}", entry[field], expected)
    steps, mistakes = entry.get("subgoals", []), tuple(map(str, entry.get("mistakes", [])))
    wrong = answers.problems({"subgoals": steps}, level) if steps and not mistakes else []
    if wrong:
        raise _refuse(path, f"seed {entry['seed']}", "; ".join(wrong), "subgoals that fit the level")
    subgoals = answers.usable({"subgoals": steps}, level)
    return LevelPlan(
        seed=entry["seed"],
        subgoals=subgoals,
        complete=entry.get("complete", True) and answers.completes({"subgoals": steps}, level, subgoals),
        mistakes=mistakes,
        said=str(entry.get("said", "")),
    )


_FIELDS: tuple[tuple[str, type, str], ...] = (
    ("subgoals", list, "a list"),
    ("mistakes", list, "a list"),
    ("complete", bool, "true or false"),
)


def _refuse(path: Path, where: str, got: Any, expected: str) -> InputFileError:
    return InputFileError(problem("bad plans", f"{path}, {where}", got, expected), hint="Correct the file.", file=path)


def exact_plans(name: str, seeds: Sequence[int]) -> Plans:
    """The subgoals that are right: by the family's scheme where it has one, else by the planner.

    Raises:
      PackageError: an id that the package does not have, or levels of different sizes.
      PlanningError: a family without a scheme, and a level that the planner cannot solve: it has no solution, asks for
        too much work, or is judged by a rule that moves things at random.
    """
    bank, scheme = import_bank(name, seeds), scheme_of(name)
    levels = levels_of(bank)
    if scheme is not None:
        chains = jax.device_get(jax.jit(jax.vmap(scheme.chain))(bank.levels))
        found = [
            (list(zip(chains.x[i, :n].tolist(), chains.y[i, :n].tolist(), strict=True)), True)
            for i, n in enumerate(np.asarray(chains.count))
        ]
    else:
        found = [_planned_cells(level, bank) for level in levels]
    plans = tuple(
        LevelPlan(int(seed), tuple(answers.subgoal_at(level, x, y) for x, y in places), complete)
        for seed, level, (places, complete) in zip(bank.seeds, levels, found, strict=True)
    )
    return Plans(name=bank.name, teacher="planner", template="", plans=plans)


def _planned_cells(level: Level, bank: LevelBank) -> tuple[list[tuple[int, int]], bool]:
    """Where the objects of a plan stand, each once, and whether the last one completes the mission.

    Openings and places to put something down hold nothing at reset, so nothing could be said about them.
    """
    from ..envs.minigrid.planner import plan

    steps = plan(level, bank.rule).subgoals
    named: dict[tuple[int, int], int] = {}  # cell: the first step that is about it
    for number, step in enumerate(steps):
        if cells.KINDS[int(cells.kind(step.word))] in answers.OBJECTS:
            named.setdefault((step.x, step.y), number)
    return list(named), len(steps) - 1 in named.values()
