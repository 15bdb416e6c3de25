"""Asking a language model for the subgoals of levels, and measuring how right it is.

The questions are put before training and the answers kept; nothing that trains touches a network.

Letters: N levels, K subgoals at most.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..curricula.llm import Client, Request
from ..curricula.llm import Config as ModelConfig
from ..curricula.llm.calibration import Calibration, calibrate
from ..curricula.llm.local import serve
from ..envs.minigrid.bank import import_bank
from ..envs.minigrid.level import Level
from ..envs.minigrid.subgoals import answers, prompt
from ..envs.minigrid.subgoals.errors import ErrorModel
from ..envs.minigrid.subgoals.texts import NO_TEXT, text_number
from .subgoal_plans import LevelPlan, Plans, exact_plans, levels_of

LOCAL_MODEL = "SmolLM2-135M-Instruct"
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
      examples: worked examples shown with every question, of other levels.
      cache: file of answers, so that none is asked twice; beside `out` by default.
      strict: keep of every answer only what comes before its first mistake; else whatever can be shown to an agent.
      offline: answer from the cache alone.
      temperature, max_tokens, concurrency, requests_per_minute, total_timeout: see `curricula.llm.Config`; the local
        model answers one question at a time and gets at least ten minutes for it.
      price_in, price_out, budget: per million tokens, and where to stop.
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
    temperature: float = 0.0
    max_tokens: int = 1024
    concurrency: int = 8
    requests_per_minute: int | None = None
    total_timeout: float = 120.0
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("first", 0), ("examples", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}; expected at least {least}")
        if self.local == bool(self.base_url):
            raise ValueError(f"local={self.local}, base_url={self.base_url!r}; expected one of them")
        if self.base_url and not self.model:
            raise ValueError("model=''; expected the model's name on the server")


def collect(config: CollectConfig) -> tuple[Plans, dict[str, Any]]:
    """Asks for all levels; returns the plans and what asking took."""
    bank = import_bank(config.env.removeprefix("palaestra/"), range(config.first, config.first + config.count))
    levels = levels_of(bank)
    requests = [
        Request(
            messages=prompt.messages(level, _examples(config, bank.name)),
            schema=prompt.SCHEMA,
            check=functools.partial(_problems, level),
            template=prompt.TEMPLATE_VERSION,
        )
        for level in levels
    ]
    with _server(config) as (base_url, model), Client(_model_config(config, base_url, model)) as client:
        replies = client.ask(requests)
        usage = dataclasses.asdict(client.usage())
    kept = answers.valid_prefix if config.strict else answers.usable
    plans = tuple(
        LevelPlan(int(seed), kept(reply.value, level), tuple(reply.errors), reply.text)
        for seed, level, reply in zip(bank.seeds, levels, replies, strict=True)
    )
    return Plans(bank.name, model, prompt.TEMPLATE_VERSION, plans), usage


def _problems(level: Level, value: Any) -> list[str]:
    return answers.problems(value, level)


def _examples(config: CollectConfig, name: str) -> list[tuple[Any, Any]]:
    """Worked examples from levels that are not asked about."""
    if not config.examples:
        return []
    beyond = config.first + config.count
    exact = exact_plans(name, range(beyond, beyond + config.examples))
    return list(zip(levels_of(exact.bank), (plan.subgoals for plan in exact.plans), strict=True))


@contextlib.contextmanager
def _server(config: CollectConfig) -> Iterator[tuple[str, str]]:
    """(base_url, model) while it is needed."""
    if config.base_url:
        yield config.base_url, config.model
    elif config.offline:
        yield "http://127.0.0.1/v1", LOCAL_MODEL
    else:
        with serve() as base_url:
            yield base_url, LOCAL_MODEL


def _model_config(config: CollectConfig, base_url: str, model: str) -> ModelConfig:
    same = ("api_key_env", "offline", "temperature", "max_tokens", "requests_per_minute", "price_in", "price_out")
    cache = Path(config.cache) if config.cache else Path(config.out).with_suffix(".answers.sqlite")
    cache.parent.mkdir(parents=True, exist_ok=True)
    return ModelConfig(
        base_url=base_url,
        model=model,
        cache=cache,
        concurrency=1 if config.local else config.concurrency,
        total_timeout=max(LOCAL_TIMEOUT, config.total_timeout) if config.local else config.total_timeout,
        budget=config.budget,
        **{name: getattr(config, name) for name in same},
    )


def measure(plans: Plans) -> tuple[Calibration, ErrorModel]:
    """How right plans are beside the exact ones, and the surrogate teacher that errs as often."""
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
    labels = np.array(
        [[[_label(levels[i], objects[s, i, k]) for k in range(size)] for i in range(len(levels))] for s in (0, 1)]
    )
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


def _label(level: Any, cell: np.ndarray) -> int:
    return int(text_number(level.grid[int(cell[1]), int(cell[0])]))
