"""What happens when a learner goes from data to acting: scores at the switch, after it and in the end, and orderings.

Letters: S seeds, P evaluations, the first of them at the switch itself.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from .statistics import Estimate, estimate_difference, mean

EARLY = 0.1  # share of the online steps in which a dip is looked for
LAST = 3  # evaluations that the final score is the mean of


@dataclasses.dataclass(frozen=True)
class Curves:
    """Normalised scores of the seeds of one variant.

    Attributes:
      steps: (P,) environment steps since the switch, the first 0.
      scores: (S, P) of 100.
    """

    steps: np.ndarray
    scores: np.ndarray

    @property
    def offline(self) -> np.ndarray:
        """(S,) score at the switch."""
        first: np.ndarray = self.scores[:, 0]
        return first

    @property
    def dip(self) -> np.ndarray:
        """(S,) how far the score falls below that at the switch within the first tenth of the steps."""
        early = self.steps <= EARLY * self.steps[-1]
        return self.offline - self.scores[:, early].min(1)

    @property
    def regret(self) -> np.ndarray:
        """(S,) 1 - mean of the score's share of 100 over the evaluations after the switch."""
        return 1.0 - self.scores[:, 1:].mean(1) / 100.0

    @property
    def final(self) -> np.ndarray:
        """(S,) mean of the last evaluations."""
        return np.asarray(self.scores[:, -LAST:].mean(1))


@dataclasses.dataclass(frozen=True)
class Ordering:
    """A claim: in this quantity, `more` exceeds `less` by more than `margin`, or is at least so much.

    Attributes:
      name: such as W1.
      claim: in words.
      may_equal: whether exactly the margin is enough.
    """

    name: str
    claim: str
    quantity: Literal["dip", "regret", "final", "drop"]
    more: str
    less: str
    margin: float = 0.0
    may_equal: bool = False


WSRL_ORDERINGS = (
    Ordering("W1", "without warm-up the score dips deeper", "dip", "no warm-up", "wsrl"),
    Ordering("W2", "without the data it ends at most 5 lower", "final", "wsrl", "retain half", -5.0, may_equal=True),
    Ordering("W3", "RLPD regrets at least as much", "regret", "rlpd", "wsrl", may_equal=True),
    Ordering("W4a", "ends at least as high as IQL", "final", "wsrl", "iql", may_equal=True),
    Ordering("W4b", "ends at least as high as Cal-QL without its data", "final", "wsrl", "calql", may_equal=True),
    Ordering("W5", "two plain critics and one update a step end lower", "final", "wsrl", "plain"),
    Ordering("W6", "without pre-training there is more to regret", "regret", "scratch", "wsrl"),
    Ordering("W7", "without warm-up values of offline data drop further", "drop", "no warm-up", "wsrl"),
    Ordering("leak", "coasting optimisers end at most 5 higher", "final", "wsrl", "coasting", -5.0, may_equal=True),
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """An ordering as measured: `difference` is of means over seeds, `more` minus `less`."""

    ordering: Ordering
    difference: Estimate
    seeds: int

    @property
    def word(self) -> str:
        """Whether the interval lies on the claimed side of the margin, on the other, or on both."""
        if not self.difference.has_interval:
            return "no interval"
        low, margin = self.difference.low, self.ordering.margin
        if low > margin or (low == margin and self.ordering.may_equal):
            return "reproduced"
        return "contradicted" if self.difference.high < self.ordering.margin else "not decided"


def can_dip(warmup: int, online_steps: int) -> bool:
    """Whether learning begins before the steps are over in which a dip is looked for."""
    return warmup < EARLY * online_steps


def judge(
    curves: Mapping[str, Curves],
    drops: Mapping[str, np.ndarray] | None = None,
    orderings: Sequence[Ordering] = WSRL_ORDERINGS,
) -> list[Verdict]:
    """The orderings both of whose variants were measured.

    Args:
      drops: (S,) how far the mean value of offline data fell, by variant.
    """
    found = []
    for ordering in orderings:
        pair = [_quantity(ordering.quantity, name, curves, drops or {}) for name in (ordering.more, ordering.less)]
        more, less = pair
        if more is not None and less is not None:
            difference = estimate_difference(more, less, statistic=mean)
            found.append(Verdict(ordering, difference, min(len(more), len(less))))
    return found


def _quantity(
    quantity: str, name: str, curves: Mapping[str, Curves], drops: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    if quantity == "drop":
        return drops.get(name)
    values: np.ndarray | None = getattr(curves[name], quantity) if name in curves else None
    return values
