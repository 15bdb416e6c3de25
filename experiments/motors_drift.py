"""Does scheduling a drive's physics make a controller robust? ALP-GMM against random tasks and the data sheet alone.

One PPO policy controls the currents of the permanent magnet machine. It trains on the data sheet's drive, on drives
drawn evenly from the task space (temperatures, inductances, supply, speed, reference, noise, ...), or on those that
ALP-GMM schedules, and is tested on drives it was never told about. The measure is the mean current error as a share of
the limit, with exceeded limits counted beside it. The PI controller, tuned once for the data sheet, is tested alike.

No published number belongs to this study: scheduling these parameters by a teacher is this project's own question.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from .study_runs import ppo_settings, train_run

ENV = "palaestra/Motor-Cont-CC-PMSM-v0"
TEACHERS = ("alp_gmm", "random", "fixed")


@dataclasses.dataclass(frozen=True)
class Config:
    """Three teachers, ten seeds each: about six minutes on two CPU cores.

    Attributes:
      horizon: steps of a training episode; shorter than the standard 2000, so that a teacher sees more episodes.
      tests: drives of the test, drawn evenly from the task space; one episode each.
      out: folder of the runs and the results.
      overwrite: delete what an earlier call left in `out`.
    """

    teachers: tuple[str, ...] = TEACHERS
    total_timesteps: int = 4_000_000
    num_seeds: int = 10
    seed: int = 0
    horizon: int = 250
    num_envs: int = 64
    rollout_length: int = 128
    num_minibatches: int = 16
    epochs: int = 5
    learning_rate: float = 1e-3
    discount: float = 0.9
    lam: float = 0.9
    tests: int = 100
    test_steps: int = 1000
    out: str = "runs/motors_drift"
    overwrite: bool = False


def main(config: Config) -> dict[str, Any]:
    """Trains under every teacher, tests at the data sheet and on the task space; writes results, figure and report."""
    from .files import write_json
    from .motor_plots import errors_figure
    from .motors_vs_pi import table
    from .plot_style import save_png
    from .report import write_report

    out = Path(config.out)
    runs = {
        teacher: train_run(run_settings(config, teacher), out / teacher, config.overwrite)
        for teacher in config.teachers
    }
    rows = _test(config, runs)
    differences = against_random(rows)
    write_json(out / "results.json", {"rows": rows, "against_random": differences})
    figure = save_png(errors_figure(rows, "Mean current error by what was trained on"), out / "errors.png")
    report = write_report(runs.values(), out / "report.html", title="Drives: does a teacher make control robust?")
    lines = [
        f"{d['drive']}: {d['controller']} minus random {d['error']:.4f} [{d['low']:.4f}, {d['high']:.4f}], "
        f"permutation p = {d['p_value']:.2g}"
        for d in differences
    ]
    text = "\n".join([table(rows), "", *lines, "", str(figure), str(report)])
    return {"rows": rows, "against_random": differences, "figure": str(figure), "report": str(report), "text": text}


def run_settings(config: Config, teacher: str) -> dict[str, Any]:
    """The run of one teacher, as a configuration file would state it."""
    scale = {"reward_scale": [-0.25 * config.horizon, 0.0], "neighbours_in_unit_space": True}
    return ppo_settings(
        config,
        ENV,
        total_timesteps=config.total_timesteps,
        env_kwargs={"control": "dq", "previous_action": True, "extras": ["noise"], "horizon": config.horizon},
        teacher=teacher,
        teacher_config=scale if teacher == "alp_gmm" else {},
        agent={"start_every": config.rollout_length},
        hyper={"discount": config.discount, "lam": config.lam, "decay_steps": float(config.total_timesteps)},
        run={"eval_tasks": "space", "eval_episodes": 50, "eval_every": max(1, config.total_timesteps // 8)},
    )


def against_random(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean error under the other teachers minus that under random tasks: over seeds, with intervals and p-values."""
    from .statistics import estimate_difference, mean, permutation_test

    scores = {(row["drive"], row["controller"]): np.asarray(row["scores"]) for row in rows if row["over"] == "seeds"}
    found = []
    for (drive, teacher), own in scores.items():
        if teacher == "random" or (drive, "random") not in scores:
            continue
        baseline = scores[drive, "random"]
        difference = estimate_difference(own, baseline, statistic=mean)
        found.append(
            {
                "drive": drive,
                "controller": teacher,
                "error": difference.value,
                "low": difference.low,
                "high": difference.high,
                "p_value": permutation_test(own, baseline),
            }
        )
    return found


def _test(config: Config, runs: dict[str, Path]) -> list[dict[str, Any]]:
    from .evaluation import draw_test_tasks
    from .motor_tracking import track_controller, track_policy
    from .motors_vs_pi import result_row, with_seed_axis
    from .policy import load_policy

    policies = {teacher: load_policy(path, "final") for teacher, path in runs.items()}
    env = next(iter(policies.values())).agent.env
    rows = []
    for kind, label in (("default", "data sheet"), ("space", "task space")):
        tasks = draw_test_tasks(env, config.tests, kind)  # type: ignore[arg-type]
        found = {
            teacher: track_policy(policy.agent, with_seed_axis(policy), tasks, config.test_steps)
            for teacher, policy in policies.items()
        }
        found["pi"] = track_controller(env, "pi", tasks, config.test_steps)
        rows += [result_row(label, name, tracked, found["pi"]) for name, tracked in found.items()]
    return rows
