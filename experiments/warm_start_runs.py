"""The runs of the studies of warm starts: learners trained on data, and the ways in which they go on."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .warm_start_config import CURRICULUM, QuickConfig

VALUED = ("wsrl", "no warm-up")  # whose values of the data are followed
WITH_DATA = ("retain half", "rlpd")
START_OF = {
    "wsrl": "calql",
    "no warm-up": "calql",
    "retain half": "calql",
    "coasting": "calql",
    "calql": "calql",
    "iql": "iql",
    "plain": "calql_plain",
}
OFFLINE_AGENT = {
    "calql": ("cql_ensemble", "calql_ensemble"),
    "calql_plain": ("cql", "calql"),
    "iql": ("iql", "iql"),
}


def needed_starts(config: QuickConfig) -> list[str]:
    """The learners that the variants begin from."""
    needed = [start_of(variant) for variant in config.variants]
    return list(dict.fromkeys(start for start in needed if start is not None))


def start_of(variant: str) -> str | None:
    """The learner that a variant begins as; None for a fresh one."""
    return START_OF.get("wsrl" if teacher_of(variant) else variant)


def teacher_of(variant: str) -> str | None:
    """The teacher whose name follows "wsrl, "; None where the task is fixed."""
    return variant.removeprefix(CURRICULUM) if variant.startswith(CURRICULUM) else None


def pretrain(config: QuickConfig, dataset: str, name: str, out: Path) -> Path:
    """Trains one of the learners offline; returns its run."""
    from .study_runs import train_run

    chunk = max(1, config.updates // 10)
    settings = _settings(config, OFFLINE_AGENT[name][config.sparse], total_timesteps=config.updates, evaluations=5) | {
        "dataset": dataset,
        "agent_config": {
            "learner": _learner(config, name, offline=True),
            "rewards": _rewards(config),
            "updates_per_iteration": chunk,
        },
    }
    return train_run(settings, out / f"offline-{name}", config.overwrite)


def go_on(config: QuickConfig, dataset: str, variant: str, starts: Mapping[str, Path], out: Path) -> Path:
    """Runs one variant online; returns its run."""
    from . import assemble
    from .data_values import DataValues
    from .datasets.load import load
    from .study_runs import train_run

    settings = online_settings(config, dataset, variant, starts)
    callbacks = []
    if variant in VALUED:
        data = load(dataset).transitions
        few = np.linspace(0, len(data.reward) - 1, 1000).astype(int)
        agent = assemble.build(assemble.complete(settings))
        callbacks.append(DataValues(agent, data.obs[few], data.action[few], config.num_seeds))
    return train_run(settings, out / variant.replace(",", "").replace(" ", "_"), config.overwrite, callbacks)


def online_settings(config: QuickConfig, dataset: str, variant: str, starts: Mapping[str, Path]) -> dict[str, Any]:
    """The run of a variant, as a configuration file would state it."""
    agents = {"rlpd": "rlpd", "calql": "calql_online" if config.sparse else "cql_online", "iql": "iql_online"}
    start, teacher = start_of(variant), teacher_of(variant)
    rows = config.batch_size * config.utd
    online: dict[str, Any] = {
        "learner": _learner(config, start or "calql", offline=False, variant=variant),
        "rewards": _rewards(config),
        "warmup": config.warmup,
        "buffer_size": config.online_steps,
        "start_every": 50,
    }
    if variant in ("no warm-up", "calql", "iql"):
        online["warmup"] = rows
    if variant in WITH_DATA:
        online["retain"] = "mixed"
    settings = _settings(config, agents.get(variant, "wsrl"), config.online_steps, config.evaluations)
    settings["run"] |= {"eval_first": True}
    settings |= {"agent_config": online}
    if teacher is not None:
        settings |= {"teacher": teacher, "teacher_config": dict(config.teacher_configs.get(teacher, {}))}
    if start is not None:
        settings["start_from"] = str(starts[start])
    if variant in WITH_DATA:
        settings["dataset"] = dataset
    return settings


def _settings(config: QuickConfig, agent: str, total_timesteps: int, evaluations: int) -> dict[str, Any]:
    every = max(1, total_timesteps // evaluations)
    return {
        "env": config.env,
        "env_kwargs": dict(config.env_kwargs),
        "agent": agent,
        "teacher": "fixed",
        "teacher_config": {"task": _task(config)} if config.task else {},
        "run": {
            "total_timesteps": total_timesteps,
            "num_seeds": config.num_seeds,
            "seed": config.seed,
            "log_every": every,
            "eval_every": every,
            "eval_episodes": config.eval_episodes,
            "eval_tasks": dict(config.task) or "default",
            "save_every": total_timesteps,
            "keep": 1,
        },
    }


def _task(config: QuickConfig) -> list[float]:
    from .assemble import make_env

    task: list[float] = make_env(config.env, config.env_kwargs).task_space.validate(config.task).tolist()
    return task


def _rewards(config: QuickConfig) -> dict[str, float]:
    rewards = {"scale": config.reward_scale, "bias": config.reward_bias}
    return rewards | {"failure": 0.0} if config.sparse else rewards


def _learner(config: QuickConfig, start: str, offline: bool, variant: str = "") -> dict[str, Any]:
    """A learner's settings: those of what it begins from, and of what it does."""
    plain = start == "calql_plain"
    once = offline or plain or variant in ("calql", "iql")
    critic = config.critic_hidden or config.hidden
    nets: dict[str, Any] = {"critic": list(critic), "actor": list(config.hidden), "std": "uniform"}
    common: dict[str, Any] = {"batch_size": config.batch_size, "utd": 1 if once else config.utd}
    if start == "iql":
        hyper = {"rate": config.critic_rate, "target_rate": config.target_rate, "discount": config.discount}
        return common | {"nets": nets, "hyper": hyper | {"expectile": 0.9, "sharpness": 10.0}}
    nets |= {"critic_norm": not plain, "actor_norm": not plain}
    hyper = {name: getattr(config, name) for name in ("actor_rate", "critic_rate", "target_rate", "discount")}
    if config.temperature_rate is not None:
        hyper["temperature_rate"] = config.temperature_rate
    if variant == "coasting":
        common["reference_optimizer_leak"] = True
        hyper |= _coasting_rates(hyper, config.utd)
    common |= {"nets": nets, "num_critics": 2 if plain else config.num_critics, "hyper": hyper}
    if variant != "rlpd":
        common["target_draws"] = config.target_draws
    if offline or variant == "calql":
        common["conservative"] = {"draws": config.penalized_draws, "weight": config.penalty, "gap": config.gap}
    return common


def _coasting_rates(hyper: Mapping[str, float], utd: int) -> dict[str, float]:
    """Rates at which optimisers that coast carry networks as far as `hyper`'s do without, in the long run."""
    from ..agents.off_policy.presets import STEADY_HYPER

    temperature_rate = hyper.get("temperature_rate", float(STEADY_HYPER.temperature_rate))
    each, all_steps = math.sqrt(1 + 1 / utd), math.sqrt(1 + utd)
    return {
        "critic_rate": hyper["critic_rate"] / each,
        "actor_rate": hyper["actor_rate"] / all_steps,
        "temperature_rate": temperature_rate / all_steps,
    }
