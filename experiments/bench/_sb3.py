"""Stable-Baselines3's PPO on Gymnasium's environments: the peer of `palaestra bench ppo`. Needs the extra `sb3`."""

import time
from typing import Any

import gymnasium
import numpy as np

from ...envs.errors import missing_extra
from ._cases import EPISODES, EVALUATION_SEED, FINAL_ROUNDS, Case, Learned

try:
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize
except ImportError as error:
    raise missing_extra("stable-baselines3", "sb3", "palaestra bench ppo") from error


class Examiner(BaseCallback):
    """Evaluates the deterministic policy every `case.evaluate_every` steps, between an update and the next rollout.

    Attributes:
      steps: environment steps before each evaluation.
      returns: of the episodes of each evaluation.
      seconds: spent on all of them.
    """

    def __init__(self, case: Case, seed: int, trained_on: VecEnv):
        super().__init__()
        self.case, self.env = case, make_environments(case, EPISODES, EVALUATION_SEED + EPISODES * seed)
        if isinstance(trained_on, VecNormalize):
            self.env = VecNormalize(self.env, training=False, norm_reward=False)
            self.env.obs_rms = trained_on.obs_rms
        self.steps: list[int] = []
        self.returns: list[list[float]] = []
        self.seconds = 0.0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.case.is_evaluated(self.num_timesteps):
            self.examine()

    def _on_training_end(self) -> None:
        self.examine()

    def examine(self) -> None:
        """One episode in each environment."""
        begin = time.perf_counter()
        self.returns.append(self.play(EPISODES))
        self.steps.append(self.num_timesteps)
        self.seconds += time.perf_counter() - begin

    def play(self, episodes: int) -> list[float]:
        """Returns of episodes of the deterministic policy."""
        returns, _ = evaluate_policy(self.model, self.env, episodes, deterministic=True, return_episode_rewards=True)
        return [float(value) for value in returns]  # type: ignore[union-attr, arg-type]


def make_environments(case: Case, count: int, seed: int) -> VecEnv:
    """`count` of Gymnasium's environments in this process; continuous actions are scaled to [-1, 1], as ours are."""
    env = gymnasium.make(case.theirs)
    is_box = isinstance(env.action_space, gymnasium.spaces.Box)
    env.close()
    scaled: dict[str, Any] = {
        "wrapper_class": gymnasium.wrappers.RescaleAction,
        "wrapper_kwargs": {"min_action": np.float32(-1), "max_action": np.float32(1)},
    }
    return make_vec_env(case.theirs, count, seed=seed, **(scaled if is_box else {}))


def train(case: Case, seed: int) -> Learned:
    """One learner on one thread; its seconds leave evaluation out."""
    torch.set_num_threads(1)
    env = make_environments(case, case.num_envs, case.num_envs * seed)
    if case.normalize:
        env = VecNormalize(env, gamma=case.discount)
    model = PPO(
        "MlpPolicy",
        env,
        learning_rate=falling(case.learning_rate) if case.anneal else case.learning_rate,
        n_steps=case.rollout_length,
        batch_size=case.batch_size,
        n_epochs=case.epochs,
        gamma=case.discount,
        gae_lambda=case.lam,
        clip_range=falling(case.clip) if case.anneal else case.clip,
        seed=seed,
        device="cpu",
    )
    examiner = Examiner(case, seed, env)
    begin = time.perf_counter()
    model.learn(case.total_steps, callback=examiner)
    seconds = time.perf_counter() - begin - examiner.seconds
    final = examiner.play(EPISODES * FINAL_ROUNDS)
    env.close()
    examiner.env.close()
    return Learned(
        np.array(examiner.steps), np.array(examiner.returns)[None], np.array(final)[None], np.array([seconds])
    )


def falling(value: float) -> Any:
    """A schedule of SB3: from `value` linearly to 0."""
    return lambda remaining: remaining * value
