"""Proximal policy optimisation with its environments, its teacher and its normalisers in one compiled step.

Source: Schulman et al. 2017; defaults and details (orthogonal gains, Adam epsilon, advantage normalisation per
minibatch, no value clipping, reward scaling by the spread of discounted returns) as in Stable-Baselines3 2.7.
Differs: a truncated episode is bootstrapped from its true last observation for every environment; observation
statistics are updated between rollouts instead of at every step; a minibatch takes the same number of time steps from
every lane, which makes it independent of how lanes are spread over devices.

Letters: T rollout length, B lanes on this device, M minibatch, O flat observation, A action.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from ..envs.contract import TaskEnv
from ..envs.stepping import Ended, Lane
from ..envs.tasks import Outcome, TaskSource, refit_when_due
from .actor_critic import NETWORKS, ActorCritic
from .minibatches import minibatches
from .normalization import RunningStats, init_stats, merge, normalize, rescale
from .optimizer import adam_step, init_adam
from .ppo_config import Config, Hyper, Scalar
from .returns import generalized_advantage
from .rollout import (
    Rollout,
    collect,
    episode_metrics,
    first_valid,
    lane_indices,
    outcomes,
    prepare_starts,
    vacant_lanes,
)
from .spaces import ActionHead, action_head, flatten_observation, observation_size

ADVANTAGE_EPSILON = 1e-8
BONUS = 2**31 - 1  # what a bonus folds into a key: learners with and without one draw the same numbers

__all__ = ["PPO", "Batch", "Config", "Hyper", "State", "policy_loss", "standardize"]


class State(struct.PyTreeNode):
    """A learner. Leaves of `lanes`, `discounted` and `bonus.lanes` have the lane axis first; all else is replicated."""

    params: Any  # of the networks, and "log_std"
    opt_state: optax.OptState
    hyper: Hyper
    lanes: Lane
    teacher: Any
    obs_stats: RunningStats
    return_stats: RunningStats
    discounted: jax.Array  # (B,) running discounted return of each lane's episode
    key: jax.Array
    steps: jax.Array  # () float32, environment steps taken
    iterations: jax.Array  # () int32
    bonus: Any = None  # BonusState of a learner with a bonus


class Batch(struct.PyTreeNode):
    """What the gradient phase sees: flat normalised observations and targets, (T, B, ...) or (M, ...)."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    return_: jax.Array
    bonus_return: jax.Array | None = None  # of intrinsic rewards with a value function of their own


def policy_loss(ratio: jax.Array, advantage: jax.Array, clip: Scalar) -> jax.Array:
    """Clipped surrogate of each sample, to be minimised (Schulman et al. 2017, eq. 7)."""
    return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def mean_over(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Mean of all elements on all devices."""
    mean = jnp.mean(x)
    return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def standardize(advantage: jax.Array, axis_name: str | None) -> jax.Array:
    """Advantages of a minibatch with mean 0 and deviation 1 over all devices."""
    mean = mean_over(advantage, axis_name)
    deviation = jnp.sqrt(mean_over((advantage - mean) ** 2, axis_name))
    return (advantage - mean) / (deviation + ADVANTAGE_EPSILON)


@dataclasses.dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation on one environment under one teacher.

    Attributes:
      env: what is trained on.
      teacher: who chooses the tasks.
      config: shapes and loop counts.
    """

    env: TaskEnv
    teacher: TaskSource
    config: Config = dataclasses.field(default_factory=Config)

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps in one `train_step`."""
        return self.config.num_envs * self.config.rollout_length

    @property
    def stretches(self) -> int:
        """Equal parts of a rollout, each with fresh tasks and starts, as near to `start_every` steps as divides it.

        Walkers that fall soon would otherwise repeat one start throughout a long rollout.
        """
        length, wanted = self.config.rollout_length, min(self.config.start_every, self.env.horizon)
        parts = [n for n in range(1, length + 1) if length % n == 0]
        return min(parts, key=lambda n: abs(math.log(length / n / wanted)))

    @property
    def head(self) -> ActionHead:
        return action_head(self.env.action_space)

    @property
    def network(self) -> ActorCritic:
        """Actor and critic.

        Raises:
          OptionError: the configured kind cannot see this environment's observations.
        """
        config, bonus = self.config, self.config.bonus
        num_values = 1 if bonus is None or not bonus.separate_value else 2
        make = NETWORKS[config.network]
        return make(self.env.observation_space, config.hidden, config.beside_image, self.head.size, num_values)

    def init(self, key: jax.Array) -> State:
        """A fresh learner; its lanes are vacant until the first `train_step`. `key` is consumed."""
        config, network = self.config, self.network
        key_actor, key_critic, key_teacher, key_rest = jax.random.split(key, 4)
        bonus = None
        if config.bonus is not None:
            bonus = config.bonus.init(jax.random.fold_in(key_rest, BONUS), self.env, config.num_envs)
        params = {
            **network.init(key_actor, key_critic),
            "log_std": jnp.full((self.head.size,), config.initial_log_std, jnp.float32),
        }
        teacher_state = self.teacher.init(key_teacher, self.env.task_space)
        return State(
            params=params,
            opt_state=init_adam(params, config.adam_epsilon),
            hyper=jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), config.hyper),
            lanes=vacant_lanes(self.env, self.teacher, teacher_state, config.num_envs),
            teacher=teacher_state,
            obs_stats=init_stats((observation_size(network.view),)),
            return_stats=init_stats(()),
            discounted=jnp.zeros((config.num_envs,)),
            key=key_rest,
            steps=jnp.zeros(()),
            iterations=jnp.zeros((), jnp.int32),
            bonus=bonus,
        )

    def act(self, key: jax.Array, state: State, obs: Any, deterministic: bool = False) -> jax.Array:
        """Actions for the environment from observations with any leading axes; `key` is consumed."""
        distribution = self._policy(state, obs)
        return self.head.to_env(distribution.mode() if deterministic else distribution.sample(key))

    def train_step(self, state: State) -> tuple[State, dict[str, Any]]:
        """Collects a rollout under the teacher's tasks, lets the teacher learn, then updates on the rollout."""
        key_start, key_collect, key_update, key_teacher, key_rest = jax.random.split(state.key, 5)
        keys = (key_start, key_collect, key_teacher)
        state, rollout, outcome = self._gather(keys, state.replace(key=key_rest))
        state, metrics = self.update(key_update, state, rollout)
        metrics |= episode_metrics(outcome)
        metrics |= {f"teacher/{name}": value for name, value in self.teacher.metrics(state.teacher).items()}
        return state, metrics | {"episodes": first_valid(outcome, self.config.episode_log)}

    def choose(self, state: State, keys: jax.Array, obs: Any) -> tuple[Any, jax.Array, Any]:
        """(action drawn, its log-probability, action for the environment), each with leading axis B.

        Args:
          keys: (B,) consumed.
          obs: leading axis B.
        """
        distribution = self._policy(state, obs)
        action = jax.vmap(lambda d, k: d.sample(k))(distribution, keys)
        return action, distribution.log_prob(action), self.head.to_env(action)

    def _gather(self, keys: tuple[jax.Array, jax.Array, jax.Array], state: State) -> tuple[State, Rollout, Outcome]:
        """Collects a rollout (T, B) under the teacher's tasks and lets the teacher learn from the episodes that ended.

        Args:
          keys: for starts, for steps, for the teacher; consumed.
        """
        config, policy = self.config, functools.partial(self.choose, state)
        key_start, key_collect, key_teacher = keys
        indices = lane_indices(state.discounted.shape[0], config.axis_name)

        def stretch(now: tuple[Any, Lane], keys: tuple[jax.Array, jax.Array]) -> tuple[Any, tuple[Rollout, Ended]]:
            teacher, starts = prepare_starts(self.env, self.teacher, now[0], keys[0], indices, config.num_envs)
            length = config.rollout_length // self.stretches
            lanes, rollout, ended = collect(self.env, policy, keys[1], now[1], starts, indices, length)
            return (teacher, lanes), (rollout, ended)

        now = (state.teacher, state.lanes)
        if self.stretches == 1:
            (teacher, lanes), (rollout, ended) = stretch(now, (key_start, key_collect))
        else:
            parts = jax.random.split(key_start, self.stretches), jax.random.split(key_collect, self.stretches)
            (teacher, lanes), records = jax.lax.scan(stretch, now, parts)
            rollout, ended = jax.tree.map(lambda x: x.reshape(config.rollout_length, *x.shape[2:]), records)
        outcome = outcomes(ended, config.axis_name)
        teacher = refit_when_due(self.teacher, self.teacher.update(teacher, outcome), key_teacher)
        state = state.replace(
            lanes=lanes,
            teacher=teacher,
            steps=state.steps + float(self.steps_per_iteration),
            iterations=state.iterations + 1,
        )
        return state, rollout, outcome

    def update(self, key: jax.Array, state: State, batch: Rollout) -> tuple[State, dict[str, jax.Array]]:
        """The gradient phase on one rollout: statistics, advantages, `epochs` x `num_minibatches` Adam steps.

        `key` is consumed: it shuffles time within every lane, anew in every epoch.
        """
        config, axis_name = self.config, self.config.axis_name
        obs = flatten_observation(self.network.view, batch.obs)
        indices = lane_indices(obs.shape[1], axis_name)
        state, reward = self._scaled_reward(state, batch)
        intrinsic = jnp.zeros_like(reward)
        if config.bonus is not None:
            bonus, intrinsic = config.bonus.reward(self.env, state.bonus, batch, axis_name)
            state = state.replace(bonus=bonus)
        targets, error = self._targets(state, batch, obs, reward, intrinsic)

        def epoch(state: State, key: jax.Array) -> tuple[State, dict[str, jax.Array]]:
            return jax.lax.scan(self._gradient_step, state, minibatches(key, targets, indices, config.num_minibatches))

        state, metrics = jax.lax.scan(epoch, state, jax.random.split(key, config.epochs))
        metrics = jax.tree.map(jnp.mean, metrics)
        residual = mean_over((error - mean_over(error, axis_name)) ** 2, axis_name)
        spread = mean_over((targets.return_ - mean_over(targets.return_, axis_name)) ** 2, axis_name)
        metrics["train/explained_variance"] = 1.0 - residual / (spread + ADVANTAGE_EPSILON)
        if config.bonus is not None:
            metrics["bonus/reward"] = mean_over(intrinsic, axis_name)
            bonus, own = config.bonus.learn(jax.random.fold_in(key, BONUS), self.env, state.bonus, batch, axis_name)
            state, metrics = state.replace(bonus=bonus), metrics | own
        if config.normalize_observations:
            state = state.replace(obs_stats=merge(state.obs_stats, obs, axis_name))
        return state, metrics

    def curriculum(self, state: State) -> dict[str, jax.Array]:
        """What a plot needs to draw the teacher as it stands."""
        return self.teacher.snapshot(state.teacher)

    def lane_axes(self, state: State) -> State:
        """A tree like `state` of bools: True where the leading axis is the lane axis, which devices may share."""
        axes = jax.tree.map(lambda _: False, state)
        if state.bonus is not None:
            axes = axes.replace(bonus=axes.bonus.replace(lanes=jax.tree.map(lambda _: True, state.bonus.lanes)))
        return axes.replace(lanes=jax.tree.map(lambda _: True, state.lanes), discounted=True)

    def _policy(self, state: State, obs: Any) -> Any:
        output = self.network.output(state.params, self._seen(state, flatten_observation(self.network.view, obs)))
        return self.head.distribution(output, state.params["log_std"])

    def _seen(self, state: State, flat: jax.Array) -> jax.Array:
        """Flat observations as the networks get them."""
        return normalize(state.obs_stats, flat) if self.config.normalize_observations else flat

    def _scaled_reward(self, state: State, batch: Rollout) -> tuple[State, jax.Array]:
        """Rewards (T, B) divided by the spread of discounted returns, this rollout's included."""
        if not self.config.normalize_rewards:
            return state, batch.reward

        def follow(sofar: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            reward, ended = now
            here = sofar * state.hyper.discount + reward
            return jnp.where(ended, 0.0, here), here

        discounted, values = jax.lax.scan(follow, state.discounted, (batch.reward, batch.ended))
        stats = merge(state.return_stats, values, self.config.axis_name)
        return state.replace(return_stats=stats, discounted=discounted), rescale(stats, batch.reward)

    def _targets(
        self, state: State, batch: Rollout, obs: jax.Array, reward: jax.Array, intrinsic: jax.Array
    ) -> tuple[Batch, jax.Array]:
        """Advantages and value targets of a rollout, under the statistics it was collected with.

        Args:
          obs: (T, B, O) not normalised.
          reward, intrinsic: (T, B); without a bonus the latter is not looked at.

        Returns:
          (batch, what the value function missed (T, B)).
        """
        config, hyper, bonus = self.config, state.hyper, self.config.bonus
        flat = self._seen(state, obs)
        values, next_values = self._values(state, batch, flat)
        value, next_value = values[..., 0], next_values[..., 0]
        terminated = batch.terminated if config.bootstrap_truncated else batch.ended
        if bonus is not None and not bonus.separate_value:
            reward = reward + state.bonus.coefficient * intrinsic
        error = generalized_advantage(reward, value, next_value, terminated, batch.ended, hyper.discount, hyper.lam)
        targets = Batch(obs=flat, action=batch.action, log_prob=batch.log_prob, advantage=error, return_=error + value)
        if bonus is not None and bonus.separate_value:
            own, return_ = self._second_stream(bonus.discount, hyper, intrinsic, values, next_values)
            targets = targets.replace(advantage=error + state.bonus.coefficient * own, bonus_return=return_)
        return targets, error

    def _second_stream(
        self, discount: float, hyper: Hyper, intrinsic: jax.Array, values: jax.Array, next_values: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Advantages and value targets (T, B) of intrinsic rewards as a stream that no episode cuts.

        Args:
          intrinsic: (T, B).
          values, next_values: (T, B, 2) as `_values` makes them.
        """
        value, never = values[..., 1], jnp.zeros(intrinsic.shape, bool)
        # What follows an episode is the next one's start. After the rollout's last step that is not known yet, and the
        # observation that the step led to stands for it also where it ended an episode.
        next_value = jnp.concatenate([value[1:], next_values[-1:, :, 1]])
        advantage = generalized_advantage(intrinsic, value, next_value, never, never, discount, hyper.lam)
        return advantage, advantage + value

    def _values(self, state: State, batch: Rollout, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Values (T, B, V) of observations and of those after them."""

        def value_after(next_obs: Any) -> jax.Array:
            return self.network.value(state.params, self._seen(state, flatten_observation(self.network.view, next_obs)))

        value = self.network.value(state.params, flat)
        if self.config.bootstrap_truncated:
            return value, value_after(batch.next_obs)
        # Where an episode ends nothing counts; elsewhere the observation after a step is the one acted on next.
        return value, jnp.concatenate([value[1:], value_after(jax.tree.map(lambda x: x[-1:], batch.next_obs))])

    def _gradient_step(self, state: State, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        config, axis_name, hyper = self.config, self.config.axis_name, state.hyper
        if config.normalize_advantages:
            batch = batch.replace(advantage=standardize(batch.advantage, axis_name))
        gradients, metrics = jax.grad(self._loss, has_aux=True)(state.params, batch, hyper)
        if axis_name is not None:
            gradients, metrics = jax.lax.pmean((gradients, metrics), axis_name)
        rate = hyper.learning_rate * jnp.maximum(0.0, 1.0 - state.steps / hyper.decay_steps)
        params, opt_state, norm = adam_step(
            state.params, gradients, state.opt_state, rate, hyper.max_grad_norm, config.adam_epsilon
        )
        metrics |= {"train/grad_norm": norm, "train/learning_rate": rate}
        return state.replace(params=params, opt_state=opt_state), metrics

    def _loss(self, params: Any, batch: Batch, hyper: Hyper) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Surrogate, value error and entropy of a minibatch (Schulman et al. 2017, eq. 9)."""
        output, values = self.network.both(params, batch.obs)
        distribution = self.head.distribution(output, params["log_std"])
        log_ratio = distribution.log_prob(batch.action) - batch.log_prob
        ratio = jnp.exp(log_ratio)
        policy = jnp.mean(policy_loss(ratio, batch.advantage, hyper.clip))
        value = jnp.mean((values[..., 0] - batch.return_) ** 2)
        if batch.bonus_return is not None:
            value = value + jnp.mean((values[..., 1] - batch.bonus_return) ** 2)
        entropy = jnp.mean(distribution.entropy())
        loss = policy + hyper.value_cost * value - hyper.entropy_cost * entropy
        return loss, {
            "train/policy_gradient_loss": policy,
            "train/value_loss": value,
            "train/entropy": entropy,
            "train/approx_kl": jnp.mean(ratio - 1.0 - log_ratio),
            "train/clip_fraction": jnp.mean((jnp.abs(ratio - 1.0) > hyper.clip).astype(jnp.float32)),
        }
