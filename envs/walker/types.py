"""What a parametric walker is made of: physical parameters, terrain, and the state threaded through a step.

Letters: E ground points, P polygons, V polygon vertices, N bodies (hull and leg segments), J joints,
G contact groups (the hull, then each leg), C contact slots per group. Box2D works in float32
metres, radians, seconds; so do we.
"""

import jax
from flax import struct

Scalar = jax.Array | float

SCALE = 30.0  # pixels per metre, the unit in which the original states its sizes (Gymnasium, bipedal_walker.py)
TIME_STEP = 0.02  # [s]
TERRAIN_STEP = 14 / SCALE  # [m]
TERRAIN_LENGTH = 200  # columns
TERRAIN_HEIGHT = 400 / SCALE / 4  # [m], height of the start pad
TERRAIN_GRASS = 10  # columns between the finish line and the end of the track
TERRAIN_STARTPAD = 20  # flat columns at the start
LEG_DOWN = -8 / SCALE  # [m], hips relative to the hull's origin
LIDAR_COUNT = 10
CONTACT_SLOTS = 5  # touching pairs of the hull, and of each leg
INITIAL_PUSH = 5.0  # [N], bound of the random horizontal force in the first step


class Params(struct.PyTreeNode):
    """Physics and track of one walker. Every leaf may be traced and batched; defaults are BipedalWalker-v3's."""

    gravity: Scalar = 10.0  # [m/s^2] downward
    friction: Scalar = 2.5  # [1] of the terrain
    motor_torque: Scalar = 80.0  # [N m] largest torque of each joint motor
    hip_speed: Scalar = 4.0  # [rad/s] at full action
    knee_speed: Scalar = 6.0  # [rad/s] at full action
    leg_width: Scalar = 8 / SCALE  # [m] of the thigh; a shin has 0.8 of it
    leg_height: Scalar = 34 / SCALE  # [m] of one segment
    lidar_range: Scalar = 160 / SCALE  # [m]
    stump_height: Scalar = 0.0  # [TERRAIN_STEP] mean height of stumps (StumpTracks)
    obstacle_spacing: Scalar = 1.0  # [m] between stumps (StumpTracks)
    stump_width: Scalar = 1.0  # [TERRAIN_STEP] (StumpTracks)
    roughness: Scalar = 0.0  # [1/SCALE m] of the ground between stumps (StumpTracks)


class Geometry(struct.PyTreeNode):
    """Sizes, masses and joints of one walker, derived from `Params`. Body frames have their origin at the shape's."""

    leg_half: jax.Array  # (2 L, 2) [m], half extents of thigh, shin of each leg
    center: jax.Array  # (N, 2) [m], centre of mass in the body frame
    inv_mass: jax.Array  # (N,) [1/kg]
    inv_inertia: jax.Array  # (N,) [1/(kg m^2)], about the centre of mass
    friction: jax.Array  # (N,) [1], of the contact between body and terrain
    anchor_parent: jax.Array  # (J, 2) [m], relative to the parent's centre of mass
    anchor_child: jax.Array  # (J, 2) [m]


class Terrain(struct.PyTreeNode):
    """The track: a chain of ground points and convex obstacles, both from left to right.

    Ground edge i runs from point i to point i + 1; the edges are isolated segments to the solver, as in the original.
    Unused points and polygons lie far to the right and far below ground, in order; the counts tell.
    """

    ground: jax.Array  # (E, 2) float32 [m], x ascending
    num_points: jax.Array  # () int32
    polygons: jax.Array  # (P, V, 2) float32 [m], convex, counter-clockwise, by ascending smallest x
    num_polygons: jax.Array  # () int32
    finish: jax.Array  # () float32 [m], the hull origin past this x ends the episode
    overflow: jax.Array  # () bool, whether the generator ran out of room


class Physics(struct.PyTreeNode):
    """Mechanical state: bodies at their centres of mass, and what the solver remembers from the last step.

    Body order is creation order: hull, then thigh and shin of each leg. Joint order likewise: hip, knee of each leg.
    """

    position: jax.Array  # (N, 2) float32 [m], centre of mass
    angle: jax.Array  # (N,) float32 [rad]
    velocity: jax.Array  # (N, 2) float32 [m/s]
    spin: jax.Array  # (N,) float32 [rad/s]
    joint_impulse: jax.Array  # (J, 2) float32 [N s], accumulated point constraint
    limit_impulse: jax.Array  # (J,) float32 [N m s]
    motor_impulse: jax.Array  # (J,) float32 [N m s]
    limit_state: jax.Array  # (J,) int32: 0 free, 1 at lower, 2 at upper
    contact_pair: jax.Array  # (G, C) int32, 2 * terrain piece (edges, then polygons) + 1 for a thigh; -1 empty
    contact_key: jax.Array  # (G, C, 2) int32, feature id of each manifold point, -1 for none
    contact_impulse: jax.Array  # (G, C, 2, 2) float32 [N s], of each manifold point (normal, tangent)
    still_time: jax.Array  # () float32 [s] every body has been at rest


class State(struct.PyTreeNode):
    """Everything a step needs. L legs."""

    physics: Physics
    shape: Geometry
    terrain: Terrain
    hull_touched: jax.Array  # () bool, whether the hull has begun a contact in this episode
    ground_flag: jax.Array  # (L,) bool, the event-driven flag of each shin that is observed
    ground_touch: jax.Array  # (L,) bool, whether each shin touches
    lidar: jax.Array  # (LIDAR_COUNT,) float32, fractions of the lidar's range
    overflow: jax.Array  # () bool, whether terrain or contacts ever ran out of room in this episode
