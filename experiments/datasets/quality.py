"""What the behaviour behind a data set was like, measured while its episodes pass by."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from .episodes import Episode, update_digest
from .trees import leaves, space_leaves

BINS = 20  # per dimension of the observation
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Meter:
    """Sees every episode once; `report` says what they came to, `digest` what they hold.

    The report:
      returns, lengths: mean, sd, min, max and quantiles over episodes; returns are undiscounted.
      terminated: share of episodes that the task ended.
      success: share of episodes that ended with `success` or `is_success` in their infos; None where none tells.
      steps_to_success: mean, sd, ... over the episodes that had it, of the step at which they first did.
      state_coverage: share of bins visited, 20 per dimension of the observation, mean over dimensions. The bins of a
        bounded dimension divide its range, those of an unbounded one divide x / (1 + |x|) in (-1, 1): absolute, so
        that data sets of one environment compare.
    """

    def __init__(self, observation_space: Space):
        self._bins = {
            path: _Coverage(space)
            for path, space in space_leaves(observation_space, "observations")
            if isinstance(space, spaces.Box)
        }
        self._digest = hashlib.sha256()
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._terminated = 0
        self._successes: list[bool] = []
        self._steps_to_success: list[int] = []

    def watch(self, episodes: Iterable[Episode]) -> Iterator[Episode]:
        """The same episodes, seen."""
        for episode in episodes:
            self.see(episode)
            yield episode

    def see(self, episode: Episode) -> None:
        """Counts an episode."""
        update_digest(self._digest, episode)
        self._returns.append(episode.return_)
        self._lengths.append(len(episode))
        self._terminated += bool(episode.terminated)
        if episode.success is not None:
            self._successes.append(episode.success)
        if episode.steps_to_success is not None:
            self._steps_to_success.append(episode.steps_to_success)
        for path, leaf in leaves(episode.observations, "observations"):
            if path in self._bins:
                self._bins[path].see(leaf)

    @property
    def episodes(self) -> int:
        return len(self._returns)

    @property
    def steps(self) -> int:
        return sum(self._lengths)

    @property
    def digest(self) -> str:
        """SHA-256 of all contents, in order."""
        return self._digest.hexdigest()

    def report(self) -> dict[str, Any]:
        """Plain numbers, for metadata."""
        shares = np.concatenate([bins.shares for bins in self._bins.values()]) if self._bins else np.zeros(0)
        return {
            "returns": _spread(self._returns),
            "lengths": _spread(self._lengths),
            "terminated": self._terminated / max(self.episodes, 1),
            "success": float(np.mean(self._successes)) if self._successes else None,
            "steps_to_success": _spread(self._steps_to_success) or None,
            "state_coverage": float(shares.mean()) if len(shares) else None,
        }


class _Coverage:
    """Which bins of a Box were visited."""

    def __init__(self, space: spaces.Box):
        bounded = np.isfinite(space.low) & np.isfinite(space.high) & (space.high > space.low)
        low = np.where(bounded, space.low, 0).astype(np.float64).ravel()
        self._low, self._bounded = low, bounded.ravel()
        self._width = np.where(bounded, space.high.astype(np.float64) - space.low, 1).ravel()
        self._offsets = BINS * np.arange(len(low))
        self._visited = np.zeros(BINS * len(low), bool)

    def see(self, rows: np.ndarray) -> None:
        flat = np.asarray(rows, np.float64).reshape(len(rows), -1)
        share = (flat - self._low) / self._width if self._bounded.any() else flat
        if not self._bounded.all():
            share = np.where(self._bounded, share, 0.5 + 0.5 * flat / (1 + np.abs(flat)))
        bins = np.clip((BINS * share).astype(np.int64), 0, BINS - 1)
        self._visited[(bins + self._offsets).ravel()] = True

    @property
    def shares(self) -> np.ndarray:
        return self._visited.reshape(-1, BINS).mean(1)


def _spread(values: list[float] | list[int]) -> dict[str, float]:
    array = np.asarray(values, np.float64)
    if not len(array):
        return {}
    quantiles = {
        f"q{round(100 * q):02d}": float(x) for q, x in zip(QUANTILES, np.quantile(array, QUANTILES), strict=True)
    }
    summary = {"mean": array.mean(), "sd": array.std(), "min": array.min(), "max": array.max()}
    return {name: float(value) for name, value in summary.items()} | quantiles
