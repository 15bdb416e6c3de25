"""How often a teacher is right: against counts done by hand and against errors put in on purpose."""

import json
import math

import numpy as np
import pytest
from palaestra.curricula.llm import Calibration, Share, calibrate
from palaestra.envs.errors import OptionError


def plans(**changed):
    """Two levels of up to three subgoals: the second level has two, and the teacher misses one and invents one."""
    return {
        "true_position": np.array([[[1, 1], [2, 2], [3, 3]], [[4, 4], [5, 5], [99, 99]]]),
        "answered_position": np.array([[[1, 1], [2, 5], [1, 4]], [[4, 4], [-7, -7], [6, 6]]]),
        "true_label": np.array([[0, 1, 2], [0, 1, 77]]),
        "answered_label": np.array([[0, 1, 0], [2, 55, 1]]),
        "exists": np.array([[True, True, True], [True, True, False]]),
        "answered": np.array([[True, True, True], [True, False, True]]),
        "num_labels": 3,
        **changed,
    }


def test_counts_by_hand():
    found = calibrate(**plans())
    assert found.levels == 2
    assert found.position == Share(2, 5)  # (1, 1) and (4, 4); the missing one counts as wrong
    assert found.label == Share(2, 5)
    assert found.position_by_order == (Share(2, 2), Share(0, 2), Share(0, 1))
    assert found.label_by_order == (Share(1, 2), Share(1, 2), Share(0, 1))
    assert found.distance_mean == pytest.approx((0 + 3 + 3 + 0) / 4)
    assert found.distance_std == pytest.approx(1.5)
    assert (found.distance_count, found.missing, found.surplus) == (4, 1, 1)
    assert found.confusion == ((1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 0))


def test_a_share_has_its_binomial_error():
    assert Share(3, 4).probability == 0.75
    assert Share(3, 4).stderr == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert (Share(0, 0).probability, Share(0, 0).stderr) == (None, None)
    with pytest.raises(OptionError, match="3 of 2"):
        Share(3, 2)


def test_errors_put_in_on_purpose_are_found():
    random = np.random.default_rng(0)
    true = random.integers(0, 10, (2000, 4, 2))
    wrong = random.random((2000, 4)) < np.array([0.1, 0.2, 0.3, 0.4])
    answered = true + np.stack([wrong * 2, wrong * -1], axis=-1)
    label = random.integers(0, 5, (2000, 4))
    all_ = np.ones((2000, 4), bool)
    found = calibrate(true, answered, label, (label + wrong) % 5, exists=all_, answered=all_, num_labels=5)
    for share, chance in zip(found.position_by_order, (0.9, 0.8, 0.7, 0.6), strict=True):
        assert abs(share.probability - chance) < 4 * share.stderr
    assert found.label == found.position == Share(int((~wrong).sum()), 8000)
    assert found.distance_mean == pytest.approx(3 * wrong.mean())
    assert found.distance_std == pytest.approx(3 * wrong.std())
    confusion = np.array(found.confusion)
    assert confusion.sum() == 8000
    assert np.trace(confusion[:, :5]) == found.label.successes
    assert confusion[1, 2] == (wrong & (label == 1)).sum()  # rows are the truth


def test_a_teacher_that_answers_nothing_has_no_distance():
    found = calibrate(**plans(answered=np.zeros((2, 3), bool)))
    assert (found.distance_mean, found.distance_std, found.distance_count, found.missing) == (None, None, 0, 5)
    assert found.position == Share(0, 5)
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_it_survives_json():
    found = calibrate(**plans())
    held = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Calibration.from_dict(held) == found
    assert held["position"] == {"successes": 2, "count": 5, "probability": 0.4, "stderr": pytest.approx(0.2190890)}
    for broken in ({}, {**held, "more": 1}, {**held, "position": {"successes": 2}}, {**held, "confusion": 3}):
        with pytest.raises(OptionError, match="calibration"):
            Calibration.from_dict(broken)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exists", np.ones((2, 3))),
        ("exists", np.zeros((2, 3), bool)),
        ("answered", np.ones((3, 2), bool)),
        ("true_position", np.zeros((2, 3), int)),
        ("answered_position", np.zeros((2, 3, 2))),
        ("true_label", np.zeros((2, 2), int)),
        ("true_label", np.full((2, 3), 3)),
        ("answered_label", np.full((2, 3), -1)),
    ],
)
def test_arrays_that_do_not_fit_are_named(name, value):
    with pytest.raises(OptionError, match=f"plans to compare: {name}") as caught:
        calibrate(**plans(**{name: value}))
    assert caught.value.key == name
