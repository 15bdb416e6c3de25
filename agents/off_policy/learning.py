"""Learning from what is seen while acting: replay, schedule and gradient phases, wherever environments are stepped.

WSRL is this with a learner that was trained offline to begin with: it acts for a while without learning, and then
learns from what it has seen itself alone (Zhou et al. 2025). RLPD, and other ways to go on from offline data, are
other settings of it.

Letters: B lanes, L steps of each in an iteration, O flat observation, A action, N transitions of one update.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
from flax import struct

from ...envs.errors import OptionError
from ..gating import when
from .acting import Acting
from .config import Rewards, require_at_least
from .continuing import carry_over, hold_still
from .contract import Learned, Metrics
from .replay import Replay, add, add_with_return, draw, draw_appended, draw_mixed, init_replay
from .sac import SAC
from .transitions import ACTION_LIMIT, Transitions


@dataclasses.dataclass(frozen=True)
class Config:
    """What is learned how, and when.

    Attributes:
      learner: who learns, with its own settings.
      rewards: as what rewards are learned from.
      num_envs: B, lanes.
      updates_per_step: gradient phases after every step of all lanes.
      warmup: environment steps before the first gradient phase.
      warmup_actions: "even" draws them from the whole action box, "policy" from the policy as it stands.
      buffer_size: most transitions that are kept.
      retain: what becomes of offline data: "none" is never seen, "mixed" is `mix` of every batch, "append" is drawn
        from together with what is new, evenly.
      mix: share of offline data in a batch.
      reset_optimizer: whether a learner that was trained before begins with fresh optimisers.
      freeze_actor: environment steps through which actor and temperature stay as they are, warm-up included.
      start_every: steps after which every lane is given a fresh task and start, about, as for PPO: one iteration.
      episode_log: finished episodes kept per iteration for the host's log.
    """

    learner: Any = dataclasses.field(default_factory=SAC)
    rewards: Rewards = dataclasses.field(default_factory=Rewards)
    num_envs: int = 1
    updates_per_step: int = 1
    warmup: int = 1000
    warmup_actions: Literal["even", "policy"] = "even"
    buffer_size: int = 1_000_000
    retain: Literal["none", "mixed", "append"] = "none"
    mix: float = 0.5
    reset_optimizer: bool = False
    freeze_actor: int = 0
    start_every: int = 100
    episode_log: int = 64

    takes_start = True

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_envs", "updates_per_step", "buffer_size", "start_every", "episode_log")
        require_at_least(self, 0, "warmup", "freeze_actor")
        if not 0.0 < self.mix < 1.0:
            raise OptionError(f"mix={self.mix}; expected a share between 0 and 1", key="mix")
        if self.retain == "mixed" and not 0 < self.old_rows < self.learner.batch_size:
            got = f"mix={self.mix} of batch_size={self.learner.batch_size}, {self.old_rows} transitions"
            raise OptionError(f"{got}; expected some of either kind", key="mix")
        self.rewards.check(self.learner)
        least = max(self.num_envs, self.fresh_rows)
        if self.buffer_size < least:
            expected = f"at least {least}, the transitions of an update and of a step"
            raise OptionError(f"buffer_size={self.buffer_size}; expected {expected}", key="buffer_size")
        if self.learner.needs_returns and self.num_envs > 1:
            raise OptionError(f"num_envs={self.num_envs}; expected 1 for a calibrated learner", key="num_envs")

    @property
    def old_rows(self) -> int:
        """Transitions of offline data in every batch that is mixed."""
        return round(self.mix * self.learner.batch_size)

    @property
    def fresh_rows(self) -> int:
        """Transitions of its own that a learner must have seen before it draws a batch."""
        learner = self.learner
        if self.retain == "append":
            return 0
        old = self.old_rows if self.retain == "mixed" else 0
        return int(learner.utd * (learner.batch_size - old))

    @property
    def uses_data(self) -> bool:
        """Whether offline data is learned from."""
        return self.retain != "none"


class State(struct.PyTreeNode):
    """A learner and what it has seen."""

    learned: Learned
    replay: Replay
    key: jax.Array
    steps: jax.Array  # () int32, environment steps taken


S = TypeVar("S", bound=State)


@dataclasses.dataclass(frozen=True)
class Learning(Acting):
    """What agents that learn while they act have in common.

    Attributes:
      env: what they learn in.
      teacher: who chooses the tasks.
      config: the learner, its replay and its schedule.
      data: offline transitions (N, ...) to retain, rewards as learned from, which a runner hands to each step; None
        where none are to be seen.
      start: gives what earlier learners have learned, to begin from, with a leading seed axis where there are several
        seeds; called when a run begins, and never when it goes on.
    """

    env: Any
    teacher: Any
    config: Config = dataclasses.field(default_factory=Config)
    data: Transitions | None = dataclasses.field(default=None, compare=False, repr=False)
    start: Callable[[], Learned] | None = dataclasses.field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.check_data()
        config = self.config
        if self.learner.needs_returns and config.buffer_size < self.env.horizon + config.fresh_rows:
            least = self.env.horizon + config.fresh_rows
            expected = f"at least {least} for a calibrated learner: an episode that goes on, and an update"
            raise OptionError(f"buffer_size={config.buffer_size}; expected {expected}", key="buffer_size")

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps in one iteration."""
        return self.config.num_envs * self.config.start_every

    def _begun(self, key: jax.Array) -> tuple[Learned, Replay]:
        """A fresh learner and a vacant replay; `key` is consumed."""
        interface, learner = self.interface, self.learner
        sizes = interface.obs_size, interface.action_size
        return interface.init(key, learner), init_replay(self.config.buffer_size, *sizes, learner.needs_returns)

    def begin_from(self, state: S, start: Learned) -> S:
        """A fresh state with what an earlier learner has learned: networks, targets and, unless reset, optimisers."""
        return state.replace(learned=carry_over(state.learned, start, not self.config.reset_optimizer))

    def update(self, key: jax.Array, state: S, batch: Transitions) -> tuple[S, Metrics]:
        """One gradient phase on given transitions; `key` is consumed."""
        (learned, _), metrics = self._learn((state.learned, state.steps), key, batch)
        return state.replace(learned=learned), metrics

    def unit_actions(self, keys: jax.Array, state: State, flat: jax.Array) -> jax.Array:
        """What lanes do (B, A) at flat observations (B, O), as they collect.

        Args:
          keys: (B,) consumed.
        """
        config, interface = self.config, self.interface
        choose = functools.partial(interface.choose, learner=self.learner, learned=state.learned, likeliest=False)
        action = jax.vmap(lambda key, obs: choose(key=key, flat=obs))(keys, flat)
        if config.warmup_actions == "policy":
            return action
        size = (interface.action_size,)
        even = jax.vmap(lambda key: jax.random.uniform(key, size, minval=-ACTION_LIMIT, maxval=ACTION_LIMIT))(keys)
        return jnp.where(state.steps < config.warmup, even, action)

    def absorb(self, key: jax.Array, state: S, new: Transitions, data: Any) -> tuple[S, Metrics]:
        """Keeps B new transitions and, once warm-up is over, learns; `key` is consumed.

        Args:
          new: rewards as learned from.
          data: offline transitions to draw from, for an agent that retains them, else None.

        Raises:
          OptionError: data where none is retained, or none where it should be.
        """
        config = self.config
        if (data is None) == config.uses_data:
            got = "no data" if data is None else "data"
            raise OptionError(f"retain={config.retain!r} with {got}; expected both or neither", key="retain")
        state = state.replace(replay=self._remember(state, new), steps=state.steps + new.reward.shape[0])
        due = (state.steps > config.warmup) & (state.replay.usable >= config.fresh_rows)
        replay = state.replay

        def phase(carried: Any, key: jax.Array) -> tuple[Any, Metrics]:
            key_draw, key_update = jax.random.split(key)
            return when(due, self._learn, carried, key_update, self._draw(key_draw, replay, data))

        carried, keys = (state.learned, state.steps), jax.random.split(key, config.updates_per_step)
        if config.updates_per_step == 1:
            carried, metrics = phase(carried, keys[0])
        else:
            carried, metrics = jax.lax.scan(phase, carried, keys)
            metrics = jax.tree.map(lambda x: jnp.mean(x, 0), metrics)
        state = state.replace(learned=carried[0])
        return state, metrics | {"train/updates_sum": due.astype(jnp.float32) * float(config.updates_per_step)}

    def _learn(self, carried: Any, key: jax.Array, batch: Transitions) -> tuple[Any, Metrics]:
        learned, steps = carried
        after, metrics = self.learner.update(key, learned, batch)
        if self.config.freeze_actor:
            after = hold_still(steps <= self.config.freeze_actor, after, learned)
        return (after, steps), metrics

    def _remember(self, state: State, new: Transitions) -> Replay:
        if not self.learner.needs_returns:
            return add(state.replay, new)
        failure = self.config.rewards.seen_failure
        return add_with_return(state.replay, new, self.env.horizon, state.learned.hyper.discount, failure)

    def _draw(self, key: jax.Array, replay: Replay, data: Any) -> Transitions:
        learner, config = self.learner, self.config
        if config.retain == "none":
            return draw(key, replay, learner.rows)
        data = data if learner.needs_returns else data.replace(return_to_go=None)
        if config.retain == "append":
            return draw_appended(key, replay, data, learner.rows)
        return draw_mixed(key, replay, data, learner.utd, learner.batch_size, config.old_rows)


def over_updates(metrics: Metrics) -> Metrics:
    """Metrics (L,) of single steps as means over those that learned; counts as sums."""
    updates = metrics["train/updates_sum"]
    total, steps = jnp.sum(updates), jnp.maximum(jnp.sum((updates > 0.0).astype(jnp.float32)), 1.0)
    means = {name: jnp.sum(jnp.where(updates > 0.0, x, 0.0)) / steps for name, x in metrics.items()}
    return means | {"train/updates_sum": total}
