"""How the ball moves: MuJoCo's equations for a mass on two sliding joints among boxes, in closed form.

A wall is a soft constraint (MuJoCo documentation, "Computation"): with contact normal n, distance d to the margin and
impedance w in (0, 1), the acceleration a minimises, per unit of mass,

    |a - a_free|^2 / 2 + sum of w / (1 - w) min(0, n a - a_ref)^2 / 2,    a_ref = -b (n v) - w k d

over the contacts in reach. A ball smaller than a cell touches three boxes at most, those around the nearest corner of
its cell: beside it along x, along y, and across the corner. All here is mirrored so that this corner lies towards
negative x and y; then all three normals are in the first quadrant, and `resisted` can say the minimum outright. Euler's
method is implicit in the damping.

Source: MuJoCo 4.0 and `assets/point/point.xml` of gymnasium-robotics 1.4.2. Contacts have no friction there.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .maps import Layout
from .types import Params

TIME_STEP = 0.01  # [s]
MAX_SPEED = 5.0  # [m/s], to which velocities are clipped before a step
RADIUS = 0.1  # [m]
LEAST_IMPEDANCE, MOST_IMPEDANCE, IMPEDANCE_WIDTH = 0.9, 0.95, 0.001  # MuJoCo's default solimp, the last in [m]
TIME_CONSTANT = 0.02  # [s], of MuJoCo's default solref, critically damped
STIFFNESS = 1.0 / (MOST_IMPEDANCE * TIME_CONSTANT) ** 2  # k [1/s^2]
CONTACT_DAMPING = 2.0 / (MOST_IMPEDANCE * TIME_CONSTANT)  # b [1/s]
TINY = 1e-9


class Contact(NamedTuple):
    """One box; both () arrays."""

    weight: jax.Array  # w / (1 - w); 0 where there is no box or it is out of reach
    wanted: jax.Array  # a_ref [m/s^2]


class Line(NamedTuple):
    """slope f + start, an acceleration under a push of f [m/s^2] across the corner; all () arrays."""

    slope: jax.Array
    start: jax.Array


def move(
    plan: Layout, position: jax.Array, velocity: jax.Array, action: jax.Array, params: Params
) -> tuple[jax.Array, jax.Array]:
    """(position (2,) [m], velocity (2,) [m/s]) after one step under an action (2,) in [-1, 1]."""
    velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
    free = (params.force * jnp.clip(action, -1.0, 1.0) - params.damping * velocity) / params.mass
    acceleration = accelerate(plan, position, velocity, free, params.margin)
    velocity = velocity + TIME_STEP * acceleration / (1.0 + TIME_STEP * params.damping / params.mass)
    return position + TIME_STEP * velocity, velocity


def accelerate(
    plan: Layout, position: jax.Array, velocity: jax.Array, free: jax.Array, margin: jax.Array | float
) -> jax.Array:
    """The acceleration (2,) [m/s^2] among walls, where `free` (2,) would be it without them."""
    cell, offset = locate(plan, position)
    away = jnp.where(offset >= 0, -1.0, 1.0).astype(position.dtype)  # from the nearest corner of the cell
    quarter = (offset >= 0).astype(jnp.int32)
    walls = jnp.asarray(plan.beside)[cell[0], cell[1], quarter[0], quarter[1]]
    gap = 0.5 - jnp.abs(offset)  # [m], from the ball's middle to the sides of the cell
    reach = jnp.maximum(jnp.hypot(gap[0], gap[1]), TINY)
    normal = gap / reach
    speed = away * velocity
    x, y, corner = (
        _contact((walls & bit) > 0, distance - RADIUS - margin, along)
        for bit, distance, along in (
            (1, gap[0], speed[0]),
            (2, gap[1], speed[1]),
            (4, reach, normal[0] * speed[0] + normal[1] * speed[1]),
        )
    )
    return away * resisted(away * free, x, y, corner, normal)


def locate(plan: Layout, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    """((row, column) (2,) int32 of the cell, the position (2,) [m] from its middle)."""
    rows, columns = plan.walls.shape
    column = jnp.clip(jnp.floor(position[0] + columns / 2), 0, columns - 1)
    row = jnp.clip(jnp.floor(rows / 2 - position[1]), 0, rows - 1)
    middle = jnp.stack([column + 0.5 - columns / 2, rows / 2 - 0.5 - row])
    return jnp.stack([row, column]).astype(jnp.int32), position - middle


def _contact(is_wall: jax.Array, depth: jax.Array, speed: jax.Array) -> Contact:
    """`depth` [m] is the distance to the margin, negative within; `speed` [m/s] is along the normal."""
    share = jnp.minimum(jnp.abs(depth) / IMPEDANCE_WIDTH, 1.0)
    rise = jnp.where(share <= 0.5, 2.0 * share**2, 1.0 - 2.0 * (1.0 - share) ** 2)
    impedance = LEAST_IMPEDANCE + (MOST_IMPEDANCE - LEAST_IMPEDANCE) * rise
    return Contact(
        weight=jnp.where(is_wall & (depth < 0), impedance / (1.0 - impedance), 0.0),
        wanted=-CONTACT_DAMPING * speed - impedance * STIFFNESS * depth,
    )


def resisted(free: jax.Array, x: Contact, y: Contact, corner: Contact, normal: jax.Array) -> jax.Array:
    """The acceleration (2,) [m/s^2] of the minimum, everything mirrored so that `normal` (2,) is not negative.

    Let the corner push with f. Then x and y are apart, and each is the larger of two lines in f: the wall beside
    pushes, or does not. What the corner lacks at f, which is f less the push it would answer with, is the largest of
    their four combinations, all rising, so it vanishes at the least of their four roots.
    """
    lines_x, lines_y = _lines(free[0], x, normal[0]), _lines(free[1], y, normal[1])
    roots = [
        corner.weight
        * (corner.wanted - normal[0] * a.start - normal[1] * b.start)
        / (1.0 + corner.weight * (normal[0] * a.slope + normal[1] * b.slope))
        for a, b in itertools.product(lines_x, lines_y)
    ]
    push = jnp.maximum(functools.reduce(jnp.minimum, roots), 0.0)
    return jnp.stack([_larger(lines_x, push), _larger(lines_y, push)])


def _lines(free: jax.Array, wall: Contact, normal: jax.Array) -> tuple[Line, Line]:
    """One axis with and without a push of the wall beside, whose normal it is."""
    share = 1.0 / (1.0 + wall.weight)
    return Line(share * normal, share * (free + wall.weight * wall.wanted)), Line(normal, free)


def _larger(lines: tuple[Line, Line], push: jax.Array) -> jax.Array:
    return jnp.maximum(*(line.slope * push + line.start for line in lines))
