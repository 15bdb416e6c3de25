"""Soft actor-critic and its kin by settings: REDQ, RLPD, CQL, Cal-QL and WSRL's high-UTD updates.

Sources: Haarnoja et al. 2018 (SAC), Chen et al. 2021 (REDQ), Ball et al. 2023 (RLPD), Kumar et al. 2020 (CQL),
Nakamoto et al. 2023 (Cal-QL), Zhou et al. 2025 (WSRL) and its reference code.
Differs from that code: targets and penalties evaluate only the critics that were drawn, which gives the same numbers;
the penalty that adjusts its weight is the one of the critics' step; the actor climbs critics that have taken the
step, also where there is only one step to an update.

Letters: E critics, M of them drawn, U critic steps of an update, B transitions of each, n drawn actions, A action.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import struct

from ...envs.errors import OptionError
from ..distributions import TanhNormal
from ..optimizer import Scalar, coast, plain_adam_step
from .config import Nets, require_at_least
from .contract import Learned, Metrics
from .least import is_worthwhile, least_value
from .losses import (
    actor_loss,
    conservative_penalty,
    multiplier,
    raw_multiplier,
    td_error,
    td_target,
    temperature_loss,
    uniform_log_density,
)
from .networks import apply, num_actions
from .steps import Batches, draw_members, follow, fresh
from .transitions import Transitions

ActorGradient = tuple[jax.Array, jax.Array, Any]  # loss, log-densities (N,) of the drawn actions, gradient
ValueOf = Callable[[jax.Array], jax.Array]  # of actions (N, A)


class Hyper(struct.PyTreeNode):
    """Numbers that may differ between members of a batch of learners."""

    actor_rate: Scalar = 3e-4
    critic_rate: Scalar = 3e-4
    temperature_rate: Scalar = 3e-4
    discount: Scalar = 0.99
    target_rate: Scalar = 0.005  # how far target critics move towards the critics at each of their steps
    target_entropy: Scalar = -1.0  # [nat per action dimension]


@dataclasses.dataclass(frozen=True)
class Conservative:
    """CQL's penalty on critics, and Cal-QL's bound of it.

    Attributes:
      weight: of the penalty; where it is adjusted, what it begins with.
      draws: actions drawn from each of: evenly, the policy at the state, the policy at the next state.
      members: critics, drawn anew, that the penalty looks at; None for all.
      calibrated: values of the policy's actions count at least what the data's return was (Cal-QL).
      importance: whether drawn actions are weighed by their density; False counts the data's action among them.
      gap: the penalty that an adjusted weight aims at; None for a fixed weight.
      rate: of the adjusted weight's optimiser.
    """

    weight: float = 5.0
    draws: int = 10
    members: int | None = None
    calibrated: bool = False
    importance: bool = True
    gap: float | None = None
    rate: float = 3e-4

    def __post_init__(self) -> None:
        require_at_least(self, 1, "draws")
        if self.weight <= 0.0:
            raise OptionError(f"weight={self.weight}; expected a positive number", key="weight")


@dataclasses.dataclass(frozen=True)
class SAC(Batches):
    """Soft actor-critic.

    Attributes:
      nets: the networks.
      num_critics: E, how many critics.
      target_members: critics, drawn anew for every target, whose least value is the target's.
      draw_repeats: whether a draw of members may take one twice, as the reference code of WSRL does.
      utd: U, critic steps for one actor step, each on transitions of its own.
      batch_size: B, transitions of one step.
      actor_batch: "all" for an actor step on the transitions of all critic steps, "last" for those of the last.
      actor_value: what the actor climbs: the critics' "min" or "mean".
      soft_target: whether the target counts the entropy of what follows.
      target_draws: actions drawn for the target, of which the one of most value counts; 1 for a single one as it falls.
      entropy_at: where the policy's entropy is measured for the temperature.
      conservative: CQL's penalty; None for none.
      reference_optimizer_leak: networks that are not being trained coast on their momentum through the steps of the
        others, as in the reference code of WSRL, whose one optimiser covers all of them. That code's pre-training is
        one call for all losses, in which nothing coasts.
      hyper: initial numbers, copied into the state.
    """

    nets: Nets = dataclasses.field(default_factory=Nets)
    num_critics: int = 2
    target_members: int = 2
    draw_repeats: bool = False
    utd: int = 1
    batch_size: int = 256
    actor_batch: Literal["all", "last"] = "all"
    actor_value: Literal["min", "mean"] = "min"
    soft_target: bool = True
    target_draws: int = 1
    entropy_at: Literal["obs", "next_obs"] = "obs"
    conservative: Conservative | None = None
    reference_optimizer_leak: bool = False
    hyper: Hyper = dataclasses.field(default_factory=Hyper, hash=False)

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_critics", "target_members", "utd", "batch_size", "target_draws")
        asked = {"target_members": self.target_members, "conservative.members": self.penalized}
        for name, members in asked.items():
            if not 1 <= members <= self.num_critics:
                expected = f"1 to num_critics={self.num_critics}"
                raise OptionError(f"{name}={members}; expected {expected}", key=name)

    @property
    def penalized(self) -> int:
        """Critics that the penalty looks at."""
        members = None if self.conservative is None else self.conservative.members
        return self.num_critics if members is None else members

    @property
    def needs_returns(self) -> bool:
        return self.conservative is not None and self.conservative.calibrated

    def init(self, key: jax.Array, obs_size: int, action_size: int) -> Learned:
        """A fresh learner; `key` is consumed."""
        key_actor, key_critic = jax.random.split(key)
        obs, action = jnp.zeros((1, obs_size)), jnp.zeros((1, action_size))
        params: dict[str, Any] = {
            "actor": self.nets.policy(action_size).init(key_actor, obs),
            "critic": self.nets.critics(self.num_critics).init(key_critic, obs, action),
            "temperature": jnp.asarray(raw_multiplier(1.0)),
        }
        if self.conservative is not None and self.conservative.gap is not None:
            params["weight"] = jnp.asarray(raw_multiplier(self.conservative.weight))
        return fresh(params, self.hyper)

    def policy(self, learned: Learned, obs: jax.Array) -> TanhNormal:
        """The policy at observations (..., O)."""
        return self._policy(learned.params["actor"], obs)

    def values(self, learned: Learned, obs: jax.Array, action: jax.Array) -> jax.Array:
        """Every critic's values (E, B) of actions (B, A) at observations (B, O)."""
        values: jax.Array = apply(self.nets.critics(self.num_critics), learned.params["critic"], obs, action)
        return values

    def update(self, key: jax.Array, learned: Learned, batch: Transitions) -> tuple[Learned, Metrics]:
        """U critic steps on B transitions each, then one step of actor and temperature; `key` is consumed."""
        key_critic, key_actor = jax.random.split(key)
        parts = self.parts(batch)
        keys = jax.random.split(key_critic, self.utd)
        if self.utd == 1:  # without a loop around it XLA fuses more
            learned, metrics = self.critic_step(keys[0], learned, jax.tree.map(lambda x: x[0], parts))
        else:
            learned, metrics = jax.lax.scan(lambda s, x: self.critic_step(x[0], s, x[1]), learned, (keys, parts))
            metrics = jax.tree.map(lambda x: jnp.mean(x, 0), metrics)
        seen = batch if self.actor_batch == "all" else jax.tree.map(lambda x: x[-1], parts)
        learned, own = self.actor_step(key_actor, learned, seen)
        return learned, metrics | own

    def critic_step(self, key: jax.Array, learned: Learned, batch: Transitions) -> tuple[Learned, Metrics]:
        """One step of the critics and of what moves with them, on B transitions; `key` is consumed.

        Raises:
          OptionError: a calibrated learner and transitions that do not say what their episodes returned.
        """
        if self.needs_returns and batch.return_to_go is None:
            raise OptionError(
                "transitions without returns; expected `return_to_go` for a calibrated learner", key="data"
            )
        key_target, key_penalty = jax.random.split(key)
        target = self.target(key_target, learned, batch)
        draws = self._penalty_draws(key_penalty, learned, batch)
        gradient = jax.grad(self._critic_loss, has_aux=True)(learned.params["critic"], learned, batch, target, draws)
        gradients, metrics = {"critic": gradient[0]}, gradient[1]
        if "weight" in learned.params and self.conservative is not None:
            excess = metrics["train/conservative_penalty"] - (self.conservative.gap or 0.0)
            gradients["weight"] = jax.grad(lambda raw: -multiplier(raw) * excess)(learned.params["weight"])
        learned = self._step(learned, gradients, idle=("actor", "temperature"))
        return follow(learned, learned.hyper.target_rate), metrics

    def actor_step(self, key: jax.Array, learned: Learned, batch: Transitions) -> tuple[Learned, Metrics]:
        """One step of actor and temperature; `key` is consumed."""
        key_actor, key_entropy = jax.random.split(key)
        temperature = multiplier(learned.params["temperature"])
        noise = jax.random.normal(key_actor, batch.action.shape)
        loss, log_prob, gradient = self._actor_gradient(learned, batch.obs, noise)
        if self.entropy_at == "next_obs":
            _, log_prob = self.policy(learned, batch.next_obs).sample_and_log_prob(key_entropy)
        entropy = -jnp.mean(log_prob)
        target = learned.hyper.target_entropy * batch.action.shape[-1]
        slope = jax.grad(lambda raw: temperature_loss(multiplier(raw), entropy, target))(learned.params["temperature"])
        idle = tuple(name for name in ("critic", "weight") if name in learned.params)
        learned = self._step(learned, {"actor": gradient, "temperature": slope}, idle)
        return learned, {"train/actor_loss": loss, "train/entropy": entropy, "train/temperature": temperature}

    def _actor_gradient(self, learned: Learned, obs: jax.Array, noise: jax.Array) -> ActorGradient:
        """On N observations (N, O) with noise (N, A)."""
        size = obs.shape[0]
        if self.actor_value == "mean" or size % self.batch_size or not is_worthwhile(self.num_critics, size):
            return self._actor_gradient_at_once(learned, obs, noise)
        gradient: ActorGradient = jax.lax.platform_dependent(
            learned, obs, noise, cpu=self._actor_gradient_of_least, default=self._actor_gradient_at_once
        )
        return gradient

    def _actor_gradient_of_least(self, learned: Learned, obs: jax.Array, noise: jax.Array) -> ActorGradient:
        """The same number for fewer operations; accelerators have more to wait for than to do, either way."""

        def value_of(action: jax.Array) -> jax.Array:
            return least_value(self.nets.critics, learned.params["critic"], obs, action, self.batch_size)

        return self._climb(learned, obs, noise, value_of)

    def _actor_gradient_at_once(self, learned: Learned, obs: jax.Array, noise: jax.Array) -> ActorGradient:
        def value_of(action: jax.Array) -> jax.Array:
            values = self.values(learned, obs, action)
            return jnp.min(values, 0) if self.actor_value == "min" else jnp.mean(values, 0)

        return self._climb(learned, obs, noise, value_of)

    def _climb(self, learned: Learned, obs: jax.Array, noise: jax.Array, value_of: ValueOf) -> ActorGradient:
        temperature = multiplier(learned.params["temperature"])

        def loss_of(params: Any) -> tuple[jax.Array, jax.Array]:
            action, log_prob = self._policy(params, obs).at_noise(noise)
            return actor_loss(log_prob, value_of(action), temperature), log_prob

        (loss, log_prob), gradient = jax.value_and_grad(loss_of, has_aux=True)(learned.params["actor"])
        return loss, log_prob, gradient

    def target(self, key: jax.Array, learned: Learned, batch: Transitions) -> jax.Array:
        """What the critics regress on, (B,), from M of the target critics; `key` is consumed."""
        key_action, key_members = jax.random.split(key)
        members = draw_members(key_members, self.target_members, self.num_critics, self.draw_repeats)
        params = jax.tree.map(lambda x: x[members], learned.target_params["critic"])
        count, size = self.target_draws, batch.reward.shape[0]
        obs = jnp.repeat(batch.next_obs, count, 0)
        action, log_prob = self.policy(learned, obs).sample_and_log_prob(key_action)
        value = jnp.min(apply(self.nets.critics(self.target_members), params, obs, action), 0)
        value, log_prob = value.reshape(size, count), log_prob.reshape(size, count)
        best = jnp.argmax(value, -1, keepdims=True)
        value, log_prob = (jnp.take_along_axis(x, best, -1)[:, 0] for x in (value, log_prob))
        if self.soft_target:
            value = value - multiplier(learned.params["temperature"]) * log_prob
        return td_target(batch.reward, batch.mask, value, learned.hyper.discount)

    def _critic_loss(
        self, params: Any, learned: Learned, batch: Transitions, target: jax.Array, draws: Any
    ) -> tuple[jax.Array, Metrics]:
        values = apply(self.nets.critics(self.num_critics), params, batch.obs, batch.action)
        error = td_error(values, target)
        metrics = {"train/critic_loss": error, "train/value": jnp.mean(values)}
        if self.conservative is None:
            return error, metrics
        penalty = self._penalty(params, batch, values, draws)
        weight = jnp.asarray(self.conservative.weight)
        if self.conservative.gap is not None:
            weight = jax.lax.stop_gradient(multiplier(learned.params["weight"]))
        metrics |= {"train/conservative_penalty": penalty, "train/conservative_weight": weight}
        return error + weight * penalty, metrics

    def _penalty_draws(self, key: jax.Array, learned: Learned, batch: Transitions) -> Any:
        """Members (M,), actions (B, n, A) and their log-densities (B, n) for the penalty; even draws come first."""
        if self.conservative is None:
            return None
        count, (size, dims) = self.conservative.draws, batch.action.shape
        key_members, key_even, key_obs, key_next = jax.random.split(key, 4)
        even = jax.random.uniform(key_even, (size, count, dims), minval=-1.0, maxval=1.0)
        actions, densities = [even], [jnp.full((size, count), uniform_log_density(dims))]
        for key, obs in ((key_obs, batch.obs), (key_next, batch.next_obs)):
            wide = jnp.broadcast_to(obs[:, None], (size, count, obs.shape[-1]))
            action, log_prob = self.policy(learned, wide).sample_and_log_prob(key)
            actions, densities = [*actions, action], [*densities, log_prob]
        members = draw_members(key_members, self.penalized, self.num_critics, self.draw_repeats)
        return members, jnp.concatenate(actions, 1), jnp.concatenate(densities, 1)

    def _penalty(self, params: Any, batch: Transitions, values: jax.Array, draws: Any) -> jax.Array:
        """Of critics with these parameters, whose values of the data's actions are known (E, B)."""
        assert self.conservative is not None
        members, actions, log_density = draws
        size, count, dims = actions.shape
        if self.penalized < self.num_critics:
            params, values = jax.tree.map(lambda x: x[members], (params, values))
        obs = jnp.repeat(batch.obs, count, 0)
        drawn = apply(self.nets.critics(self.penalized), params, obs, actions.reshape(-1, dims))
        drawn = drawn.reshape(self.penalized, size, count)
        if self.conservative.calibrated:
            by_policy = jnp.broadcast_to(jnp.arange(count) >= self.conservative.draws, (size, count))
            bound = jnp.where(by_policy, jnp.broadcast_to(batch.return_to_go[:, None], (size, count)), -jnp.inf)
            drawn = jnp.maximum(drawn, jnp.broadcast_to(bound, drawn.shape))
        return conservative_penalty(drawn, log_density if self.conservative.importance else None, values)

    def _step(self, learned: Learned, gradients: dict[str, Any], idle: tuple[str, ...]) -> Learned:
        """An optimiser step of the networks with gradients; the idle ones stay or coast."""
        params, states = dict(learned.params), dict(learned.opt_state)
        rates = self._rates(learned.hyper)
        for name, gradient in gradients.items():
            params[name], states[name] = plain_adam_step(params[name], gradient, states[name], rates[name])
        if self.reference_optimizer_leak:
            for name in idle:
                params[name], states[name] = coast(params[name], states[name], rates[name])
        return learned.replace(params=params, opt_state=states)

    def _rates(self, hyper: Hyper) -> dict[str, Scalar]:
        rates = {"actor": hyper.actor_rate, "critic": hyper.critic_rate, "temperature": hyper.temperature_rate}
        return rates if self.conservative is None else rates | {"weight": self.conservative.rate}

    def _policy(self, params: Any, obs: jax.Array) -> TanhNormal:
        return TanhNormal(apply(self.nets.policy(num_actions(params)), params, obs))
