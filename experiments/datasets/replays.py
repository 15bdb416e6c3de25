"""What an off-policy learner has seen, as episodes.

Letters: B lanes of the learner, N rows of its replay, oldest first.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from gymnasium import spaces

from ...agents.off_policy.transitions import Transitions
from ..errors import UsageError, problem
from .episodes import Episode


def check_replayable(env_id: str, observation_space: Any) -> None:
    """Whether observations can be told from what a learner keeps of them.

    Raises:
      UsageError: they cannot.
    """
    if not isinstance(observation_space, spaces.Box):
        raise UsageError(
            problem("observations that a replay does not keep whole", env_id, observation_space, "a single Box"),
            hint="Choose another quality.",
            key="--quality",
        )


def replay_episodes(agent: Any, state: Any) -> Iterator[Episode]:
    """Every episode of a replay, in the order of their ends; those still going on come last, as cut off.

    Nobody knows how these began, so that they have no seeds. An episode whose beginning has been forgotten is left
    out.

    Args:
      agent: an off-policy one that learns while it acts.
      state: of it, with a replay.
    """
    rows, first = _oldest_first(state.replay, int(state.steps))
    lanes = agent.config.num_envs
    parts: list[list[np.ndarray]] = []
    for lane in range(lanes):
        at = np.arange((lane - first) % lanes, len(rows.reward), lanes)
        whole = np.split(at, np.flatnonzero(rows.ended[at]) + 1)
        parts.append(whole[1:] if first > 0 else whole)
    cuts = sorted((cut for whole in parts for cut in whole if len(cut)), key=lambda cut: int(cut[-1]))
    cuts.sort(key=lambda cut: not rows.ended[cut[-1]])
    for cut in cuts:
        yield _episode(agent, jax.tree.map(lambda x, cut=cut: x[cut], rows))


def _oldest_first(replay: Any, steps: int) -> tuple[Transitions, int]:
    """(rows (N, ...), how many came before the first of them)."""
    size, begin = int(replay.size), (int(replay.next) - int(replay.size)) % replay.capacity
    at = (begin + np.arange(size)) % replay.capacity
    rows: Transitions = jax.tree.map(lambda x: np.asarray(x)[at], replay.rows)
    return rows, steps - size


def _episode(agent: Any, rows: Transitions) -> Episode:
    space, rewards = agent.env.observation_space, agent.config.rewards
    observations = np.concatenate([rows.obs, rows.next_obs[-1:]]).reshape(-1, *space.shape)
    reward = rows.reward
    if (rewards.scale, rewards.bias) != (1.0, 0.0):
        reward = ((reward - rewards.bias) / rewards.scale).astype(np.float32)
    terminated = bool(rows.mask[-1] == 0)
    return Episode(
        observations=observations.astype(space.dtype),
        actions=np.asarray(agent.interface.head.to_env(rows.action)),
        rewards=reward,
        terminated=terminated,
        truncated=not terminated,
    )
