"""Learning while acting in environments that a host steps, such as Gymnasium's: one compiled call for every step.

The host keeps the environments; the state remembers how their running episodes came about, so that a run that is taken
up again can bring fresh environments to the same point.

Letters: B environments, H most steps of an episode, O flat observation, A action.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ..rollout import lane_indices, lane_keys
from . import learning
from .contract import Metrics
from .learning import Learning
from .transitions import Transitions


class Tape(struct.PyTreeNode):
    """How each environment's running episode came about."""

    seed: jax.Array  # (B,) uint32, of all of an environment's episodes
    episode: jax.Array  # (B,) int32, its number
    length: jax.Array  # (B,) int32, steps so far, the pending one not among them
    actions: jax.Array  # (B, H, *shape) what the environment was given


class State(learning.State):
    """A learner with the step it is in the middle of."""

    tape: Tape
    obs: jax.Array  # (B, O) what it saw last
    unit_action: jax.Array  # (B, A) what it has decided to do
    action: jax.Array  # (B, *shape) the same for the environment


class Seen(struct.PyTreeNode):
    """What a host saw of one step of every environment; observations as the environment gives them."""

    reward: jax.Array  # (B,)
    terminated: jax.Array  # (B,) bool
    truncated: jax.Array  # (B,) bool
    next_obs: Any  # (B, ...) after the step
    obs: Any  # (B, ...) to act on next: another episode's first where this one ended, else the same


@dataclasses.dataclass(frozen=True)
class Outside(Learning):
    """A learner in environments that are stepped elsewhere. Nobody chooses their tasks."""

    def init(self, key: jax.Array) -> State:
        """A fresh learner that has not seen anything; `key` is consumed."""
        key_learner, key_seed, key_rest = jax.random.split(key, 3)
        learned, replay = self._begun(key_learner)
        count, space, interface = self.config.num_envs, self.env.action_space, self.interface
        seeds, nothing = jax.random.bits(key_seed, (count,), jnp.uint32), jnp.zeros((count,), jnp.int32)
        return State(
            learned=learned,
            replay=replay,
            key=key_rest,
            steps=jnp.zeros((), jnp.int32),
            tape=Tape(seeds, nothing, nothing, jnp.zeros((count, self.env.horizon, *space.shape))),
            obs=jnp.zeros((count, interface.obs_size)),
            unit_action=jnp.zeros((count, interface.action_size)),
            action=jnp.zeros((count, *space.shape)),
        )

    def decide(self, state: State, obs: Any) -> State:
        """Looks at observations (B, ...) and decides what to do about them."""
        key_act, key_rest = jax.random.split(state.key)
        flat = self.interface.flat(obs)
        unit = self.unit_actions(lane_keys(key_act, lane_indices(self.config.num_envs, None)), state, flat)
        return state.replace(key=key_rest, obs=flat, unit_action=unit, action=self.interface.head.to_env(unit))

    def forward(self, state: State, seen: Seen, data: Transitions | None = None) -> tuple[State, Metrics]:
        """Learns from the step that was decided on and decides on the next.

        Args:
          data: offline transitions to draw from, for an agent that retains them.
        """
        key_learn, key_rest = jax.random.split(state.key)
        ended = seen.terminated | seen.truncated
        new = Transitions(
            obs=state.obs,
            action=state.unit_action,
            reward=self.config.rewards.seen(seen.reward),
            next_obs=self.interface.flat(seen.next_obs),
            mask=1.0 - seen.terminated.astype(jnp.float32),
            ended=ended,
        )
        tape = _record(state.tape, state.action, ended)
        state, metrics = self.absorb(key_learn, state.replace(key=key_rest, tape=tape), new, data)
        return self.decide(state, seen.obs), metrics


def _record(tape: Tape, action: jax.Array, ended: jax.Array) -> Tape:
    """The tape with one more step, or with a new episode where the step was the last."""
    actions = jax.vmap(lambda row, at, new: row.at[at].set(new, mode="drop"))(tape.actions, tape.length, action)
    length = jnp.where(ended, 0, tape.length + 1)
    return tape.replace(episode=tape.episode + ended.astype(jnp.int32), length=length, actions=actions)
