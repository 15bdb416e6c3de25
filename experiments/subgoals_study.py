"""Do subgoals make sparse rewards learnable, and how much is a mistaken teacher still worth?

The same PPO learns MiniGrid tasks alone, with rewards for exploring (counts, RND, RIDE, NovelD, AMIGo), and with a
teacher of subgoals that is exact or errs as often as a language model was measured to. Compared is the number of
environment steps until the mean return of the task alone reaches 90 % of that of the planner, whose plans are proven
shortest.

Published (Ruiz-Gonzalez et al., "Words as Beacons", abstract): 30 to 200 times fewer steps than recent baselines. The
comparison here is with our own baselines, task by task.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckFailedError, UsageError
from .study_runs import train_run

ALONE = {"alpha": 0.0}  # a task without the teacher's rewards: what is judged
BASELINES = {
    "ppo": "ppo_grid",
    "count": "ppo_count",
    "rnd": "ppo_rnd",
    "ride": "ppo_ride",
    "noveld": "ppo_noveld",
    "amigo": "amigo",
}
KINDS = ("positional", "representation", "language")
TEACHERS = ("oracle", "llama", "deepseek", "qwen")
ABLATIONS = {"no-reward": {"alpha": 0.0}, "no-input": {"drop_out": 1.0}}


@dataclasses.dataclass(frozen=True)
class Config:
    """The full study, for an accelerator: six tasks, every teacher in every form, two ablations, six baselines.

    Attributes:
      tasks: ids in the minigrid package.
      variants: "<teacher>-<kind>", "no-reward" or "no-input" (the exact teacher with positions, ablated), or one of the
        baselines "ppo", "count", "rnd", "ride", "noveld", "amigo".
      total_timesteps: of every learner, by task; one number holds for all tasks.
      share: of the planner's mean return that counts as learned.
      num_evals: evaluations, which set how finely steps are told.
      eval_episodes: of each.
      optimum_levels: levels that the planner's mean return is over.
      out: folder of the runs and the results.
      overwrite: delete what an earlier call left in `out`.
    """

    tasks: tuple[str, ...] = (
        "MiniGrid-MultiRoom-N2-S4-v0",
        "MiniGrid-MultiRoom-N4-S5-v1",
        "MiniGrid-KeyCorridorS3R3-v0",
        "MiniGrid-KeyCorridorS6R3-v0",
        "MiniGrid-ObstructedMaze-1Dlh-v0",
        "MiniGrid-ObstructedMaze-1Dlhb-v0",
    )
    variants: tuple[str, ...] = (
        *(f"{teacher}-{kind}" for teacher in TEACHERS for kind in KINDS),
        *ABLATIONS,
        *BASELINES,
    )
    total_timesteps: tuple[int, ...] = (15_000_000,)
    num_seeds: int = 5
    seed: int = 0
    learning_rate: float = 1e-4
    share: float = 0.9
    num_evals: int = 100
    eval_episodes: int = 100
    optimum_levels: int = 200
    out: str = "runs/subgoals"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if len(self.total_timesteps) not in (1, len(self.tasks)):
            raise UsageError(
                f"total_timesteps: got {len(self.total_timesteps)} numbers for {len(self.tasks)} tasks; "
                "expected one, or one for each"
            )

    def budget(self, task: str) -> int:
        """Steps of a learner on a task."""
        budgets = self.total_timesteps
        return budgets[0] if len(budgets) == 1 else budgets[self.tasks.index(task)]


@dataclasses.dataclass(frozen=True)
class QuickConfig(Config):
    """The effect in a quarter of an hour on two CPU cores: three small tasks, with and without subgoals, five seeds."""

    tasks: tuple[str, ...] = (
        "MiniGrid-MultiRoom-N2-S4-v0",
        "MiniGrid-KeyCorridorS3R1-v0",
        "MiniGrid-KeyCorridorS3R2-v0",
    )
    variants: tuple[str, ...] = ("oracle-positional", "ppo")
    total_timesteps: tuple[int, ...] = (200_000, 200_000, 1_000_000)
    num_evals: int = 40
    eval_episodes: int = 50
    optimum_levels: int = 100
    out: str = "runs/subgoals_quick"
    overwrite: bool = True


def main(config: Config) -> dict[str, Any]:
    """Trains every variant on every task; writes results, a figure and a report, and returns a table."""
    from .files import write_json
    from .plot_style import save_png
    from .report import write_report
    from .subgoal_plots import curves_figure

    out = Path(config.out)
    rows, runs = [], []
    for task in config.tasks:
        optimum = mean_optimum(task, config.optimum_levels)
        for variant in config.variants:
            path = train_run(run_settings(config, task, variant), out / short(task) / variant, config.overwrite)
            runs.append(path)
            rows.append(result_row(task, variant, path, optimum, config))
    rows = with_ratios(rows)
    write_json(out / "results.json", {"rows": rows})
    figure = save_png(curves_figure(rows, config.share), out / "curves.png")
    report = write_report(runs, out / "report.html", title="Subgoals on MiniGrid")
    text = f"{table(rows)}\n\n{figure}\n{report}"
    return {"rows": rows, "figure": str(figure), "report": str(report), "text": text}


def short(task: str) -> str:
    """MiniGrid-KeyCorridorS3R3-v0 -> KeyCorridorS3R3."""
    return task.removeprefix("MiniGrid-").rpartition("-v")[0]


def mean_optimum(task: str, levels: int) -> float:
    """The best mean return on the levels of seeds 0, 1, ..., proven by the planner.

    Raises:
      CheckFailedError: a plan is not proven shortest.
    """
    from ..envs.minigrid.bank import import_bank
    from ..envs.minigrid.planner import plan
    from .subgoal_plans import levels_of

    bank = import_bank(task, range(levels))
    plans = [plan(level, bank.rule) for level in levels_of(bank)]
    unproven = [seed for seed, found in enumerate(plans) if not found.optimal]
    if unproven:
        raise CheckFailedError(
            f"{task}: plans of seeds {unproven} are not proven shortest; expected tasks where all are"
        )
    return float(np.mean([found.optimal_return for found in plans]))


def run_settings(config: Config, task: str, variant: str) -> dict[str, Any]:
    """The run of one variant, as a configuration file would state it."""
    from ..envs.minigrid.ids import subgoals_name

    judged: Any = "default"
    teacher_config: dict[str, Any] = {}
    if variant in BASELINES:
        agent, env, env_kwargs = BASELINES[variant], f"palaestra/{task}", {}
    else:
        teacher, kind = ("oracle", "positional") if variant in ABLATIONS else variant.rsplit("-", 1)
        agent, env = "ppo_grid", f"palaestra/{subgoals_name(task)}"
        env_kwargs = {"teacher": teacher, "kind": kind}
        trained = ABLATIONS.get(variant, {})
        judged = trained | ALONE
        teacher_config = {"task": task_of(env, env_kwargs, trained)} if trained else {}
    total = config.budget(task)
    return {
        "env": env,
        "env_kwargs": env_kwargs,
        "agent": agent,
        "agent_config": {"hyper": {"learning_rate": config.learning_rate}},
        "teacher": "fixed",
        "teacher_config": teacher_config,
        "run": {
            "total_timesteps": total,
            "num_seeds": config.num_seeds,
            "seed": config.seed,
            "save_every": total,
            "keep": 1,
            "eval_tasks": judged,
            "eval_actions": "drawn",
            "eval_every": max(1, total // config.num_evals),
            "eval_episodes": config.eval_episodes,
        },
    }


def task_of(env: str, env_kwargs: dict[str, Any], values: dict[str, float]) -> list[float]:
    """The default task of an environment with some parameters changed, as a list of numbers."""
    from ..envs.registration import make_functional

    return [float(v) for v in make_functional(env, **env_kwargs).task_space.from_dict(values)]


def result_row(task: str, variant: str, path: Path, optimum: float, config: Config) -> dict[str, Any]:
    """Curves, and the steps until they reach the share of the optimum, of every seed; None where one never does."""
    from .run_data import load_run
    from .statistics import time_to_threshold

    learners = load_run(path).learners
    curves = [learner.eval_curve("eval/mean_reward") for learner in learners]
    steps = [time_to_threshold(*curve, config.share * optimum) for curve in curves]
    return {
        "task": short(task),
        "variant": variant,
        "optimum": optimum,
        "budget": config.budget(task),
        "steps": [step if math.isfinite(step) else None for step in steps],
        "final": [float(values[-1]) for _, values in curves],
        "curve_steps": curves[0][0].tolist(),
        "curves": [values.tolist() for _, values in curves],
    }


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds the interquartile mean of steps with its interval, and how many times as many plain PPO needs.

    A seed that never got there counts with the whole budget, so means over such seeds are lower bounds; `censored` says
    of how many seeds. A ratio is a lower bound where only PPO has such seeds, an upper bound where only the other has,
    and nothing at all where both have.
    """
    from .statistics import estimate

    found = []
    for row in rows:
        steps = np.array([row["budget"] if step is None else step for step in row["steps"]], float)
        told = estimate(steps)
        censored = sum(step is None for step in row["steps"])
        found.append({**row, "iqm": told.value, "low": told.low, "high": told.high, "censored": censored})
    plain = {row["task"]: row["iqm"] for row in found if row["variant"] == "ppo"}
    return [{**row, "ratio": plain[row["task"]] / row["iqm"] if row["task"] in plain else None} for row in found]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| task | variant | steps to the share of the optimum, IQM [95 %] | seeds that got there | PPO needs | final |",
        "|---|---|---|---|---|---|",
    ]
    bounded = {row["task"]: row["censored"] > 0 for row in rows if row["variant"] == "ppo"}
    for row in rows:
        at_least = "> " if row["censored"] else ""
        steps = f"{at_least}{row['iqm']:,.0f} [{row['low']:,.0f}, {row['high']:,.0f}]"
        seeds = len(row["steps"])
        ratio = _ratio_text(row, bounded.get(row["task"], False))
        final = f"{np.mean(row['final']):.3f} of {row['optimum']:.3f}"
        lines.append(
            f"| {row['task']} | {row['variant']} | {steps} | {seeds - row['censored']} of {seeds} | {ratio} | {final} |"
        )
    return "\n".join(lines)


def _ratio_text(row: dict[str, Any], ppo_censored: bool) -> str:
    if row["ratio"] is None:
        return ""
    if row["variant"] == "ppo":
        return "1"
    if ppo_censored and row["censored"]:
        return "-"
    bound = "> " if ppo_censored else "< " if row["censored"] else ""
    return f"{bound}{row['ratio']:.1f} x"
