"""Does a teacher help a walker on stump tracks? ALP-GMM against uniformly drawn tasks, for the same student.

The question of Portelas et al. 2019 on their benchmark: tasks are mean stump height and stump spacing, a task counts
as mastered when the deterministic policy's return exceeds 230, and what is compared is the share of a fixed test set
that is mastered. Published for the original (SAC student, 20 M steps, second hand): ALP-GMM 39.6 % against 18.2 % for
Random. This study keeps environment, task space, test measure and teachers, and replaces the student by our PPO and
the solver by the fast one, so its numbers are its own.

`stump_tracks_quick` fits into minutes on two CPU cores and shows the mechanism, not the published effect;
`stump_tracks` is the full size for an accelerator.
"""

import dataclasses
from pathlib import Path
from typing import Any

from .study_runs import ppo_settings, train_run

ENV = "palaestra/StumpTracks-v0"
FILM_TASKS = ((0.2, 4.0), (0.8, 3.0), (1.5, 5.0))  # (stump height, spacing): easy, middling, hard


@dataclasses.dataclass(frozen=True)
class Config:
    """The full study, for an accelerator.

    Attributes:
      teachers: names of the teachers compared, in the order in which they are trained.
      total_timesteps: of each learner.
      num_seeds: learners per teacher, trained side by side.
      eval_episodes: size of the test set.
      out: folder of the runs and the report.
      overwrite: delete what an earlier call left in `out`.
    """

    teachers: tuple[str, ...] = ("alp_gmm", "random")
    total_timesteps: int = 20_000_000
    num_seeds: int = 16
    seed: int = 0
    solver: str = "fast"
    num_envs: int = 1024
    rollout_length: int = 128
    num_minibatches: int = 32
    epochs: int = 4
    learning_rate: float = 5e-4
    discount: float = 0.99
    entropy_cost: float = 0.0
    eval_episodes: int = 100
    num_evals: int = 10
    out: str = "runs/stump_tracks"
    overwrite: bool = False


@dataclasses.dataclass(frozen=True)
class QuickConfig(Config):
    """The study in under five minutes on two CPU cores."""

    total_timesteps: int = 1_500_000
    num_seeds: int = 2
    num_envs: int = 256
    rollout_length: int = 32
    num_minibatches: int = 16
    epochs: int = 5
    num_evals: int = 2
    out: str = "runs/stump_tracks_quick"
    overwrite: bool = True


def main(config: Config) -> dict[str, Any]:
    """Trains every learner under every teacher, films the first teacher's best, writes the report."""
    from .report import write_report

    out = Path(config.out)
    runs = {
        teacher: train_run(run_settings(config, teacher), out / teacher, config.overwrite)
        for teacher in config.teachers
    }
    films = _films(config, runs[config.teachers[0]], out)
    report = write_report(runs.values(), out / "report.html", title="Stump tracks: does a teacher help?", movies=films)
    text = f"report: {report}"
    return {"report": str(report), "runs": [str(path) for path in runs.values()], "text": text}


def run_settings(config: Config, teacher: str) -> dict[str, Any]:
    """The run of one teacher, as a configuration file would state it."""
    return ppo_settings(
        config,
        ENV,
        total_timesteps=config.total_timesteps,
        env_kwargs={"solver": config.solver},
        teacher=teacher,
        teacher_config={"reward_scale": [-150.0, 350.0]} if teacher == "alp_gmm" else {},
        hyper={"discount": config.discount, "entropy_cost": config.entropy_cost},
        run={
            "log_every": max(1, config.total_timesteps // 40),
            "eval_every": max(1, config.total_timesteps // config.num_evals),
            "eval_episodes": config.eval_episodes,
            "eval_tasks": "space",
        },
    )


def _films(config: Config, run_dir: Path, out: Path) -> list[tuple[str, Path]]:
    """The walker on three tracks, and the curriculum as it went."""
    import jax.numpy as jnp

    from .curriculum_plots import curriculum_movie
    from .film import film, half_size
    from .movie import write_movie
    from .policy import load_policy

    policy = load_policy(run_dir, "final")
    frames, returns = film(policy.agent, policy.learner(), jnp.array(FILM_TASKS), config.seed, max_steps=600, every=4)
    walker = write_movie(out / "walker.gif", half_size(frames), fps=12.5)
    shown = "; ".join(
        f"height {h:g}, spacing {s:g} m: return {r:.0f}" for (h, s), r in zip(FILM_TASKS, returns, strict=True)
    )
    films = [(f"The trained walker (teacher {run_dir.name}) on three tracks. {shown}.", walker)]
    movie = curriculum_movie(run_dir, out / "curriculum.gif")
    if movie is not None:
        films.append((f"What {run_dir.name} proposed, over time.", movie))
    return films
