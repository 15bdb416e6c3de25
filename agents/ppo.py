"""Proximal policy optimisation with its environments, its teacher and its normalisers in one compiled step.

Source: Schulman et al. 2017; defaults and details (orthogonal gains, Adam epsilon, advantage normalisation per
minibatch, no value clipping, reward scaling by the spread of discounted returns) as in Stable-Baselines3 2.7.
Differs: a truncated episode is bootstrapped from its true last observation for every environment; observation
statistics are updated between rollouts instead of at every step; a minibatch takes the same number of time steps from
every lane, which makes it independent of how lanes are spread over devices.

Letters: T rollout length, B lanes on this device, M minibatch, O flat observation, A action.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from ..envs.contract import TaskEnv
from ..envs.stepping import Ended, Lane
from ..envs.tasks import TaskSource, refit_when_due
from .networks import MLP
from .normalization import RunningStats, init_stats, merge, normalize, rescale
from .optimizer import adam_step, init_adam
from .returns import generalized_advantage
from .rollout import (
    Rollout,
    collect,
    episode_metrics,
    first_valid,
    lane_indices,
    lane_keys,
    outcomes,
    prepare_starts,
    vacant_lanes,
)
from .spaces import ActionHead, action_head, flatten_observation, observation_size

Scalar = jax.Array | float

ADAM_EPSILON = 1e-5
ADVANTAGE_EPSILON = 1e-8


class Hyper(struct.PyTreeNode):
    """Numbers that may differ between members of a batch of learners."""

    learning_rate: Scalar = 3e-4
    discount: Scalar = 0.99
    lam: Scalar = 0.95  # of generalised advantage estimation
    clip: Scalar = 0.2  # of the probability ratio
    entropy_cost: Scalar = 0.0
    value_cost: Scalar = 0.5
    max_grad_norm: Scalar = 0.5  # global norm
    decay_steps: Scalar = math.inf  # [environment steps] until the learning rate has fallen linearly to 0


@dataclasses.dataclass(frozen=True)
class Config:
    """What fixes shapes and loop counts; hashable, static under jit.

    Attributes:
      hidden: widths of the hidden layers, actor and critic each.
      num_envs: lanes, over all devices.
      rollout_length: steps of every lane in one iteration.
      epochs: passes over a rollout.
      num_minibatches: gradient steps in one epoch; must divide `rollout_length`.
      start_every: steps after which every lane is given a fresh task and start, about: a part of the rollout. A lane
        that ends two episodes in one part begins both from the same start.
      initial_log_std: of the Gaussian policy, in units of half the action range.
      normalize_observations: by running mean and deviation.
      normalize_rewards: by the running deviation of discounted returns.
      episode_log: finished episodes kept per iteration for the host's log.
      axis_name: mapped device axis over which lanes are spread; None for one device.
      hyper: initial numbers, copied into the state.
    """

    hidden: tuple[int, ...] = (64, 64)
    num_envs: int = 64
    rollout_length: int = 128
    epochs: int = 10
    num_minibatches: int = 32
    start_every: int = 64
    initial_log_std: float = 0.0
    normalize_observations: bool = True
    normalize_rewards: bool = True
    episode_log: int = 256
    axis_name: str | None = None
    hyper: Hyper = dataclasses.field(default_factory=Hyper, hash=False)

    def __post_init__(self) -> None:
        for name in ("num_envs", "rollout_length", "epochs", "num_minibatches", "start_every", "episode_log"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}={value}; expected at least 1")
        if self.rollout_length % self.num_minibatches:
            raise ValueError(f"num_minibatches={self.num_minibatches} must divide rollout_length={self.rollout_length}")


class State(struct.PyTreeNode):
    """A learner. Leaves of `lanes` and `discounted` have the lane axis first; all else is replicated over devices."""

    params: Any  # {"actor", "critic", "log_std"}
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


class Batch(struct.PyTreeNode):
    """What the gradient phase sees: flat normalised observations and targets, (T, B, ...) or (M, ...)."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    return_: jax.Array


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
    config: Config = Config()

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
    def actor(self) -> MLP:
        return MLP(self.config.hidden, self.head.size, out_scale=0.01)

    @property
    def critic(self) -> MLP:
        return MLP(self.config.hidden, 1)

    def init(self, key: jax.Array) -> State:
        """A fresh learner; its lanes are vacant until the first `train_step`. `key` is consumed."""
        config = self.config
        key_actor, key_critic, key_teacher, key_rest = jax.random.split(key, 4)
        blank = jnp.zeros((observation_size(self.env.observation_space),))
        params = {
            "actor": self.actor.init(key_actor, blank),
            "critic": self.critic.init(key_critic, blank),
            "log_std": jnp.full((self.head.size,), config.initial_log_std, jnp.float32),
        }
        teacher_state = self.teacher.init(key_teacher, self.env.task_space)
        return State(
            params=params,
            opt_state=init_adam(params, ADAM_EPSILON),
            hyper=jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), config.hyper),
            lanes=vacant_lanes(self.env, self.teacher, teacher_state, config.num_envs),
            teacher=teacher_state,
            obs_stats=init_stats(blank.shape),
            return_stats=init_stats(()),
            discounted=jnp.zeros((config.num_envs,)),
            key=key_rest,
            steps=jnp.zeros(()),
            iterations=jnp.zeros((), jnp.int32),
        )

    def act(self, key: jax.Array, state: State, obs: Any, deterministic: bool = False) -> jax.Array:
        """Actions for the environment from observations with any leading axes; `key` is consumed."""
        distribution = self._policy(state, obs)
        return self.head.to_env(distribution.mode() if deterministic else distribution.sample(key))

    def train_step(self, state: State) -> tuple[State, dict[str, Any]]:
        """Collects a rollout under the teacher's tasks, lets the teacher learn, then updates on the rollout."""
        config = self.config
        key_start, key_collect, key_update, key_teacher, key_rest = jax.random.split(state.key, 5)
        indices = lane_indices(state.discounted.shape[0], config.axis_name)

        def policy(keys: jax.Array, obs: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
            distribution = self._policy(state, obs)
            action = jax.vmap(lambda d, k: d.sample(k))(distribution, keys)
            return action, distribution.log_prob(action), self.head.to_env(action)

        def stretch(now: tuple[Any, Lane], keys: tuple[jax.Array, jax.Array]) -> tuple[Any, tuple[Rollout, Ended]]:
            teacher, starts = prepare_starts(self.env, self.teacher, now[0], keys[0], indices, config.num_envs)
            length = config.rollout_length // self.stretches
            lanes, rollout, ended = collect(self.env, policy, keys[1], now[1], starts, indices, length)
            return (teacher, lanes), (rollout, ended)

        now = (state.teacher, state.lanes)
        if self.stretches == 1:
            (teacher, lanes), (rollout, ended) = stretch(now, (key_start, key_collect))
        else:
            keys = jax.random.split(key_start, self.stretches), jax.random.split(key_collect, self.stretches)
            (teacher, lanes), parts = jax.lax.scan(stretch, now, keys)
            rollout, ended = jax.tree.map(lambda x: x.reshape(config.rollout_length, *x.shape[2:]), parts)
        outcome = outcomes(ended, config.axis_name)
        teacher = refit_when_due(self.teacher, self.teacher.update(teacher, outcome), key_teacher)
        state = state.replace(
            lanes=lanes,
            teacher=teacher,
            key=key_rest,
            steps=state.steps + float(self.steps_per_iteration),
            iterations=state.iterations + 1,
        )
        state, metrics = self.update(key_update, state, rollout)
        metrics |= episode_metrics(outcome)
        metrics |= {f"teacher/{name}": value for name, value in self.teacher.metrics(teacher).items()}
        return state, metrics | {"episodes": first_valid(outcome, config.episode_log)}

    def update(self, key: jax.Array, state: State, batch: Rollout) -> tuple[State, dict[str, jax.Array]]:
        """The gradient phase on one rollout: statistics, advantages, `epochs` x `num_minibatches` Adam steps.

        `key` is consumed: it shuffles time within every lane, anew in every epoch.
        """
        axis_name = self.config.axis_name
        obs = flatten_observation(self.env.observation_space, batch.obs)
        state, reward = self._scaled_reward(state, batch)
        targets = self._targets(state, batch, obs, reward)
        indices = lane_indices(obs.shape[1], axis_name)

        def epoch(state: State, key: jax.Array) -> tuple[State, dict[str, jax.Array]]:
            return jax.lax.scan(self._gradient_step, state, self._minibatches(key, targets, indices))

        state, metrics = jax.lax.scan(epoch, state, jax.random.split(key, self.config.epochs))
        metrics = jax.tree.map(jnp.mean, metrics)
        residual = mean_over((targets.advantage - mean_over(targets.advantage, axis_name)) ** 2, axis_name)
        spread = mean_over((targets.return_ - mean_over(targets.return_, axis_name)) ** 2, axis_name)
        metrics["train/explained_variance"] = 1.0 - residual / (spread + ADVANTAGE_EPSILON)
        if self.config.normalize_observations:
            state = state.replace(obs_stats=merge(state.obs_stats, obs, axis_name))
        return state, metrics

    def curriculum(self, state: State) -> dict[str, jax.Array]:
        """What a plot needs to draw the teacher as it stands."""
        return self.teacher.snapshot(state.teacher)

    def lane_axes(self, state: State) -> State:
        """A tree like `state` of bools: True where the leading axis is the lane axis, which devices may share."""
        replicated = jax.tree.map(lambda _: False, state)
        return replicated.replace(lanes=jax.tree.map(lambda _: True, state.lanes), discounted=True)

    def _policy(self, state: State, obs: Any) -> Any:
        flat = normalize(state.obs_stats, flatten_observation(self.env.observation_space, obs))
        return self._distribution(state.params, flat)

    def _distribution(self, params: Any, flat: jax.Array) -> Any:
        output: Any = self.actor.apply(params["actor"], flat)
        return self.head.distribution(output, params["log_std"])

    def _value(self, params: Any, flat: jax.Array) -> jax.Array:
        value: Any = self.critic.apply(params["critic"], flat)
        return value[..., 0]

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

    def _targets(self, state: State, batch: Rollout, obs: jax.Array, reward: jax.Array) -> Batch:
        """Advantages and value targets of a rollout, under the statistics it was collected with."""
        flat = normalize(state.obs_stats, obs)
        next_flat = normalize(state.obs_stats, flatten_observation(self.env.observation_space, batch.next_obs))
        value, next_value = self._value(state.params, flat), self._value(state.params, next_flat)
        advantage = generalized_advantage(
            reward, value, next_value, batch.terminated, batch.ended, state.hyper.discount, state.hyper.lam
        )
        return Batch(
            obs=flat, action=batch.action, log_prob=batch.log_prob, advantage=advantage, return_=advantage + value
        )

    def _minibatches(self, key: jax.Array, batch: Batch, indices: jax.Array) -> Batch:
        """Shuffles time within every lane and cuts it: leaves (num_minibatches, T / num_minibatches * B, ...)."""
        length = batch.advantage.shape[0]
        shuffle = jax.vmap(lambda k: jax.random.permutation(k, length), out_axes=1)(lane_keys(key, indices))

        def cut(x: jax.Array) -> jax.Array:
            rows = shuffle.reshape(shuffle.shape + (1,) * (x.ndim - 2))
            shuffled = jnp.take_along_axis(x, rows, axis=0)
            return shuffled.reshape(self.config.num_minibatches, -1, *x.shape[2:])

        return jax.tree.map(cut, batch)

    def _gradient_step(self, state: State, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        axis_name, hyper = self.config.axis_name, state.hyper
        batch = batch.replace(advantage=standardize(batch.advantage, axis_name))
        gradients, metrics = jax.grad(self._loss, has_aux=True)(state.params, batch, hyper)
        if axis_name is not None:
            gradients, metrics = jax.lax.pmean((gradients, metrics), axis_name)
        rate = hyper.learning_rate * jnp.maximum(0.0, 1.0 - state.steps / hyper.decay_steps)
        params, opt_state, norm = adam_step(
            state.params, gradients, state.opt_state, rate, hyper.max_grad_norm, ADAM_EPSILON
        )
        metrics |= {"train/grad_norm": norm, "train/learning_rate": rate}
        return state.replace(params=params, opt_state=opt_state), metrics

    def _loss(self, params: Any, batch: Batch, hyper: Hyper) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Surrogate, value error and entropy of a minibatch (Schulman et al. 2017, eq. 9)."""
        distribution = self._distribution(params, batch.obs)
        log_ratio = distribution.log_prob(batch.action) - batch.log_prob
        ratio = jnp.exp(log_ratio)
        policy = jnp.mean(policy_loss(ratio, batch.advantage, hyper.clip))
        value = jnp.mean((self._value(params, batch.obs) - batch.return_) ** 2)
        entropy = jnp.mean(distribution.entropy())
        loss = policy + hyper.value_cost * value - hyper.entropy_cost * entropy
        return loss, {
            "train/policy_gradient_loss": policy,
            "train/value_loss": value,
            "train/entropy": entropy,
            "train/approx_kl": jnp.mean(ratio - 1.0 - log_ratio),
            "train/clip_fraction": jnp.mean((jnp.abs(ratio - 1.0) > hyper.clip).astype(jnp.float32)),
        }
