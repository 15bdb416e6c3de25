"""PPO under ALP-GMM as a real process: the same seed gives the same run, and no kill changes it."""

import random
import subprocess
import sys
import time

import pytest
from palaestra.experiments import assemble
from palaestra.experiments.checkpoint import load, to_arrays
from palaestra.experiments.metrics import read_rows
from palaestra.experiments.program import Program

STEPS = 64 * 16 * 150
RUN = (
    *("--env", "Pendulum-v0", "--agent", "ppo", "--teacher", "alp_gmm", "-n", STEPS, "--num-envs", 64),
    *("--set", "rollout_length=16", "--set", "num_minibatches=4", "--set", "teacher.fit_rate=40"),
    *("--log-every", 64 * 16, "--save-every", 64 * 16 * 10, "--eval-every", 64 * 16 * 50, "--eval-episodes", 2),
    *("--devices", 1, "--device", "cpu", "--quiet"),
)


def start(*words):
    command = [sys.executable, "-m", "palaestra.experiments.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


def rows(run):
    return read_rows(run / "metrics.jsonl") if (run / "metrics.jsonl").exists() else []


def final_bits(run):
    """Every array of the final checkpoint: parameters, optimiser, lanes, teacher, keys."""
    agent = assemble.build(assemble.read_setup(run))
    loaded = load(run / "checkpoints" / "final", Program(agent, 1, 1).template())
    return {name: array.tobytes() for name, array in to_arrays(loaded.state)[0].items()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    run = tmp_path_factory.mktemp("reference") / "run"
    finish(start("train", *RUN, "--run-dir", run))
    return run


def test_the_same_seed_gives_the_same_run_in_a_fresh_process(tmp_path, reference):
    finish(start("train", *RUN, "--run-dir", tmp_path / "run"))
    assert final_bits(tmp_path / "run") == final_bits(reference)
    timeless = [
        [{k: v for k, v in row.items() if k not in ("wall_s", "time/fps")} for row in rows(r)]
        for r in (tmp_path / "run", reference)
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_with_the_same_bits(tmp_path, reference):
    run, moments = tmp_path / "run", random.Random(0)
    process, killed = start("train", *RUN, "--run-dir", run), []
    for number in range(10):
        goal = 10 + 14 * number + moments.randrange(10)  # iterations, anywhere between two checkpoints
        while len(rows(run)) < goal:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        process.kill()
        process.communicate()
        killed.append(len(rows(run)))
        process = start("resume", run, "--quiet", "--device", "cpu", "--devices", 1)
    finish(process)
    assert len(killed) == 10 and killed[-1] < 150
    assert final_bits(run) == final_bits(reference)
