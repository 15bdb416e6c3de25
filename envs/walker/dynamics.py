"""One physics step of one walker, and its state before the first.

`advance` is written for one environment like every verb of the contract; `vmap` over it, however nested, arrives at a
kernel in which all environments lie side by side in the last axis of every array. That layout is what makes the
solver fast: its hundreds of sequential operations each run over contiguous memory.

Letters: N bodies, J joints, L legs, G contact groups, C contact slots, B environments.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from . import solver
from .bodies import BIPED, BodyPlan, geometry, starting_pose
from .contacts import Touch, remember
from .continuous import continue_step
from .folding import batch_last
from .nearby import nearby
from .solver import DISCRETE, EXACT, FAST, Drive, Solver
from .touching import Touching, touching
from .types import CONTACT_SLOTS, Geometry, Params, Physics, Scalar, Terrain

__all__ = ["COMPILER_OPTIONS", "DISCRETE", "EXACT", "FAST", "Solver", "Touch", "advance", "initial_physics", "settle"]

# On a CPU, XLA's fusion recomputes the solver's chains in every consumer (5 times slower) and contracts them to fused
# multiply-adds, which Box2D does not use. Hoisting makes one function of a whole loop, over which JAX 0.12 compiles for
# minutes.
COMPILER_OPTIONS: dict[str, dict[str, str | bool]] = {
    "cpu": {"xla_disable_hlo_passes": "fusion,cpu-instruction-fusion,small-while-loop-hoisting"}
}


def initial_physics(
    params: Params, plan: BodyPlan = BIPED, dtype: Any = jnp.float32, shape: Geometry | None = None
) -> Physics:
    """The walker at rest over the start pad, before the settling step."""
    shape = geometry(params, plan, dtype) if shape is None else shape
    origin, angle = starting_pose(params, plan, dtype)
    sin, cos = jnp.sin(angle)[:, None], jnp.cos(angle)[:, None]
    x, y = shape.center[:, :1], shape.center[:, 1:]
    position = origin + jnp.concatenate([cos * x - sin * y, sin * x + cos * y], axis=1)
    bodies, joints, groups = plan.num_bodies, plan.num_joints, 1 + plan.num_legs
    return Physics(
        position=position,
        angle=angle,
        velocity=jnp.zeros((bodies, 2), dtype),
        spin=jnp.zeros((bodies,), dtype),
        joint_impulse=jnp.zeros((joints, 2), dtype),
        limit_impulse=jnp.zeros((joints,), dtype),
        motor_impulse=jnp.zeros((joints,), dtype),
        limit_state=jnp.zeros((joints,), jnp.int32),
        contact_pair=jnp.full((groups, CONTACT_SLOTS), -1, jnp.int32),
        contact_key=jnp.full((groups, CONTACT_SLOTS, 2), -1, jnp.int32),
        contact_impulse=jnp.zeros((groups, CONTACT_SLOTS, 2, 2), dtype),
        still_time=jnp.zeros((), dtype),
    )


def advance(
    physics: Physics,
    terrain: Terrain,
    action: jax.Array,
    push: Scalar,
    params: Params,
    plan: BodyPlan = BIPED,
    solver: Solver = EXACT,
    shape: Geometry | None = None,
) -> tuple[Physics, Touch]:
    """One step of `TIME_STEP`: collide at the present pose, set the motors, solve, resolve impacts on the way.

    Args:
      physics: state before the step; its dtype is the step's.
      terrain: the track.
      action: (J,) in [-1, 1]: sign is the direction, size the share of the motor's torque. NaN counts as 0.
      push: () [N] horizontal force on the hull.
      params: physical parameters.
      plan, solver: static.
      shape: what `params` stand for, if it is known already.

    Returns:
      The state after the step, and what touched at the pose before it or on the way.
    """
    if action.shape != (plan.num_joints,):
        raise ValueError(f"action has shape {action.shape}, this walker's joints want ({plan.num_joints},)")
    shape = geometry(params, plan, physics.position.dtype) if shape is None else shape
    terrain = jax.tree.map(jnp.asarray, terrain)
    near = nearby(physics, terrain, shape, plan)
    found = touching(physics, near, terrain, shape, plan, solver.one_sided)
    found = found.replace(overflow=found.overflow | near.overflow)
    drive = _drive(action, push, params, plan, physics.position.dtype)
    after, touch = _step(plan, solver, terrain.ground.shape[0] - 1)(physics, found, shape, drive)
    return continue_step(physics, after, touch, terrain, shape, plan, solver) if solver.events else (after, touch)


def settle(
    physics: Physics, terrain: Terrain, push: Scalar, params: Params, plan: BodyPlan, solver: Solver, shape: Geometry
) -> tuple[Physics, Touch]:
    """`advance` without torque for a walker in the air, as it is created over a start pad without obstacles."""
    terrain = jax.tree.map(jnp.asarray, terrain)
    terrain = terrain.replace(polygons=terrain.polygons[:0])
    drive = _drive(jnp.zeros((plan.num_joints,)), push, params, plan, physics.position.dtype)
    after, touch = _flight(plan, solver)(physics, shape, drive), untouched(plan)
    return continue_step(physics, after, touch, terrain, shape, plan, solver) if solver.events else (after, touch)


def untouched(plan: BodyPlan) -> Touch:
    """What a walker in the air touches."""
    nothing = jnp.zeros((), bool)
    legs = jnp.zeros((plan.num_legs,), jnp.int32)
    return Touch(hull_began=nothing, shin_event=legs, shin_touch=legs > 0, overflow=nothing)


def _drive(action: jax.Array, push: Scalar, params: Params, plan: BodyPlan, dtype: Any) -> Drive:
    action = jnp.asarray(action, dtype)
    action = jnp.where(jnp.isnan(action), 0, action)
    rate = jnp.stack([jnp.asarray(r, dtype) for r in (params.hip_speed, params.knee_speed)] * plan.num_legs)
    return Drive(
        push=jnp.asarray(push, dtype),
        gravity=jnp.asarray(params.gravity, dtype),
        speed=rate * jnp.sign(action),
        torque=jnp.asarray(params.motor_torque, dtype) * jnp.minimum(jnp.abs(action), 1),
    )


@functools.cache
def _step(plan: BodyPlan, setting: Solver, num_edges: int) -> Callable[..., tuple[Physics, Touch]]:
    def step(physics: Physics, found: Touching, shape: Geometry, drive: Drive) -> tuple[Physics, Touch]:
        contacts, touch = remember(physics, found, num_edges)
        return solver.solve(physics, contacts, shape, drive, plan, setting), touch

    return batch_last(step)


@functools.cache
def _flight(plan: BodyPlan, setting: Solver) -> Callable[..., Physics]:
    def step(physics: Physics, shape: Geometry, drive: Drive) -> Physics:
        return solver.solve(physics, None, shape, drive, plan, setting)

    return batch_last(step)
