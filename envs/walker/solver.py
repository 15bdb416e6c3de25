"""The island solve: one walker, its joints and its contacts, advanced by one time step.

Every array ends in the batch axis B. Bodies and joints are rows (one array each) while joints are visited, and stacked
by leg while contacts are: a contact slot of all legs is one vector operation.

Letters: N bodies, J joints, L legs, C contact slots, B environments.
Source: Box2D 2.3 b2Island::Solve. Time of impact (b2World::SolveTOI) is not part of it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from . import impacts, joints
from .bodies import BodyPlan, Geometry
from .contacts import CONTACT_SLOTS, Contacts
from .impacts import Impact, Load, Material, Twist
from .joints import PI, JointImpulse, Motion, Pose
from .lanes import in_sorted_groups
from .types import TIME_STEP, Physics

MAX_TRANSLATION = 2.0  # [m] per step
MAX_ROTATION = float(0.5 * PI)  # [rad] per step
STILL_SPEED, STILL_SPIN = 0.01, joints.ANGULAR_SLOP  # [m/s], [rad/s] (2 degrees/s): slower counts as at rest
TIME_TO_SLEEP = 0.5  # [s]
ENOUGH_SEPARATION = -3 * joints.LINEAR_SLOP  # [m]

# Environments solved together on a CPU: as few as do not yet make the cost per operation noticeable.
GROUP, SMALL_GROUP = 512, 128
FEW_ITERATIONS = 4  # of the position solver, after which the few unfinished environments go on by themselves


@dataclasses.dataclass(frozen=True)
class Solver:
    """How hard a step tries.

    Attributes:
      velocity_iterations: visits of every joint and contact; not a tolerance but part of the physics, since far from
        converged (the hull weighs 20 times a leg).
      position_iterations: at most so many, fewer once joints and contacts are within their slop.
      one_sided: ground edges push up only. Box2D's push to the side on which the body's centroid is, which without
        continuous collision lets feet pass through.
    """

    velocity_iterations: int
    position_iterations: int
    one_sided: bool

    def __post_init__(self) -> None:
        if self.velocity_iterations < 1 or self.position_iterations < 0:
            raise ValueError(
                f"velocity_iterations={self.velocity_iterations} must be at least 1 and "
                f"position_iterations={self.position_iterations} at least 0"
            )


EXACT = Solver(velocity_iterations=180, position_iterations=60, one_sided=False)
FAST = Solver(velocity_iterations=20, position_iterations=4, one_sided=True)


class Drive(struct.PyTreeNode):
    """What acts on a walker from outside during a step."""

    push: jax.Array  # (B,) [N], horizontal force on the hull
    gravity: jax.Array  # (B,) [m/s^2] downward
    speed: jax.Array  # (J, B) [rad/s] targets of the motors
    torque: jax.Array  # (J, B) [N m] of the motors


class _Group(struct.PyTreeNode):
    """The contacts of the hull or of all legs; lists run over slots, leaves are (R, B)."""

    impacts: list[Impact]
    loads: list[Load]
    upper: list[jax.Array]  # bool, whether the touching body is the thigh

    @property
    def used(self) -> list[jax.Array]:
        """() bool per slot, whether any environment uses it."""
        return [jnp.any(impact.first) for impact in self.impacts]


def solve(
    physics: Physics,
    contacts: tuple[Contacts, Contacts],
    shape: Geometry,
    drive: Drive,
    plan: BodyPlan,
    solver: Solver,
) -> Physics:
    """One step of the island.

    Args:
      physics: state before the step.
      contacts: of hull and legs, with inherited impulses.
      shape: sizes and masses.
      drive: what acts on the walker from outside.
      plan, solver: static.
    """
    slots = [jnp.sum((found.count > 0).astype(jnp.int32), axis=1).max(axis=0) for found in contacts]
    # What the solver does not read need not be sorted.
    bare_shape = shape.replace(hull=None, hull_normal=None, hull_centroid=None, leg_half=None)
    bare = physics.replace(contact_pair=None, contact_key=None, contact_impulse=None)
    bare_contacts = tuple(found.replace(keys=None) for found in contacts)

    def solve_group(args: Any) -> tuple[Physics, jax.Array]:
        bodies, found, sizes, outside = args
        return _solve(bodies, found, sizes, outside, plan, solver)

    args = bare, bare_contacts, bare_shape, drive
    solved, impulse = in_sorted_groups(solve_group, CONTACT_SLOTS * slots[0] + slots[1], args, GROUP)
    return solved.replace(
        contact_pair=jnp.concatenate([found.pair for found in contacts]),
        contact_key=jnp.concatenate([jnp.stack(found.keys, axis=2) for found in contacts]),
        contact_impulse=impulse,
    )


def _solve(
    physics: Physics,
    contacts: tuple[Contacts, Contacts],
    shape: Geometry,
    drive: Drive,
    plan: BodyPlan,
    solver: Solver,
) -> tuple[Physics, jax.Array]:
    """`solve` for one group of environments; also the contact impulses."""
    # Where sizes are the same for all environments, XLA knows them and would multiply constants first.
    shape, drive = jax.lax.optimization_barrier((shape, drive))
    time_step = jnp.asarray(TIME_STEP, physics.position.dtype)
    motion = _accelerate(physics, shape, drive, time_step)
    rows = (slice(0, 1), slice(0, 1)), (slice(2, None, 2), slice(1, None, 2))
    groups = tuple(_group(physics, found, shape, r) for found, r in zip(contacts, rows, strict=True))
    hinges, impulses, limit_state = joints.prepare(physics, shape, plan, drive.speed, time_step * drive.torque)
    motion = _warm_start(motion, groups, hinges, impulses, plan)
    motion, impulses, loads = _solve_velocities(motion, groups, hinges, impulses, plan, solver)
    motion, pose = _integrate(physics, motion, time_step)
    pose, solved = _solve_positions(pose, groups, hinges, plan, solver)
    physics = physics.replace(
        position=jnp.stack([jnp.stack(pose.x), jnp.stack(pose.y)], axis=1),
        angle=jnp.stack(pose.angle),
        velocity=jnp.stack([jnp.stack(motion.x), jnp.stack(motion.y)], axis=1),
        spin=jnp.stack(motion.spin),
        joint_impulse=jnp.stack([jnp.stack(i.point) for i in impulses]),
        limit_impulse=jnp.stack([i.limit for i in impulses]),
        motor_impulse=jnp.stack([i.motor for i in impulses]),
        limit_state=limit_state,
    )
    return _sleep(physics, solved, time_step), _contact_impulse(contacts, groups, loads)


def _accelerate(physics: Physics, shape: Geometry, drive: Drive, time_step: jax.Array) -> Motion:
    """Velocities after gravity and the push have acted for the step."""
    x, y = list(physics.velocity[:, 0]), physics.velocity[:, 1]
    x[0] = x[0] + time_step * (shape.inv_mass[0] * drive.push)
    return Motion(x=tuple(x), y=tuple(v - time_step * drive.gravity for v in y), spin=tuple(physics.spin))


def _group(physics: Physics, contacts: Contacts, shape: Geometry, rows: tuple[slice, slice]) -> _Group:
    """Prepares all slots of a group whose lower and upper bodies are `rows`."""
    upper = (contacts.pair >= 0) & (contacts.pair % 2 == 1)

    def of_body(values: jax.Array) -> jax.Array:
        return jnp.where(upper, values[rows[1]][:, None], values[rows[0]][:, None])

    body = Material(
        mass=of_body(shape.inv_mass),
        inertia=of_body(shape.inv_inertia),
        friction=of_body(shape.friction),
        offset=(of_body(shape.center[:, 0]), of_body(shape.center[:, 1])),
    )
    center = of_body(physics.position[:, 0]), of_body(physics.position[:, 1])
    impact, load = impacts.prepare(contacts, body, center, of_body(physics.angle))
    slots = range(contacts.pair.shape[1])
    return _Group(
        impacts=[jax.tree.map(lambda x, s=s: x[:, s], impact) for s in slots],
        loads=[jax.tree.map(lambda x, s=s: x[:, s], load) for s in slots],
        upper=[upper[:, s] for s in slots],
    )


def _skip_idle(used: jax.Array, visit: Callable[[Any], Any], state: Any) -> Any:
    """`visit(state)`, which changes nothing unless `used`; skipped then where a branch costs less than the work."""
    if jax.default_backend() == "cpu":
        return jax.lax.cond(used, visit, lambda same: same, state)
    return visit(state)


def _visit_bodies(rows: tuple, group: _Group, extra: Any, visit: Callable[..., tuple[Twist, Any]]) -> tuple[tuple, Any]:
    """Runs `visit(twist, impact, slot, extra)` over the used slots of a group.

    Args:
      rows: three tuples over bodies of (B,): x, y and spin, or x, y and angle.
      extra: any further state of the visits.
    """
    is_hull = group.upper[0].shape[0] == 1

    def run(state: tuple) -> tuple:
        rows, extra = state
        lower = tuple(jnp.stack(r[:1] if is_hull else r[2::2]) for r in rows)
        upper = lower if is_hull else tuple(jnp.stack(r[1::2]) for r in rows)
        for slot, impact in enumerate(group.impacts):

            def run_slot(state: tuple, slot: int = slot, impact: Impact = impact) -> tuple:
                lower, upper, extra = state
                if is_hull:
                    twist, extra = visit(lower, impact, slot, extra)
                    return twist, twist, extra
                mask = group.upper[slot]
                start = tuple(jnp.where(mask, u, w) for u, w in zip(upper, lower, strict=True))
                twist, extra = visit(start, impact, slot, extra)
                upper = tuple(jnp.where(mask, t, u) for t, u in zip(twist, upper, strict=True))
                lower = tuple(jnp.where(mask, w, t) for t, w in zip(twist, lower, strict=True))
                return lower, upper, extra

            if slot == 0:
                lower, upper, extra = run_slot((lower, upper, extra))
            else:
                lower, upper, extra = _skip_idle(group.used[slot], run_slot, (lower, upper, extra))
        return tuple(_unstack(r, lo, up, is_hull) for r, lo, up in zip(rows, lower, upper, strict=True)), extra

    return _skip_idle(group.used[0], run, (rows, extra))


def _unstack(rows: tuple, lower: jax.Array, upper: jax.Array, is_hull: bool) -> tuple:
    """Puts the stacked values of a group back into the rows of all bodies."""
    if is_hull:
        return (lower[0], *rows[1:])
    legs = [x for pair in zip(upper, lower, strict=True) for x in pair]
    return (rows[0], *legs)


def _warm_start(
    motion: Motion, groups: tuple[_Group, ...], hinges: list, impulses: list[JointImpulse], plan: BodyPlan
) -> Motion:
    rows = (motion.x, motion.y, motion.spin)
    for group in groups:

        def visit(twist: Twist, impact: Impact, slot: int, extra: Any, group: _Group = group) -> tuple[Twist, Any]:
            return impacts.warm_start(twist, impact, group.loads[slot]), extra

        rows, _ = _visit_bodies(rows, group, (), visit)
    motion = Motion(x=rows[0], y=rows[1], spin=rows[2])
    for k in plan.joint_order:
        motion = joints.warm_start(motion, hinges[k], impulses[k], plan.joint_bodies[k])
    return motion


def _solve_velocities(
    motion: Motion,
    groups: tuple[_Group, ...],
    hinges: list,
    impulses: list[JointImpulse],
    plan: BodyPlan,
    solver: Solver,
) -> tuple[Motion, list[JointImpulse], tuple[list[Load], ...]]:
    """All velocity iterations: joints in order, then contacts."""

    def visit(twist: Twist, impact: Impact, slot: int, loads: list[Load]) -> tuple[Twist, list[Load]]:
        twist, load = impacts.solve_velocity(twist, impact, loads[slot])
        return twist, [*loads[:slot], load, *loads[slot + 1 :]]

    def iterate(_: jax.Array, carry: tuple) -> tuple:
        motion, impulses, loads = carry
        impulses = list(impulses)
        for k in plan.joint_order:
            motion, impulses[k] = joints.solve_velocity(motion, hinges[k], impulses[k], plan.joint_bodies[k])
        rows, new_loads = (motion.x, motion.y, motion.spin), []
        for group, load in zip(groups, loads, strict=True):
            rows, load = _visit_bodies(rows, group, load, visit)
            new_loads.append(load)
        return Motion(x=rows[0], y=rows[1], spin=rows[2]), impulses, tuple(new_loads)

    start = motion, impulses, tuple(group.loads for group in groups)
    return jax.lax.fori_loop(0, solver.velocity_iterations, iterate, start)


def _integrate(physics: Physics, motion: Motion, time_step: jax.Array) -> tuple[Motion, Pose]:
    """Moves the bodies; velocities that would carry them too far are shortened first."""
    x, y, spin = jnp.stack(motion.x), jnp.stack(motion.y), jnp.stack(motion.spin)
    dx, dy = time_step * x, time_step * y
    square = dx * dx + dy * dy
    far = square > MAX_TRANSLATION * MAX_TRANSLATION
    ratio = jnp.where(far, MAX_TRANSLATION / jnp.sqrt(jnp.where(far, square, 1)), 1)
    x, y = x * ratio, y * ratio
    turn = time_step * spin
    fast = turn * turn > MAX_ROTATION * MAX_ROTATION
    spin = spin * jnp.where(fast, MAX_ROTATION / jnp.where(fast, jnp.abs(turn), 1), 1)
    pose = Pose(
        x=tuple(physics.position[:, 0] + time_step * x),
        y=tuple(physics.position[:, 1] + time_step * y),
        angle=tuple(physics.angle + time_step * spin),
    )
    return Motion(x=tuple(x), y=tuple(y), spin=tuple(spin)), pose


def _solve_positions(
    pose: Pose, groups: tuple[_Group, ...], hinges: list, plan: BodyPlan, solver: Solver
) -> tuple[Pose, jax.Array]:
    """Position iterations: contacts, then joints, until both are within their slop; also (B,) whether they got there.

    Environments that are done are frozen while the others go on. Most need one or two iterations; those that a motor
    presses against a limit need all of them, so after the first few the others are set aside.
    """
    few = min(FEW_ITERATIONS, solver.position_iterations)
    done = jnp.zeros(pose.angle[0].shape, bool)
    pose, done = _iterate_positions(pose, done, groups, hinges, plan, few)
    if few == solver.position_iterations:
        return pose, done

    def finish(args: Any) -> tuple[Pose, jax.Array]:
        pose, done, groups, hinges = args
        return _iterate_positions(pose, done, groups, hinges, plan, solver.position_iterations - few)

    return in_sorted_groups(finish, done.astype(jnp.int32), (pose, done, groups, hinges), SMALL_GROUP)


def _iterate_positions(
    pose: Pose, done: jax.Array, groups: tuple[_Group, ...], hinges: list, plan: BodyPlan, iterations: int
) -> tuple[Pose, jax.Array]:
    """At most `iterations` position iterations of the environments that are not `done`."""

    def visit(body: Twist, impact: Impact, slot: int, deepest: jax.Array) -> tuple[Twist, jax.Array]:
        body, gap = impacts.solve_position(body, impact)
        return body, jnp.minimum(deepest, jnp.min(gap, axis=0))

    def iterate(carry: tuple) -> tuple:
        count, pose, done = carry
        rows, deepest = (pose.x, pose.y, pose.angle), jnp.zeros_like(pose.angle[0])
        for group in groups:
            rows, deepest = _visit_bodies(rows, group, deepest, visit)
        moved, fine = Pose(x=rows[0], y=rows[1], angle=rows[2]), deepest >= ENOUGH_SEPARATION
        for k in plan.joint_order:
            moved, joint_fine = joints.solve_position(moved, hinges[k], plan.joint_bodies[k])
            fine = fine & joint_fine
        return count + 1, jax.tree.map(lambda old, new: jnp.where(done, old, new), pose, moved), done | fine

    def unfinished(carry: tuple) -> jax.Array:
        count, _, done = carry
        return (count < iterations) & ~jnp.all(done)

    _, pose, done = jax.lax.while_loop(unfinished, iterate, (jnp.zeros((), jnp.int32), pose, done))
    return pose, done


def _contact_impulse(contacts: tuple[Contacts, Contacts], groups: tuple[_Group, ...], loads: tuple) -> jax.Array:
    """(G, C, 2, 2, B) what the next step's contacts will inherit."""
    impulses = []
    for found, group, final in zip(contacts, groups, loads, strict=True):
        points = []
        for i in range(2):
            active = jnp.stack([impact.first if i == 0 else impact.block for impact in group.impacts], axis=1)
            solved = [jnp.stack([getattr(load, part)[i] for load in final], axis=1) for part in ("normal", "tangent")]
            inherited = found.normal_impulse[i], found.tangent_impulse[i]
            # A point left out of an ill-conditioned block keeps what it had.
            kept = [jnp.where(active, new, old) for new, old in zip(solved, inherited, strict=True)]
            points.append(jnp.stack(kept, axis=2))
        impulses.append(jnp.stack(points, axis=2))
    return jnp.concatenate(impulses)


def _sleep(physics: Physics, solved: jax.Array, time_step: jax.Array) -> Physics:
    """Stops a walker that has rested long enough; Box2D's sleeping, from which the next action wakes it."""
    x, y = physics.velocity[:, 0], physics.velocity[:, 1]
    moving = (physics.spin * physics.spin > STILL_SPIN * STILL_SPIN) | (x * x + y * y > STILL_SPEED * STILL_SPEED)
    still_time = jnp.where(jnp.any(moving, axis=0), 0, physics.still_time + time_step)
    asleep = (still_time >= TIME_TO_SLEEP) & solved
    return physics.replace(
        velocity=jnp.where(asleep[None, None], 0, physics.velocity),
        spin=jnp.where(asleep[None], 0, physics.spin),
        still_time=jnp.where(asleep, 0, still_time),
    )
