"""Continuous collision of a batch: which bodies may meet the ground on their way through a step, and what it changes.

Few bodies of a batch do, so they are listed and worked on by themselves (`events`); their poses, velocities and
contacts then replace those of the discrete solve.

Letters: B environments (first here), N bodies, R rows (the hull, then each leg), W edges and U polygons near a body,
C contact slots, M listed bodies.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from .bodies import BodyPlan
from .contacts import Touch
from .events import Flight, Memory, Surroundings, resolve_impacts
from .folding import batch_first
from .gathering import take_along
from .impacts import Material
from .listed import into_slots, over_listed
from .nearby import Nearby, nearby_way
from .search import first_least
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


class _Row(struct.PyTreeNode):
    """A body at the beginning and at the end of a step's discrete solve; leaves (B N, ...) or (M, ...)."""

    position: jax.Array  # (2,) before
    angle: jax.Array
    after: _Body
    inv_mass: jax.Array
    inv_inertia: jax.Array
    friction: jax.Array
    center: jax.Array  # (2,) centre of mass in the body frame
    half: jax.Array  # (2,) half extents of a leg segment
    edge: jax.Array  # (W,) see `Nearby`
    polygon: jax.Array  # (U,)


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
        before: Physics, after: Physics, shape: Geometry, near: Nearby, ground: jax.Array, polygons: jax.Array
    ) -> tuple[_Body, jax.Array, jax.Array, jax.Array]:
        lanes, bodies = after.angle.shape
        awake = jnp.any(after.spin != 0, axis=1) | jnp.any(after.velocity != 0, axis=(1, 2))
        wanted = near.close & awake[:, None]
        old = _by_body(after)

        rows = _rows(before, old, shape, near)

        def work(index: jax.Array) -> _News:
            row = take_along(rows, index, axis=0)
            around, pieces = _surroundings(row, index // bodies, index % bodies, ground, polygons, plan)
            codes = jnp.where(pieces >= 0, 2 * pieces + (index % bodies % 2)[None], -1)
            return _landing(
                resolve_impacts(_takeoff(row, codes), around, solver.velocity_iterations, solver.events), codes
            )

        place, news = over_listed(wanted.reshape(-1), int(CHUNK * lanes), work)
        news = take_along(news, place, axis=0)
        news = jax.tree.map(lambda x: x.reshape(*wanted.shape, *x.shape[1:]), news)
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

    key, impulse = by_row(body.key, body.key, -1), by_row(body.impulse, body.impulse, 0)
    pair, key, impulse = take_along((pair, key, impulse), index, axis=2)
    return (
        jnp.where(filled, pair, -1),
        _where(filled, key, jnp.full_like(key, -1)),
        _where(filled, impulse, jnp.zeros_like(impulse)),
        jnp.any(crowded, axis=1),
    )


def _rows(before: Physics, after: _Body, shape: Geometry, near: Nearby) -> _Row:
    """All bodies of all environments, one after another."""
    # Leg segments follow the hull, which has no half extents.
    half = jnp.concatenate([jnp.zeros_like(shape.leg_half[:, :1]), shape.leg_half], axis=1)
    row = _Row(
        position=before.position,
        angle=before.angle,
        after=after,
        inv_mass=shape.inv_mass,
        inv_inertia=shape.inv_inertia,
        friction=shape.friction,
        center=shape.center,
        half=half,
        edge=near.edge,
        polygon=near.polygon,
    )
    return jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), row)


def _surroundings(
    row: _Row, lane: jax.Array, body: jax.Array, ground: jax.Array, polygons: jax.Array, plan: BodyPlan
) -> tuple[Surroundings, jax.Array]:
    """The listed bodies with the terrain near them; also (K, M) their pieces, -1 for none."""
    edge, polygon = row.edge.T, row.polygon.T
    first = jnp.maximum(edge, 0)
    ends = ground[lane[None, None], jnp.stack([first, first + 1])]
    corners = polygons[lane[None], jnp.maximum(polygon, 0)] if polygon.shape[0] else polygons[:0]
    pieces = jnp.concatenate([edge, jnp.where(polygon >= 0, ground.shape[1] - 1 + polygon, -1)])
    around = Surroundings(
        shape=body_shape((body == 0)[None], (row.half[None, :, 0], row.half[None, :, 1]), plan),
        body=Material(
            mass=row.inv_mass[None],
            inertia=row.inv_inertia[None],
            friction=row.friction[None],
            offset=(row.center[None, :, 0], row.center[None, :, 1]),
        ),
        start=(ends[0, ..., 0], ends[0, ..., 1]),
        end=(ends[1, ..., 0], ends[1, ..., 1]),
        polygons=[(corners[..., v, 0], corners[..., v, 1]) for v in range(polygons.shape[2])]
        if polygon.shape[0]
        else [],
        exists=pieces >= 0,
    )
    return around, pieces


def _takeoff(row: _Row, codes: jax.Array) -> Flight:
    """The listed bodies before their first impact.

    Args:
      codes: (K, M) pairs that may be met, as in `Physics.contact_pair`.
    """
    body = row.after
    same = (codes[:, None] == body.pair.T[None]) & (codes >= 0)[:, None]  # (K, C, M)
    touching = jnp.any(same, axis=1)
    slot = first_least(jnp.swapaxes(~same, 0, 1).astype(jnp.int32))
    memory = jnp.swapaxes(body.key, 0, 1), jnp.swapaxes(body.impulse, 0, 1)  # (C, M, ...)
    key, impulse = take_along(memory, slot, axis=0)
    key = jnp.where(touching[..., None], key, -1)
    impulse = jnp.where(touching[..., None, None], impulse, 0)
    lanes = body.spin.shape
    return Flight(
        sweep=Sweep(
            start=(row.position[None, :, 0], row.position[None, :, 1]),
            start_angle=row.angle[None],
            end=(body.position[None, :, 0], body.position[None, :, 1]),
            end_angle=body.angle[None],
            offset=(row.center[None, :, 0], row.center[None, :, 1]),
        ),
        passed=jnp.zeros(lanes, body.spin.dtype),
        twist=(body.velocity[:, 0], body.velocity[:, 1], body.spin),
        memory=Memory(
            touching=touching,
            keys=(key[..., 0], key[..., 1]),
            normal=(impulse[..., 0, 0], impulse[..., 1, 0]),
            tangent=(impulse[..., 0, 1], impulse[..., 1, 1]),
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

    points = [jnp.stack([n, t], axis=2) for n, t in zip(memory.normal, memory.tangent, strict=True)]
    remembered = codes, jnp.stack(memory.keys, axis=2), jnp.stack(points, axis=2)  # (K, M, ...)
    remembered = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), remembered)
    pair, key, impulse = take_along(remembered, index, axis=1)
    return _News(
        body=_Body(
            position=jnp.stack([end[0][0], end[1][0]], axis=1),
            angle=flight.sweep.end_angle[0],
            velocity=jnp.stack(flight.twist[:2], axis=1),
            spin=flight.twist[2],
            pair=jnp.where(filled, pair, -1),
            key=_where(filled, key, jnp.full_like(key, -1)),
            impulse=_where(filled, impulse, jnp.zeros_like(impulse)),
        ),
        event=flight.event,
        began=flight.began,
        overflow=flight.overflow | crowded,
    )
