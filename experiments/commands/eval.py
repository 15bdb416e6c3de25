"""`palaestra eval RUN`: one episode on each of a set of test tasks, by likeliest or drawn actions as the run has it."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from .. import config
from ..backend import prepare_jax
from ..evaluation import summarize_scores
from ..flags import whole_number
from ..output import Answer, table
from ..policy import Policy, load_policy


def run(flags: argparse.Namespace) -> Answer:
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    episodes, seed = whole_number(flags.episodes, "--episodes"), whole_number(flags.seed, "--seed", least=0)
    policy = load_policy(Path(flags.run), flags.checkpoint)
    settings = policy.setup.run
    tasks = _tasks(policy, flags, episodes or settings.eval_episodes)
    scores = policy.program.evaluate(policy.state, tasks, settings.seed if seed is None else seed)
    rows = summarize_scores(scores)
    learners = [settings.seed + i for i in range(settings.num_seeds)]
    result = {
        "step": policy.step,
        "checkpoint": str(policy.path),
        "seeds": [{"seed": s} | row for s, row in zip(learners, rows, strict=True)],
        "tasks": np.asarray(tasks).tolist() if isinstance(tasks, (np.ndarray, type(scores.return_))) else None,
        "returns": np.asarray(scores.return_).tolist(),
        "lengths": np.asarray(scores.length).tolist(),
        "successes": np.asarray(scores.success).tolist(),
    }
    columns = list(rows[0])
    lines = [[s, *(row[c] for c in columns)] for s, row in zip(learners, rows, strict=True)]
    text = f"{policy.path}\n" + table(lines, ["seed", *(c.removeprefix("eval/") for c in columns)])
    return Answer(result, text, Path(flags.run), warnings=policy.warnings)


def _tasks(policy: Policy, flags: argparse.Namespace, count: int) -> Any:
    """The tasks `--tasks` or `--task` ask for."""
    if not flags.task:
        return policy.program.draw_test_tasks(count, flags.tasks or policy.setup.run.eval_tasks)
    task = named_task(policy.agent.env, flags.task)
    return np.tile(task, (count, 1))


def named_task(env: Any, assignments: list[str]) -> np.ndarray:
    """The task (D,) of `--task name=value` flags."""
    values = dict(config.parse_assignment(text, "--task") for text in assignments)
    return env.task_space.from_dict(values)
