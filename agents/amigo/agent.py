"""AMIGo: PPO whose policy pursues cells that a second network, its teacher, chooses.

The agent is paid for reaching a goal, sooner better: 1 - 0.9 n / T after n steps, T the horizon; what it gets in total
is clip(r + c r_goal, -1, 1), and 1 more where the environment pays. The teacher is paid for goals that were reached
after at least t* steps, and fined for others; t* rises when its goals are good enough for long enough.

Source: Campero et al. 2021, section 3; monobeast/minigrid/monobeast_amigo.py of
facebookresearch/adversarially-motivated-intrinsic-goals (with --modify): networks, rewards, thresholds, learning rate
and entropy cost of the teacher. Differs:

- The agent sees its own window and the way to its goal, (ahead, right), as the other methods here, instead of the whole
  grid with the goal marked; it learns by PPO instead of IMPALA.
- The teacher learns from a rollout's goals in one Adam step, and its learning rate stays; in the source from every 32
  goals (150 in the README) by RMSProp with V-trace, at a rate that falls to 0. The threshold counts rollouts with
  goals instead of those batches.
- Where an episode ends, the goal's cell is compared in the episode's own last grid. The source compares the next
  episode's first grid, so that what differs between levels is reached by the end itself ("episode boundary awareness";
  its --no_boundary_awareness counts no goal as reached there).
- A goal that is reached where an episode ends is learned from once, as reached; in the source twice, as reached and as
  not.

As in the source, the threshold's scale is the teacher's mean reward before the environment's is counted.

Letters: T rollout length, B lanes on this device, W columns and H rows of the grid.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from ...envs.contract import TaskEnv
from ...envs.errors import OptionError
from ...envs.tasks import TaskSource
from ..ppo import PPO, State, mean_over
from ..presets import PublishedMiniGrid
from ..rollout import Rollout, lane_indices
from ..spaces import ActionHead, action_head
from .goal_env import NO_GOAL, GoalEnv, goal_vector, with_goals
from .goals import Goals, GoalsState, Pursued


@dataclasses.dataclass(frozen=True)
class Config(PublishedMiniGrid):
    """PPO's settings, and what concerns goals.

    Attributes:
      goals: settings of the teacher of goals.
      coefficient: factor of the rewards for goals.
    """

    beside_image: tuple[str, ...] | None = ("goal",)
    goals: Goals = dataclasses.field(default_factory=Goals)
    coefficient: float = 1.0


class AmigoState(State):
    """A learner with its teacher of goals."""

    goals: GoalsState | None = None


@dataclasses.dataclass(frozen=True)
class Amigo(PPO):
    """PPO on an environment with goals; `amigo` makes both.

    Attributes:
      env: a `GoalEnv`.
      teacher: who chooses the tasks (not the goals).
      config: as for PPO, and the teacher of goals.
    """

    config: Config = dataclasses.field(default_factory=Config)

    @property
    def goal_env(self) -> GoalEnv:
        """The environment as what it must be.

        Raises:
          OptionError: an environment without goals.
        """
        if not isinstance(self.env, GoalEnv):
            raise OptionError(
                f"AMIGo: env; got {type(self.env).__name__}; expected a GoalEnv, see with_goals", key="env"
            )
        return self.env

    @property
    def head(self) -> ActionHead:
        return action_head(self.goal_env.base.action_space)

    def init(self, key: jax.Array) -> AmigoState:
        """A fresh learner. `key` is consumed."""
        key_learner, key_goals = jax.random.split(key)
        goals = self.config.goals.init(key_goals, *self.goal_env.grid_shape)
        return AmigoState(**vars(super().init(key_learner)), goals=goals)

    def act(self, key: jax.Array, state: State, obs: Any, deterministic: bool = False) -> Any:
        """{move, goal} from observations with any leading axes; `key` is consumed."""
        key_goal, key_move = jax.random.split(key)
        cells = self._cells(state, obs["whole"])
        goal = _pursue(obs, cells.mode() if deterministic else cells.sample(key_goal))
        moves = self._policy(state, _with_goal(obs, goal))
        return {"move": self.head.to_env(moves.mode() if deterministic else moves.sample(key_move)), "goal": goal}

    def choose(self, state: State, keys: jax.Array, obs: Any) -> tuple[Any, jax.Array, Any]:
        """What to do and pursue in every lane, and the log-probability of the move alone."""
        both = jax.vmap(jax.random.split)(keys)
        cells = self._cells(state, obs["whole"])
        goal = _pursue(obs, jax.vmap(lambda d, k: d.sample(k))(cells, both[:, 0]))
        moves = self._policy(state, _with_goal(obs, goal))
        move = jax.vmap(lambda d, k: d.sample(k))(moves, both[:, 1])
        return {"move": move, "goal": goal}, moves.log_prob(move), {"move": self.head.to_env(move), "goal": goal}

    def update(self, key: jax.Array, state: State, batch: Rollout) -> tuple[State, dict[str, jax.Array]]:
        """The agent learns from all steps, the teacher from the goals whose pursuit ended. `key` is consumed."""
        assert isinstance(state, AmigoState) and state.goals is not None
        pay = goal_reward(batch, self.env.horizon)
        goals, own = self.config.goals.learn(state.goals, self.pursued(batch), self.config.axis_name)
        state, metrics = super().update(key, state.replace(goals=goals), self._for_agent(batch, pay))
        return state, metrics | own | {"goals/reward": mean_over(pay, self.config.axis_name)}

    def pursued(self, batch: Rollout) -> Pursued:
        """This device's of the first `goals.capacity` goals of a rollout (T, B, ...) whose pursuit ended."""
        after, config = batch.next_obs, self.config
        ends = first_true((after["reached"] > 0) | batch.ended, config.goals.capacity, config.axis_name)
        (rows,) = jnp.nonzero(ends.reshape(-1), size=min(config.goals.capacity, ends.size), fill_value=0)

        def take(x: jax.Array) -> jax.Array:
            return x.reshape(-1, *x.shape[2:])[rows]

        return Pursued(
            start=take(after["start"]),
            goal=take(batch.action["goal"]),
            steps=take(after["since"]),
            reached=take(after["reached"]) > 0,
            paid=take(batch.reward) > 0.0,
            valid=jnp.arange(rows.shape[0]) < jnp.sum(ends),
        )

    def _for_agent(self, batch: Rollout, pay: jax.Array) -> Rollout:
        """The rollout as PPO learns from it: moves, total rewards, and the goal pursued at every step."""
        success = (batch.reward > 0.0).astype(jnp.float32)
        total = jnp.clip(batch.reward + self.config.coefficient * pay, -1.0, 1.0) + success
        obs = _with_goal(batch.obs, batch.action["goal"])
        # What is pursued after a step is only known where another step of the episode follows.
        goes_on = ~batch.ended[:-1, :, None]
        later = jnp.where(goes_on, obs["goal"][1:], batch.next_obs["goal"][:-1])
        next_obs = batch.next_obs | {"goal": jnp.concatenate([later, batch.next_obs["goal"][-1:]])}
        return batch.replace(obs=obs, next_obs=next_obs, action=batch.action["move"], reward=total)

    def _cells(self, state: State, whole: jax.Array) -> Any:
        assert isinstance(state, AmigoState) and state.goals is not None
        lead = whole.shape[:-3]
        cells = self.config.goals.propose(state.goals, whole.reshape(-1, *whole.shape[-3:]))
        return cells.replace(logits=cells.logits.reshape(*lead, -1))


def amigo(env: TaskEnv, teacher: TaskSource, config: Config) -> Amigo:
    """AMIGo on a grid environment.

    Raises:
      OptionError: an environment that cannot show its whole grid.
    """
    return Amigo(env=with_goals(env), teacher=teacher, config=config)


def first_true(flags: jax.Array, count: int, axis_name: str | None) -> jax.Array:
    """(T, B) bool: this device's part of the first `count` that are True, in order of time, then of lanes.

    Ranks go over the lanes of all devices, so that the choice does not depend on how lanes are spread.
    """
    everyone = flags if axis_name is None else jax.lax.all_gather(flags, axis_name, axis=1, tiled=True)
    rank = jnp.cumsum(everyone.reshape(-1), dtype=jnp.int32).reshape(everyone.shape)
    return flags & (rank[:, lane_indices(flags.shape[1], axis_name)] <= count)


def goal_reward(batch: Rollout, horizon: int) -> jax.Array:
    """(T, B): what reaching a goal pays, 1 - 0.9 n / T after n steps."""
    steps = batch.next_obs["since"].astype(jnp.float32)
    return jnp.where(batch.next_obs["reached"] > 0, 1.0 - 0.9 * steps / horizon, 0.0)


def _pursue(obs: Any, proposal: jax.Array) -> jax.Array:
    """The goal that stands, or the proposal where there is none."""
    return jnp.where(obs["cell"] == NO_GOAL, proposal, obs["cell"])


def _with_goal(obs: Any, goal: jax.Array) -> Any:
    """Observations as the agent sees them once it pursues `goal`."""
    return obs | {"goal": goal_vector(obs["whole"], goal)}
