"""What studies share: the run of PPO that a study's configuration asks for, and how it is trained."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..envs.errors import PalaestraError


class InterruptedRun(PalaestraError):
    """A study whose run was told to stop; it goes on where it was when it is started again."""

    def __init__(self, code: int, run_dir: Path):
        super().__init__(f"interrupted: {run_dir}", hint="The same command goes on from there.", file=run_dir)
        self.code = code


def ppo_settings(
    config: Any,
    env: str,
    *,
    total_timesteps: int,
    env_kwargs: Mapping[str, Any] | None = None,
    teacher: str = "fixed",
    teacher_config: Mapping[str, Any] | None = None,
    agent: Mapping[str, Any] | None = None,
    hyper: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A run as a configuration file would state it.

    Args:
      config: the study's; num_envs, rollout_length, num_minibatches, epochs, learning_rate, num_seeds and seed are
        taken from it.
      agent, hyper, run: what else the agent's configuration, its numbers and the run's settings are to say.
    """
    return {
        "env": env,
        "env_kwargs": dict(env_kwargs or {}),
        "agent": "ppo",
        "agent_config": {
            **{name: getattr(config, name) for name in ("num_envs", "rollout_length", "num_minibatches", "epochs")},
            **(agent or {}),
            "hyper": {"learning_rate": config.learning_rate, **(hyper or {})},
        },
        "teacher": teacher,
        "teacher_config": dict(teacher_config or {}),
        "run": {
            "total_timesteps": total_timesteps,
            "num_seeds": config.num_seeds,
            "seed": config.seed,
            "save_every": total_timesteps,
            "keep": 1,
            **(run or {}),
        },
    }


def train_run(settings: Mapping[str, Any], run_dir: Path, overwrite: bool, callbacks: Iterable[Any] = ()) -> Path:
    """Trains what `settings` state, with progress on the screen; returns `run_dir`.

    Without `overwrite` a run of the same settings that is there goes on where it stopped.

    Args:
      callbacks: of `runner.train`.

    Raises:
      InterruptedRun: by a signal or a time limit; what comes after would have nothing to look at.
    """
    from . import assemble, to_learn
    from .progress import choose_progress
    from .runner import train

    setup = assemble.complete(settings)
    result = train(
        to_learn.build(setup),
        setup.run,
        run_dir,
        resume="never" if overwrite else "auto",
        overwrite=overwrite,
        config=setup.to_plain(),
        progress=choose_progress(False, None, True),
        callbacks=callbacks,
    )
    if result.status == "interrupted":
        raise InterruptedRun(result.exit_code, run_dir)
    return run_dir
