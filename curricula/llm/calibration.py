"""How well a teacher's plans agree with the truth: the numbers that a surrogate of the teacher is made from.

A plan is an ordered list of subgoals, each a position on a grid and a label. K levels, S subgoals at most, L labels.
Nothing here knows what the labels mean.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...envs.errors import OptionError, short


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of successes. `probability` and `stderr` are None where nothing was counted.

    Attributes:
      successes: how many.
      count: of how many.
    """

    successes: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.count:
            raise OptionError(
                f"share: successes; got {self.successes} of {self.count}; expected no more than the count"
            )

    @property
    def probability(self) -> float | None:
        """successes / count."""
        return self.successes / self.count if self.count else None

    @property
    def stderr(self) -> float | None:
        """Binomial standard error sqrt(p (1 - p) / n)."""
        p = self.probability
        return None if p is None else math.sqrt(p * (1.0 - p) / self.count)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Statistics of a teacher over K levels.

    Attributes:
      levels: K.
      position: subgoals at the true cell; a subgoal without an answer counts as wrong.
      label: subgoals with the true label; likewise.
      position_by_order: the same for the 1st, 2nd, ... subgoal; (S,).
      label_by_order: likewise.
      distance_mean: of the Manhattan distance of all answered subgoals, exact ones included [cells]; None if none.
      distance_std: standard deviation of the same (of the sample itself, not an estimate of a larger one) [cells].
      distance_count: answered subgoals.
      missing: subgoals without an answer.
      surplus: answers without a subgoal.
      confusion: (L, L + 1) counts, true label by answered label; the last column counts missing answers.
    """

    levels: int
    position: Share
    label: Share
    position_by_order: tuple[Share, ...]
    label_by_order: tuple[Share, ...]
    distance_mean: float | None
    distance_std: float | None
    distance_count: int
    missing: int
    surplus: int
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; shares carry their probability and standard error for the reader."""
        held = {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return held

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_dict`.

        Raises:
          OptionError: if a field is missing, unknown or of another kind.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(held, Mapping) or set(held) != set(names):
            raise OptionError(f"calibration: fields; got {short(sorted(held))}; expected {names}", key="calibration")
        try:
            read: dict[str, Any] = dict(held)
            read.update({name: _share(held[name]) for name in ("position", "label")})
            read.update({n: tuple(map(_share, held[n])) for n in ("position_by_order", "label_by_order")})
            read["confusion"] = tuple(tuple(int(count) for count in row) for row in held["confusion"])
            return cls(**read)
        except (TypeError, ValueError, KeyError) as error:
            raise OptionError(
                f"calibration: fields; {error}; expected what to_dict gives", key="calibration"
            ) from error


def calibrate(
    true_position: np.ndarray,
    answered_position: np.ndarray,
    true_label: np.ndarray,
    answered_label: np.ndarray,
    *,
    exists: np.ndarray,
    answered: np.ndarray,
    num_labels: int,
) -> Calibration:
    """Compares a teacher's plans with the truth, subgoal by subgoal.

    Args:
      true_position: (K, S, 2) whole numbers [cells].
      answered_position: (K, S, 2), likewise.
      true_label: (K, S) whole numbers in [0, num_labels).
      answered_label: (K, S), likewise.
      exists: (K, S) bool, where the level has a subgoal; other places of the true arrays are not read.
      answered: (K, S) bool, where the teacher gave one; likewise for the answered arrays.
      num_labels: L.

    Raises:
      OptionError: if shapes or kinds do not fit, a label is out of range, or no subgoal exists.
    """
    exists, answered = np.asarray(exists), np.asarray(answered)
    shape = exists.shape
    for name, mask in (("exists", exists), ("answered", answered)):
        _require(name, mask, mask.dtype == bool and mask.ndim == 2 and mask.shape == shape, f"bool {shape}")
    _require("exists", exists, bool(exists.any()), "at least one subgoal")
    positions = [np.asarray(true_position), np.asarray(answered_position)]
    for name, array in zip(("true_position", "answered_position"), positions, strict=True):
        fits = np.issubdtype(array.dtype, np.integer) and array.shape == (*shape, 2)
        _require(name, array, fits, f"whole numbers {(*shape, 2)}")
    labels = [np.asarray(true_label), np.asarray(answered_label)]
    for name, array, mask in zip(("true_label", "answered_label"), labels, (exists, answered), strict=True):
        _require(name, array, np.issubdtype(array.dtype, np.integer) and array.shape == shape, f"whole numbers {shape}")
        held = array[mask]
        _require(name, held, bool(np.all((held >= 0) & (held < num_labels))), f"labels from 0 to {num_labels - 1}")

    both = exists & answered
    distance = np.abs(positions[0].astype(np.int64) - positions[1].astype(np.int64)).sum(axis=-1)
    at_place = both & (distance == 0)
    named = both & (labels[0] == labels[1])
    confusion = np.zeros((num_labels, num_labels + 1), np.int64)
    given = np.where(answered, labels[1], num_labels)
    np.add.at(confusion, (labels[0][exists], given[exists]), 1)
    distances = distance[both]
    return Calibration(
        levels=shape[0],
        position=Share(int(at_place.sum()), int(exists.sum())),
        label=Share(int(named.sum()), int(exists.sum())),
        position_by_order=_by_order(at_place, exists),
        label_by_order=_by_order(named, exists),
        distance_mean=float(distances.mean()) if distances.size else None,
        distance_std=float(distances.std()) if distances.size else None,
        distance_count=int(distances.size),
        missing=int((exists & ~answered).sum()),
        surplus=int((answered & ~exists).sum()),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _by_order(success: np.ndarray, exists: np.ndarray) -> tuple[Share, ...]:
    counts = zip(success.sum(axis=0), exists.sum(axis=0), strict=True)
    return tuple(Share(int(successes), int(count)) for successes, count in counts)


def _require(name: str, array: np.ndarray, holds: bool, expected: str) -> None:
    if not holds:
        got = f"{array.dtype} {array.shape}, {short(array.tolist())}"
        raise OptionError(f"plans to compare: {name}; got {got}; expected {expected}", key=name)


def _plain(value: Any) -> Any:
    if isinstance(value, Share):
        held = {"successes": value.successes, "count": value.count}
        return {**held, "probability": value.probability, "stderr": value.stderr}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _share(held: Mapping[str, Any]) -> Share:
    return Share(int(held["successes"]), int(held["count"]))
