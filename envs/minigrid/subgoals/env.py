"""MiniGrid environments that show the agent its next subgoal and pay for reaching it.

Letters: K subgoals at most, D task parameters, E dimensions of a text's vector.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import spaces

from ...contract import TaskEnv
from ...tasks import Parameter, TaskSpace
from .. import cells
from .. import env as minigrid
from ..core import State
from .chain import Chain, draw_cell, insert, words_at
from .errors import EXACT, POSITIONAL, REPRESENTATION, ErrorModel, err
from .guides import Guide
from .texts import HASHED_TEXTS, TextTable, text_number

AUTHORS = "authors"
BONUS, POTENTIAL = "bonus", "potential"
ALPHA = 0.2  # of all published runs


class Params(struct.PyTreeNode):
    """What a task stands for."""

    base: minigrid.Params
    alpha: jax.Array  # () float32, the largest reward for a subgoal
    drop_out: jax.Array  # () float32, how probable it is that a subgoal is not shown
    accuracy: jax.Array  # () float32, share of subgoals that the teacher gets right


class SubgoalState(struct.PyTreeNode):
    """A running episode with its subgoals."""

    base: State
    chain: Chain  # as the teacher gave it
    shown: jax.Array  # (K,) bool, which of them the agent gets to see
    index: jax.Array  # () int32, the current one
    since: jax.Array  # () int32, steps since the one before it was reached
    completed: jax.Array  # () bool, whether the last step reached one
    reward: jax.Array  # () float32, of the last step
    terminated: jax.Array  # () bool


@dataclasses.dataclass(frozen=True)
class SubgoalGrid(TaskEnv):
    """A MiniGrid environment with a teacher of subgoals.

    A subgoal is reached when the agent stands on its cell or the cell's contents change. Only the current one counts:
    it pays alpha * (1 - n / T) after n steps since the one before it, T being the episode's limit, and the next
    becomes current. The last subgoal is the task itself, so it is neither shown nor paid; all are where a plan does not
    reach as far as the task.

    Attributes:
      base: the environment underneath.
      guide: the levels and their subgoals.
      horizon: a cap on the limit of steps that every level brings with it.
      kind: "positional", "representation" or "language": what `obs["subgoal"]` says.
      errors: how a mistaken teacher errs.
      shaping: "bonus", or "potential": discount * p(s') - p(s) with p = alpha * reached / all, and 0 once the episode
        has terminated, which leaves the optimal policy as it is (Ng et al. 1999).
      discount: of the potential, in [0, 1]; the learner's own, for the optimal policy to stay.
      texts: vectors for kind "language".
      show_last: shows and pays the last subgoal, too.
      egocentric: gives positions in the agent's frame: (right, ahead).
      distractors: further subgoals at random free cells, inserted at random before the last.
      compat: None, or "authors": errors of positions as their code makes them, and with distractors no success before
        the last subgoal is current.
    """

    base: minigrid.MiniGrid
    guide: Guide
    horizon: int
    kind: str = POSITIONAL
    errors: ErrorModel = EXACT
    shaping: str = BONUS
    discount: float = 0.99
    texts: TextTable = HASHED_TEXTS
    show_last: bool = False
    egocentric: bool = False
    distractors: int = 0
    compat: str | None = None
    end_reasons = ("success", "failure")
    reward_range_hint: ClassVar[tuple[float, float]] = (0.0, 2.0)
    render_fps: ClassVar[int] = 10

    @property
    def action_space(self) -> spaces.Discrete:  # type: ignore[override]
        return self.base.action_space

    @functools.cached_property
    def observation_space(self) -> spaces.Dict:  # type: ignore[override]
        return spaces.Dict({**self.base.observation_space.spaces, "subgoal": self._subgoal_space()})

    def _subgoal_space(self) -> spaces.Box:
        if self.kind == POSITIONAL:
            reach = float(max(self.guide.source.width, self.guide.source.height) - 1)
            return spaces.Box(-reach, reach, (2,), np.float32)
        if self.kind == REPRESENTATION:
            return spaces.Box(np.full(3, -1, np.float32), np.array([10, 5, 2], np.float32))
        return spaces.Box(-1.0, 1.0, (self.texts.dimensions,), np.float32)

    @functools.cached_property
    def task_space(self) -> TaskSpace:  # type: ignore[override]
        """The base's parameters, then how much the teacher helps."""
        space = self.base.task_space
        assert isinstance(space, TaskSpace)
        accuracy = self.errors.accuracy(self.kind)
        return TaskSpace(
            (
                *space.parameters,
                Parameter("alpha", 0.0, 1.0, ALPHA, doc="Reward for a subgoal that is reached at once."),
                Parameter("drop_out", 0.0, 1.0, 0.0, doc="How probable it is that a subgoal is not shown."),
                Parameter("accuracy", 0.0, 1.0, accuracy, doc="Share of subgoals that the teacher gets right."),
            )
        )

    def task_params(self, task: Any) -> Params:
        """The Params of a task (D,) float32."""
        return Params(base=self.base.task_params(task[:-3]), alpha=task[-3], drop_out=task[-2], accuracy=task[-1])

    def initial(self, rng: jax.Array, params: Any = None) -> SubgoalState:
        """A fresh level with the teacher's subgoals. `rng` is consumed."""
        params = self.default_params if params is None else params
        key_level, key_errors, key_distract, key_show = jax.random.split(rng, 4)
        level, chain = self.guide.begin(key_level, params.base.level)
        chain, _ = err(
            key_errors,
            level,
            chain,
            self.kind,
            params.accuracy,
            self.errors,
            self.guide.mistakes,
            self.compat == AUTHORS,
        )
        if self.distractors:
            chain = self._distract(key_distract, level.grid, chain)
        return SubgoalState(
            base=self.base.begin(level, params.base),
            chain=chain,
            shown=jax.random.uniform(key_show, chain.x.shape) >= params.drop_out,
            index=jnp.zeros((), jnp.int32),
            since=jnp.zeros((), jnp.int32),
            completed=jnp.zeros((), bool),
            reward=jnp.zeros(()),
            terminated=jnp.zeros((), bool),
        )

    def _distract(self, key: jax.Array, grid: jax.Array, chain: Chain) -> Chain:
        key_position, key_place = jax.random.split(key)
        positions = jax.random.randint(key_position, (self.distractors,), 0, chain.helping + 1, jnp.int32)
        free = grid == cells.EMPTY
        x, y = jax.vmap(lambda key: draw_cell(key, free))(jax.random.split(key_place, self.distractors))
        return insert(chain, positions, x, y)

    def transition(self, state: SubgoalState, action: jax.Array, rng: jax.Array, params: Any = None) -> SubgoalState:
        """The base's step, then the subgoals. `rng` is consumed."""
        params = self.default_params if params is None else params
        base = self.base.transition(state.base, action, rng, params.base)
        level, chain = base.level, state.chain
        changed = words_at(level.grid, chain) != words_at(state.base.level.grid, chain)
        stands = (chain.x == level.x) & (chain.y == level.y)
        completed = (changed | stands)[state.index] & self._counts(state)
        since = state.since + 1
        terminated, earned = base.terminated, base.reward
        if self.compat == AUTHORS and self.distractors:
            early = (base.reward > 0) & (state.index < chain.helping)
            terminated, earned = terminated & ~early, jnp.where(early, 0.0, earned)
        index = state.index + completed.astype(jnp.int32)
        paid = self._paid(state, index, completed, since, terminated, params.alpha)
        return state.replace(
            base=base,
            index=index,
            since=jnp.where(completed, 0, since),
            completed=completed,
            reward=earned + paid,
            terminated=terminated,
        )

    def _counts(self, state: SubgoalState) -> jax.Array:
        """() bool: whether the current subgoal is shown and paid; the last is the task itself."""
        return state.index < (state.chain.count if self.show_last else state.chain.helping)

    def _paid(
        self,
        state: SubgoalState,
        index: jax.Array,
        completed: jax.Array,
        since: jax.Array,
        terminated: jax.Array,
        alpha: jax.Array,
    ) -> jax.Array:
        if self.shaping == POTENTIAL:
            share = alpha / jnp.maximum(state.chain.count, 1).astype(jnp.float32)
            reached = jnp.where(terminated, 0, index).astype(jnp.float32)
            return share * (self.discount * reached - state.index.astype(jnp.float32))
        limit = self.time_limit(state).astype(jnp.float32)
        return jnp.where(completed, alpha * (1.0 - since.astype(jnp.float32) / limit), 0.0)

    def observation(self, state: SubgoalState, rng: jax.Array, params: Any = None) -> dict[str, jax.Array]:
        """The base's observation with "subgoal" (2,), (3,) or (E,) float32."""
        params = self.default_params if params is None else params
        obs = self.base.observation(state.base, rng, params.base)
        return {**obs, "subgoal": self._describe(state)}

    def _describe(self, state: SubgoalState) -> jax.Array:
        """The current subgoal as the agent gets it; the kind's word for none when there is none or it is hidden."""
        level, chain = state.base.level, state.chain
        current = jnp.minimum(state.index, jnp.maximum(chain.count - 1, 0))
        visible = self._counts(state) & state.shown[current]
        x, y = chain.x[current], chain.y[current]
        if self.kind == POSITIONAL:
            right, down = x - level.x, y - level.y
            if self.egocentric:
                dx, dy = jnp.asarray(cells.DX)[level.direction], jnp.asarray(cells.DY)[level.direction]
                right, down = -dy * right + dx * down, dx * right + dy * down
            return jnp.where(visible, jnp.stack([right, down]).astype(jnp.float32), 0.0)
        word = level.grid[y, x]
        if self.kind == REPRESENTATION:
            codes = jnp.stack([cells.kind(word), cells.color(word), cells.state(word)])
            return jnp.where(visible, codes.astype(jnp.float32), -1.0)
        return jnp.where(visible, jnp.asarray(self.texts.vectors)[text_number(word)], 0.0)

    def reward(self, state: Any, action: Any, next_state: Any, rng: jax.Array, params: Any = None) -> jax.Array:
        """() float32, the base's and what the teacher pays."""
        return next_state.reward

    def terminal(self, state: SubgoalState, rng: jax.Array, params: Any = None) -> jax.Array:
        """() bool."""
        return state.terminated

    def time_limit(self, state: SubgoalState, params: Any = None) -> jax.Array:
        """() int32: the base's, not above the horizon."""
        return jnp.minimum(self.base.time_limit(state.base), self.horizon)

    def success(self, state: SubgoalState, params: Any = None) -> jax.Array:
        """() bool: whether the task itself succeeded in the last step."""
        return self.base.success(state.base)

    def end_reason(self, state: SubgoalState, params: Any = None) -> jax.Array:
        """() int32 into `end_reasons`."""
        return self.base.end_reason(state.base)

    def transition_info(
        self, state: SubgoalState, action: Any, next_state: SubgoalState, params: Any = None
    ) -> dict[str, jax.Array]:
        """Where the agent is in the chain, and what the task alone paid."""
        return {
            "subgoal_index": next_state.index,
            "subgoal_completed": next_state.completed,
            "subgoal_steps": next_state.since,
            "subgoals_total": next_state.chain.count,
            "task_reward": next_state.base.reward,
        }

    def render_image(self, state: SubgoalState, render_state: Any = None, params: Any = None) -> tuple[Any, np.ndarray]:
        """The base's picture with a frame around the current subgoal."""
        base_params = None if params is None else params.base
        render_state, picture = self.base.render_image(state.base, render_state, base_params)
        state = jax.device_get(state)
        if bool(self._counts(state)):
            picture = _framed(picture, int(state.chain.x[state.index]), int(state.chain.y[state.index]))
        return render_state, picture


def _framed(picture: np.ndarray, x: int, y: int, pixels: int = 32, width: int = 3) -> np.ndarray:
    """The picture with an orange frame around a cell."""
    framed = picture.copy()
    cell = framed[y * pixels : (y + 1) * pixels, x * pixels : (x + 1) * pixels]
    inner = cell[width:-width, width:-width].copy()
    cell[:] = (255, 140, 0)
    cell[width:-width, width:-width] = inner
    return framed
