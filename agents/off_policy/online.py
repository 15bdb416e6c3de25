"""Learning while acting, on the device: steps of environments and gradient phases in one compiled scan.

Letters: B lanes, L steps of each in an iteration.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from ...envs.contract import TaskEnv
from ...envs.stepping import Lane, advance
from ...envs.tasks import TaskSource, refit_when_due
from ..rollout import (
    episode_metrics,
    first_valid,
    lane_indices,
    lane_keys,
    occupy,
    outcomes,
    prepare_starts,
    vacant_lanes,
)
from . import learning
from .contract import Metrics
from .learning import Config, Learning, over_updates
from .transitions import Transitions

__all__ = ["Config", "Online", "State"]


class State(learning.State):
    """A learner at work. Leaves of `lanes` have the lane axis first."""

    lanes: Lane
    teacher: Any


@dataclasses.dataclass(frozen=True)
class Online(Learning):
    """A learner in an environment of ours."""

    env: TaskEnv
    teacher: TaskSource

    def init(self, key: jax.Array) -> State:
        """A fresh learner with nothing in its replay and vacant lanes; `key` is consumed."""
        key_learner, key_teacher, key_rest = jax.random.split(key, 3)
        teacher = self.teacher.init(key_teacher, self.env.task_space)
        learned, replay = self._begun(key_learner)
        return State(
            learned=learned,
            replay=replay,
            key=key_rest,
            steps=jnp.zeros((), jnp.int32),
            lanes=vacant_lanes(self.env, self.teacher, teacher, self.config.num_envs),
            teacher=teacher,
        )

    def train_step(self, state: State, data: Transitions | None = None) -> tuple[State, dict[str, Any]]:
        """L steps of every lane under the teacher's tasks, with gradient phases after each once warm-up is over.

        Args:
          data: offline transitions to draw from, for an agent that retains them.
        """
        config = self.config
        key_start, key_steps, key_teacher, key_rest = jax.random.split(state.key, 4)
        indices = lane_indices(config.num_envs, None)
        teacher, starts = prepare_starts(self.env, self.teacher, state.teacher, key_start, indices, config.num_envs)
        state = state.replace(teacher=teacher, lanes=occupy(state.lanes, starts), key=key_rest)
        forward = functools.partial(self._forward, data, starts, indices)
        state, (ended, metrics) = jax.lax.scan(forward, state, jax.random.split(key_steps, config.start_every))
        outcome = outcomes(ended, None)
        teacher = refit_when_due(self.teacher, self.teacher.update(state.teacher, outcome), key_teacher)
        metrics = over_updates(metrics) | episode_metrics(outcome)
        metrics |= {f"teacher/{name}": value for name, value in self.teacher.metrics(teacher).items()}
        return state.replace(teacher=teacher), metrics | {"episodes": first_valid(outcome, config.episode_log)}

    def curriculum(self, state: State) -> dict[str, jax.Array]:
        """What a plot needs to draw the teacher as it stands."""
        return self.teacher.snapshot(state.teacher)

    def _forward(
        self, data: Any, starts: Lane, indices: jax.Array, state: State, key: jax.Array
    ) -> tuple[State, tuple[Any, Metrics]]:
        """One step of every lane."""
        key_act, key_env, key_learn = jax.random.split(key, 3)
        interface, lanes = self.interface, state.lanes
        flat = interface.flat(lanes.obs)
        action = self.unit_actions(lane_keys(key_act, indices), state, flat)
        after, timestep, ended = advance(
            self.env, lane_keys(key_env, indices), lanes, interface.head.to_env(action), starts
        )
        new = Transitions(
            obs=flat,
            action=action,
            reward=self.config.rewards.seen(timestep.reward),
            next_obs=interface.flat(timestep.obs),
            mask=1.0 - timestep.terminated.astype(jnp.float32),
            ended=timestep.ended,
        )
        state, metrics = self.absorb(key_learn, state.replace(lanes=after), new, data)
        return state, (ended, metrics)
