"""What runs amount to: one summary per group of seeds, and each pair of groups compared, in numbers and in words.

The final score is that of the last evaluation, not of the best one: the best of many is a different, luckier quantity.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from .run_data import Learner, Study
from .statistics import (
    Estimate,
    area_under_curve,
    conditional_value_at_risk,
    estimate,
    estimate_difference,
    mean,
    permutation_test,
    probability_of_improvement,
    time_to_threshold,
)

RETURN_KEY, MASTERED_KEY = "eval/mean_reward", "eval/success_rate"
BASELINES = ("random", "no teacher", "fixed")  # what the others are compared with, the first that is there
MAX_ALL_PAIRS = 4  # groups; with more, only pairs with the baseline are shown
FEW_SEEDS = 5  # fewer make a bootstrap interval narrower than it says
WORST_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Summary:
    """One group of learners with equal settings. Times and counts are sums over its runs, scores are over seeds.

    Attributes:
      steps: environment steps of one seed, fewest and most.
      wall_s: None where not recorded; includes compilation and evaluation.
      mean_return, iqm_return: of the final evaluation.
      mastered: share of test tasks [%]; None where success has no meaning.
      mastered_area: mean height of the curve of mastered tasks [%].
      steps_to: median over seeds of the steps until 25 % and 50 % were mastered; infinite where half never got there.
      worst_return: mean return on the worst tenth of the test tasks, mean over seeds; NaN where not recorded.
    """

    env: str
    label: str
    seeds: tuple[int, ...]
    steps: tuple[int, int]
    env_steps: int
    wall_s: float | None
    mean_return: Estimate
    iqm_return: Estimate
    mastered: Estimate | None
    mastered_area: float
    steps_to: tuple[float, float]
    worst_return: float

    @property
    def steps_per_second(self) -> float | None:
        return self.env_steps / self.wall_s if self.wall_s else None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two groups in one quantity.

    Attributes:
      difference: of interquartile means, `label` minus `baseline`.
      probability: that a seed of `label` beats one of `baseline`.
      p_value: of a permutation test on the means; NaN with fewer than two seeds.
      verdict: what may be said, in words.
    """

    env: str
    quantity: str
    unit: str
    label: str
    baseline: str
    seeds: tuple[int, int]
    difference: Estimate
    probability: float
    p_value: float
    verdict: str


def summarize_study(study: Study) -> list[Summary]:
    """One summary per environment and group."""
    return [
        summarize_group(env, label, learners)
        for env, groups in study.groups.items()
        for label, learners in groups.items()
        if learners
    ]


def summarize_group(env: str, label: str, learners: Sequence[Learner]) -> Summary:
    """Summary of at least one learner."""
    has_success = any(learner.run.has_success for learner in learners)
    returns, mastered = finals(learners, RETURN_KEY), 100 * finals(learners, MASTERED_KEY)
    curves = [learner.eval_curve(MASTERED_KEY) for learner in learners] if has_success else []
    curves = [curve for curve in curves if curve[0].size]
    times = [[time_to_threshold(*curve, threshold) for curve in curves] or [math.nan] for threshold in (0.25, 0.5)]
    steps = [int(learner.last_row.get("step", 0)) for learner in learners]
    env_steps, wall_s = _cost(learners)
    worst = [conditional_value_at_risk(l.evaluations.return_[-1], WORST_SHARE) for l in learners if l.evaluations]
    return Summary(
        env=env,
        label=label,
        seeds=tuple(learner.seed for learner in learners),
        steps=(min(steps), max(steps)),
        env_steps=env_steps,
        wall_s=wall_s,
        mean_return=estimate(returns, mean),
        iqm_return=estimate(returns),
        mastered=estimate(mastered) if has_success and mastered.size else None,
        mastered_area=100 * float(np.mean([area_under_curve(*curve) for curve in curves])) if curves else math.nan,
        steps_to=(float(np.median(times[0])), float(np.median(times[1]))),
        worst_return=float(np.mean(worst)) if worst else math.nan,
    )


def compare_study(study: Study) -> list[Comparison]:
    """Pairs of groups on the same environment: mastered tasks where that has a meaning, and return."""
    found = []
    for env, groups in study.groups.items():
        for label, baseline in pairs(groups):
            ours, theirs = groups[label], groups[baseline]
            if len({learner.run.test_set for learner in (*ours, *theirs)}) > 1:
                continue  # scores on different test tasks have no common scale
            if any(learner.run.has_success for learner in (*ours, *theirs)):
                found.append(_compare(env, "mastered", "%", 100.0, MASTERED_KEY, label, baseline, ours, theirs))
            found.append(_compare(env, "return", "", 1.0, RETURN_KEY, label, baseline, ours, theirs))
    return [comparison for comparison in found if math.isfinite(comparison.difference.value)]


def pairs(groups: Mapping[str, Sequence[Learner]]) -> list[tuple[str, str]]:
    """(label, baseline): what is compared, the baseline on the right."""
    ranked = sorted(groups, key=lambda label: next((i for i, b in enumerate(BASELINES) if is_variant(label, b)), 99))
    baseline = ranked[0]
    others = [label for label in groups if label != baseline]
    found = [(label, baseline) for label in others]
    if len(groups) <= MAX_ALL_PAIRS:
        found += [(later, earlier) for earlier, later in itertools.combinations(others, 2)]
    return found


def is_variant(label: str, name: str) -> bool:
    """Whether a group's label is `name`, perhaps with settings behind it."""
    return label == name or label.startswith((f"{name},", f"{name} (")) or label.endswith(f"+ {name}")


def finals(learners: Sequence[Learner], key: str) -> np.ndarray:
    """The last evaluation of each learner that has a finite one."""
    values = np.array([learner.final(key) for learner in learners], np.float64)
    return values[np.isfinite(values)]


def verdict(difference: Estimate, seeds: tuple[int, int]) -> str:
    """What a difference allows one to say."""
    if not difference.has_interval:
        return "one seed: no statement about the difference"
    if difference.low <= 0 <= difference.high:
        return "no clear difference: the interval contains zero"
    side = "higher" if difference.value > 0 else "lower"
    if min(seeds) < FEW_SEEDS:
        return f"{side} in these runs; with so few seeds only an indication"
    return f"{side}: the interval lies clear of zero"


def _compare(
    env: str,
    quantity: str,
    unit: str,
    scale: float,
    key: str,
    label: str,
    baseline: str,
    ours: Sequence[Learner],
    theirs: Sequence[Learner],
) -> Comparison:
    a, b = scale * finals(ours, key), scale * finals(theirs, key)
    difference, seeds = estimate_difference(a, b), (len(a), len(b))
    probability = probability_of_improvement(a, b) if min(seeds) else math.nan
    return Comparison(
        env=env,
        quantity=quantity,
        unit=unit,
        label=label,
        baseline=baseline,
        seeds=seeds,
        difference=difference,
        probability=probability,
        p_value=permutation_test(a, b),
        verdict=verdict(difference, seeds),
    )


def _cost(learners: Sequence[Learner]) -> tuple[int, float | None]:
    """(environment steps of all seeds, seconds) over the runs of a group; a run's seeds trained side by side."""
    by_run = {learner.run.path: learner.last_row for learner in learners}
    env_steps = sum(int(row.get("env_steps", 0)) for row in by_run.values())
    seconds = [row.get("wall_s") for row in by_run.values()]
    known = [s for s in seconds if isinstance(s, (int, float))]
    return env_steps, float(sum(known)) if len(known) == len(seconds) and known else None
