"""Scores name their scale."""

import pytest
from palaestra.experiments.datasets.scores import D4RL, score
from palaestra.experiments.errors import UsageError


def test_scores_of_the_literature():
    found = score(3234.3, "Hopper-v5", scale="d4rl")
    assert found.value == pytest.approx(100) and found.scale == "d4rl" and str(found) == "100 (d4rl)"
    assert score(-280.178953, "HalfCheetah-v4", scale="d4rl").value == pytest.approx(0)
    assert score([0, 1, 1, 0], "AntMaze_UMaze-v5", scale="d4rl").value == 50
    assert score(1, "palaestra/PointMaze_Medium-v0", scale="d4rl").refs == D4RL["pointmaze_medium*"]
    assert score(1, "Ant-v5", scale="d4rl").refs == (-325.6, 3879.7)


def test_scores_of_ours():
    assert score(100, "palaestra/BipedalWalker-v0").value == 50
    assert score(100, "palaestra/BipedalWalkerHardcore-v0").scale == "palaestra"
    assert score(4.0, "palaestra/BipedalWalker-v0", refs=(0.0, 8.0)).value == 50


def test_what_has_no_reference_stays_raw_and_says_so():
    for env_id, scale in (("Hopper-v5", "palaestra"), ("Acrobot-v1", "d4rl"), (None, "d4rl")):
        found = score([3.0, 5.0], env_id, scale=scale)
        assert (found.value, found.scale, found.refs) == (4.0, "raw", None)


def test_bad_scales_are_refused():
    with pytest.raises(UsageError, match="unknown scale"):
        score(1, scale="mine")
    with pytest.raises(UsageError, match="bad references"):
        score(1, refs=(2.0, 2.0))
