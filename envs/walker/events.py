"""Impacts within a step: bodies are stopped where they first meet the ground, one after another.

The other side of every contact is static and joints take no part, so every body goes through its impacts by itself:
find the first, move the body there, look again at everything it touches, push it out, take away its approach, and let
it move on for the rest of the step. The next step's position solver mends what this does to the joints.

Letters: W edges and U polygons near a body, K = W + U, newest first; C contact slots, M bodies (always last).
Source: Box2D 2.3 b2World::SolveTOI, b2Island::SolveTOI.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct

from . import impacts, manifold
from .contacts import Contacts
from .gathering import take_along
from .impacts import Impact, Load, Material, Twist
from .integration import limit_speed
from .joints import LINEAR_SLOP
from .manifold import Manifold, Shape
from .planar import Vector, rotate, rotation, sub
from .search import first_least
from .sweep import Sweep, time_of_impact
from .types import CONTACT_SLOTS, TIME_STEP

POSITION_ITERATIONS = 20
CORRECTED_SHARE = 0.75  # of a penetration, per position iteration
ENOUGH_SEPARATION = -1.5 * LINEAR_SLOP  # [m]
# Velocity iterations between two looks at whether anything still changes. Of one walker's impacts most need 12 to 48 of
# the 180; among those of 64 walkers there is one in every second round that needs them all.
BLOCK = 12
STEP_END = 1 - 10 * 2.0**-23  # share of a step after which impacts are left to the next one


class Surroundings(struct.PyTreeNode):
    """Bodies and the terrain near them. A polygon with fewer vertices repeats its first or last one."""

    shape: Shape  # (1, M) [m], in the body frame
    body: Material  # (1, M)
    start: Vector  # (W, M) [m], left ends of edges
    end: Vector
    polygons: list[Vector]  # of (U, M) [m], a list over vertices; empty without polygons
    exists: jax.Array  # (K, M) bool


class Memory(struct.PyTreeNode):
    """What is remembered of every pair."""

    touching: jax.Array  # (K, M) bool
    keys: tuple[jax.Array, jax.Array]  # (K, M) int32 feature ids, -1 for none
    normal: tuple[jax.Array, jax.Array]  # (K, M) [N s]
    tangent: tuple[jax.Array, jax.Array]


class Flight(struct.PyTreeNode):
    """Bodies on their way through a step."""

    sweep: Sweep  # (1, M), over the rest of the step
    passed: jax.Array  # (M,) share of the step that lies behind
    twist: Twist  # (M,)
    memory: Memory
    enabled: jax.Array  # (K, M) bool, whether an impact is looked for
    event: jax.Array  # (M,) int32, the last contact event: 1 begin, -1 end, 0 none
    began: jax.Array  # (M,) bool, whether any contact began
    overflow: jax.Array  # (M,) bool, whether impacts or contacts were more than fit


def resolve_impacts(flight: Flight, around: Surroundings, velocity_iterations: int, most: int) -> Flight:
    """Carries bodies to the end of the step.

    Args:
      flight: after the step's discrete solve, nothing passed yet.
      around: what they may meet.
      velocity_iterations: of every impact.
      most: impacts of a body; what comes after them is left to the next step and reported as overflow.
    """
    terrain, body = _outlines(around), _stacked(around.shape.vertices)

    def going(carry: tuple[jax.Array, jax.Array, Flight]) -> jax.Array:
        count, active, _ = carry
        return (count < most) & jnp.any(active)

    def next_impact(carry: tuple[jax.Array, jax.Array, Flight]) -> tuple[jax.Array, jax.Array, Flight]:
        count, active, flight = carry
        hits, time = time_of_impact(terrain, body, flight.sweep)
        passed = flight.passed[None]
        moment = jnp.minimum(passed + (1 - passed) * time, 1)
        moment = jnp.where(hits & around.exists & flight.enabled, moment, 1)
        first, when = first_least(moment), jnp.min(moment, axis=0)
        active = active & (when <= STEP_END)
        resolved = _resolve(flight, around, first, when, velocity_iterations)
        return count + 1, active, _where(active, resolved, flight)

    active = jnp.ones_like(flight.began)
    count, active, flight = jax.lax.while_loop(going, next_impact, (jnp.zeros((), jnp.int32), active, flight))
    return flight.replace(overflow=flight.overflow | (active & (count == most)))


def _where(mask: jax.Array, new: Flight, old: Flight) -> Flight:
    def choose(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(mask if a.ndim == 1 else mask[None], a, b)

    return jax.tree.map(choose, new, old)


def _outlines(around: Surroundings) -> Vector:
    """(V, K, M) vertices of all pieces; edges are polygons of two vertices."""
    edge = [around.start, around.end]
    if not around.polygons:
        return _stacked(edge)
    edge += [around.start] * (len(around.polygons) - 2)
    x, y = ([jnp.concatenate([e[i], p[i]]) for e, p in zip(edge, around.polygons, strict=True)] for i in range(2))
    return jnp.stack(x), jnp.stack(y)


def _stacked(vertices: Sequence[Vector]) -> Vector:
    return jnp.stack([v[0] for v in vertices]), jnp.stack([v[1] for v in vertices])


def _resolve(
    flight: Flight, around: Surroundings, first: jax.Array, when: jax.Array, velocity_iterations: int
) -> Flight:
    """One impact: of piece `first` (M,) at the share `when` (M,) of the step."""
    sweep = flight.sweep
    share = ((when - flight.passed) / (1 - flight.passed))[None]
    center = tuple(s + share * (e - s) for s, e in zip(sweep.start, sweep.end, strict=True))
    angle = sweep.start_angle + share * (sweep.end_angle - sweep.start_angle)
    found = _manifolds(around, (center[0], center[1]), angle)
    piece = jnp.arange(found.count.shape[0], dtype=jnp.int32)[:, None]
    is_first = piece == first[None]
    touches = (found.count > 0) & around.exists
    solid = jnp.any(touches & is_first, axis=0)
    # A hit that turns out not to touch is not looked for again; one that does makes the body look at everything.
    updated = solid[None] | is_first
    flight = _note(flight, touches, updated, piece, is_first)
    flight = flight.replace(
        memory=_remember(flight.memory, found, touches, updated),
        enabled=(flight.enabled | updated) & (solid[None] | ~is_first),
    )
    contacts, crowded = _contacts(found, touches, is_first)
    pose, twist = _push_out((center[0], center[1]), angle, contacts, around.body, flight.twist, velocity_iterations)
    time_step = (1 - when) * TIME_STEP
    velocity, spin = limit_speed((twist[0], twist[1]), twist[2], time_step)
    after = flight.replace(
        sweep=sweep.replace(
            start=(pose[0][None], pose[1][None]),
            start_angle=pose[2][None],
            end=((pose[0] + time_step * velocity[0])[None], (pose[1] + time_step * velocity[1])[None]),
            end_angle=(pose[2] + time_step * spin)[None],
        ),
        passed=when,
        twist=(*velocity, spin),
        overflow=flight.overflow | crowded,
    )
    return _where(solid, after, flight)


def _manifolds(around: Surroundings, center: Vector, angle: jax.Array) -> Manifold:
    """(K, M) manifolds of all pieces with the bodies at this pose (1, M)."""
    turn = rotation(angle)
    body = manifold.place(around.shape, turn, sub(center, rotate(turn, around.body.offset)))
    found = manifold.collide_edge(body, around.start, around.end, one_sided=False)
    if not around.polygons:
        return found
    more = manifold.collide_polygon(body, around.polygons)

    def join(a: jax.Array, b: jax.Array) -> jax.Array:
        lanes = angle.shape[1]
        return jnp.concatenate([jnp.broadcast_to(x, (n, lanes)) for x, n in ((a, edges), (b, polygons))])

    edges, polygons = around.start[0].shape[0], around.polygons[0][0].shape[0]
    return jax.tree.map(join, found, more)


def _note(flight: Flight, touches: jax.Array, updated: jax.Array, piece: jax.Array, is_first: jax.Array) -> Flight:
    """Takes down what began and ended: the hit pair first, then the others, newest first."""
    began = updated & touches & ~flight.memory.touching
    ended = updated & ~touches & flight.memory.touching
    turn = jnp.where(is_first, 0, piece + 1)
    last_begin, last_end = (jnp.max(jnp.where(x, turn, -1), axis=0) for x in (began, ended))
    event = jnp.sign(last_begin - last_end)
    return flight.replace(event=jnp.where(event == 0, flight.event, event), began=flight.began | jnp.any(began, axis=0))


def _remember(memory: Memory, found: Manifold, touches: jax.Array, updated: jax.Array) -> Memory:
    """The updated pairs' points with the impulses of the first old point of the same feature id."""
    keys: list[jax.Array] = []
    normal: list[jax.Array] = []
    tangent: list[jax.Array] = []
    for i, key in enumerate(found.keys):
        key = jnp.where(touches & (found.count > i), key, -1)
        same = [(key == old) & (key >= 0) & memory.touching for old in memory.keys]
        keys.append(jnp.where(updated, key, memory.keys[i]))
        for new, old in ((normal, memory.normal), (tangent, memory.tangent)):
            inherited = jnp.where(same[0], old[0], jnp.where(same[1], old[1], 0))
            new.append(jnp.where(updated, inherited, old[i]))
    return Memory(
        touching=jnp.where(updated, touches, memory.touching),
        keys=(keys[0], keys[1]),
        normal=(normal[0], normal[1]),
        tangent=(tangent[0], tangent[1]),
    )


def _contacts(found: Manifold, touches: jax.Array, is_first: jax.Array) -> tuple[Contacts, jax.Array]:
    """(C, M) the touching pairs, the hit one first; also (M,) whether more touch than fit."""
    count = touches.shape[0]
    place = jnp.cumsum(touches & ~is_first, axis=0, dtype=jnp.int32)
    place = jnp.where(is_first, 0, place)
    slot = jnp.arange(CONTACT_SLOTS, dtype=jnp.int32)[:, None, None]
    holds = (place[None] == slot) & touches[None]  # (C, K, M)
    index, filled = first_least(jnp.swapaxes(~holds, 0, 1).astype(jnp.int32)), jnp.any(holds, axis=1)
    zero = jnp.zeros(filled.shape, found.normal[0].dtype)
    found = jax.tree.map(lambda x: jnp.broadcast_to(x, touches.shape), found)
    chosen = take_along(found, index, axis=0)
    contacts = Contacts(
        pair=jnp.where(filled, index, -1),
        count=jnp.where(filled, chosen.count, 0),
        on_body=chosen.on_body,
        normal=chosen.normal,
        plane=chosen.plane,
        points=chosen.points,
        keys=chosen.keys,
        normal_impulse=(zero, zero),
        tangent_impulse=(zero, zero),
    )
    return contacts, jnp.max(place, axis=0) >= min(count, CONTACT_SLOTS)


def _push_out(
    center: Vector, angle: jax.Array, contacts: Contacts, body: Material, twist: Twist, velocity_iterations: int
) -> tuple[Twist, Twist]:
    """Poses (x, y, angle) outside the terrain and velocities not into it; all (M,)."""
    shape = contacts.pair.shape
    body = jax.tree.map(lambda x: jnp.broadcast_to(x, shape), body)
    pose = center[0][0], center[1][0], angle[0]
    pose = _solve_positions(pose, _slots(impacts.prepare(contacts, body, center, angle)[0]))
    center, angle = (pose[0][None], pose[1][None]), pose[2][None]
    impact, load = impacts.prepare(contacts, body, center, angle)
    return pose, _solve_velocities(twist, _slots(impact), _slots(load), velocity_iterations)


def _slots(tree: Impact | Load) -> list:
    return [jax.tree.map(lambda x, s=s: x[s], tree) for s in range(CONTACT_SLOTS)]


def _solve_positions(pose: Twist, slots: list[Impact]) -> Twist:
    used = [jnp.any(slot.first) for slot in slots]

    def going(carry: tuple[jax.Array, jax.Array, Twist]) -> jax.Array:
        count, done, _ = carry
        return (count < POSITION_ITERATIONS) & ~jnp.all(done)

    def iterate(carry: tuple[jax.Array, jax.Array, Twist]) -> tuple[jax.Array, jax.Array, Twist]:
        count, done, pose = carry

        state = pose, jnp.zeros_like(pose[2])
        for impact, use in zip(slots, used, strict=True):

            def visit(state: tuple[Twist, jax.Array], impact: Impact = impact) -> tuple[Twist, jax.Array]:
                moved, gap = impacts.solve_position(state[0], impact, CORRECTED_SHARE)
                return moved, jnp.minimum(state[1], gap)

            state = impacts.if_used(use, visit, state)
        moved, deepest = state
        x, y, angle = (jnp.where(done, old, new) for old, new in zip(pose, moved, strict=True))
        return count + 1, done | (deepest >= ENOUGH_SEPARATION), (x, y, angle)

    start = jnp.zeros((), jnp.int32), jnp.zeros(pose[2].shape, bool), pose
    return jax.lax.while_loop(going, iterate, start)[2]


def _solve_velocities(twist: Twist, slots: list[Impact], loads: list[Load], iterations: int) -> Twist:
    """The result of all iterations. When all bodies repeat themselves to the last bit, the rest is left out."""
    used = [jnp.any(slot.first) for slot in slots]
    # A state that recurs after a block recurs after every further one, and the iterations are whole blocks.
    block = math.gcd(iterations, BLOCK)

    def going(carry: tuple) -> jax.Array:
        count, changed, _, _ = carry
        return (count < iterations) & changed

    def iterate(_: jax.Array, carry: tuple[Twist, list[Load]]) -> tuple[Twist, list[Load]]:
        twist, loads = carry[0], list(carry[1])
        for i, (impact, use) in enumerate(zip(slots, used, strict=True)):

            def visit(state: tuple[Twist, Load], impact: Impact = impact) -> tuple[Twist, Load]:
                return impacts.solve_velocity(state[0], impact, state[1])

            twist, loads[i] = impacts.if_used(use, visit, (twist, loads[i]))
        return twist, loads

    def iterate_block(carry: tuple) -> tuple:
        count, _, *state = carry
        new = jax.lax.fori_loop(0, block, iterate, (state[0], state[1]))
        same = [jnp.all(a == b) for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(tuple(state)), strict=True)]
        return count + block, ~jnp.all(jnp.stack(same)), *new

    start = jnp.zeros((), jnp.int32), jnp.ones((), bool), twist, loads
    return jax.lax.while_loop(going, iterate_block, start)[2]
