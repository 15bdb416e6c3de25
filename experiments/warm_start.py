"""WSRL and its ablations in a maze: does a learner that was trained offline need its data once it acts?

A learner is trained by Cal-QL, with an ensemble of critics, on data of a controller that plays in a maze. Then it goes
on online in the ways that its publication compares: by acting for a while before it learns (WSRL); without that
warm-up; with half of every batch from the data; from nothing, with and without the data (RLPD); by Cal-QL and IQL
without data; and with two plain critics and one update a step.

Zhou et al. 2025 show curves; a table of numbers was not at hand, so that no published number stands beside ours. What
is tested is the order of things, each with an interval over seeds.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ENV = "palaestra/PointMaze_Medium-v0"
VALUED = ("wsrl", "no warm-up")  # whose values of the data are followed
WITH_DATA = ("retain half", "rlpd")
VARIANTS = ("wsrl", "no warm-up", "retain half", "rlpd", "scratch", "calql", "iql", "plain")


@dataclasses.dataclass(frozen=True)
class QuickConfig:
    """Five seeds in the middle maze with small networks.

    Attributes:
      env, env_kwargs: where. An episode ends at the goal.
      quality, transitions: of the data.
      updates: of pre-training.
      sparse: whether the reward is 0 until the goal. Then values are bounded by the data's returns (Cal-QL); else by
        nothing (CQL), because returns of dense rewards are biased where the clock ends an episode.
      online_steps: environment steps after the switch.
      warmup: steps without learning.
      evaluations: after the switch, evenly spaced.
      variants: which to run.
      hidden, num_critics, batch_size, utd: of the learners. "plain" has two critics; it, Cal-QL and IQL update once a
        step.
      reward_scale, reward_bias: what is learned from is scale * reward + bias.
      penalized_draws: actions drawn of each kind for the penalty.
      target_draws: actions drawn for targets, of which the best counts: as published for mazes, also online.
      out: folder of the runs and the results.
      overwrite: delete what an earlier call left in `out`.
    """

    env: str = ENV
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"continuing_task": False})
    quality: str = "play"
    transitions: int = 20_000
    updates: int = 5_000
    sparse: bool = True
    online_steps: int = 30_000
    warmup: int = 1_000
    evaluations: int = 30
    eval_episodes: int = 40
    variants: tuple[str, ...] = VARIANTS
    num_seeds: int = 5
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    num_critics: int = 5
    batch_size: int = 64
    utd: int = 4
    actor_rate: float = 5e-4
    critic_rate: float = 1e-3
    target_rate: float = 0.02
    discount: float = 0.98
    reward_scale: float = 1.0
    reward_bias: float = -1.0
    penalized_draws: int = 4
    target_draws: int = 4
    out: str = "runs/warm_start_quick"
    overwrite: bool = False


@dataclasses.dataclass(frozen=True)
class Config(QuickConfig):
    """The large maze at full size, for an accelerator: networks, data and numbers of updates as published for mazes."""

    env: str = "palaestra/PointMaze_Large-v0"
    transitions: int = 1_000_000
    updates: int = 1_000_000
    online_steps: int = 500_000
    warmup: int = 5_000
    evaluations: int = 50
    eval_episodes: int = 100
    hidden: tuple[int, ...] = (256, 256)
    num_critics: int = 10
    batch_size: int = 256
    actor_rate: float = 1e-4
    critic_rate: float = 3e-4
    target_rate: float = 0.005
    discount: float = 0.99
    reward_scale: float = 10.0
    reward_bias: float = -5.0
    penalized_draws: int = 10
    target_draws: int = 10
    out: str = "runs/warm_start"


@dataclasses.dataclass(frozen=True)
class MotorConfig(QuickConfig):
    """A drive's currents: from data of PI controllers whose gains are off, by CQL; score 100 is dead-beat control."""

    env: str = "palaestra/Motor-Cont-CC-PMSM-v0"
    env_kwargs: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"control": "dq", "previous_action": True, "horizon": 200}
    )
    quality: str = "medium"
    sparse: bool = False
    variants: tuple[str, ...] = ("wsrl", "no warm-up", "scratch", "rlpd")
    discount: float = 0.9
    reward_bias: float = 0.0
    target_draws: int = 1
    out: str = "runs/warm_start_motor"


def main(config: QuickConfig) -> dict[str, Any]:
    """Makes the data, pre-trains, goes on in every way; writes results, figure and report."""
    from .data_values import value_drop
    from .files import write_json
    from .plot_style import save_png
    from .report import write_report
    from .switching import judge
    from .warm_start_plots import curves_figure, table

    out = Path(config.out)
    dataset, refs = make_data(config)
    starts = {name: pretrain(config, dataset, name, out) for name in needed_starts(config)}
    runs = {variant: go_on(config, dataset, variant, starts, out) for variant in config.variants}
    curves = {variant: read_curves(run, refs) for variant, run in runs.items()}
    drops = {variant: value_drop(run) for variant, run in runs.items() if variant in VALUED}
    verdicts = judge(curves, drops)
    rows = [variant_row(variant, c, drops.get(variant)) for variant, c in curves.items()]
    orderings = [
        {**dataclasses.asdict(v.ordering), **dataclasses.asdict(v.difference), "seeds": v.seeds, "verdict": v.word}
        for v in verdicts
    ]
    write_json(out / "results.json", {"rows": rows, "orderings": orderings, "refs": refs, "dataset": dataset})
    figure = save_png(curves_figure(curves, config.warmup), out / "curves.png")
    report = write_report([*starts.values(), *runs.values()], out / "report.html", title="From data to acting")
    text = "\n".join([*table(rows, orderings), "", str(figure), str(report)])
    return {"rows": rows, "orderings": orderings, "figure": str(figure), "report": str(report), "text": text}


def make_data(config: QuickConfig) -> tuple[str, tuple[float, float]]:
    """The data set's id and its reference returns; made unless it is there."""
    from .datasets.generators import make
    from .datasets.names import check_id, folder_of
    from .datasets.reading import open_dataset, reference_scores

    name = config.env.removeprefix("palaestra/")
    id = check_id(f"palaestra/{name}/warm_start-{config.quality}-{config.transitions}-s{config.seed}-v0")
    if not folder_of(id).exists():
        make(config.env, config.quality, config.transitions, config.seed, env_kwargs=config.env_kwargs, id=id)
    refs = reference_scores(open_dataset(id).metadata)
    assert refs is not None, f"{id} was made without reference scores"
    return id, refs


def needed_starts(config: QuickConfig) -> list[str]:
    """The learners that the variants begin from."""
    needed = [START_OF[variant] for variant in config.variants if variant in START_OF]
    return list(dict.fromkeys(needed))


START_OF = {
    "wsrl": "calql",
    "no warm-up": "calql",
    "retain half": "calql",
    "calql": "calql",
    "iql": "iql",
    "plain": "calql_plain",
}
OFFLINE_AGENT = {
    "calql": ("cql_ensemble", "calql_ensemble"),
    "calql_plain": ("cql", "calql"),
    "iql": ("iql", "iql"),
}


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
    return train_run(settings, out / variant.replace(" ", "_"), config.overwrite, callbacks)


def online_settings(config: QuickConfig, dataset: str, variant: str, starts: Mapping[str, Path]) -> dict[str, Any]:
    """The run of a variant, as a configuration file would state it."""
    agents = {"rlpd": "rlpd", "calql": "calql_online" if config.sparse else "cql_online", "iql": "iql_online"}
    start = START_OF.get(variant)
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
    if start is not None:
        settings["start_from"] = str(starts[start])
    if variant in WITH_DATA:
        settings["dataset"] = dataset
    return settings


def read_curves(run: Path, refs: tuple[float, float]) -> Any:
    """Normalised scores of a run's seeds over its evaluations."""
    from .metrics import read_rows
    from .switching import Curves

    rows = read_rows(run / "evals.jsonl")
    steps, seeds = (sorted({row[name] for row in rows}) for name in ("step", "seed"))
    returns = {(row["seed"], row["step"]): row["eval/mean_reward"] for row in rows}
    scores = np.array([[returns[seed, step] for step in steps] for seed in seeds])
    return Curves(np.array(steps), 100.0 * (scores - refs[0]) / (refs[1] - refs[0]))


def variant_row(variant: str, curves: Any, drop: np.ndarray | None) -> dict[str, Any]:
    """Means over seeds with intervals, and the seeds' own numbers."""
    from .statistics import estimate, mean

    row: dict[str, Any] = {"variant": variant}
    quantities = {name: getattr(curves, name) for name in ("offline", "dip", "regret", "final")}
    for name, values in (quantities | ({} if drop is None else {"drop": drop})).items():
        row[name] = dataclasses.asdict(estimate(values, mean)) | {"seeds": values.tolist()}
    return row


def _settings(config: QuickConfig, agent: str, total_timesteps: int, evaluations: int) -> dict[str, Any]:
    every = max(1, total_timesteps // evaluations)
    return {
        "env": config.env,
        "env_kwargs": dict(config.env_kwargs),
        "agent": agent,
        "run": {
            "total_timesteps": total_timesteps,
            "num_seeds": config.num_seeds,
            "seed": config.seed,
            "log_every": every,
            "eval_every": every,
            "eval_episodes": config.eval_episodes,
            "save_every": total_timesteps,
            "keep": 1,
        },
    }


def _rewards(config: QuickConfig) -> dict[str, float]:
    rewards = {"scale": config.reward_scale, "bias": config.reward_bias}
    return rewards | {"failure": 0.0} if config.sparse else rewards


def _learner(config: QuickConfig, start: str, offline: bool, variant: str = "") -> dict[str, Any]:
    """A learner's settings: those of what it begins from, and of what it does."""
    plain = start == "calql_plain"
    once = offline or plain or variant in ("calql", "iql")
    nets: dict[str, Any] = {"critic": list(config.hidden), "actor": list(config.hidden), "std": "uniform"}
    common: dict[str, Any] = {"batch_size": config.batch_size, "utd": 1 if once else config.utd}
    if start == "iql":
        hyper = {"rate": config.critic_rate, "target_rate": config.target_rate, "discount": config.discount}
        return common | {"nets": nets, "hyper": hyper | {"expectile": 0.9, "sharpness": 10.0}}
    nets |= {"critic_norm": not plain, "actor_norm": not plain}
    hyper = {name: getattr(config, name) for name in ("actor_rate", "critic_rate", "target_rate", "discount")}
    common |= {"nets": nets, "num_critics": 2 if plain else config.num_critics, "hyper": hyper}
    if variant != "rlpd":
        common["target_draws"] = config.target_draws
    if offline or variant == "calql":
        common["conservative"] = {"draws": config.penalized_draws, "weight": 1.0, "gap": 0.8}
    return common
