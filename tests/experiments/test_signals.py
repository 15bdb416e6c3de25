"""Signals and kills of a real process, and that nothing of the run is lost."""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from fake_agent import Config, FakeAgent
from palaestra.envs.registration import make_functional
from palaestra.experiments.checkpoint import load, to_arrays
from palaestra.experiments.errors import RunFolderError
from palaestra.experiments.metrics import read_rows
from palaestra.experiments.program import Program
from palaestra.experiments.run_folder import open_run

PROGRAM = str(pathlib.Path(__file__).with_name("fake_agent.py"))
STEPS = 16 * 250
ARGUMENTS = ("--env", "CartPole-v0", "--env-kwargs", "horizon=30", "--agent", "fake", "-n", str(STEPS))
INTERVALS = ("--log-every", "16", "--eval-every", "640", "--save-every", "640", "--eval-episodes", "2", "--quiet")


def start(*words):
    command = [sys.executable, PROGRAM, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def begin_run(run, rows):
    """Starts a run and waits until it has written so many rows."""
    process = start("train", *ARGUMENTS, *INTERVALS, "--run-dir", run)
    wait_for_rows(process, run, rows)
    return process


def wait_for_rows(process, run, rows):
    deadline = time.monotonic() + 120
    while len(read_rows(run / "metrics.jsonl")) < rows:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def final_bits(run):
    agent = FakeAgent(make_functional("palaestra/CartPole-v0", horizon=30), config=Config())
    loaded = load(run / "checkpoints" / "final", Program(agent, 1, 1).template())
    return {name: array.tobytes() for name, array in to_arrays(loaded.state)[0].items()}


def timeless(run, name):
    drop = ("wall_s", "time/fps")
    return [{k: v for k, v in row.items() if k not in drop} for row in read_rows(run / f"{name}.jsonl")]


def assert_same_run(run, reference):
    assert final_bits(run) == final_bits(reference)
    for name in ("metrics", "evals"):
        assert timeless(run, name) == timeless(reference, name)
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    run = tmp_path_factory.mktemp("reference") / "run"
    code, _, err = finish(start("train", *ARGUMENTS, *INTERVALS, "--run-dir", run))
    assert code == 0, err
    return run


def check_interrupted(run, process, number, code):
    process.send_signal(number)
    begin = time.monotonic()
    assert finish(process)[0] == code
    assert time.monotonic() - begin < 30
    status = json.loads((run / "run.json").read_text())
    assert status["status"] == "interrupted"
    assert read_rows(run / "metrics.jsonl")[-1]["step"] == status["last_good_step"] < STEPS


def test_a_terminated_run_resumes_to_the_same_bits_and_a_running_one_is_busy(tmp_path, reference):
    """R2, R6."""
    run = tmp_path / "run"
    process = begin_run(run, rows=7)
    with pytest.raises(RunFolderError, match="busy"), open_run(run, resume="must"):
        pass
    check_interrupted(run, process, signal.SIGTERM, 143)
    resumed, _, err = finish(start("resume", run, "--quiet"))
    assert resumed == 0, err
    assert_same_run(run, reference)


def test_an_interrupt_from_the_keyboard_saves_the_run(tmp_path):
    """R2."""
    run = tmp_path / "run"
    check_interrupted(run, begin_run(run, rows=37), signal.SIGINT, 130)


def kill_and_resume(run, reference, rows, kills=1):
    process = begin_run(run, rows)
    for number in range(kills):
        process.kill()
        process.communicate()
        process = start("resume", run, "--quiet")
        if number + 1 < kills:
            wait_for_rows(process, run, rows * (number + 2))
    code, _, err = finish(process)
    assert code == 0, err
    assert_same_run(run, reference)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path, reference):
    """R1."""
    kill_and_resume(tmp_path / "run", reference, rows=123)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_a_run_killed_at_random_resumes_to_the_same_bits(tmp_path, reference, number):
    """R1, more of it; some are killed twice."""
    kill_and_resume(tmp_path / "run", reference, random.Random(number).randrange(1, 80), kills=1 + number % 2)


def test_a_second_signal_ends_the_process_at_once(tmp_path):
    run = tmp_path / "run"
    # One chunk that takes very long: the first signal waits for its end, the second does not.
    slow = ("--set", "work=400", "--set", "width=64", "-n", 16 * 1024 * 400, "--log-every", 16 * 1024)
    process = start("train", *ARGUMENTS, *slow, "--eval-every", "0", "--quiet", "--run-dir", run)
    deadline = time.monotonic() + 120
    while not (run / "tb").exists() or not list((run / "tb").iterdir()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    assert finish(process)[0] == 143
    assert time.monotonic() - begin < 5
