"""WSRL and its ablations in a maze: does a learner that was trained offline need its data once it acts?

A learner is trained by Cal-QL, with an ensemble of critics, on data of a controller that plays in a maze. Then it goes
on online in the ways that its publication compares: by acting for a while before it learns (WSRL); without that
warm-up; with half of every batch from the data; from nothing, with and without the data (RLPD); by Cal-QL and IQL
without data; and with two plain critics and one update a step. One more way is WSRL with optimisers that coast, as
those of the reference code do, at rates that carry networks as far in the long run.

Zhou et al. 2025 show curves, so that no published number stands beside ours. What is tested is the order of things,
each with an interval over seeds.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .switching import WSRL_ORDERINGS, Curves, Ordering, can_dip, judge
from .warm_start_config import Config as Config
from .warm_start_config import QuickConfig as QuickConfig
from .warm_start_runs import VALUED, go_on, needed_starts, pretrain


def main(config: QuickConfig) -> dict[str, Any]:
    """Makes the data, pre-trains, goes on in every way; writes results, figure and report."""
    dataset, refs = make_data(config)
    return compare(config, dataset, refs)


def make_data(config: QuickConfig, run: Path | None = None) -> tuple[str, tuple[float, float]]:
    """The data set's id, made unless it is there, and the returns that score 0 and 100.

    Where rewards are sparse those are 0 and 1, of failure and success, as published; else the data set's references.

    Args:
      run: whose policies make the data, where a controller does not.
    """
    from .assemble import read_setup
    from .datasets.generators import make
    from .datasets.names import check_id, folder_of
    from .datasets.reading import open_dataset, reference_scores

    env = config.data_env or config.env
    made_by = None if run is None else read_setup(run).to_plain()
    digest = hashlib.sha256(json.dumps([dict(config.data_kwargs), made_by], sort_keys=True).encode()).hexdigest()
    name = f"warm_start-{config.quality}-{config.transitions}-s{config.seed}-{digest[:8]}-v0"
    id = check_id(f"palaestra/{env.removeprefix('palaestra/')}/{name}")
    if not folder_of(id).exists():
        make(env, config.quality, config.transitions, config.seed, env_kwargs=config.data_kwargs, id=id, run=run)
    refs = (0.0, 1.0) if config.sparse else reference_scores(open_dataset(id).metadata)
    assert refs is not None, f"{id} was made without reference scores"
    return id, refs


def compare(
    config: QuickConfig,
    dataset: str,
    refs: tuple[float, float],
    orderings: Sequence[Ordering] = WSRL_ORDERINGS,
    others: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Pre-trains on the data, goes on in every way; writes results, figure and report.

    Args:
      refs: returns that score 0 and 100.
      orderings: those of dips are left out where warm-up lasts for as long as a dip is looked for.
      others: scores of what does not learn, to be beaten, by name.
    """
    from .data_values import value_drop
    from .files import write_json
    from .plot_style import save_png
    from .report import write_report
    from .warm_start_plots import curves_figure, table

    out, others = Path(config.out), dict(others or {})
    starts = {name: pretrain(config, dataset, name, out) for name in needed_starts(config)}
    runs = {variant: go_on(config, dataset, variant, starts, out) for variant in config.variants}
    curves = {variant: read_curves(run, refs) for variant, run in runs.items()}
    drops = {variant: value_drop(run) for variant, run in runs.items() if variant in VALUED}
    if not can_dip(config.warmup, config.online_steps):
        orderings = [ordering for ordering in orderings if ordering.quantity != "dip"]
    rows = [variant_row(variant, c, drops.get(variant), others) for variant, c in curves.items()]
    verdicts = [
        {**dataclasses.asdict(v.ordering), **dataclasses.asdict(v.difference), "seeds": v.seeds, "verdict": v.word}
        for v in judge(curves, drops, orderings)
    ]
    results = {"rows": rows, "orderings": verdicts, "refs": refs, "others": others, "dataset": dataset}
    write_json(out / "results.json", results)
    figure = save_png(curves_figure(curves, config.warmup, others), out / "curves.png")
    report = write_report([*starts.values(), *runs.values()], out / "report.html", title="From data to acting")
    text = "\n".join([*table(rows, verdicts, others), "", str(figure), str(report)])
    return {"rows": rows, "orderings": verdicts, "figure": str(figure), "report": str(report), "text": text}


def read_curves(run: Path, refs: tuple[float, float]) -> Curves:
    """Normalised scores of a run's seeds over its evaluations."""
    from .metrics import read_rows

    rows = read_rows(run / "evals.jsonl")
    steps, seeds = (sorted({row[name] for row in rows}) for name in ("step", "seed"))
    returns = {(row["seed"], row["step"]): row["eval/mean_reward"] for row in rows}
    scores = np.array([[returns[seed, step] for step in steps] for seed in seeds])
    return Curves(np.array(steps), 100.0 * (scores - refs[0]) / (refs[1] - refs[0]))


def variant_row(variant: str, curves: Curves, drop: np.ndarray | None, others: Mapping[str, float]) -> dict[str, Any]:
    """Means over seeds with intervals, and the seeds' own numbers; of the end also what it has over `others`."""
    from .statistics import estimate, mean

    row: dict[str, Any] = {"variant": variant}
    quantities = {name: getattr(curves, name) for name in ("offline", "dip", "regret", "final")}
    quantities |= {} if drop is None else {"drop": drop}
    quantities |= {f"final - {name}": curves.final - score for name, score in others.items()}
    for name, values in quantities.items():
        row[name] = dataclasses.asdict(estimate(values, mean)) | {"seeds": values.tolist()}
    return row
