"""Run folders in the runner's own formats, of learners that were never trained.

A frontier moves through the task space at a given speed: tasks behind it are mastered, the others are not.
"""

import numpy as np
from palaestra.envs.contract import TaskEnv
from palaestra.envs.tasks import Parameter, TaskSpace
from palaestra.experiments.config_files import dump_yaml
from palaestra.experiments.files import write_atomic, write_json
from palaestra.experiments.metrics import JsonLines
from palaestra.experiments.records import write_columns
from palaestra.experiments.settings import RunConfig, RunSettings

TRACKS = "test/Tracks-v0"  # known through `use_tracks` only
CHUNK = 4096  # steps
NUM_TEST_TASKS = 36


class Tracks:
    """As much of an environment as a report asks for."""

    success_return = 230.0

    def __init__(self, parameters=2):
        names = [("stump_height", "m", 0, 3), ("stump_spacing", "m", 0, 6), ("slope", "rad", -1, 1)]
        fixed = Parameter("gravity", 9.8, 9.8, 9.8, "m/s^2")
        free = [Parameter(n, low, high, low, unit) for n, unit, low, high in names[:parameters]]
        self.task_space = TaskSpace(
            (fixed, *free, *(Parameter("drag", 0.01, 1.0, 0.1, "1", "log"),) * (parameters > 3))
        )

    success = TaskEnv.success


def use_tracks(monkeypatch, parameters=2):
    """Lets reports find `TRACKS` in the registry."""
    monkeypatch.setattr("palaestra.envs.registration.make_functional", lambda id, **kwargs: Tracks(parameters))


def make_run(
    folder,
    teacher="random",
    seeds=(0, 1, 2),
    chunks=40,
    speed=1.0,
    parameters=2,
    status="finished",
    scores=True,
    **config,
):
    """Writes a run; `speed` is how fast its learners master tasks, `config` goes into its configuration."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([len(teacher), *seeds])
    _write_heads(folder, teacher, seeds, chunks, status, config)
    space = Tracks(parameters).task_space
    test = space.low + (space.high - space.low) * _hypercube(space.dim)
    speeds = speed * rng.uniform(0.7, 1.3, len(seeds))
    metrics, evals = JsonLines(folder / "metrics.jsonl"), JsonLines(folder / "evals.jsonl")
    for chunk in range(1, chunks + 1):
        step, reach = chunk * CHUNK, 0.15 + 1.1 * np.minimum(1, speeds * chunk / chunks)
        columns = _episodes(rng, space, teacher, reach, seeds, step)
        write_columns(folder / "episodes", step, columns)
        write_columns(folder / "curriculum", step, _with_time(step, _snapshot(rng, space, teacher, reach, chunk)))
        for seed, r in zip(seeds, reach, strict=True):
            own = columns["return"][columns["seed"] == seed]
            row = {"rollout/ep_rew_mean": float(own.mean()), "time/fps": 9e3, "train/loss": float("nan")}
            row |= {"teacher/episodes": chunk * 16, "teacher/dropped": 0}
            if teacher == "alp_gmm":
                row |= {"teacher/fits": chunk // 4, "teacher/mean_progress": float(r * rng.random())}
            metrics.append(_index(chunk, seed, len(seeds)) | row)
        if chunk % max(1, chunks // 10) == 0:
            returns = np.stack([_return(rng, space, test, r) for r in reach])
            success = (returns > Tracks.success_return).astype(np.float32)
            if scores:
                found = {"task": test, "return": returns, "success": success}
                write_columns(folder / "evals", step, _with_time(step, found))
            for seed, one, won in zip(seeds, returns, success, strict=True):
                row = {"eval/mean_reward": float(one.mean()), "eval/success_rate": float(won.mean())}
                evals.append(_index(chunk, seed, len(seeds)) | row)
    metrics.close()
    evals.close()
    return folder


def _write_heads(folder, teacher, seeds, chunks, status, config):
    settings = {
        "total_timesteps": chunks * CHUNK,
        "num_seeds": len(seeds),
        "seed": seeds[0],
        "eval_episodes": NUM_TEST_TASKS,
    }
    settings = RunSettings(**settings).resolved()
    parts = {"env": TRACKS, "agent": "ppo", "teacher": teacher, "env_kwargs": {}, "agent_config": {}}
    plain = RunConfig(**{**parts, "teacher_config": {}, "run": settings} | config).to_plain()
    write_atomic(folder / "config.yaml", dump_yaml(plain))
    info = {
        "schema": 1,
        "status": status,
        "start": "2025-01-01T00:00:00+00:00",
        "device": {"platform": "cpu", "kind": "cpu", "count": 1},
        "command": ["/usr/bin/palaestra", "train", "--teacher", teacher],
        "versions": {"python": "3.11", "palaestra": "0.1.0", "jax": "0.10.2"},
    }
    write_json(folder / "run.json", info)


def _index(chunk, seed, num_seeds):
    step = chunk * CHUNK
    return {"step": step, "env_steps": step * num_seeds, "iteration": chunk, "seed": seed, "wall_s": 2.5 * chunk}


def _with_time(step, arrays):
    """Rows of one point in time."""
    return {"step": np.array([step], np.int64)} | {name: array[None] for name, array in arrays.items()}


def _hypercube(dim):
    draw = np.random.default_rng(5)
    cells = np.stack([draw.permutation(NUM_TEST_TASKS) for _ in range(dim)], -1)
    return ((cells + draw.random((NUM_TEST_TASKS, dim))) / NUM_TEST_TASKS).astype(np.float32)


def _difficulty(space, task):
    """0 for the easiest task, 1 for the hardest: high and close stumps."""
    unit = np.clip((task - space.low) / np.maximum(space.high - space.low, 1e-6), 0, 1)
    return 0.75 * unit[:, 1] + 0.35 * (1 - unit[:, 2 % space.dim])


def _return(rng, space, task, reach):
    margin = reach - _difficulty(space, task)
    return (-100 + 400 / (1 + np.exp(-12 * margin)) + rng.normal(0, 12, len(task))).astype(np.float32)


def _episodes(rng, space, teacher, reach, seeds, step):
    parts = []
    for seed, r in zip(seeds, reach, strict=True):
        unit = rng.random((16, space.dim)).astype(np.float32)
        if teacher != "random":
            unit[:13, 1] = np.clip(r + rng.normal(0, 0.13, 13), 0, 1)
        task = (space.low + (space.high - space.low) * unit).astype(np.float32)
        return_ = _return(rng, space, task, r)
        parts.append((task, return_, (return_ > 230).astype(np.float32), np.full(16, seed, np.int32)))
    task, return_, success, seed = (np.concatenate(column) for column in zip(*parts, strict=True))
    step, length = np.full(len(seed), step, np.int64), np.full(len(seed), 400, np.int32)
    return {"task": task, "return": return_, "length": length, "success": success, "seed": seed, "step": step}


def _snapshot(rng, space, teacher, reach, chunk):
    seeds = len(reach)
    if teacher == "random":
        return {"random_share": np.ones(seeds, np.float32)}
    n, d, width = 4, space.dim, space.high - space.low
    fit = np.random.default_rng(chunk // 4)
    unit = np.tile(fit.random((n, d)), (seeds, 1, 1))
    unit[:, :, 1] = np.clip(reach[:, None] + fit.normal(0, 0.15, n), 0, 1)
    root = np.eye(d) * fit.uniform(0.05, 0.12, (n, 1, 1)) + fit.normal(0, 0.03, (n, d, d))
    covariance = np.tile((root @ root.transpose(0, 2, 1)) * np.outer(width, width), (seeds, 1, 1, 1))
    progress = np.tile(fit.random(n) * 0.4, (seeds, 1))
    if chunk % 4:  # between refits nothing moves
        unit[:, :, 1] = unit[:, :, 1].round(1)
    share = np.full(seeds, 1.0 if chunk < 4 else 0.2)
    arrays = {
        "mean": space.low + width * unit,
        "covariance": covariance,
        "progress": progress,
        "weight": np.full((seeds, n), 1 / n),
        "probability": progress / progress.sum(1, keepdims=True),
        "mask": np.tile(np.arange(n) < 3, (seeds, 1)),
        "random_share": share,
    }
    return {name: np.asarray(a, bool if name == "mask" else np.float32) for name, a in arrays.items()}
