"""Asking a language model for the subgoals of levels, and measuring how right it is.

The questions are put before training and the answers kept; nothing that trains touches a network.

Letters: N levels, K subgoals at most.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..curricula.llm import Client, Reply, Request
from ..curricula.llm import Config as ModelConfig
from ..curricula.llm.calibration import Calibration, calibrate
from ..curricula.llm.local import serve
from ..envs.minigrid.bank import import_bank
from ..envs.minigrid.level import Level
from ..envs.minigrid.subgoals import answers, prompt
from ..envs.minigrid.subgoals.errors import ErrorModel
from ..envs.minigrid.subgoals.texts import NO_TEXT, text_number
from .subgoal_plans import LevelPlan, Plans, check_least, exact_plans, levels_of

LOCAL_MODEL = "SmolLM2-135M-Instruct"
LOCAL_PLACE = "http://127.0.0.1/v1"  # of the small model, until it says which port it has
EXAMPLE_SEED = 1_000_000  # first seed of the examples: the same ones however many levels are asked about
LOCAL_TIMEOUT = 600.0  # [s] for an answer of the small model on a busy machine


@dataclasses.dataclass(frozen=True)
class CollectConfig:
    """Asks a model for the subgoals of levels.

    Attributes:
      env: id in the minigrid package.
      out: the file to write.
      count: levels, of the seeds `first`, `first` + 1, ...
      local: serve the small packaged model on this machine instead of asking `base_url`.
      base_url: address of an OpenAI-compatible server.
      model: its name there.
      api_key_env: name of the environment variable that holds the key; empty for none.
      examples: worked examples shown with every question, of the levels of the seeds 1000000, 1000001, ...
      cache: file of answers, so that none is asked twice; beside `out` by default.
      strict: keep of every answer only what comes before its first mistake; else whatever can be shown to an agent.
      offline: answer from the cache alone.
      seed: of sampling; null where the server does not know the word, which is then not sent.
      temperature, max_tokens, concurrency, requests_per_minute, total_timeout: see `curricula.llm.Config`; the local
        model answers one question at a time and gets at least ten minutes for it.
      price_in, price_out, budget: per million tokens, and after how much no new request begins.
      overwrite: replace `out` where it exists.
    """

    env: str = "MiniGrid-KeyCorridorS3R3-v0"
    out: str = "plans.json"
    count: int = 100
    first: int = 0
    local: bool = False
    base_url: str = ""
    model: str = ""
    api_key_env: str = ""
    examples: int = 0
    cache: str = ""
    strict: bool = False
    offline: bool = False
    seed: int | None = 0
    temperature: float = 0.0
    max_tokens: int = 1024
    concurrency: int = 8
    requests_per_minute: int | None = None
    total_timeout: float = 120.0
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_least(self, {"count": 1, "first": 0, "examples": 0})
        if self.local == bool(self.base_url):
            # Not shown: nobody has looked yet whether the address holds a secret.
            given = "an address" if self.base_url else "none"
            raise ValueError(f"local={self.local}, base_url: {given}; expected one of them")
        if self.base_url and not self.model:
            raise ValueError("model=''; expected the model's name on the server")
        beyond, last = self.first + self.count, EXAMPLE_SEED + self.examples - 1
        if self.examples and self.first <= last and beyond > EXAMPLE_SEED:
            raise ValueError(
                f"first={self.first}, count={self.count}, examples={self.examples}; expected other seeds than those of "
                f"the examples, {EXAMPLE_SEED} to {last}"
            )


def collect(config: CollectConfig) -> tuple[Plans, dict[str, Any]]:
    """Asks for all levels; returns the plans and what asking took.

    Raises:
      OptionError: a setting of the model server that does not fit.
      PackageError: an id that the package does not have, or levels of different sizes.
      PlanningError: an example that the planner cannot solve.
      MissingExtraError: the packages that asking, or the local model, needs are not installed.
      LLMError: one of `curricula.llm.errors`: no answer, nothing in the cache, no key, or the budget is spent.
    """
    settings = _model_config(config)
    bank = import_bank(config.env.removeprefix("palaestra/"), range(config.first, config.first + config.count))
    levels, examples = levels_of(bank), _examples(config, bank.name)
    requests = [
        Request(
            messages=prompt.messages(level, examples),
            schema=prompt.SCHEMA,
            check=functools.partial(_problems, level),
            template=prompt.TEMPLATE_VERSION,
        )
        for level in levels
    ]
    with _server(config, settings) as reached, Client(reached) as client:
        replies = client.ask(requests)
        usage = dataclasses.asdict(client.usage())
    plans = tuple(
        _plan_of(int(seed), level, reply, config.strict)
        for seed, level, reply in zip(bank.seeds, levels, replies, strict=True)
    )
    return Plans(bank.name, settings.model, prompt.TEMPLATE_VERSION, plans), usage


def _plan_of(seed: int, level: Level, reply: Reply, strict: bool) -> LevelPlan:
    kept = (answers.valid_prefix if strict else answers.usable)(reply.value, level)
    complete = answers.completes(reply.value, level, kept)
    return LevelPlan(seed, kept, complete, tuple(reply.errors), reply.text)


def _problems(level: Level, value: Any) -> list[str]:
    return answers.problems(value, level)


def _examples(config: CollectConfig, name: str) -> list[tuple[Level, tuple[answers.Subgoal, ...]]]:
    """Worked examples from levels that are not asked about."""
    if not config.examples:
        return []
    exact = exact_plans(name, range(EXAMPLE_SEED, EXAMPLE_SEED + config.examples))
    return list(zip(levels_of(exact.bank), (plan.subgoals for plan in exact.plans), strict=True))


@contextlib.contextmanager
def _server(config: CollectConfig, settings: ModelConfig) -> Iterator[ModelConfig]:
    """The settings with the address of a server that is there while it is needed."""
    if config.local and not config.offline:
        with serve() as base_url:
            yield dataclasses.replace(settings, base_url=base_url)
    else:
        yield settings


def _model_config(config: CollectConfig) -> ModelConfig:
    """The settings for the model server, checked; the local one's address is not known yet."""
    sampling = ("seed", "temperature", "max_tokens")
    limits = ("requests_per_minute", "price_in", "price_out", "budget")
    same = ("api_key_env", "offline", *sampling, *limits)
    return ModelConfig(
        base_url=LOCAL_PLACE if config.local else config.base_url,
        model=LOCAL_MODEL if config.local else config.model,
        cache=Path(config.cache) if config.cache else Path(config.out).with_suffix(".answers.sqlite"),
        concurrency=1 if config.local else config.concurrency,
        total_timeout=max(LOCAL_TIMEOUT, config.total_timeout) if config.local else config.total_timeout,
        **{name: getattr(config, name) for name in same},
    )


def measure(plans: Plans) -> tuple[Calibration, ErrorModel]:
    """How right plans are beside the exact ones, and the surrogate teacher that errs as often.

    Raises:
      PackageError, PlanningError: as `exact_plans`.
      OptionError: no level has an exact subgoal, so there is nothing to compare with.
    """
    exact = exact_plans(plans.name, [plan.seed for plan in plans.plans])
    levels = levels_of(plans.bank)
    size = max(len(plan.subgoals) for plan in (*exact.plans, *plans.plans))
    cells = np.zeros((2, len(levels), size, 2), np.int64)
    objects = np.zeros((2, len(levels), size, 2), np.int64)
    given = np.zeros((2, len(levels), size), bool)
    for side, side_plans in enumerate((exact.plans, plans.plans)):
        for i, (plan, level) in enumerate(zip(side_plans, levels, strict=True)):
            for k, subgoal in enumerate(plan.subgoals):
                given[side, i, k] = True
                cells[side, i, k] = subgoal.x, subgoal.y
                objects[side, i, k] = answers.place_of(subgoal, level.grid, "language")
    labels = _labels(levels, objects)
    found = calibrate(
        cells[0], cells[1], labels[0], labels[1], exists=given[0], answered=given[1], num_labels=NO_TEXT + 1
    )
    both = given[0] & given[1]
    same_object = both & (objects[0] == objects[1]).all(-1)
    model = ErrorModel(
        positional=float(found.position.probability or 0.0),
        mean=float(found.distance_mean or 0.0),
        deviation=float(found.distance_std or 0.0),
        by_object=float(same_object.sum() / given[0].sum()),
    )
    return found, model


def _labels(levels: Sequence[Level], cells: np.ndarray) -> np.ndarray:
    """(2, N, K) int32: the texts for what stands at `cells` (2, N, K, 2) of N levels."""
    grids = np.stack([level.grid for level in levels])
    number = np.arange(len(levels))[None, :, None]
    return np.asarray(text_number(grids[number, cells[..., 1], cells[..., 0]]))
