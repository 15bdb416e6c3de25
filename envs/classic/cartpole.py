"""CartPole with its physics as the task: discrete actions, two-line dynamics, a reward of one per step.

Source: Gymnasium 1.4 `CartPole-v1` (Barto, Sutton, Anderson 1983). Differs: float32 instead of float64; velocities in
the observation space are bounded by 100 (never reached before an episode ends) instead of infinite.
"""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import spaces

from ..contract import TaskEnv
from ..tasks import Parameter, TaskSpace

Scalar = jax.Array | float

TIME_STEP = 0.02  # [s]
TRACK_HALF_LENGTH = 2.4  # [m]
MAX_ANGLE = 12 * 2 * math.pi / 360  # [rad]
INITIAL_RANGE = 0.05  # every state variable starts uniform in +- this


class Params(struct.PyTreeNode):
    """One cart and pole."""

    gravity: Scalar = 9.8  # [m/s^2]
    cart_mass: Scalar = 1.0  # [kg]
    pole_mass: Scalar = 0.1  # [kg]
    half_length: Scalar = 0.5  # [m] half the pole's length
    force: Scalar = 10.0  # [N] of either action

    @property
    def total_mass(self) -> Scalar:  # [kg]
        return self.cart_mass + self.pole_mass

    @property
    def pole_moment(self) -> Scalar:  # [kg m]
        return self.pole_mass * self.half_length


class State(struct.PyTreeNode):
    """All () float32."""

    position: jax.Array  # [m]
    velocity: jax.Array  # [m/s]
    angle: jax.Array  # [rad], 0 upright
    spin: jax.Array  # [rad/s]


def swing(state: State, push: jax.Array, params: Params) -> State:
    """One explicit Euler step under a horizontal force [N]."""
    sin, cos = jnp.sin(state.angle), jnp.cos(state.angle)
    drive = (push + params.pole_moment * state.spin**2 * sin) / params.total_mass
    spin_rate = (params.gravity * sin - cos * drive) / (
        params.half_length * (4.0 / 3.0 - params.pole_mass * cos**2 / params.total_mass)
    )
    acceleration = drive - params.pole_moment * spin_rate * cos / params.total_mass
    return State(
        position=state.position + TIME_STEP * state.velocity,
        velocity=state.velocity + TIME_STEP * acceleration,
        angle=state.angle + TIME_STEP * state.spin,
        spin=state.spin + TIME_STEP * spin_rate,
    )


@dataclasses.dataclass(frozen=True)
class CartPole(TaskEnv):
    """Keep a pole upright on a cart by pushing left or right.

    Description:
      Gymnasium's CartPole-v1. The task scales its physics; the default task is the original.

    Action space: `Discrete(2)`

      | index | meaning |
      |---|---|
      | 0 | push left |
      | 1 | push right |

    Observation space: `Box((4,), float32)`

      | index | meaning | unit | range |
      |---|---|---|---|
      | 0 | cart position | m | +-4.8 |
      | 1 | cart velocity | m/s | +-100 |
      | 2 | pole angle | rad | +-0.419 |
      | 3 | pole angular velocity | rad/s | +-100 |

    Reward: 1 per step, the last one included.

    Start: every state variable uniform in +-0.05.

    End: terminated when the cart leaves +-2.4 m or the pole +-12 degrees; truncated after 500 steps.

    Example:
      ```python
      import gymnasium as gym
      env = gym.make("palaestra/CartPole-v0")
      obs, info = env.reset(seed=0, options={"task": {"half_length": 1.0}})
      ```

    Version history:
      v0: first version.

    Source: Gymnasium 1.4, `classic_control/cartpole.py`.
    """

    horizon: int = 500
    reward_range_hint: ClassVar[tuple[float, float]] = (0.0, 500.0)
    success_return: ClassVar[float] = 475.0
    end_reasons = ("the cart left the track", "the pole fell")
    render_fps: ClassVar[int] = 50
    task_space = TaskSpace(
        (
            Parameter("gravity", 1.0, 20.0, 9.8, "m/s^2", doc="Gravitational acceleration."),
            Parameter("cart_mass", 0.2, 5.0, 1.0, "kg", "log", doc="Mass of the cart."),
            Parameter("pole_mass", 0.02, 0.5, 0.1, "kg", "log", doc="Mass of the pole."),
            Parameter("half_length", 0.1, 2.0, 0.5, "m", "log", doc="Half the pole's length."),
            Parameter("force", 2.0, 20.0, 10.0, "N", doc="Force of either action."),
        )
    )
    action_space = spaces.Discrete(2)
    observation_space = spaces.Box(
        -np.array([2 * TRACK_HALF_LENGTH, 100, 2 * MAX_ANGLE, 100], np.float32),
        np.array([2 * TRACK_HALF_LENGTH, 100, 2 * MAX_ANGLE, 100], np.float32),
        dtype=np.float32,
    )

    def task_params(self, task: jax.Array) -> Params:
        return Params(**{name: task[..., i] for i, name in enumerate(self.task_space.names)})

    def initial(self, rng: jax.Array, params: Params | None = None) -> State:
        values = jax.random.uniform(rng, (4,), minval=-INITIAL_RANGE, maxval=INITIAL_RANGE)
        return State(*values)

    def transition(self, state: State, action: jax.Array, rng: jax.Array, params: Params | None = None) -> State:
        del rng  # deterministic
        params = self.default_params if params is None else params
        return swing(state, jnp.where(action == 1, params.force, -params.force), params)

    def observation(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        return jnp.stack([state.position, state.velocity, state.angle, state.spin])

    def reward(
        self, state: State, action: jax.Array, next_state: State, rng: jax.Array, params: Params | None = None
    ) -> jax.Array:
        return jnp.ones((), jnp.float32)

    def terminal(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        return (jnp.abs(state.position) > TRACK_HALF_LENGTH) | (jnp.abs(state.angle) > MAX_ANGLE)

    def end_reason(self, state: State, params: Params | None = None) -> jax.Array:
        return (jnp.abs(state.position) <= TRACK_HALF_LENGTH).astype(jnp.int32)

    def render_image(
        self, state: State, render_state: Any = None, params: Params | None = None
    ) -> tuple[Any, np.ndarray]:
        from .drawing import draw_cartpole

        params = self.default_params if params is None else params
        return render_state, draw_cartpole(float(state.position), float(state.angle), float(params.half_length))
