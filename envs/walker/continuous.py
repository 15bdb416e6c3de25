"""Continuous collision of a batch: which bodies may meet the ground on their way through a step, and what it changes.

Few bodies of a batch do, so they are listed and worked on by themselves (`events`); their poses, velocities and
contacts then replace those of the discrete solve.

Letters: B environments (first here), N bodies, R rows (the hull, then each leg), W edges and U polygons near a body,
C contact slots, M listed bodies.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from .bodies import BodyPlan
from .contacts import Touch
from .events import Flight, Memory, Surroundings, resolve_impacts
from .folding import batch_first
from .impacts import Material
from .listed import into_slots, over_listed
from .nearby import nearby_way
from .solver import Solver
from .sweep import Sweep
from .touching import body_shape, by_row
from .types import CONTACT_SLOTS, Geometry, Physics, Terrain

CHUNK = 0.25  # bodies per environment that are worked on at once


class _Body(struct.PyTreeNode):
    """What impacts change of every body; leaves (B, N, ...) or (M, ...)."""

    position: jax.Array  # (2,)
    angle: jax.Array
    velocity: jax.Array  # (2,)
    spin: jax.Array
    pair: jax.Array  # (C,)
    key: jax.Array  # (C, 2)
    impulse: jax.Array  # (C, 2, 2)


class _News(struct.PyTreeNode):
    """What happened to the listed bodies; leaves (M,)."""

    body: _Body
    event: jax.Array
    began: jax.Array
    overflow: jax.Array


def continue_step(
    before: Physics,
    after: Physics,
    touch: Touch,
    terrain: Terrain,
    shape: Geometry,
    plan: BodyPlan,
    solver: Solver,
) -> tuple[Physics, Touch]:
    """Resolves the impacts of one walker's step (no batch axis).

    Args:
      before: state before the step.
      after: state after its discrete solve.
      touch: what touched before the step.
      plan, solver: static.

    Returns:
      The state at the end of the step, and `touch` with what began and ended on the way.
    """
    near = nearby_way(before, after, terrain, shape, plan)
    dtype = after.position.dtype
    sizes = jax.tree.map(lambda x: x.astype(dtype), shape.replace(anchor_parent=None, anchor_child=None))
    bare = [p.replace(joint_impulse=None, limit_impulse=None, motor_impulse=None) for p in (before, after)]
    track = terrain.ground.astype(dtype), terrain.polygons.astype(dtype)
    body, event, began, overflow = _kernel(plan, solver)(*bare, sizes, near, *track)
    physics = after.replace(
        position=body.position,
        angle=body.angle,
        velocity=body.velocity,
        spin=body.spin,
        contact_pair=body.pair,
        contact_key=body.key,
        contact_impulse=body.impulse,
    )
    touch = Touch(
        hull_began=touch.hull_began | began[0],
        shin_event=jnp.where(event[2::2] == 0, touch.shin_event, event[2::2]),
        shin_touch=jnp.any((body.pair[1:] >= 0) & (body.pair[1:] % 2 == 0), axis=1),
        overflow=touch.overflow | near.overflow | overflow,
    )
    return physics, touch


@functools.cache
def _kernel(plan: BodyPlan, solver: Solver) -> Callable[..., tuple[_Body, jax.Array, jax.Array, jax.Array]]:
    def resolve(
        before: Physics, after: Physics, shape: Geometry, near: Any, ground: jax.Array, polygons: jax.Array
    ) -> tuple[_Body, jax.Array, jax.Array, jax.Array]:
        lanes, bodies = after.angle.shape
        awake = jnp.any(after.spin != 0, axis=1) | jnp.any(after.velocity != 0, axis=(1, 2))
        wanted = near.close & awake[:, None]
        old = _by_body(after)

        def work(index: jax.Array) -> _News:
            lane, body = index // bodies, index % bodies
            around, pieces = _surroundings(lane, body, shape, near, ground, polygons, plan)
            mine = jax.tree.map(lambda x: x[lane, body], old)
            codes = jnp.where(pieces >= 0, 2 * pieces + (body % 2)[None], -1)
            start = before.position[lane, body], before.angle[lane, body]
            flight = _takeoff(start, mine, shape.center[lane, body], codes)
            return _landing(resolve_impacts(flight, around, solver.velocity_iterations, solver.events), codes)

        place, news = over_listed(wanted.reshape(-1), int(CHUNK * lanes), work)
        news = jax.tree.map(lambda x: x[place.reshape(wanted.shape)], news)
        body = jax.tree.map(lambda new, kept: _where(wanted, new, kept), news.body, old)
        pair, key, impulse, crowded = _by_leg(body)
        return (
            body.replace(pair=pair, key=key, impulse=impulse),
            jnp.where(wanted, news.event, 0),
            wanted & news.began,
            jnp.any(wanted & news.overflow, axis=1) | crowded,
        )

    return batch_first(resolve)


def _where(mask: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    return jnp.where(mask.reshape(mask.shape + (1,) * (new.ndim - mask.ndim)), new, old)


def _by_body(physics: Physics) -> _Body:
    """Every body with its own contacts, from rows that list a leg's together."""
    odd = physics.contact_pair % 2 == 1
    exists = physics.contact_pair >= 0
    lower = jnp.where(exists & ~odd, physics.contact_pair, -1)
    upper = jnp.where(exists & odd, physics.contact_pair, -1)[:, 1:]

    def interleave(hull_and_lower: jax.Array, upper: jax.Array) -> jax.Array:
        legs = jnp.stack([upper, hull_and_lower[:, 1:]], axis=2)
        legs = legs.reshape(legs.shape[0], -1, *legs.shape[3:])
        return jnp.concatenate([hull_and_lower[:, :1], legs], axis=1)

    return _Body(
        position=physics.position,
        angle=physics.angle,
        velocity=physics.velocity,
        spin=physics.spin,
        pair=interleave(lower, upper),
        key=interleave(physics.contact_key, physics.contact_key[:, 1:]),
        impulse=interleave(physics.contact_impulse, physics.contact_impulse[:, 1:]),
    )


def _by_leg(body: _Body) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """(B, R, C) pairs, keys, impulses with a shin's and its thigh's contacts in one list; whether some do not fit."""
    pair = by_row(body.pair, body.pair, -1)
    index, filled, crowded = into_slots(pair >= 0, CONTACT_SLOTS)

    def pick(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, index.reshape(index.shape + (1,) * (x.ndim - 3)), axis=2)

    key, impulse = by_row(body.key, body.key, -1), by_row(body.impulse, body.impulse, 0)
    pair, key, impulse = pick(pair), pick(key), pick(impulse)
    return (
        jnp.where(filled, pair, -1),
        _where(filled, key, jnp.full_like(key, -1)),
        _where(filled, impulse, jnp.zeros_like(impulse)),
        jnp.any(crowded, axis=1),
    )


def _surroundings(
    lane: jax.Array,
    body: jax.Array,
    shape: Geometry,
    near: Any,
    ground: jax.Array,
    polygons: jax.Array,
    plan: BodyPlan,
) -> tuple[Surroundings, jax.Array]:
    """The listed bodies with the terrain near them; also (K, M) their pieces, -1 for none."""
    edge, polygon = near.edge[lane, body].T, near.polygon[lane, body].T
    first = jnp.maximum(edge, 0)
    start, end = ground[lane[None], first], ground[lane[None], first + 1]
    corners = polygons[lane[None], jnp.maximum(polygon, 0)] if polygon.shape[0] else polygons[:0]
    pieces = jnp.concatenate([edge, jnp.where(polygon >= 0, ground.shape[1] - 1 + polygon, -1)])
    # Leg segments follow the hull.
    half = shape.leg_half[lane, jnp.maximum(body - 1, 0)]
    around = Surroundings(
        shape=body_shape((body == 0)[None], (half[None, :, 0], half[None, :, 1]), plan),
        body=Material(
            mass=shape.inv_mass[lane, body][None],
            inertia=shape.inv_inertia[lane, body][None],
            friction=shape.friction[lane, body][None],
            offset=(shape.center[lane, body, 0][None], shape.center[lane, body, 1][None]),
        ),
        start=(start[..., 0], start[..., 1]),
        end=(end[..., 0], end[..., 1]),
        polygons=[(corners[..., v, 0], corners[..., v, 1]) for v in range(polygons.shape[2])]
        if polygon.shape[0]
        else [],
        exists=pieces >= 0,
    )
    return around, pieces


def _takeoff(start: tuple[jax.Array, jax.Array], body: _Body, center: jax.Array, codes: jax.Array) -> Flight:
    """The listed bodies before their first impact.

    Args:
      start: (M, 2), (M,) centre of mass and angle before the step.
      body: after the discrete solve.
      center: (M, 2) centre of mass in the body frame.
      codes: (K, M) pairs that may be met, as in `Physics.contact_pair`.
    """
    same = (codes[:, None] == body.pair.T[None]) & (codes >= 0)[:, None]  # (K, C, M)
    touching = jnp.any(same, axis=1)
    slot = jnp.argmax(same, axis=1).astype(jnp.int32)

    def recall(x: jax.Array, nothing: int) -> jax.Array:
        """(K, M) from (M, C)."""
        found = jnp.take_along_axis(x.T, slot, axis=0, mode="promise_in_bounds")
        return jnp.where(touching, found, nothing)

    lanes = body.spin.shape
    return Flight(
        sweep=Sweep(
            start=(start[0][None, :, 0], start[0][None, :, 1]),
            start_angle=start[1][None],
            end=(body.position[None, :, 0], body.position[None, :, 1]),
            end_angle=body.angle[None],
            offset=(center[None, :, 0], center[None, :, 1]),
        ),
        passed=jnp.zeros(lanes, body.spin.dtype),
        twist=(body.velocity[:, 0], body.velocity[:, 1], body.spin),
        memory=Memory(
            touching=touching,
            keys=(recall(body.key[:, :, 0], -1), recall(body.key[:, :, 1], -1)),
            normal=(recall(body.impulse[:, :, 0, 0], 0), recall(body.impulse[:, :, 1, 0], 0)),
            tangent=(recall(body.impulse[:, :, 0, 1], 0), recall(body.impulse[:, :, 1, 1], 0)),
        ),
        enabled=jnp.ones(codes.shape, bool),
        event=jnp.zeros(lanes, jnp.int32),
        began=jnp.zeros(lanes, bool),
        overflow=jnp.zeros(lanes, bool),
    )


def _landing(flight: Flight, codes: jax.Array) -> _News:
    """What is kept of the listed bodies at the end of the step."""
    memory, end = flight.memory, flight.sweep.end
    index, filled, crowded = into_slots(memory.touching.T, CONTACT_SLOTS)

    def pick(x: jax.Array) -> jax.Array:
        """(M, C) from (K, M)."""
        return jnp.take_along_axis(x.T, index, axis=1, mode="promise_in_bounds")

    key = jnp.stack([pick(k) for k in memory.keys], axis=2)
    points = [jnp.stack([pick(n), pick(t)], axis=2) for n, t in zip(memory.normal, memory.tangent, strict=True)]
    return _News(
        body=_Body(
            position=jnp.stack([end[0][0], end[1][0]], axis=1),
            angle=flight.sweep.end_angle[0],
            velocity=jnp.stack(flight.twist[:2], axis=1),
            spin=flight.twist[2],
            pair=jnp.where(filled, pick(codes), -1),
            key=_where(filled, key, jnp.full_like(key, -1)),
            impulse=_where(filled, jnp.stack(points, axis=2), jnp.zeros((), flight.twist[2].dtype)),
        ),
        event=flight.event,
        began=flight.began,
        overflow=flight.overflow | crowded,
    )
