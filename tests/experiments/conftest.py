"""Fixtures of the experiments floor: a small agent, a short environment, and the command line in this process."""

import json
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
os.environ["PALAESTRA_CACHE"] = str(HERE.parents[1] / ".cache")  # the same compiled programs as all other tests
sys.path.insert(0, str(HERE))  # for fake_agent.py, which is also a program of its own

from fake_agent import Config, FakeAgent, register  # noqa: E402
from palaestra.envs.registration import make_functional  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def fake_in_catalog():
    register()


@pytest.fixture
def env():
    return make_functional("palaestra/CartPole-v0", horizon=30)


@pytest.fixture
def make_agent(env):
    """An agent with the given settings."""

    def make(**settings):
        return FakeAgent(env, config=Config(**settings))

    return make


@pytest.fixture
def palaestra(capsys):
    """Runs a command line in this process: (exit code, stdout, stderr)."""
    from palaestra.experiments.cli import main

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def palaestra_json(palaestra):
    """The same with `--json`: (exit code, the object)."""

    def run(*words):
        code, out, _ = palaestra(*words, "--json")
        assert out.count("\n") == 1, "--json prints one object and nothing else"
        return code, json.loads(out)

    return run


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """Minari's folder, empty."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"
