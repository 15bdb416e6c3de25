"""What a walker senses, what it is paid for, and when its episode ends.

Plain functions of arrays for one walker, in the order in which a step uses them. The hull's *origin* is the point
its vertices are stated from; physics keeps centres of mass.

Source: Gymnasium 1.4 `bipedal_walker.py`, `step`. Differs: the original subtracts two potentials of the size of the
distance walked; here the differences of position and angle are paid, which is the same sum but keeps single
precision exact far down the track.

Letters: J joints (hip and knee of each leg).
"""

import jax
import jax.numpy as jnp

from .types import LIDAR_COUNT, SCALE, Scalar

FPS = 50.0  # [1/s]
VIEW = (600 / SCALE, 400 / SCALE)  # [m], the original's window, by which it normalises velocities
HIP_UNIT, KNEE_UNIT = 4.0, 6.0  # [rad/s], joint speeds are observed in these units whatever the motors can do
KNEE_REST = 1.0  # [rad] added to knee angles
PROGRESS_RATE = 130 / SCALE  # [1/m]
POSTURE_RATE = 5.0  # [1/rad]
TORQUE_PENALTY = 0.00035 * 80  # [1] per joint and step at full torque
FALL_REWARD = -100.0


def hull_origin(position: jax.Array, angle: jax.Array, local_center: jax.Array) -> jax.Array:
    """(2,) [m] origin of a body from its centre of mass (2,), angle () [rad] and the centre's body coordinates (2,)."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = local_center[0], local_center[1]
    return position - jnp.stack([cos * x - sin * y, sin * x + cos * y])


def observe(
    angle: jax.Array,
    spin: jax.Array,
    velocity: jax.Array,
    joint_angle: jax.Array,
    joint_speed: jax.Array,
    ground_flag: jax.Array,
    lidar: jax.Array,
) -> jax.Array:
    """The observation.

    Args:
      angle, spin: () [rad], [rad/s] of the hull.
      velocity: (2,) [m/s] of the hull's centre of mass.
      joint_angle: (J,) [rad] relative to the joint's reference; hip, knee of each leg.
      joint_speed: (J,) [rad/s].
      ground_flag: (J / 2,) bool, per leg.
      lidar: (LIDAR_COUNT,) fractions.

    Returns:
      (4 + 5 J / 2 + LIDAR_COUNT,): hull angle [rad], spin and velocity (normalised); per leg hip angle, hip speed / 4,
      knee angle + 1, knee speed / 6, ground flag; lidar.
    """
    dtype = lidar.dtype
    hull = jnp.stack([angle, 2.0 * spin / FPS, 0.3 * velocity[0] * VIEW[0] / FPS, 0.3 * velocity[1] * VIEW[1] / FPS])
    legs = jnp.stack(
        [
            joint_angle[0::2],
            joint_speed[0::2] / HIP_UNIT,
            joint_angle[1::2] + KNEE_REST,
            joint_speed[1::2] / KNEE_UNIT,
            ground_flag.astype(dtype),
        ],
        axis=1,
    )
    return jnp.concatenate([hull, legs.reshape(-1), lidar])


def observation_size(num_joints: int) -> int:
    """Length of the observation of a walker with this many joints."""
    return 4 + 5 * num_joints // 2 + LIDAR_COUNT


def shaping(x: jax.Array, angle: jax.Array) -> jax.Array:
    """() the potential whose increase is paid, from the hull's origin x [m] and angle [rad]."""
    return PROGRESS_RATE * x - POSTURE_RATE * jnp.abs(angle)


def has_failed(x: jax.Array, hull_touched: jax.Array) -> jax.Array:
    """() bool: the hull has touched something in this episode, or its origin is left of the track."""
    return hull_touched | (x < 0)


def terminal(x: jax.Array, hull_touched: jax.Array, finish: jax.Array) -> jax.Array:
    """() bool: the walker failed or its hull's origin is past the finish line."""
    return has_failed(x, hull_touched) | (x > finish)


def reward_terms(
    x: jax.Array,
    angle: jax.Array,
    next_x: jax.Array,
    next_angle: jax.Array,
    action: jax.Array,
    failed: jax.Array,
    torque_penalty: Scalar = TORQUE_PENALTY,
) -> dict[str, jax.Array]:
    """The reward is the sum of these; a step that fails pays `fall` only.

    Args:
      x, angle: () [m], [rad], origin and angle of the hull before the step; `next_*` after it.
      action: (J,) as given by the agent; beyond [-1, 1] it counts as 1.
      failed: () bool, after the step.
      torque_penalty: per joint at full torque.
    """
    effort = torque_penalty * jnp.sum(jnp.clip(jnp.abs(action), 0.0, 1.0))
    terms = {
        "progress": PROGRESS_RATE * (next_x - x),
        "posture": POSTURE_RATE * (jnp.abs(angle) - jnp.abs(next_angle)),
        "effort": -effort,
    }
    paid = {name: jnp.where(failed, 0.0, value) for name, value in terms.items()}
    return paid | {"fall": jnp.where(failed, FALL_REWARD, 0.0).astype(paid["progress"].dtype)}
