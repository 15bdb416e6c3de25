"""The yardsticks of the drives' benchmarks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors.build import make_motor
from palaestra.experiments.bench import motor_controllers, motors
from palaestra.experiments.bench._dynamics import simulation
from palaestra.experiments.bench._stepping import sampler


def test_what_is_timed_without_converter_is_the_drive_with_one():
    """Small rotor voltages, which every converter can give: the same currents as the environment's."""
    length = 20
    roll, carry = simulation("step", "rk4", 1, length)
    (x, _), _ = roll(carry)
    env = make_motor("PMSM", solver="rk4", compat="gem", control="dq", watched=())
    actions = 0.3 * jax.random.uniform(jax.random.key(0), (length, 1, 2), minval=-1.0)
    params, state = env.default_params, env.initial(jax.random.key(0))
    step = jax.jit(env.transition)
    for action in actions[:, 0]:
        state = step(state, action, jax.random.key(0), params)
    np.testing.assert_allclose([x.i_sd[0], x.i_sq[0]], [state.x.i_sd, state.x.i_sq], rtol=1e-4)


def test_a_peer_that_is_not_named_is_left_out(monkeypatch):
    monkeypatch.delenv(motors.EXCITING, raising=False)
    assert motors._exciting(0.1) == {}


def test_both_controllers_meet_the_same_references_in_the_peers_simulator():
    pytest.importorskip("gym_electric_motor", reason="the extra gem is not installed")
    motor_controllers._require_peer()
    rows = motor_controllers.compare("PMSM", "Cont", "CC", 40)
    errors = {row["case"]: row for row in rows if row["unit"] == "mean |e|"}
    assert set(errors) == {"Cont-CC-PMSM, pi", "Cont-CC-PMSM, deadbeat"}
    for row in errors.values():
        assert 0 < row["ours"] < 1 and 0 < row["theirs"] < 1
        assert row["ratio"] == pytest.approx(row["ours"] / row["theirs"])


def test_seeds_score_a_controller_that_does_nothing():
    pytest.importorskip("gym_electric_motor", reason="the extra gem is not installed")
    seeds = motor_controllers.Seeds("Cont-CC-PermExDc")
    began = []
    errors, ends = seeds.play(lambda states, references: [np.zeros(1)] * len(states), began.append, 5)
    assert errors.shape == ends.shape == (5, motor_controllers.SEEDS) and 0 < errors.mean() < 2
    assert began[: motor_controllers.SEEDS] == list(range(motor_controllers.SEEDS))


def test_errors_are_compared_until_either_side_ends_an_episode():
    ours, theirs = np.array([[1.0, 1.0], [2.0, 2.0], [9.0, 3.0]]), np.array([[2.0, 2.0], [6.0, 6.0], [0.0, 6.0]])
    none, peers = np.zeros((3, 2), bool), np.array([[False, False], [True, False], [False, False]])
    rows = {row["unit"]: row for row in motor_controllers._rows("some", (ours, none), (theirs, peers))}
    shared = rows["mean |e| until an end"]
    assert (shared["ours"], shared["theirs"]) == (1.75, 4.0)
    assert (rows["terminations"]["ours"], rows["terminations"]["theirs"], rows["terminations"]["ratio"]) == (0, 1, 0)
    assert [row["unit"] for row in motor_controllers._rows("some", (ours, none), (theirs, none))] == ["mean |e|"]
    assert [row["theirs"] for row in motor_controllers._rows("some", (ours, peers))] == [None, None]


def test_actions_are_drawn_from_every_kind_of_space():
    for family, action in (("PMSM", "Cont"), ("PMSM", "Finite"), ("EESM", "Finite")):
        space = make_motor(family, action, "CC").action_space
        drawn = np.asarray(sampler(space, 16)(jax.random.key(0)))
        assert all(space.contains(row.astype(space.dtype)[()]) for row in drawn)
        assert jnp.unique(drawn).size > 1
