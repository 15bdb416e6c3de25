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
from . import observe
from .core import State, act, start
from .source import Source
from .words import MissionSpace

TIME = Parameter(
    "time_factor", 0.1, 1.0, 1.0, doc="Share of the level's limit of steps that the agent gets; the reward follows."
)


class Params(struct.PyTreeNode):
    """What a task stands for."""

    level: dict[str, jax.Array]  # () float32 each, the source's parameters
    time_factor: jax.Array  # () float32
    see_through: jax.Array  # () bool
    sight: jax.Array  # () int32, columns seen to each side


@dataclasses.dataclass(frozen=True)
class MiniGrid(TaskEnv):
    """One id of the `minigrid` package, or a family of levels that holds several of them.

    Attributes:
      source: where levels come from, and by which rule they are judged.
      horizon: a cap on the limit of steps that every level brings with it.
      view_size: V, odd, at least 3.
    """

    source: Source
    horizon: int
    view_size: int = 7
    end_reasons: ClassVar[tuple[str, ...]] = ("success", "failure")
    reward_range_hint: ClassVar[tuple[float, float]] = (0.0, 1.0)
    render_fps: ClassVar[int] = 10

    @functools.cached_property
    def task_space(self) -> TaskSpace:  # type: ignore[override]
        """The source's parameters, then how much time and sight the agent has."""
        half = self.view_size // 2
        see_through = float(self.source.see_through)
        return TaskSpace(
            (
                *self.source.parameters,
                TIME,
                Parameter("see_through", 0, 1, see_through, kind="categorical", doc="Whether walls hide nothing."),
                Parameter("sight", 1, half, half, unit="cells", kind="integer", doc="Columns seen to each side."),
            )
        )

    @functools.cached_property
    def observation_space(self) -> spaces.Dict:  # type: ignore[override]
        size = self.view_size
        return spaces.Dict(
            {
                "image": spaces.Box(0, 255, (size, size, 3), np.uint8),
                "direction": spaces.Discrete(4),
                "mission": MissionSpace(self.source.mission_length, self.source.missions),
            }
        )

    @functools.cached_property
    def action_space(self) -> spaces.Discrete:  # type: ignore[override]
        return spaces.Discrete(self.source.rule.num_actions)

    def task_params(self, task: Any) -> Params:
        """The Params of a task (D,) float32."""
        space = self.task_space
        values = {name: task[i] for i, name in enumerate(space.names)}
        return Params(
            level={parameter.name: values[parameter.name] for parameter in self.source.parameters},
            time_factor=values["time_factor"],
            see_through=values["see_through"] > 0.5,
            sight=jnp.round(values["sight"]).astype(jnp.int32),
        )

    def initial(self, rng: jax.Array, params: Any = None) -> State:
        """A fresh level. `rng` is consumed."""
        params = self.default_params if params is None else params
        level = self.source.sample(rng, params.level)
        limit = jnp.ceil(level.max_steps.astype(jnp.float32) * params.time_factor).astype(jnp.int32)
        return start(level.replace(max_steps=jnp.minimum(limit, level.max_steps)))

    def transition(self, state: State, action: jax.Array, rng: jax.Array, params: Any = None) -> State:
        """The world moves, the agent acts, the rule judges. `rng` is consumed by worlds that move."""
        before, action = self.source.rule.prepare(state, action, rng)
        return self.source.rule.judge(before, action, act(before, action))

    def observation(self, state: State, rng: jax.Array, params: Any = None) -> dict[str, jax.Array]:
        """{image (V, V, 3) uint8, direction () int32, mission (L,) uint8}."""
        params = self.default_params if params is None else params
        level = state.level
        view = observe.look(level, self.view_size, params.see_through, params.sight)
        image = observe.encode(observe.partial_words(level, view))
        return {"image": image, "direction": level.direction, "mission": level.mission}

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
