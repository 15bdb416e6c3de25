"""What the benchmarks of environments measure with."""

import os
import subprocess
import sys

import gymnasium
import pytest
from palaestra.experiments.bench import minigrid
from palaestra.experiments.bench._stepping import Scanned, gymnasium_rate, scanned_rate, vector_rate

GRID = "palaestra/MiniGrid-DoorKey-8x8-v0"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this platform")
def test_measurements_are_made_on_one_core():
    program = (
        "import os; from palaestra.experiments.bench._stepping import one_core; one_core(); "
        "import jax; jax.devices(); print(len(os.sched_getaffinity(0)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_every_way_to_step_has_a_speed():
    scanned = Scanned(GRID, 4, 10)
    assert scanned() == 40 and scanned.compile_seconds > 0
    assert scanned_rate("palaestra/Pendulum-v0", 4, 10, 0.02) > 0
    assert gymnasium_rate(gymnasium.make(GRID), 0.02) > 0
    assert vector_rate(GRID, 4, 0.02) > 0


def test_making_levels_has_a_speed():
    make = minigrid._Levels(GRID)
    assert make() == make.BATCH and make.compile_seconds > 0
    assert minigrid._resets("MiniGrid-DoorKey-8x8-v0")() == 10


def test_a_peer_that_is_not_there_is_left_out(monkeypatch):
    monkeypatch.delenv(minigrid.NAVIX, raising=False)
    monkeypatch.setattr(minigrid.importlib.util, "find_spec", lambda name: None)
    assert minigrid._navix(0.1) == {}


def test_a_peers_own_python_is_asked(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho noise\necho '{\"DoorKey-8x8, batch 1\": 5.0}'\n")
    python.chmod(0o755)
    monkeypatch.setenv(minigrid.NAVIX, str(python))
    assert minigrid._navix(0.1) == {"DoorKey-8x8, batch 1": 5.0}
