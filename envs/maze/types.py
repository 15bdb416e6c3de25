"""Params and State of a ball in a maze."""

import jax
from flax import struct

Scalar = jax.Array | float

BALL_MASS = 4.188790204786391  # [kg], a sphere of 0.1 m and 1000 kg/m^3


class Params(struct.PyTreeNode):
    """One ball, and how far from its goal it may start. Defaults are the original's."""

    path_length: Scalar = float("inf")  # [cells], longest way from start to goal
    mass: Scalar = BALL_MASS  # [kg]
    force: Scalar = 100.0  # [N], of a full action, along each axis
    damping: Scalar = 1.0  # [N s/m]
    margin: Scalar = 0.004  # [m], distance at which walls begin to push; 0.002 before MuJoCo 4, which adds two of them


class State(struct.PyTreeNode):
    """The ball and its goal."""

    position: jax.Array  # (2,) [m]
    velocity: jax.Array  # (2,) [m/s]
    goal: jax.Array  # (2,) [m]
    reached: jax.Array  # () bool, whether a step of this episode ended at a goal
