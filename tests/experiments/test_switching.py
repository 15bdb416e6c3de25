"""Scores from data to acting, and what may be said of their order."""

import numpy as np
import pytest
from palaestra.experiments.data_values import FILE, value_drop
from palaestra.experiments.switching import WSRL_ORDERINGS, Curves, Ordering, can_dip, judge

STEPS = np.arange(0, 1001, 50)  # an early tenth of three evaluations, the switch among them


def curves(start, early, late):
    """One seed per entry: `start` at the switch, `early` within the first tenth, `late` ever after."""
    rows = [[s, *[e] * 2, *[l] * (len(STEPS) - 3)] for s, e, l in zip(start, early, late, strict=True)]
    return Curves(STEPS, np.array(rows, float))


def test_quantities_of_a_curve():
    found = curves([60.0, 50.0], [20.0, 70.0], [90.0, 100.0])
    np.testing.assert_array_equal(found.offline, [60.0, 50.0])
    np.testing.assert_array_equal(found.dip, [40.0, 0.0])  # none where the score never falls
    np.testing.assert_array_equal(found.final, [90.0, 100.0])
    np.testing.assert_allclose(found.regret, [1 - (2 * 20 + 18 * 90) / 2000, 1 - (2 * 70 + 18 * 100) / 2000])


def test_nothing_can_dip_before_it_learns():
    assert can_dip(warmup=1_000, online_steps=20_000)
    assert not can_dip(warmup=5_000, online_steps=30_000)  # the first tenth is 3,000


def test_a_late_fall_is_no_dip():
    scores = np.full((1, len(STEPS)), 80.0)
    scores[0, 4] = 0.0
    assert Curves(STEPS, scores).dip == 0.0


@pytest.mark.parametrize(("shift", "word"), [(30.0, "reproduced"), (-30.0, "contradicted"), (0.5, "not decided")])
def test_a_verdict_is_as_wide_as_its_interval(shift, word):
    start = np.array([50.0, 55.0, 45.0, 60.0, 40.0])
    late = start + 20.0
    measured = {"a": curves(start, start, late + shift), "b": curves(start, start, late)}
    (verdict,) = judge(measured, orderings=[Ordering("X", "a ends higher", "final", "a", "b")])
    assert verdict.word == word
    assert verdict.difference.value == pytest.approx(shift)
    assert verdict.seeds == 5


def test_a_margin_is_allowed_for_and_one_seed_decides_nothing():
    start = np.full(5, 50.0)
    measured = {"a": curves(start, start, start - 3.0), "b": curves(start, start, start)}
    near = Ordering("X", "a ends hardly lower", "final", "a", "b", -5.0)
    assert judge(measured, orderings=[near])[0].word == "reproduced"
    alone = {name: Curves(c.steps, c.scores[:1]) for name, c in measured.items()}
    assert judge(alone, orderings=[near])[0].word == "no interval"


def test_what_is_equal_is_not_more():
    same = curves(np.full(5, 50.0), np.full(5, 50.0), np.full(5, 80.0))
    pair = ("final", "a", "b")
    more, as_much = Ordering("X", "a ends higher", *pair), Ordering("Y", "a ends as high", *pair, may_equal=True)
    words = [verdict.word for verdict in judge({"a": same, "b": same}, orderings=[more, as_much])]
    assert words == ["not decided", "reproduced"]


def test_only_what_was_measured_is_judged():
    one = curves([50.0, 51.0], [40.0, 41.0], [60.0, 61.0])
    names = [v.ordering.name for v in judge({"wsrl": one, "rlpd": one}, {"wsrl": np.ones(2)}, WSRL_ORDERINGS)]
    assert names == ["W3"]
    drops = {"wsrl": np.zeros(2), "no warm-up": np.ones(2)}
    assert [v.ordering.name for v in judge({}, drops)] == ["W7"]


def test_values_drop_below_what_they_were_first(tmp_path):
    rows = [
        '{"step": 1, "values": [5.0, 1.0]}',
        '{"step": 2, "values": [3.0, 2.0]}',
        '{"step": 3, "values": [4.0, 3.0]}',
    ]
    (tmp_path / FILE).write_text("\n".join(rows) + "\n")
    np.testing.assert_array_equal(value_drop(tmp_path), [2.0, 0.0])
