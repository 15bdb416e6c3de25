"""From episodes to the flat arrays of learners.

Letters: T steps of an episode, N transitions, O flat observation, A action.
"""

import dataclasses
import math
import tempfile
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from ...agents.off_policy.transitions import ACTION_LIMIT, Transitions
from ...agents.spaces import BoxHead
from .episodes import Episode
from .reading import Stored, unfit
from .trees import flatten_rows

MEMORY = 2 << 30  # bytes; arrays larger than this together live in files that vanish with them


@dataclasses.dataclass(frozen=True)
class Actions:
    """How stored actions become rows."""

    space: Space
    size: int

    @classmethod
    def of(cls, stored: Stored, discrete: str) -> "Actions":
        space = stored.action_space
        if isinstance(space, spaces.Discrete) and discrete == "one_hot":
            return cls(space, int(space.n))
        if not isinstance(space, spaces.Box):
            choices = isinstance(space, spaces.Discrete)
            hint = "Give discrete='one_hot', or choose a learner for choices." if choices else ""
            raise unfit(stored, "actions are no numbers", space, "a bounded Box for continuous learners", hint)
        if not space.is_bounded() or not (space.high > space.low).all():
            expected = "a Box with finite bounds, each low below high: actions are learned in units of it"
            raise unfit(stored, "actions without bounds", space, expected, "Rescale the environment's actions.")
        return cls(space, math.prod(space.shape))

    def rows(self, actions: Any) -> tuple[np.ndarray, int]:
        """((T, A), how many of them lay outside)."""
        if isinstance(self.space, spaces.Discrete):
            return flatten_rows(self.space, actions), 0
        assert isinstance(self.space, spaces.Box)
        low, high = (tuple(map(float, bound.ravel())) for bound in (self.space.low, self.space.high))
        unit = BoxHead(low, high, self.space.shape).from_env(actions.astype(np.float64))
        outside = int((np.abs(unit) > 1 + 1e-4).any(1).sum())
        return np.clip(unit, -ACTION_LIMIT, ACTION_LIMIT), outside


@dataclasses.dataclass
class Columns:
    """Arrays that are filled episode by episode."""

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_obs: np.ndarray
    mask: np.ndarray
    ended: np.ndarray
    filled: int = 0
    outside: int = 0

    @classmethod
    def allocate(cls, steps: int, size: int, actions: int) -> "Columns":
        on_disk = 4 * steps * (2 * size + actions + 3) > MEMORY
        obs, action, next_obs = (_array((steps, width), np.float32, on_disk) for width in (size, actions, size))
        reward, mask = (_array((steps,), np.float32, on_disk) for _ in range(2))
        return cls(obs, action, reward, next_obs, mask, _array((steps,), np.bool_, on_disk))

    def add(self, episode: Episode, view: Space, actions: Actions, drop_last: bool) -> None:
        steps = len(episode) - drop_last
        if not steps:
            return
        rows = slice(self.filled, self.filled + steps)
        flat = flatten_rows(view, episode.observations)
        units, outside = actions.rows(episode.actions)
        self.obs[rows], self.next_obs[rows] = flat[:steps], flat[1 : steps + 1]
        self.action[rows] = units[:steps]
        self.reward[rows] = episode.rewards[:steps]
        self.mask[rows], self.ended[rows] = 1.0, False
        self.mask[rows.stop - 1], self.ended[rows.stop - 1] = 1.0 - episode.terminated, True
        self.filled = rows.stop
        self.outside += outside

    def transitions(self, scale: float, bias: float) -> Transitions:
        count = self.filled
        reward = self.reward[:count]
        if (scale, bias) != (1.0, 0.0):
            reward = (np.float32(scale) * reward + np.float32(bias)).astype(np.float32)
        return Transitions(
            obs=self.obs[:count],
            action=self.action[:count],
            reward=reward,
            next_obs=self.next_obs[:count],
            mask=self.mask[:count],
            ended=self.ended[:count],
        )


def _array(shape: tuple[int, ...], dtype: Any, on_disk: bool) -> np.ndarray:
    if not on_disk:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="palaestra-") as file:  # the mapping keeps it alive, nothing else does
        return np.memmap(file, dtype, "w+", shape=shape)
