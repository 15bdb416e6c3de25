"""How the ball moves: MuJoCo's equations for a mass on two sliding joints among boxes, in closed form.

A wall is a soft constraint (MuJoCo documentation, "Computation"): with contact normal n, distance d to the margin and
impedance w in (0, 1), the acceleration a minimises, per unit of mass,

    |a - a_free|^2 / 2 + sum of w / (1 - w) min(0, n a - a_ref)^2 / 2,    a_ref = -b (n v) - w k d

over the contacts in reach. A ball smaller than a cell touches three boxes at most, those around the nearest corner of
its cell, so that the few cases of which contacts push are all tried. Euler's method is implicit in the damping.

Source: MuJoCo 4.0 and `assets/point/point.xml` of gymnasium-robotics 1.4.2. Contacts have no friction there.
"""

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
    """One box in reach; all () arrays."""

    x: jax.Array  # normal, from the box to the ball
    y: jax.Array
    weight: jax.Array  # w / (1 - w); 0 where there is no box or it is too far
    wanted: jax.Array  # a_ref [m/s^2]

    def missing(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """By how much an acceleration (x, y) falls short of what the constraint wants, weighted [m/s^2]."""
        return self.weight * jnp.maximum(0.0, self.wanted - self.x * x - self.y * y)


def move(
    plan: Layout, position: jax.Array, velocity: jax.Array, action: jax.Array, params: Params
) -> tuple[jax.Array, jax.Array]:
    """(position (2,) [m], velocity (2,) [m/s]) after one step under an action (2,) in [-1, 1]."""
    velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
    free = (params.force * jnp.clip(action, -1.0, 1.0) - params.damping * velocity) / params.mass
    acceleration = constrained(free, contacts(plan, position, velocity, params.margin))
    velocity = velocity + TIME_STEP * acceleration / (1.0 + TIME_STEP * params.damping / params.mass)
    return position + TIME_STEP * velocity, velocity


def contacts(plan: Layout, position: jax.Array, velocity: jax.Array, margin: jax.Array | float) -> list[Contact]:
    """The boxes beside the quarter of its cell in which the ball is: along x, along y, across the corner."""
    cell, offset = locate(plan, position)
    side = jnp.where(offset >= 0, 1.0, -1.0).astype(position.dtype)
    quarter = (offset >= 0).astype(jnp.int32)
    is_wall = jnp.asarray(plan.beside)[cell[0], cell[1], quarter[0], quarter[1]]
    gap = 0.5 - jnp.abs(offset)  # (2,) [m], from the ball's middle to the sides of the cell
    corner = jnp.maximum(jnp.hypot(gap[0], gap[1]), TINY)
    zero = jnp.zeros((), position.dtype)
    found = (
        (-side[0], zero, gap[0]),
        (zero, -side[1], gap[1]),
        (-side[0] * gap[0] / corner, -side[1] * gap[1] / corner, corner),
    )
    return [
        _contact(x, y, is_wall[i], distance - RADIUS - margin, x * velocity[0] + y * velocity[1])
        for i, (x, y, distance) in enumerate(found)
    ]


def locate(plan: Layout, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    """((row, column) (2,) int32 of the cell, the position (2,) [m] from its middle)."""
    rows, columns = plan.walls.shape
    column = jnp.clip(jnp.floor(position[0] + columns / 2), 0, columns - 1)
    row = jnp.clip(jnp.floor(rows / 2 - position[1]), 0, rows - 1)
    middle = jnp.stack([column + 0.5 - columns / 2, rows / 2 - 0.5 - row])
    return jnp.stack([row, column]).astype(jnp.int32), position - middle


def _contact(x: jax.Array, y: jax.Array, is_wall: jax.Array, depth: jax.Array, speed: jax.Array) -> Contact:
    """`depth` [m] is the distance to the margin, negative within; `speed` [m/s] is along the normal."""
    share = jnp.minimum(jnp.abs(depth) / IMPEDANCE_WIDTH, 1.0)
    rise = jnp.where(share <= 0.5, 2.0 * share**2, 1.0 - 2.0 * (1.0 - share) ** 2)
    impedance = LEAST_IMPEDANCE + (MOST_IMPEDANCE - LEAST_IMPEDANCE) * rise
    return Contact(
        x=x,
        y=y,
        weight=jnp.where(is_wall & (depth < 0), impedance / (1.0 - impedance), 0.0),
        wanted=-CONTACT_DAMPING * speed - impedance * STIFFNESS * depth,
    )


def constrained(free: jax.Array, found: list[Contact]) -> jax.Array:
    """The acceleration (2,) [m/s^2] of the minimum, where `free` (2,) is the one without contacts.

    For each choice of contacts that push, a linear system says the acceleration; the choice is right where those and
    no others are pushed against. The one with the least residual is taken, which rounding cannot upset.
    """
    best_x, best_y = free[0], free[1]
    least = _residual(free, found, best_x, best_y)
    for chosen in itertools.product((False, True), repeat=len(found)):
        pushing = [contact for contact, is_chosen in zip(found, chosen, strict=True) if is_chosen]
        if pushing:
            x, y = _pushed(free, pushing)
            residual = _residual(free, found, x, y)
            is_better = residual < least
            best_x, best_y = jnp.where(is_better, x, best_x), jnp.where(is_better, y, best_y)
            least = jnp.minimum(residual, least)
    return jnp.stack([best_x, best_y])


def _pushed(free: jax.Array, pushing: list[Contact]) -> tuple[jax.Array, jax.Array]:
    """The acceleration (x, y) if exactly these contacts push: a 2 x 2 system, symmetric and positive definite."""
    xx = 1.0 + sum(c.weight * c.x * c.x for c in pushing)
    yy = 1.0 + sum(c.weight * c.y * c.y for c in pushing)
    xy = sum(c.weight * c.x * c.y for c in pushing)
    x = free[0] + sum(c.weight * c.wanted * c.x for c in pushing)
    y = free[1] + sum(c.weight * c.wanted * c.y for c in pushing)
    determinant = xx * yy - xy * xy
    return (yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant


def _residual(free: jax.Array, found: list[Contact], x: jax.Array, y: jax.Array) -> jax.Array:
    """() [m/s^2], the gradient of what is minimised, at (x, y): the larger of its two entries."""
    push = [contact.missing(x, y) for contact in found]
    rest_x = x - free[0] - sum(p * c.x for p, c in zip(push, found, strict=True))
    rest_y = y - free[1] - sum(p * c.y for p, c in zip(push, found, strict=True))
    return jnp.maximum(jnp.abs(rest_x), jnp.abs(rest_y))
