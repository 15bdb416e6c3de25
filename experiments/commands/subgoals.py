"""`palaestra subgoals collect|template|show|calibrate`: plans for levels, and how right they are."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from ..backend import prepare_jax
from ..errors import RunFolderError, unknown
from ..files import write_json
from ..output import Answer, table
from ..own_flags import settings_from

ACTIONS = ("collect", "template", "show", "calibrate")


@dataclasses.dataclass(frozen=True)
class TemplateConfig:
    """A file of levels in words, for a person who writes their subgoals down.

    Attributes:
      env: id in the minigrid package.
      out: the file to write.
      count: levels, of the seeds `first`, `first` + 1, ...
      overwrite: replace `out` where it exists.
    """

    env: str = "MiniGrid-KeyCorridorS3R3-v0"
    out: str = "plans.json"
    count: int = 10
    first: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        from ..subgoal_plans import check_least

        check_least(self, {"count": 1, "first": 0})


@dataclasses.dataclass(frozen=True)
class ShowConfig:
    """A file of plans.

    Attributes:
      file: its name.
    """

    file: str = "plans.json"


@dataclasses.dataclass(frozen=True)
class CalibrateConfig:
    """A file of plans to measure.

    Attributes:
      file: its name.
      out: where to write what was found; nowhere if empty.
      overwrite: replace `out` where it exists.
    """

    file: str = "plans.json"
    out: str = ""
    overwrite: bool = False


def run(flags: argparse.Namespace) -> Answer:
    if flags.action not in ACTIONS:
        raise unknown("action", flags.action, ACTIONS)
    prepare_jax("cpu", None)
    verb = {"collect": _collect, "template": _template, "show": _show, "calibrate": _calibrate}[flags.action]
    return verb(flags.rest, flags.set, f"palaestra subgoals {flags.action}")


def _collect(rest: list[str], sets: list[str], program: str) -> Answer:
    from ..subgoal_collection import CollectConfig, collect
    from ..subgoal_plans import save_plans

    switches = ("--local", "--offline", "--strict", "--overwrite")
    config = settings_from(CollectConfig, _switch(rest, switches), sets, program)
    _refuse_existing(Path(config.out), config.overwrite)
    plans, usage = collect(config)
    save_plans(Path(config.out), plans)
    valid = sum(not plan.mistakes for plan in plans.plans)
    subgoals = sum(len(plan.subgoals) for plan in plans.plans)
    told = {"file": config.out, "levels": len(plans.plans), "valid": valid, "subgoals": subgoals, "usage": usage}
    text = f"{config.out}: {len(plans.plans)} levels, {valid} answers valid throughout, {subgoals} subgoals kept\n"
    return Answer(told, text + table([[key, str(value)] for key, value in usage.items()]))


def _template(rest: list[str], sets: list[str], program: str) -> Answer:
    from ...envs.minigrid.bank import import_bank
    from ..subgoal_plans import LevelPlan, Plans, save_plans

    config = settings_from(TemplateConfig, _switch(rest, ("--overwrite",)), sets, program)
    _refuse_existing(Path(config.out), config.overwrite)
    seeds = range(config.first, config.first + config.count)
    bank = import_bank(config.env.removeprefix("palaestra/"), seeds)
    plans = Plans(bank.name, "a person", "", tuple(LevelPlan(seed, ()) for seed in seeds))
    save_plans(Path(config.out), plans, with_levels=True)
    return Answer(
        {"file": config.out, "levels": len(bank)},
        f'{config.out}: {len(bank)} levels; write {{"text", "object", "color", "x", "y"}} into each "subgoals"',
    )


def _show(rest: list[str], sets: list[str], program: str) -> Answer:
    from ..subgoal_plans import load_plans

    plans = load_plans(Path(settings_from(ShowConfig, rest, sets, program).file))
    rows: list[list[Any]] = [
        [plan.seed, " > ".join(f"{s.object} ({s.x}, {s.y})" for s in plan.subgoals) or "-", _first(plan.mistakes)]
        for plan in plans.plans
    ]
    head = f"{plans.name}, {len(rows)} levels, planned by {plans.teacher}"
    told = {"id": plans.name, "teacher": plans.teacher, "levels": len(rows)}
    return Answer(told, f"{head}\n{table(rows, ('seed', 'plan', 'mistakes'))}")


def _first(mistakes: tuple[str, ...]) -> str:
    more = f" and {len(mistakes) - 1} more" if len(mistakes) > 1 else ""
    return f"{mistakes[0]}{more}" if mistakes else ""


def _calibrate(rest: list[str], sets: list[str], program: str) -> Answer:
    from ..subgoal_collection import measure
    from ..subgoal_plans import load_plans

    config = settings_from(CalibrateConfig, _switch(rest, ("--overwrite",)), sets, program)
    if config.out:
        _refuse_existing(Path(config.out), config.overwrite)
    plans = load_plans(Path(config.file))
    found, model = measure(plans)
    told = {"id": plans.name, "teacher": plans.teacher, "errors": dataclasses.asdict(model), **found.to_dict()}
    if config.out:
        Path(config.out).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(config.out), told)
    rows = [[name, f"{value:.4f}"] for name, value in dataclasses.asdict(model).items()]
    rows += [["levels", str(found.levels)], ["subgoals without an answer", str(found.missing)]]
    return Answer(told, f"{plans.name}, planned by {plans.teacher}\n{table(rows)}")


def _switch(rest: list[str], switches: tuple[str, ...]) -> list[str]:
    """Switches may stand alone: `--local` is `--local true`, which may be written, too."""
    pairs = zip(rest, [*rest[1:], ""], strict=True)
    return [f"{word}=true" if word in switches and after not in ("true", "false") else word for word, after in pairs]


def _refuse_existing(path: Path, overwrite: bool) -> None:
    """Plans may be hours of a person's work, or answers that were paid for.

    Raises:
      RunFolderError: the file is there and must not be replaced.
    """
    if path.exists() and not overwrite:
        raise RunFolderError(f"file exists: {path}", hint="Use --overwrite or another --out.", file=path, key="out")
