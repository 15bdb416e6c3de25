"""The island solve: one walker, its joints and its contacts, advanced by one time step.

Every array ends in the batch axis B. Bodies and joints are rows (one array each) while joints are visited, and stacked
by leg while contacts are: a contact slot of all legs is one vector operation.

Letters: N bodies, J joints, L legs, R = 1 + L contact rows, C contact slots, B environments.
Source: Box2D 2.3 b2Island::Solve. What happens between two steps of the clock is in `continuous`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from . import impacts, joints
from .bodies import BodyPlan
from .contacts import Contacts
from .impacts import Impact, Load, Material, Twist
from .integration import limit_speed
from .joints import JointImpulse, Motion, Pose
from .lanes import in_sorted_groups
from .types import TIME_STEP, Geometry, Physics

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
      events: continuous collision: at most so many impacts of a body within one step are resolved; 0 for none.
    """

    velocity_iterations: int
    position_iterations: int
    one_sided: bool
    events: int = 0

    def __post_init__(self) -> None:
        for name, least in (("velocity_iterations", 1), ("position_iterations", 0), ("events", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}; expected at least {least}")


EXACT = Solver(velocity_iterations=180, position_iterations=60, one_sided=False, events=12)
DISCRETE = dataclasses.replace(EXACT, events=0)
FAST = Solver(velocity_iterations=20, position_iterations=4, one_sided=True)


class Drive(struct.PyTreeNode):
    """What acts on a walker from outside during a step."""

    push: jax.Array  # (B,) [N], horizontal force on the hull
    gravity: jax.Array  # (B,) [m/s^2] downward
    speed: jax.Array  # (J, B) [rad/s] targets of the motors
    torque: jax.Array  # (J, B) [N m] of the motors


class _Slots(struct.PyTreeNode):
    """The contacts of all rows; lists run over slots, leaves are (R, B)."""

    impacts: list[Impact]
    loads: list[Load]
    upper: list[jax.Array]  # bool, whether the touching body is the thigh

    @property
    def used(self) -> list[jax.Array]:
        """() bool per slot, whether any environment uses it."""
        return [jnp.any(impact.first) for impact in self.impacts]


def solve(
    physics: Physics, contacts: Contacts | None, shape: Geometry, drive: Drive, plan: BodyPlan, solver: Solver
) -> Physics:
    """One step of the island.

    Args:
      physics: state before the step.
      contacts: with inherited impulses; None for a walker that is known to touch nothing.
      shape: sizes and masses.
      drive: what acts on the walker from outside.
      plan, solver: static.
    """
    # What the solver does not read need not be sorted.
    bare_shape = shape.replace(leg_half=None)
    bare = physics.replace(contact_pair=None, contact_key=None, contact_impulse=None)
    if contacts is None:
        solved, _ = _solve(bare, None, bare_shape, drive, plan, solver)
        return solved.replace(
            contact_pair=jnp.full_like(physics.contact_pair, -1),
            contact_key=jnp.full_like(physics.contact_key, -1),
            contact_impulse=jnp.zeros_like(physics.contact_impulse),
        )

    def solve_group(args: Any) -> tuple[Physics, jax.Array | None]:
        bodies, found, sizes, outside = args
        return _solve(bodies, found, sizes, outside, plan, solver)

    slots = jnp.sum((contacts.count > 0).astype(jnp.int32), axis=1).max(axis=0)
    args = bare, contacts.replace(keys=None), bare_shape, drive
    solved, impulse = in_sorted_groups(solve_group, slots, args, GROUP)
    return solved.replace(
        contact_pair=contacts.pair, contact_key=jnp.stack(contacts.keys, axis=2), contact_impulse=impulse
    )


def _solve(
    physics: Physics, contacts: Contacts | None, shape: Geometry, drive: Drive, plan: BodyPlan, solver: Solver
) -> tuple[Physics, jax.Array | None]:
    """`solve` for one group of environments; also the contact impulses."""
    # Where sizes are the same for all environments, XLA knows them and would multiply constants first.
    shape, drive = jax.lax.optimization_barrier((shape, drive))
    time_step = jnp.asarray(TIME_STEP, physics.position.dtype)
    motion = _accelerate(physics, shape, drive, time_step)
    slots = _Slots([], [], []) if contacts is None else _slots(physics, contacts, shape)
    hinges, impulses, limit_state = joints.prepare(physics, shape, plan, drive.speed, time_step * drive.torque)
    motion = _warm_start(motion, slots, hinges, impulses, plan)
    motion, impulses, loads = _solve_velocities(motion, slots, hinges, impulses, plan, solver)
    motion, pose = _integrate(physics, motion, time_step)
    pose, solved = _solve_positions(pose, slots, hinges, plan, solver)
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
    impulse = None if contacts is None else _contact_impulse(contacts, slots, loads)
    return _sleep(physics, solved, time_step), impulse


def _accelerate(physics: Physics, shape: Geometry, drive: Drive, time_step: jax.Array) -> Motion:
    """Velocities after gravity and the push have acted for the step."""
    x, y = list(physics.velocity[:, 0]), physics.velocity[:, 1]
    x[0] = x[0] + time_step * (shape.inv_mass[0] * drive.push)
    return Motion(x=tuple(x), y=tuple(v - time_step * drive.gravity for v in y), spin=tuple(physics.spin))


def _slots(physics: Physics, contacts: Contacts, shape: Geometry) -> _Slots:
    """Prepares all contact slots."""
    upper = (contacts.pair >= 0) & (contacts.pair % 2 == 1)

    def of_body(values: jax.Array) -> jax.Array:
        return jnp.where(upper, _upper(values)[:, None], values[::2][:, None])

    body = Material(
        mass=of_body(shape.inv_mass),
        inertia=of_body(shape.inv_inertia),
        friction=of_body(shape.friction),
        offset=(of_body(shape.center[:, 0]), of_body(shape.center[:, 1])),
    )
    center = of_body(physics.position[:, 0]), of_body(physics.position[:, 1])
    impact, load = impacts.prepare(contacts, body, center, of_body(physics.angle))
    slots = range(contacts.pair.shape[1])
    return _Slots(
        impacts=[jax.tree.map(lambda x, s=s: x[:, s], impact) for s in slots],
        loads=[jax.tree.map(lambda x, s=s: x[:, s], load) for s in slots],
        upper=[upper[:, s] for s in slots],
    )


def _upper(values: jax.Array) -> jax.Array:
    """(R, ...) upper bodies of the rows: the thighs; the hull's row has the hull itself."""
    return jnp.concatenate([values[:1], values[1::2]])


def _visit_bodies(rows: tuple, slots: _Slots, extra: Any, visit: Callable[..., tuple[Twist, Any]]) -> tuple[tuple, Any]:
    """Runs `visit(twist, impact, slot, extra)` over the used slots.

    Args:
      rows: three tuples over bodies of (B,): x, y and spin, or x, y and angle.
      extra: any further state of the visits.
    """

    def run_slot(slot: int, state: tuple) -> tuple:
        lower, upper, extra = state
        mask = slots.upper[slot]
        start = tuple(jnp.where(mask, u, w) for u, w in zip(upper, lower, strict=True))
        twist, extra = visit(start, slots.impacts[slot], slot, extra)
        upper = tuple(jnp.where(mask, t, u) for t, u in zip(twist, upper, strict=True))
        lower = tuple(jnp.where(mask, w, t) for t, w in zip(twist, lower, strict=True))
        return lower, upper, extra

    def run(state: tuple) -> tuple:
        rows, extra = state
        stacked = tuple(jnp.stack(r) for r in rows)
        lower, upper = tuple(r[::2] for r in stacked), tuple(_upper(r) for r in stacked)
        lower, upper, extra = run_slot(0, (lower, upper, extra))
        for slot in range(1, len(slots.impacts)):
            run = functools.partial(run_slot, slot)
            lower, upper, extra = impacts.if_used(slots.used[slot], run, (lower, upper, extra))
        return tuple(_unstack(lo, up) for lo, up in zip(lower, upper, strict=True)), extra

    if not slots.impacts:
        return rows, extra
    return impacts.if_used(slots.used[0], run, (rows, extra))


def _unstack(lower: jax.Array, upper: jax.Array) -> tuple:
    """Rows of all bodies from those of lower and upper ones."""
    legs = [x for pair in zip(upper[1:], lower[1:], strict=True) for x in pair]
    return (lower[0], *legs)


def _warm_start(motion: Motion, slots: _Slots, hinges: list, impulses: list[JointImpulse], plan: BodyPlan) -> Motion:
    def visit(twist: Twist, impact: Impact, slot: int, extra: Any) -> tuple[Twist, Any]:
        return impacts.warm_start(twist, impact, slots.loads[slot]), extra

    rows, _ = _visit_bodies((motion.x, motion.y, motion.spin), slots, (), visit)
    motion = Motion(x=rows[0], y=rows[1], spin=rows[2])
    for k in plan.joint_order:
        motion = joints.warm_start(motion, hinges[k], impulses[k], plan.joint_bodies[k])
    return motion


def _solve_velocities(
    motion: Motion, slots: _Slots, hinges: list, impulses: list[JointImpulse], plan: BodyPlan, solver: Solver
) -> tuple[Motion, list[JointImpulse], list[Load]]:
    """All velocity iterations: joints in order, then contacts."""

    def visit(twist: Twist, impact: Impact, slot: int, loads: list[Load]) -> tuple[Twist, list[Load]]:
        twist, load = impacts.solve_velocity(twist, impact, loads[slot])
        return twist, [*loads[:slot], load, *loads[slot + 1 :]]

    def iterate(_: jax.Array, carry: tuple) -> tuple:
        motion, impulses, loads = carry
        impulses = list(impulses)
        for k in plan.joint_order:
            motion, impulses[k] = joints.solve_velocity(motion, hinges[k], impulses[k], plan.joint_bodies[k])
        rows, loads = _visit_bodies((motion.x, motion.y, motion.spin), slots, loads, visit)
        return Motion(x=rows[0], y=rows[1], spin=rows[2]), impulses, loads

    return jax.lax.fori_loop(0, solver.velocity_iterations, iterate, (motion, impulses, slots.loads))


def _integrate(physics: Physics, motion: Motion, time_step: jax.Array) -> tuple[Motion, Pose]:
    """Moves the bodies; velocities that would carry them too far are shortened first."""
    (x, y), spin = limit_speed((jnp.stack(motion.x), jnp.stack(motion.y)), jnp.stack(motion.spin), time_step)
    pose = Pose(
        x=tuple(physics.position[:, 0] + time_step * x),
        y=tuple(physics.position[:, 1] + time_step * y),
        angle=tuple(physics.angle + time_step * spin),
    )
    return Motion(x=tuple(x), y=tuple(y), spin=tuple(spin)), pose


def _solve_positions(pose: Pose, slots: _Slots, hinges: list, plan: BodyPlan, solver: Solver) -> tuple[Pose, jax.Array]:
    """Position iterations: contacts, then joints, until both are within their slop; also (B,) whether they got there.

    Environments that are done are frozen while the others go on. Most need one or two iterations; those that a motor
    presses against a limit need all of them, so after the first few the others are set aside.
    """
    few = min(FEW_ITERATIONS, solver.position_iterations)
    done = jnp.zeros(pose.angle[0].shape, bool)
    pose, done = _iterate_positions(pose, done, slots, hinges, plan, few)
    if few == solver.position_iterations:
        return pose, done

    def finish(args: Any) -> tuple[Pose, jax.Array]:
        pose, done, slots, hinges = args
        return _iterate_positions(pose, done, slots, hinges, plan, solver.position_iterations - few)

    return in_sorted_groups(finish, done.astype(jnp.int32), (pose, done, slots, hinges), SMALL_GROUP)


def _iterate_positions(
    pose: Pose, done: jax.Array, slots: _Slots, hinges: list, plan: BodyPlan, iterations: int
) -> tuple[Pose, jax.Array]:
    """At most `iterations` position iterations of the environments that are not `done`."""

    def visit(body: Twist, impact: Impact, slot: int, deepest: jax.Array) -> tuple[Twist, jax.Array]:
        body, gap = impacts.solve_position(body, impact)
        return body, jnp.minimum(deepest, jnp.min(gap, axis=0))

    def iterate(carry: tuple) -> tuple:
        count, pose, done = carry
        rows, deepest = (pose.x, pose.y, pose.angle), jnp.zeros_like(pose.angle[0])
        rows, deepest = _visit_bodies(rows, slots, deepest, visit)
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


def _contact_impulse(contacts: Contacts, slots: _Slots, loads: list[Load]) -> jax.Array:
    """(R, C, 2, 2, B) what the next step's contacts will inherit."""
    points = []
    for i in range(2):
        active = jnp.stack([impact.first if i == 0 else impact.block for impact in slots.impacts], axis=1)
        solved = [jnp.stack([getattr(load, part)[i] for load in loads], axis=1) for part in ("normal", "tangent")]
        inherited = contacts.normal_impulse[i], contacts.tangent_impulse[i]
        # A point left out of an ill-conditioned block keeps what it had.
        kept = [jnp.where(active, new, old) for new, old in zip(solved, inherited, strict=True)]
        points.append(jnp.stack(kept, axis=2))
    return jnp.stack(points, axis=2)


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
