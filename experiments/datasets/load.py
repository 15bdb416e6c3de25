"""Any Minari data set as the arrays that learners take.

Letters: E episodes, N transitions, O flat observation, A action.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from gymnasium import Space
from gymnasium.envs.registration import EnvSpec

from ...agents.off_policy.transitions import Transitions, returns_to_go
from ...agents.spaces import learner_view
from ..errors import UsageError, problem
from .columns import Actions, Columns
from .episodes import Episode
from .quality import Meter
from .reading import Stored, open_dataset, reference_scores, unfit
from .trees import flat_size


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A data set in memory.

    Attributes:
      transitions: NumPy float32 (`ended` bool), episodes one after another.
      observation_space, action_space: the environment's.
      view: the part of the observation space that `transitions.obs` shows, in its order.
      env_spec: the environment, None if the data set does not say or Gymnasium cannot read it.
      refs: (ref_min_score, ref_max_score), None if missing: then scores are raw returns.
      id, path: of the data set.
      episodes: E.
      returns: (E,) undiscounted raw returns.
      quality: what `quality.Meter` reports of it.
      digest: SHA-256 of the stored arrays, whatever was asked of rewards.
      metadata: all there is.
      warnings: sentences.
    """

    transitions: Transitions
    observation_space: Space
    action_space: Space
    view: Space
    env_spec: EnvSpec | None
    refs: tuple[float, float] | None
    id: str
    path: Path
    episodes: int
    returns: np.ndarray
    quality: Mapping[str, Any]
    digest: str
    metadata: Mapping[str, Any]
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.transitions.reward)


def load(
    dataset: str | Path,
    *,
    download: bool = False,
    reward_scale: float = 1.0,
    reward_bias: float = 0.0,
    discount: float | None = None,
    failure_reward: float | None = None,
    d4rl_compat: bool = False,
    discrete: Literal["refuse", "one_hot"] = "refuse",
) -> Loaded:
    """Reads a data set whole.

    Args:
      dataset: id in Minari's folder, or path of a data set's folder.
      download: fetch an id that is not there; otherwise nothing is ever fetched.
      reward_scale, reward_bias: learners get scale * reward + bias.
      discount: of `return_to_go`, which is left out if None.
      failure_reward: of `returns_to_go`, after scale and bias.
      d4rl_compat: drop the last transition of episodes that the clock ended, as D4RL's files do.
      discrete: what becomes of discrete actions; "one_hot" makes them rows with a single 1.

    Raises:
      InputFileError: whatever is wrong with the files, naming file and field; actions that learners cannot take.
      UsageError: an option that makes no sense.
    """
    _check_options(reward_scale, reward_bias, discount, discrete)
    stored = open_dataset(dataset, download)
    view = learner_view(stored.observation_space)
    size = _observation_size(stored, view)
    actions = Actions.of(stored, discrete)
    columns = Columns.allocate(stored.num_steps, size, actions.size)
    meter = Meter(stored.observation_space)
    returns = []
    for episode in _counted(stored):
        meter.see(episode)
        returns.append(episode.return_)
        columns.add(episode, view, actions, drop_last=d4rl_compat and episode.truncated)
    transitions = columns.transitions(reward_scale, reward_bias)
    if not len(transitions.reward):
        raise UsageError(
            f"nothing left: {stored.id}; every episode is one step cut off by the clock", key="d4rl_compat"
        )
    if discount is not None:
        transitions = transitions.replace(return_to_go=_to_go(transitions, discount, failure_reward))
    refs = reference_scores(stored.metadata)
    return Loaded(
        transitions=transitions,
        observation_space=stored.observation_space,
        action_space=stored.action_space,
        view=view,
        env_spec=stored.env_spec,
        refs=refs,
        id=stored.id,
        path=stored.path,
        episodes=stored.num_episodes,
        returns=np.array(returns),
        quality=meter.report(),
        digest=meter.digest,
        metadata=stored.metadata,
        warnings=(*stored.warnings, *_warnings(stored, meter.digest, refs, columns.outside)),
    )


def _counted(stored: Stored) -> Iterator[Episode]:
    """Episodes, if they have as many steps as the metadata say."""
    steps = 0
    for episode in stored.episodes():
        steps += len(episode)
        if steps > stored.num_steps:
            break
        yield episode
    if steps != stored.num_steps:
        got = "more" if steps > stored.num_steps else steps
        expected = f"the {stored.num_steps} steps of metadata.json"
        raise unfit(stored, "other number of steps", got, expected, "Make the data set again.", "total_steps")


def _observation_size(stored: Stored, view: Space) -> int:
    try:
        return flat_size(view)
    except (NotImplementedError, ValueError) as error:
        expected = "Box, MultiBinary, Discrete, or Dicts and Tuples of those"
        where = "observation_space"
        raise unfit(stored, "observations without a flat form", view, expected, "", where) from error


def _to_go(transitions: Transitions, discount: float, failure_reward: float | None) -> np.ndarray:
    function = jax.jit(returns_to_go, static_argnames="failure_reward")
    found = function(
        transitions.reward,
        transitions.mask,
        transitions.ended,
        np.float32(discount),
        failure_reward=failure_reward,
    )
    return np.asarray(found)


def _warnings(stored: Stored, digest: str, refs: Any, outside: int) -> Iterator[str]:
    if refs is None:
        yield "no usable ref_min_score and ref_max_score: scores of this data set are raw returns"
    if outside:
        yield f"{outside} actions outside of the action space were clipped to it"
    recorded = stored.ours.get("sha256")
    if recorded is not None and recorded != digest:
        yield "the arrays are not those that were written: another SHA-256 than in metadata.json"


def _check_options(scale: float, bias: float, discount: float | None, discrete: str) -> None:
    if not (math.isfinite(scale) and math.isfinite(bias)):
        raise UsageError(problem("bad value", "reward_scale, reward_bias", (scale, bias), "finite"), key="reward_scale")
    if discount is not None and not 0 <= discount < 1:
        raise UsageError(problem("bad value", "discount", discount, "a number in [0, 1)"), key="discount")
    if discrete not in ("refuse", "one_hot"):
        raise UsageError(problem("bad value", "discrete", discrete, "'refuse' or 'one_hot'"), key="discrete")
