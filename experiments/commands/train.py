"""`palaestra train`: one run, from flags to a finished folder."""

import argparse
from pathlib import Path
from typing import Any

from .. import assemble, to_learn
from ..backend import prepare_jax
from ..config_files import dump_yaml
from ..errors import UsageError, usage_errors
from ..flags import whole_number
from ..output import Answer
from ..progress import choose_progress
from ..run_config import config_digest
from ..run_folder import check_name, new_path, read_run, runs_root
from ..settings import RunConfig


def run(flags: argparse.Namespace) -> Answer:
    check_name(flags.name)
    if flags.overwrite and flags.run_dir is None:
        raise UsageError("--overwrite needs --run-dir: a new folder has nothing to overwrite", key="--overwrite")
    if flags.overwrite and flags.resume == "must":
        raise UsageError("--overwrite and --resume must contradict each other", hint="Choose one.", key="--overwrite")
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    setup, given = assemble.from_flags(flags)
    run_dir = _run_dir(flags, setup)
    if setup.start_from is not None and not (run_dir / "checkpoints").exists():
        read_run(Path(setup.start_from))  # its absence is better known now than when training begins
    if flags.dry_run:
        with usage_errors():
            to_learn.build(setup)
        return Answer(setup.to_plain() | {"dry_run": True}, dump_yaml(setup.to_plain()).rstrip(), run_dir)
    return train_setup(flags, setup, run_dir, given)


def train_setup(flags: argparse.Namespace, setup: RunConfig, run_dir: Path, given: str | None) -> Answer:
    """Trains and reports; shared with `resume`."""
    from ..runner import train

    with usage_errors():
        agent = to_learn.build(setup)
    result = train(
        agent,
        setup.run,
        run_dir,
        resume=flags.resume,
        overwrite=flags.overwrite,
        config=setup.to_plain(),
        config_input=given,
        progress=choose_progress(flags.quiet or flags.json, flags.progress, not flags.no_color),
    )
    summary: dict[str, Any] = {"status": result.status, "steps": result.steps, "metrics": result.metrics}
    summary["config_sha256"] = config_digest(setup.to_plain())
    lines = [f"{result.status} at step {result.steps}: {run_dir}"]
    shown = ("rollout/ep_rew_mean", "eval/mean_reward", "eval/success_rate")
    for row in result.metrics:
        lines.append("  ".join([f"seed {row.get('seed', '-')}", *(f"{k} {row[k]:.4g}" for k in shown if k in row)]))
    return Answer(summary, "\n".join(lines), run_dir, result.exit_code, result.warnings)


def _run_dir(flags: argparse.Namespace, setup: RunConfig) -> Path:
    if flags.run_dir is not None:
        return Path(flags.run_dir)
    return new_path(runs_root(), setup.env, setup.agent, setup.teacher, flags.name, setup.run.seed)
