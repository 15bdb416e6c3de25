"""Revolute joints with a motor and angle limits: Box2D's sequential impulses, float operation by float operation.

Bodies are rows: lists over bodies of (B,) arrays, because joints are solved one after another and each touches two of
them. Every function returns new lists.

Letters: N bodies, J joints, B environments.
Source: Box2D 2.3 b2RevoluteJoint.cpp.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from .bodies import BodyPlan, joint_limits, joint_reference
from .planar import Vector, add, cross, rotate, rotation, scale, sub
from .types import Geometry, Physics

PI = np.float32(3.14159265359)
LINEAR_SLOP = 0.005  # [m]
ANGULAR_SLOP = float(np.float32(2 / 180) * PI)  # [rad]
MAX_ANGULAR_CORRECTION = float(np.float32(8 / 180) * PI)  # [rad] per position iteration
FREE, AT_LOWER, AT_UPPER = 0, 1, 2


class Motion(struct.PyTreeNode):
    """Velocities as rows: tuples over bodies of (B,)."""

    x: tuple[jax.Array, ...]  # [m/s]
    y: tuple[jax.Array, ...]
    spin: tuple[jax.Array, ...]  # [rad/s]


class Pose(struct.PyTreeNode):
    """Centres of mass and angles as rows: tuples over bodies of (B,)."""

    x: tuple[jax.Array, ...]  # [m]
    y: tuple[jax.Array, ...]
    angle: tuple[jax.Array, ...]  # [rad]


class JointImpulse(struct.PyTreeNode):
    """What one joint has accumulated."""

    point: Vector  # [N s]
    limit: jax.Array  # [N m s]
    motor: jax.Array  # [N m s]


class Joint(struct.PyTreeNode):
    """One joint during a step; all (B,). `k11` ... are the symmetric 3 x 3 matrix of (x, y, angle)."""

    arm_parent: Vector  # [m], anchor relative to the parent's centre of mass
    arm_child: Vector
    turn_parent: Vector  # the same arms as the directions in which spin moves the anchor: (-y, x)
    turn_child: Vector
    mass_parent: jax.Array  # [1/kg], all inverse
    mass_child: jax.Array
    inertia_parent: jax.Array  # [1/(kg m^2)], all inverse
    inertia_child: jax.Array
    local_parent: Vector  # [m], arms in the bodies' frames
    local_child: Vector
    k11: jax.Array
    k12: jax.Array
    k13: jax.Array
    k22: jax.Array
    k23: jax.Array
    k33: jax.Array
    cofactors: tuple[jax.Array, jax.Array, jax.Array]  # first row of the adjugate
    inv_det3: jax.Array
    inv_det2: jax.Array
    motor_mass: jax.Array  # [kg m^2]
    motor_speed: jax.Array  # [rad/s]
    max_motor: jax.Array  # [N m s] per step
    min_motor: jax.Array  # minus that
    limit_low: jax.Array  # bounds of the accumulated limit impulse: (0, inf), (-inf, 0) or (0, 0)
    limit_high: jax.Array
    reference: jax.Array  # [rad]
    bound: jax.Array  # [rad], the limit that is reached
    side: jax.Array  # +1 at the lower limit, -1 at the upper, 0 free


def prepare(
    physics: Physics, shape: Geometry, plan: BodyPlan, speed: jax.Array, max_motor: jax.Array
) -> tuple[list[Joint], list[JointImpulse], jax.Array]:
    """Joints and their starting impulses at the pose of `physics`, and the limit states (J, B).

    Args:
      speed: (J, B) [rad/s] target of each motor.
      max_motor: (J, B) [N m s] largest motor impulse in a step.
    """
    parent, child = (np.array(side) for side in zip(*plan.joint_bodies, strict=True))
    sin, cos = rotation(physics.angle)
    dtype = physics.angle.dtype
    reference = joint_reference(plan, dtype)[:, None]
    lower, upper = (limit[:, None] for limit in joint_limits(plan, dtype))
    angle = physics.angle[child] - physics.angle[parent] - reference
    at_lower = angle <= lower
    at_upper = ~at_lower & (angle >= upper)
    state = jnp.where(at_lower, AT_LOWER, jnp.where(at_upper, AT_UPPER, FREE)).astype(jnp.int32)
    keep = (state == physics.limit_state) & (state != FREE)
    zero = jnp.zeros_like(angle)
    impulses = JointImpulse(
        point=(physics.joint_impulse[:, 0], physics.joint_impulse[:, 1]),
        limit=jnp.where(keep, physics.limit_impulse, 0),
        motor=physics.motor_impulse,
    )
    joints = _joint(
        [(arm[:, 0], arm[:, 1]) for arm in (shape.anchor_parent, shape.anchor_child)],
        [(sin[parent], cos[parent]), (sin[child], cos[child])],
        [shape.inv_mass[parent], shape.inv_mass[child]],
        [shape.inv_inertia[parent], shape.inv_inertia[child]],
        motor_speed=speed,
        max_motor=max_motor,
        min_motor=-max_motor,
        limit_low=jnp.where(at_upper, -jnp.inf, zero),
        limit_high=jnp.where(at_lower, jnp.inf, zero),
        reference=jnp.broadcast_to(reference, angle.shape),
        bound=jnp.where(at_lower, lower, upper),
        side=jnp.where(at_lower, 1, jnp.where(at_upper, -1, zero)),
    )
    return _rows(joints, len(parent)), _rows(impulses, len(parent)), state


def _rows(stacked: Any, count: int) -> list[Any]:
    """One tree per joint."""
    return [jax.tree.map(lambda x, k=k: x[k], stacked) for k in range(count)]


def _joint(local: list[Vector], turns: list[Vector], mass: list, inertia: list, **rest: jax.Array) -> Joint:
    """Joints' effective masses at the given rotations (parent, child)."""
    (ax, ay), (bx, by) = arm_a, arm_b = [rotate(turn, arm) for turn, arm in zip(turns, local, strict=True)]
    (ma, mb), (ia, ib) = mass, inertia
    k11 = ma + mb + ay * ay * ia + by * by * ib
    k12 = -ay * ax * ia - by * bx * ib
    k13 = -ay * ia - by * ib
    k22 = ma + mb + ax * ax * ia + bx * bx * ib
    k23 = ax * ia + bx * ib
    k33 = ia + ib
    cofactors = (k22 * k33 - k23 * k23, k23 * k13 - k12 * k33, k12 * k23 - k22 * k13)
    return Joint(
        arm_parent=arm_a,
        arm_child=arm_b,
        turn_parent=(-ay, ax),
        turn_child=(-by, bx),
        mass_parent=ma,
        mass_child=mb,
        inertia_parent=ia,
        inertia_child=ib,
        local_parent=local[0],
        local_child=local[1],
        k11=k11,
        k12=k12,
        k13=k13,
        k22=k22,
        k23=k23,
        k33=k33,
        cofactors=cofactors,
        inv_det3=1 / (k11 * cofactors[0] + k12 * cofactors[1] + k13 * cofactors[2]),
        inv_det2=1 / (k11 * k22 - k12 * k12),
        motor_mass=1 / k33,
        **rest,
    )


def warm_start(motion: Motion, joint: Joint, impulse: JointImpulse, bodies: tuple[int, int]) -> Motion:
    """Applies last step's impulses again."""
    return _push(motion, joint, impulse.point, [impulse.motor, impulse.limit], bodies)


def solve_velocity(
    motion: Motion, joint: Joint, impulse: JointImpulse, bodies: tuple[int, int]
) -> tuple[Motion, JointImpulse]:
    """One visit: the motor, then limit and anchor together (or the anchor alone where no limit is reached)."""
    motion, motor = _solve_motor(motion, joint, impulse.motor, bodies)
    x, y, angle = _closing_speed(motion, joint, bodies)
    full_x, full_y, full_limit = _solve3(joint, x, y, angle)
    wanted = impulse.limit + full_limit
    limit = jax.lax.clamp(joint.limit_low, wanted, joint.limit_high)
    # Where the limit would have to pull, its impulse is taken back and the anchor solved alone. A free joint's bounds
    # are (0, 0), which leads to the same branch with nothing to take back.
    holds = limit == wanted
    alone_x, alone_y = _solve2(joint, x + impulse.limit * joint.k13, y + impulse.limit * joint.k23)
    push = jnp.where(holds, full_x, alone_x), jnp.where(holds, full_y, alone_y)
    push_limit = jnp.where(holds, full_limit, -impulse.limit)
    motion = _push(motion, joint, push, [push_limit], bodies)
    return motion, JointImpulse(point=add(impulse.point, push), limit=limit, motor=motor)


def solve_position(pose: Pose, joint: Joint, bodies: tuple[int, int]) -> tuple[Pose, jax.Array]:
    """One visit: turns the bodies back inside the limit and together at the anchor; also (B,) whether it was fine."""
    a, b = bodies
    x, y, angles = list(pose.x), list(pose.y), list(pose.angle)
    angle = angles[b] - angles[a] - joint.reference
    beyond = joint.side * (angle - joint.bound)  # negative outside
    excess = jnp.clip(beyond + ANGULAR_SLOP, -MAX_ANGULAR_CORRECTION, 0.0)
    turn = -joint.motor_mass * (joint.side * excess)
    angles[a] = angles[a] - joint.inertia_parent * turn
    angles[b] = angles[b] + joint.inertia_child * turn
    fine = beyond >= -ANGULAR_SLOP

    arm_a = rotate(rotation(angles[a]), joint.local_parent)
    arm_b = rotate(rotation(angles[b]), joint.local_child)
    gap = sub(sub(add((x[b], y[b]), arm_b), (x[a], y[a])), arm_a)
    fine = fine & (jnp.sqrt(gap[0] * gap[0] + gap[1] * gap[1]) <= LINEAR_SLOP)
    push = _closing_impulse(joint, arm_a, arm_b, gap)
    x[a], y[a] = sub((x[a], y[a]), scale(joint.mass_parent, push))
    x[b], y[b] = add((x[b], y[b]), scale(joint.mass_child, push))
    angles[a] = angles[a] - joint.inertia_parent * cross(arm_a, push)
    angles[b] = angles[b] + joint.inertia_child * cross(arm_b, push)
    return Pose(x=tuple(x), y=tuple(y), angle=tuple(angles)), fine


def _closing_impulse(joint: Joint, arm_a: Vector, arm_b: Vector, gap: Vector) -> Vector:
    (ax, ay), (bx, by) = arm_a, arm_b
    ma, mb, ia, ib = joint.mass_parent, joint.mass_child, joint.inertia_parent, joint.inertia_child
    iax, iay, ibx, iby = ia * ax, ia * ay, ib * bx, ib * by
    k11 = ma + mb + iay * ay + iby * by
    k12 = -iax * ay - ibx * by
    k22 = ma + mb + iax * ax + ibx * bx
    scale_ = -(1 / (k11 * k22 - k12 * k12))
    return scale_ * (k22 * gap[0] - k12 * gap[1]), scale_ * (k11 * gap[1] - k12 * gap[0])


def _solve_motor(motion: Motion, joint: Joint, motor: jax.Array, bodies: tuple[int, int]) -> tuple[Motion, jax.Array]:
    a, b = bodies
    spin = list(motion.spin)
    wanted = motor + joint.motor_mass * (joint.motor_speed - (spin[b] - spin[a]))
    new = jax.lax.clamp(joint.min_motor, wanted, joint.max_motor)
    change = new - motor
    spin[a] = spin[a] - joint.inertia_parent * change
    spin[b] = spin[b] + joint.inertia_child * change
    return motion.replace(spin=tuple(spin)), new


def _closing_speed(motion: Motion, joint: Joint, bodies: tuple[int, int]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Minus the relative velocity of the two anchors and of the angles (each sum negated: the bits are the same)."""
    a, b = bodies
    spin_a, spin_b = motion.spin[a], motion.spin[b]
    x = (motion.x[a] - (motion.x[b] + spin_b * joint.turn_child[0])) + spin_a * joint.turn_parent[0]
    y = (motion.y[a] - (motion.y[b] + spin_b * joint.turn_child[1])) + spin_a * joint.turn_parent[1]
    return x, y, spin_a - spin_b


def _solve3(joint: Joint, x: jax.Array, y: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Solves the 3 x 3 system by cofactors as b2Mat33::Solve33 does."""
    k11, k12, k13, k22, k23, k33 = joint.k11, joint.k12, joint.k13, joint.k22, joint.k23, joint.k33
    c1, c2, c3 = joint.cofactors
    third = x * k23 - y * k13
    return (
        joint.inv_det3 * (x * c1 + y * c2 + z * c3),
        joint.inv_det3 * (k11 * (y * k33 - z * k23) + k12 * (z * k13 - x * k33) + k13 * third),
        joint.inv_det3 * (k11 * (k22 * z - k23 * y) + k12 * (k23 * x - k12 * z) + k13 * (k12 * y - k22 * x)),
    )


def _solve2(joint: Joint, x: jax.Array, y: jax.Array) -> Vector:
    return (
        joint.inv_det2 * (joint.k22 * x - joint.k12 * y),
        joint.inv_det2 * (joint.k11 * y - joint.k12 * x),
    )


def _push(motion: Motion, joint: Joint, push: Vector, turns: list[jax.Array], bodies: tuple[int, int]) -> Motion:
    """Applies an impulse at the anchor, and turning impulses, with opposite signs to both bodies."""
    a, b = bodies
    x, y, spin = list(motion.x), list(motion.y), list(motion.spin)
    turn_a, turn_b = cross(joint.arm_parent, push), cross(joint.arm_child, push)
    for turn in turns:
        turn_a, turn_b = turn_a + turn, turn_b + turn
    x[a], y[a] = sub((x[a], y[a]), scale(joint.mass_parent, push))
    x[b], y[b] = add((x[b], y[b]), scale(joint.mass_child, push))
    spin[a] = spin[a] - joint.inertia_parent * turn_a
    spin[b] = spin[b] + joint.inertia_child * turn_b
    return Motion(x=tuple(x), y=tuple(y), spin=tuple(spin))
