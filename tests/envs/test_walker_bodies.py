import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.walker.bodies import BIPED, BodyPlan, box, geometry, joint_reference, mass_properties, starting_pose
from palaestra.envs.walker.types import LEG_DOWN, TERRAIN_HEIGHT, Params

QUADRUPED = BodyPlan(hips=(-1.2, 0.85), hip_starts=(-1.6, 1.36))


def test_joint_order_follows_the_island_search():
    assert BIPED.joint_order == (3, 2, 0, 1)  # knee+, hip+, hip-, knee-
    assert QUADRUPED.joint_order == (7, 6, 4, 2, 0, 1, 3, 5)


def test_mass_properties_of_a_box_are_the_textbook_ones():
    mass, center, inertia = mass_properties(box(jnp.array([0.5, 1.5])) + jnp.array([[2.0, -1.0]]), 2.0)
    assert mass == pytest.approx(2 * 1 * 3)
    np.testing.assert_allclose(center, [2, -1], rtol=1e-6)
    assert inertia == pytest.approx(6 * (1**2 + 3**2) / 12, rel=1e-5)


def test_geometry_has_the_masses_of_the_table():
    shape = geometry(Params(), BIPED)
    mass = [5.4222226, 0.30222222, 0.24177778, 0.30222222, 0.24177778]
    inertia = [1.9993951, 0.03413992, 0.02679614, 0.03413992, 0.02679614]
    np.testing.assert_allclose(1 / shape.inv_mass, mass, rtol=1e-6)
    np.testing.assert_allclose(1 / shape.inv_inertia, inertia, rtol=1e-5)
    np.testing.assert_allclose(shape.center[0], [-0.02003644, -0.00564664], rtol=1e-4)
    np.testing.assert_allclose(shape.friction, [0.5, *[0.70710678] * 4], rtol=1e-6)


def test_leg_sizes_may_be_traced_and_batched():
    heights = jnp.array([0.6, 34 / 30, 1.7])
    shapes = jax.vmap(lambda h: geometry(Params(leg_height=h), BIPED))(heights)
    np.testing.assert_allclose(1 / shapes.inv_mass[:, 1], heights * 8 / 30, rtol=1e-6)
    np.testing.assert_allclose(shapes.anchor_child[:, 0, 1], heights / 2, rtol=1e-6)


def test_hips_read_zero_at_the_starting_tilt():
    _, angle = starting_pose(Params(), BIPED)
    reference = joint_reference(BIPED)
    parents, children = np.array(BIPED.joint_bodies).T
    np.testing.assert_allclose(angle[children] - angle[parents] - reference, 0, atol=1e-7)


def test_walker_starts_two_legs_above_ground():
    origin, _ = starting_pose(Params(leg_height=1.0), QUADRUPED)
    assert origin.shape == (QUADRUPED.num_bodies, 2)
    assert origin[0, 1] == pytest.approx(TERRAIN_HEIGHT + 2)
    np.testing.assert_allclose(origin[1::2, 1], TERRAIN_HEIGHT + 2 - 0.5 - LEG_DOWN, rtol=1e-6)
    np.testing.assert_allclose(origin[1:, 0] - origin[0, 0], np.repeat([-1.6, 1.36], 4), rtol=1e-5)
