"""Pendulum with its physics as the task: continuous torque, dense negative cost.

Source: Gymnasium 1.4 `Pendulum-v1`. Differs: actions lie in [-1, 1] and are scaled by the task's largest torque
(original: [-2, 2], the torque itself), so that the action space does not depend on the task; float32.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import spaces

from ..contract import TaskEnv
from ..tasks import Parameter, TaskSpace

Scalar = jax.Array | float

TIME_STEP = 0.05  # [s]
MAX_SPEED = 8.0  # [rad/s]


class Params(struct.PyTreeNode):
    """One pendulum."""

    gravity: Scalar = 10.0  # [m/s^2]
    mass: Scalar = 1.0  # [kg]
    length: Scalar = 1.0  # [m]
    max_torque: Scalar = 2.0  # [N m]


class State(struct.PyTreeNode):
    """All () float32."""

    angle: jax.Array  # [rad], 0 upright, unwrapped
    spin: jax.Array  # [rad/s]


def swing(state: State, torque: jax.Array, params: Params) -> State:
    """One semi-implicit Euler step of a rod under torque [N m]; angular speed is clipped."""
    fall = 3 * params.gravity / (2 * params.length) * jnp.sin(state.angle)
    drive = 3.0 / (params.mass * params.length**2) * torque
    spin = jnp.clip(state.spin + (fall + drive) * TIME_STEP, -MAX_SPEED, MAX_SPEED)
    return State(angle=state.angle + spin * TIME_STEP, spin=spin)


def reward_terms(state: State, torque: jax.Array) -> dict[str, jax.Array]:
    """The reward is the sum of these; `state` is the one before the step, as in the original."""
    angle = (state.angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
    return {"upright": -(angle**2), "still": -0.1 * state.spin**2, "effort": -0.001 * torque**2}


@dataclasses.dataclass(frozen=True)
class Pendulum(TaskEnv):
    """Swing a pendulum up and hold it there.

    Description:
      Gymnasium's Pendulum-v1. The task scales its physics; the default task is the original.

    Action space: `Box(-1, 1, (1,), float32)`

      | index | meaning | unit | range |
      |---|---|---|---|
      | 0 | torque as a share of `max_torque` | 1 | -1 .. 1 |

    Observation space: `Box((3,), float32)`

      | index | meaning | unit | range |
      |---|---|---|---|
      | 0 | cosine of the angle | 1 | -1 .. 1 |
      | 1 | sine of the angle | 1 | -1 .. 1 |
      | 2 | angular velocity | rad/s | -8 .. 8 |

    Reward: -(angle^2 + 0.1 spin^2 + 0.001 torque^2), of the state before the step.

    Start: angle uniform in +-pi, angular velocity uniform in +-1.

    End: never terminated; truncated after 200 steps.

    Example:
      ```python
      import gymnasium as gym
      env = gym.make("palaestra/Pendulum-v0")
      obs, info = env.reset(seed=0, options={"task": {"length": 0.8}})
      ```

    Version history:
      v0: first version.

    Source: Gymnasium 1.4, `classic_control/pendulum.py`.
    """

    horizon: int = 200
    reward_range_hint: ClassVar[tuple[float, float]] = (-1600.0, 0.0)
    success_return: ClassVar[float] = -200.0
    render_fps: ClassVar[int] = 30
    task_space = TaskSpace(
        (
            Parameter("gravity", 1.0, 20.0, 10.0, "m/s^2", doc="Gravitational acceleration."),
            Parameter("mass", 0.2, 3.0, 1.0, "kg", "log", doc="Mass of the rod."),
            Parameter("length", 0.3, 2.0, 1.0, "m", "log", doc="Length of the rod."),
            Parameter("max_torque", 0.5, 5.0, 2.0, "N m", doc="Torque at full action."),
        )
    )
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_space = spaces.Box(
        -np.array([1.0, 1.0, MAX_SPEED], np.float32), np.array([1.0, 1.0, MAX_SPEED], np.float32), dtype=np.float32
    )

    def task_params(self, task: jax.Array) -> Params:
        return Params(**{name: task[..., i] for i, name in enumerate(self.task_space.names)})

    def initial(self, rng: jax.Array, params: Params | None = None) -> State:
        angle, spin = jax.random.uniform(rng, (2,), minval=-1.0, maxval=1.0)
        return State(angle=jnp.pi * angle, spin=spin)

    def transition(self, state: State, action: jax.Array, rng: jax.Array, params: Params | None = None) -> State:
        del rng  # deterministic
        params = self.default_params if params is None else params
        return swing(state, torque_of(action, params), params)

    def observation(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.spin])

    def reward(
        self, state: State, action: jax.Array, next_state: State, rng: jax.Array, params: Params | None = None
    ) -> jax.Array:
        params = self.default_params if params is None else params
        return sum(reward_terms(state, torque_of(action, params)).values(), start=jnp.zeros(()))

    def terminal(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        return jnp.zeros((), bool)

    def render_image(
        self, state: State, render_state: Any = None, params: Params | None = None
    ) -> tuple[Any, np.ndarray]:
        from .drawing import draw_pendulum

        params = self.default_params if params is None else params
        return render_state, draw_pendulum(float(state.angle), float(params.length))


def torque_of(action: jax.Array, params: Params) -> jax.Array:
    """Torque [N m] of an action (1,); shares beyond one saturate."""
    return params.max_torque * jnp.clip(action[0], -1.0, 1.0)
