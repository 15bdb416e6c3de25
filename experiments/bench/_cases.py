"""What the comparisons of PPO with its peer are about, and what either side comes to.

Letters: S seeds, T evaluations, K episodes of an evaluation.
"""

import dataclasses

import numpy as np

from ...agents.ppo import State
from ..statistics import time_to_threshold

EPISODES = 20  # of one evaluation
FINAL_ROUNDS = 5  # evaluations after training: 100 episodes
EVALUATION_SEED = 10_000  # of the first learner's evaluations, apart from those of training


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem with the hyper-parameters both sides use.

    Attributes:
      name: of the environment.
      ours, theirs: ids.
      threshold: mean return at which an evaluation counts as solved.
      num_envs, rollout_length: their product is the steps of one iteration.
      batch_size: samples of a gradient step.
      anneal: learning rate and clip fall linearly to 0.
      iterations: length of training.
      evaluate_every: iterations between evaluations; the last one is at the end in any case.
      normalize: observations by their running statistics, rewards by the spread of discounted returns.
    """

    name: str
    ours: str
    theirs: str
    threshold: float
    num_envs: int
    rollout_length: int
    batch_size: int
    epochs: int
    discount: float
    lam: float
    learning_rate: float
    clip: float
    anneal: bool
    iterations: int
    evaluate_every: int
    normalize: bool = False

    @property
    def total_steps(self) -> int:
        return self.iterations * self.num_envs * self.rollout_length

    def is_evaluated(self, steps: int) -> bool:
        """Whether an evaluation is due after so many environment steps, before the end of training."""
        return 0 < steps < self.total_steps and not steps % (self.evaluate_every * self.num_envs * self.rollout_length)


@dataclasses.dataclass(frozen=True)
class Learned:
    """What S learners of one implementation came to.

    Attributes:
      steps: (T,) environment steps of a learner before each evaluation.
      returns: (S, T, K).
      final_returns: (S, K') of more episodes after training.
      seconds: (S,) of training for each learner; learners that train side by side share the time evenly.
      compile_seconds: before training.
      states: of all learners of ours after training, seeds first; None for the peer.
    """

    steps: np.ndarray
    returns: np.ndarray
    final_returns: np.ndarray
    seconds: np.ndarray
    compile_seconds: float = 0.0
    states: State | None = None

    @property
    def final(self) -> np.ndarray:
        """(S,) mean return after training."""
        return self.final_returns.mean(-1)

    def steps_to(self, threshold: float) -> np.ndarray:
        """(S,) steps at the first evaluation whose mean return is at least `threshold`; infinite where none is."""
        return np.array([time_to_threshold(self.steps, curve, threshold) for curve in self.returns.mean(-1)])
