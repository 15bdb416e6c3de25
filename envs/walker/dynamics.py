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

from . import contacts, solver
from .bodies import BIPED, BodyPlan, Geometry, geometry, starting_pose
from .contacts import CONTACT_SLOTS, Touch, Window
from .solver import EXACT, FAST, Drive, Solver
from .types import Params, Physics, Terrain

__all__ = ["COMPILER_OPTIONS", "EXACT", "FAST", "Solver", "Touch", "advance", "initial_physics"]

# On a CPU, XLA's fusion recomputes the solver's chains in every consumer (5 times slower) and contracts them to fused
# multiply-adds, which Box2D does not use.
COMPILER_OPTIONS: dict[str, dict[str, str | bool]] = {
    "cpu": {"xla_disable_hlo_passes": "fusion,cpu-instruction-fusion"}
}


def initial_physics(params: Params, plan: BodyPlan = BIPED, dtype: Any = jnp.float32) -> Physics:
    """The walker at rest over the start pad, before the settling step."""
    shape = geometry(params, plan, dtype)
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
    push: jax.Array,
    params: Params,
    plan: BodyPlan = BIPED,
    solver: Solver = EXACT,
) -> tuple[Physics, Touch]:
    """One step of `TIME_STEP`: collide at the present pose, set the motors, solve.

    Args:
      physics: state before the step; its dtype is the step's.
      terrain: the track.
      action: (J,) in [-1, 1]: sign is the direction, size the share of the motor's torque. NaN counts as 0.
      push: () [N] horizontal force on the hull.
      params: physical parameters.
      plan, solver: static.

    Returns:
      The state after the step, and what touched at the pose before it.
    """
    if action.shape != (plan.num_joints,):
        raise ValueError(f"action has shape {action.shape}, this walker's joints want ({plan.num_joints},)")
    dtype = physics.position.dtype
    shape = geometry(params, plan, dtype)
    action = jnp.asarray(action, dtype)
    action = jnp.where(jnp.isnan(action), 0, action)
    rate = jnp.stack([jnp.asarray(r, dtype) for r in (params.hip_speed, params.knee_speed)] * plan.num_legs)
    speed = rate * jnp.sign(action)
    torque = jnp.asarray(params.motor_torque, dtype) * jnp.minimum(jnp.abs(action), 1)
    near = contacts.window(physics, terrain, shape, plan)
    drive = Drive(push=jnp.asarray(push, dtype), gravity=jnp.asarray(params.gravity, dtype), speed=speed, torque=torque)
    batch = jax.tree.map(lambda x: x[..., None], (physics, near, shape, drive))
    result = _kernel(plan, solver, terrain.ground.shape[0] - 1)(*batch)
    return jax.tree.map(lambda x: x[..., 0], result)


@functools.cache
def _kernel(plan: BodyPlan, setting: Solver, num_edges: int) -> Callable[..., tuple[Physics, Touch]]:
    """The step over arrays with a trailing batch axis."""

    def step(physics: Physics, near: Window, shape: Geometry, drive: Drive) -> tuple[Physics, Touch]:
        found, touch = contacts.collide(physics, near, shape, num_edges, setting.one_sided)
        return solver.solve(physics, found, shape, drive, plan, setting), touch

    return batch_last(step)


def batch_last(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes `vmap` fold its axis into the last axis of every array instead of tracing `function` with one more.

    `function` maps arrays with a trailing batch axis to the same, elementwise along that axis. Not differentiable.
    """
    folded = jax.custom_batching.custom_vmap(function)

    @folded.def_vmap
    def rule(size: int, batched: Any, *args: Any) -> tuple[Any, Any]:
        def fold(x: jax.Array, has_axis: bool) -> jax.Array:
            # (K, ..., B) to (..., B K)
            x = jnp.moveaxis(x, 0, -1) if has_axis else jnp.broadcast_to(x[..., None], (*x.shape, size))
            return x.reshape(*x.shape[:-2], x.shape[-2] * size)

        def unfold(x: jax.Array) -> jax.Array:
            return jnp.moveaxis(x.reshape(*x.shape[:-1], x.shape[-1] // size, size), -1, 0)

        result = jax.tree.map(unfold, folded(*jax.tree.map(fold, args, tuple(batched))))
        return result, jax.tree.map(lambda _: True, result)

    return folded
