"""MiniGrid and BabyAI environments: a source of levels, the package's mechanics, its rules and its observations.

Letters: V cells along a side of the agent's window, H rows, W columns, L words, D task parameters.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import spaces

from ..contract import TaskEnv
from ..tasks import Parameter, TaskSpace
from . import tiles
from .core import State, act, start
from .instructions import with_hands_empty
from .level import Level
from .levels import Levels
from .observe import View, look
from .source import Source
from .views import KINDS
from .words import MissionSpace

TIME = Parameter(
    "time_factor", 0.1, 1.0, 1.0, doc="Share of the level's limit of steps that the agent gets; the reward follows."
)


_SIGHT = "Columns seen to each side; twice as many rows are seen ahead."


class Params(struct.PyTreeNode):
    """What a task stands for."""

    level: Any  # {name: () float32}, the source's parameters, or a Level
    time_factor: jax.Array  # () float32
    see_through: jax.Array  # () bool
    sight: jax.Array  # () int32, columns seen to each side; twice as many rows ahead


@dataclasses.dataclass(frozen=True)
class MiniGrid(TaskEnv):
    """One id of the `minigrid` package, or a family of levels that holds several of them.

    Attributes:
      source: where levels come from, and by which rule they are judged.
      horizon: a cap on the limit of steps that every level brings with it.
      view_size: V, odd, from 3 to 31.
      view: what the image shows, a key of `views.KINDS`.
      tile_size: P, of views in colours.
      tasks: "parameters", numbers that the source and the agent's senses take, or "levels", whole levels.
      reference_first_view: the first observation shows what the agent holds from the start where it lay before, as in
        the package's three ids PutNext...Carrying, which observe before they hand it out.
    """

    source: Source
    horizon: int
    view_size: int = 7
    view: str = "partial"
    tile_size: int = 8
    tasks: str = "parameters"
    reference_first_view: bool = False
    end_reasons = ("success", "failure")
    reward_range_hint: ClassVar[tuple[float, float]] = (-1.0, 1.0)  # below 0 where obstacles move
    render_fps: ClassVar[int] = 10

    @functools.cached_property
    def task_space(self) -> TaskSpace | Levels:  # type: ignore[override]
        """The source's parameters, then how much time and sight the agent has; or its levels."""
        if self.tasks == "levels":
            return Levels(self.source)
        return TaskSpace((*self.source.parameters, TIME, *self._sight))

    @property
    def _sight(self) -> tuple[Parameter, ...]:
        if not KINDS[self.view].shows_window:
            return ()
        half, see_through = self.view_size // 2, float(self.source.see_through)
        return (
            Parameter("see_through", 0, 1, see_through, kind="categorical", doc="Whether walls hide nothing."),
            Parameter("sight", 1, half, half, unit="cells", kind="integer", doc=_SIGHT),
        )

    @functools.cached_property
    def observation_space(self) -> spaces.Dict:  # type: ignore[override]
        source = self.source
        return spaces.Dict(
            {
                "image": KINDS[self.view].space(self.view_size, source.width, source.height, self.tile_size),
                "direction": spaces.Discrete(4),
                "mission": MissionSpace(source.mission_length, source.missions),
            }
        )

    @functools.cached_property
    def action_space(self) -> spaces.Discrete:  # type: ignore[override]
        return spaces.Discrete(self.source.rule.num_actions)

    def task_params(self, task: Any) -> Params:
        """The Params of a task (D,) float32, or of a level."""
        space = self.task_space
        if isinstance(space, Levels):
            return self._params(task, {})
        values = {name: task[i] for i, name in enumerate(space.names)}
        return self._params({parameter.name: values[parameter.name] for parameter in self.source.parameters}, values)

    def _params(self, level: Any, values: dict[str, Any]) -> Params:
        return Params(
            level=level,
            time_factor=jnp.asarray(values.get("time_factor", TIME.default), jnp.float32),
            see_through=jnp.asarray(values.get("see_through", float(self.source.see_through))) > 0.5,
            sight=jnp.round(values.get("sight", self.view_size // 2)).astype(jnp.int32),
        )

    def initial(self, rng: jax.Array, params: Any = None) -> State:
        """A fresh level. `rng` is consumed."""
        params = self.default_params if params is None else params
        level = params.level if self.tasks == "levels" else self.source.sample(rng, params.level)
        return self.begin(level, params)

    def begin(self, level: Level, params: Params) -> State:
        """The start of an episode on `level`, which gets the share of its time that `params` grant."""
        limit = jnp.ceil(level.max_steps.astype(jnp.float32) * params.time_factor).astype(jnp.int32)
        return start(level.replace(max_steps=jnp.minimum(limit, level.max_steps)))

    def transition(self, state: State, action: jax.Array, rng: jax.Array, params: Any = None) -> State:
        """The world moves, the agent acts, the rule judges. `rng` is consumed by worlds that move."""
        before, action = self.source.rule.prepare(state, action, rng)
        return self.source.rule.judge(before, action, act(before, action))

    def observation(self, state: State, rng: jax.Array, params: Any = None) -> dict[str, jax.Array]:
        """{image, direction () int32, mission (L,) uint8}."""
        level = state.level
        if self.reference_first_view:
            level = jax.tree.map(lambda a, b: jnp.where(state.steps == 0, a, b), with_hands_empty(level), level)
        image = KINDS[self.view].image(level, self._look(level, params), self.tile_size)
        return {"image": image, "direction": level.direction, "mission": level.mission}

    def _look(self, level: Level, params: Any) -> View:
        params = self.default_params if params is None else params
        return look(level, self.view_size, params.see_through, params.sight)

    def reward(self, state: State, action: Any, next_state: State, rng: jax.Array, params: Any = None) -> jax.Array:
        """() float32."""
        return next_state.reward

    def terminal(self, state: State, rng: jax.Array, params: Any = None) -> jax.Array:
        """() bool."""
        return state.terminated

    def time_limit(self, state: State, params: Any = None) -> jax.Array:
        """() int32: the level's own limit, not above the horizon."""
        return jnp.minimum(state.level.max_steps, self.horizon)

    def success(self, state: State, params: Any = None) -> jax.Array:
        """() bool: whether the last step was paid for."""
        return state.reward > 0

    def end_reason(self, state: State, params: Any = None) -> jax.Array:
        """() int32 into `end_reasons`."""
        return jnp.where(state.reward > 0, 0, 1)

    def render_image(self, state: State, render_state: Any = None, params: Any = None) -> tuple[Any, np.ndarray]:
        """The whole grid with the agent's window lit, 32 pixels a cell, as the package draws it."""
        code = np.asarray(_picture_codes(self, state.level, self.default_params if params is None else params))
        return render_state, tiles.draw(code, tiles.TILE)


@functools.partial(jax.jit, static_argnums=0)
def _picture_codes(env: MiniGrid, level: Level, params: Params) -> jax.Array:
    return tiles.full_codes(level, env._look(level, params))
