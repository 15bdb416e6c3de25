"""Does PPO follow references better than a PI controller, on three standard drives?

For each id, seeds of PPO are trained from scratch and compared in the same test episodes with the cascaded PI (field
oriented for three-phase machines) and the deadbeat controller, both tuned by their rules from the data sheet. The
measure is the mean error of the referenced quantities as a share of their limits; exceeded limits are counted.

Published: the paper of gym-electric-motor (Traue et al. 2022) compares deep deterministic policy gradients with a PI
controller on the series DC machine; its numbers are not repeated here because they were not at hand.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .study_runs import ppo_settings, train_run

CLASSICAL = ("pi", "deadbeat")


@dataclasses.dataclass(frozen=True)
class Drive:
    """One drive and the numbers PPO trains it with."""

    id: str
    env_kwargs: Mapping[str, Any]
    total_timesteps: int
    discount: float
    lam: float


DRIVES = (
    Drive("palaestra/Motor-Cont-CC-PMSM-v0", {"control": "dq"}, 4_000_000, 0.9, 0.9),
    Drive("palaestra/Motor-Cont-CC-SeriesDc-v0", {}, 2_000_000, 0.9, 0.9),
    Drive("palaestra/Motor-Cont-SC-SynRM-v0", {"control": "dq"}, 8_000_000, 0.95, 0.95),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Three drives, ten seeds each: about half an hour on two CPU cores.

    Attributes:
      scale: of the drives' training steps.
      num_seeds: learners per drive, trained side by side.
      episodes: of the test, 2000 steps each.
      out: folder of the runs and the results.
      overwrite: delete what an earlier call left in `out`.
    """

    scale: float = 1.0
    num_seeds: int = 10
    seed: int = 0
    num_envs: int = 64
    rollout_length: int = 128
    num_minibatches: int = 16
    epochs: int = 5
    learning_rate: float = 1e-3
    episodes: int = 20
    test_steps: int = 2000
    out: str = "runs/motors_vs_pi"
    overwrite: bool = False


def main(config: Config) -> dict[str, Any]:
    """Trains, tests, writes `results.json` and a figure; returns them with a table."""
    from .files import write_json
    from .motor_plots import errors_figure
    from .plot_style import save_png

    out = Path(config.out)
    rows = [row for drive in DRIVES for row in _compare(config, drive, out / name_of(drive.id))]
    write_json(out / "results.json", {"rows": rows})
    figure = save_png(errors_figure(rows), out / "errors.png")
    return {"rows": rows, "figure": str(figure), "text": f"{table(rows)}\n\n{figure}"}


def name_of(id: str) -> str:
    """palaestra/Motor-Cont-CC-PMSM-v0 -> Cont-CC-PMSM."""
    return id.removeprefix("palaestra/Motor-").removesuffix("-v0")


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| drive | controller | mean error [95 %] | minus PI's, same episodes [95 %] | limits exceeded per episode |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        error, beside = (
            f"{row[name]:.4f} [{row[low]:.4f}, {row[high]:.4f}]"
            for name, low, high in (("error", "low", "high"), ("difference", "difference_low", "difference_high"))
        )
        lines.append(f"| {row['drive']} | {row['controller']} | {error} | {beside} | {row['terminations']:.2f} |")
    return "\n".join(lines)


def run_settings(config: Config, drive: Drive) -> dict[str, Any]:
    """The run of one drive, as a configuration file would state it."""
    total = int(config.scale * drive.total_timesteps)
    return ppo_settings(
        config,
        drive.id,
        total_timesteps=total,
        env_kwargs=drive.env_kwargs,
        agent={"start_every": config.rollout_length},
        hyper={"discount": drive.discount, "lam": drive.lam, "decay_steps": float(total)},
        run={"eval_tasks": "default", "eval_episodes": 4, "eval_every": max(1, total // 8)},
    )


def _compare(config: Config, drive: Drive, run_dir: Path) -> list[dict[str, Any]]:
    from .evaluation import draw_test_tasks
    from .motor_tracking import track_controller, track_policy
    from .policy import load_policy

    train_run(run_settings(config, drive), run_dir, config.overwrite)
    policy = load_policy(run_dir, "final")
    agent = policy.agent
    tasks = draw_test_tasks(agent.env, config.episodes, "default")
    found = {"ppo": track_policy(agent, with_seed_axis(policy), tasks, config.test_steps)}
    for kind in CLASSICAL:
        found[kind] = track_controller(agent.env, kind, tasks, config.test_steps)
    return [result_row(name_of(drive.id), name, tracked, found["pi"]) for name, tracked in found.items()]


def with_seed_axis(policy: Any) -> Any:
    import jax

    return policy.state if policy.setup.run.num_seeds > 1 else jax.tree.map(lambda x: x[None], policy.state)


def result_row(drive: str, controller: str, tracked: Any, pi: Any) -> dict[str, Any]:
    """The mean over all episodes, with an interval over learners (a classical controller: over episodes).

    The difference to the PI controller is paired: both met the same references, which differ in how hard they are.

    Args:
      tracked, pi: `Tracked` in the same K episodes.
    """
    from .statistics import estimate, mean

    learned = tracked.error.shape[0] > 1
    scores = tracked.error.mean(1) if learned else tracked.error[0]
    found = estimate(scores, statistic=mean)
    beside = estimate(tracked.error.mean(0) - pi.error.mean(0), statistic=mean)
    return {
        "drive": drive,
        "controller": controller,
        "error": found.value,
        "low": found.low,
        "high": found.high,
        "scores": scores.tolist(),
        "over": "seeds" if learned else "episodes",
        "difference": beside.value,
        "difference_low": beside.low,
        "difference_high": beside.high,
        "terminations": float(tracked.terminations.mean()),
    }
