"""A walker's policy in Gymnasium's walker and in ours."""

import math
import sys

import numpy as np
import pytest
from palaestra.envs.errors import MissingExtraError
from palaestra.experiments.bench import transfer
from palaestra.experiments.errors import UsageError

SMALL = (
    "--set=num_envs=2",
    "--set=rollout_length=4",
    "--set=num_minibatches=1",
    "--set=epochs=1",
    "--no-progress",
    "--quiet",
)


def still(obs):
    """A policy that never moves a motor."""
    return np.zeros(4, np.float32)


def test_rows_tell_both_walkers_with_intervals():
    ours = np.array([[310.0, 290.0, 310.0, 290.0], [900.0, 1600.0, 900.0, 1600.0]])
    theirs = np.array([[-100.0, -100.0, -100.0, -100.0], [50.0, 50.0, 50.0, 50.0]])
    rows = transfer.compare("seed 3", transfer.PEER, ours, theirs)
    returns, lengths, solved = rows
    assert all(set(row) >= {"case", "peer", "ours", "theirs", "unit", "ratio"} for row in rows)
    assert (returns["ours"], returns["theirs"], returns["ratio"]) == (300, -100, None)
    assert returns["ours_low"] < 300 < returns["ours_high"] and returns["theirs_low"] == returns["theirs_high"] == -100
    assert (lengths["ours"], lengths["theirs"], lengths["ratio"]) == (1250, 50, 25)
    assert (solved["ours"], solved["theirs"]) == (50, 0)


def test_gymnasiums_walker_plays_the_episodes_asked_for_or_what_time_admits():
    pytest.importorskip("Box2D")
    played = transfer.play_gymnasium(still, 3)
    assert played.shape == (2, 3)
    np.testing.assert_array_equal(played, transfer.play_gymnasium(still, 3))
    assert transfer.play_gymnasium(still, 50, seconds=0.0).shape == (2, transfer.LEAST)


def test_without_box2d_the_benchmark_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(MissingExtraError, match=r'pip install "palaestra\[box2d\]"'):
        transfer.play_gymnasium(still, 3)


def test_a_run_must_be_named(monkeypatch, palaestra):
    monkeypatch.delenv(transfer.RUN_VARIABLE, raising=False)
    code, _, err = palaestra("bench", "transfer")
    assert code == 2 and transfer.RUN_VARIABLE in err


def test_one_episode_is_refused(tmp_path):
    with pytest.raises(UsageError, match="episodes; got 1"):
        transfer.transfer(tmp_path, 1)


def test_a_policy_for_other_observations_is_refused(tmp_path, palaestra):
    run = tmp_path / "run"
    code, _, err = palaestra("train", "--env", "palaestra/CartPole-v0", *SMALL, "-n", 8, "--run-dir", run)
    assert code == 0, err
    with pytest.raises(UsageError, match=r"observation_space; got \(4,\); expected \(24,\)"):
        transfer.transfer(run, 2)


@pytest.mark.slow
def test_a_trained_run_gives_rows_for_every_learner(tmp_path, monkeypatch, palaestra, palaestra_json):
    pytest.importorskip("Box2D")
    run = tmp_path / "run"
    code, _, err = palaestra("train", "--env", "palaestra/BipedalWalker-v0", *SMALL, "-n", 8, "--run-dir", run)
    assert code == 0, err
    monkeypatch.setenv(transfer.RUN_VARIABLE, str(run))
    code, answer = palaestra_json("bench", "transfer", "--budget", "2")
    rows = answer["result"]["rows"]
    assert code == 0 and len(rows) == 3
    assert {row["peer"] for row in rows} == {transfer.PEER}
    assert all(math.isfinite(row["ours"]) and math.isfinite(row["theirs"]) for row in rows)
