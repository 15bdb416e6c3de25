"""What a run is asked to do, and how that is put together from defaults, a file, `--set` and flags.

Precedence, lowest first: defaults, configuration file, `--set key=value`, explicit flag.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from . import config
from .errors import UsageError, problem, unknown

NanPolicy = Literal["stop", "skip", "rollback"]


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """How long, how often and how many; counted in environment steps of one learner.

    Attributes:
      total_timesteps: rounded up to whole iterations of the agent. Agents that learn from data alone take no steps;
        for them this, like every other count of steps, is of updates.
      num_seeds: learners trained side by side in one program, of seeds seed, seed + 1, ….
      log_every: steps between rows of metrics; None: a 200th of the run.
      eval_every: steps between evaluations, 0 for none; None: a tenth of the run.
      eval_first: whether to evaluate before the first step, too.
      eval_episodes: test tasks per evaluation, one episode each.
      eval_tasks: "space" draws test tasks from the task space, "default" repeats the default task, and
        {name: value} the default with these parameters changed.
      eval_actions: "likeliest" evaluates deterministic policies, "drawn" policies as they train; without memory one
        that sees little may go in circles for ever unless it draws.
      save_every: steps between checkpoints; None: a tenth of the run.
      save_seconds: also save when this much time has passed since the last save.
      keep: how many of the newest checkpoints to keep; the best and the final one are kept besides.
      max_seconds: save and stop after this long; 0 for no limit.
      nan_policy: what to do when an update is not finite.
    """

    total_timesteps: int = 100_000
    num_seeds: int = 1
    seed: int = 0
    log_every: int | None = None
    eval_every: int | None = None
    eval_first: bool = False
    eval_episodes: int = 20
    eval_tasks: Literal["space", "default"] | Mapping[str, float] = "space"
    eval_actions: Literal["likeliest", "drawn"] = "likeliest"
    save_every: int | None = None
    save_seconds: float = 300.0
    keep: int = 3
    max_seconds: float = 0.0
    nan_policy: NanPolicy = "rollback"

    def __post_init__(self) -> None:
        for name in ("total_timesteps", "num_seeds", "eval_episodes", "keep"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("log_every", "save_every"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "at least 1")
        _require(self.eval_every is None or self.eval_every >= 0, "eval_every", self.eval_every, "at least 0")
        _require(self.save_seconds > 0, "save_seconds", self.save_seconds, "more than 0")
        _require(self.max_seconds >= 0, "max_seconds", self.max_seconds, "at least 0")
        _require(0 <= self.seed < 2**31, "seed", self.seed, "a whole number in [0, 2**31)")

    def resolved(self) -> "RunSettings":
        """With numbers in place of every None."""
        total = self.total_timesteps
        return dataclasses.replace(
            self,
            log_every=max(1, total // 200) if self.log_every is None else self.log_every,
            eval_every=max(1, total // 10) if self.eval_every is None else self.eval_every,
            save_every=max(1, total // 10) if self.save_every is None else self.save_every,
        )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything `config.yaml` holds: enough to make the same run again.

    Attributes:
      dataset: id or path of the data set that the agent learns from; None for none.
      start_from: the run whose learners this one's begin as; None for fresh ones.
    """

    env: str
    agent: str
    teacher: str
    env_kwargs: Mapping[str, Any]
    agent_config: Mapping[str, Any]
    teacher_config: Mapping[str, Any]
    run: RunSettings
    dataset: str | None = None
    start_from: str | None = None

    def to_plain(self) -> dict[str, Any]:
        return {"schema": 1, **config.to_plain(self)}


MAPPINGS = ("env_kwargs", "agent_config", "teacher_config", "run")
NAMES = ("env", "agent", "teacher", "dataset", "start_from")
SECTIONS = (*NAMES, *MAPPINGS)


def layer_file(values: Mapping[str, Any], file: Path | None = None) -> dict[str, Any]:
    """A configuration file's mapping, checked for its top-level keys; run settings may stand there directly."""
    layered: dict[str, Any] = {}
    settings = config.settable_fields(RunSettings)
    for key, value in values.items():
        if key in MAPPINGS and not isinstance(value, Mapping):
            raise UsageError(
                problem("bad value", key, value, "a mapping"), hint="Change the value.", key=key, file=file
            )
        if key == "schema":
            _require(value == 1, "schema", value, "1")
        elif key in MAPPINGS:
            layered[key] = config.merge(layered.get(key, {}), value)
        elif key in SECTIONS:
            layered[key] = value
        elif key in settings:
            layered.setdefault("run", {})[key] = value
        else:
            error = unknown("key", str(key), [*SECTIONS, *settings])
            error.file = None if file is None else str(file)
            raise error
    return layered


def layer_sets(assignments: Sequence[str], agent_keys: Sequence[str], teacher_keys: Sequence[str]) -> dict[str, Any]:
    """`--set` assignments sorted into sections.

    `teacher.<key>` and `env.<key>` go to the teacher and the environment; a bare key is the agent's if it has one of
    that name, else a run setting.

    Args:
      agent_keys, teacher_keys: every dotted key their configurations take.
    """
    sections: dict[str, dict[str, Any]] = {}
    settings = config.settable_fields(RunSettings)
    for text in assignments:
        key, value = config.parse_assignment(text)
        head, _, rest = key.partition(".")
        if head == "env" and rest:
            sections.setdefault("env_kwargs", {})[rest] = value
        elif head == "teacher" and _is_key(rest, teacher_keys):
            sections.setdefault("teacher_config", {})[rest] = value
        elif _is_key(key, agent_keys):
            sections.setdefault("agent_config", {})[key] = value
        elif key in settings:
            sections.setdefault("run", {})[key] = value
        else:
            raise unknown("key", key, [*agent_keys, *settings, *(f"teacher.{name}" for name in teacher_keys)])
    return {name: config.nest(values) for name, values in sections.items()}


def _is_key(key: str, known: Sequence[str]) -> bool:
    """Whether `key` is one of the dotted keys, or the mapping that holds some of them."""
    return any(name == key or name.startswith(f"{key}.") for name in known) and key != ""


def _require(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise UsageError(problem("bad value", name, value, expected), hint="Change the value.", key=name)
