"""What the gem form of a drive does differently, one test for every defect it reproduces.

Letters: T steps, S measured quantities.
"""

import math

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import palaestra  # noqa: F401  (registers the ids)
import pytest
from palaestra.envs.motors import loads
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES
from palaestra.envs.motors.machines.synchronous import EESM

from .motor_play import play, start


def measured(env, state):
    """{quantity: value in SI units}."""
    values = np.asarray(state.measured, np.float64) * env.layout.limits
    return dict(zip(env.layout.names, values, strict=True))


def pair(family="PMSM", action="Cont", task="CC", **kwargs):
    """The same drive in its gem and its physical form."""
    return tuple(make_motor(family, action, task, compat=compat, **kwargs) for compat in ("gem", "physical"))


SPINNING = {"i_sd": -20.0, "i_sq": 60.0, "omega": 300.0, "epsilon": 0.3}


def phase_a(i_d, i_q, angle):
    return i_d * math.cos(angle) - i_q * math.sin(angle)


def test_gem_reports_phase_currents_at_the_angle_of_the_steps_start():
    gem, physical = pair("PMSM", "Cont", "SC", start=SPINNING)
    for env, is_late in ((gem, True), (physical, False)):
        first, (after,) = play(env, [[0.2, -0.1, -0.1]])
        now = measured(env, after)
        angle = float(first.angle.value) if is_late else now["epsilon"]
        assert now["i_a"] == pytest.approx(phase_a(now["i_sd"], now["i_sq"], angle), abs=1e-3)
        assert abs(now["epsilon"] - float(first.angle.value)) > 0.05


def test_gem_reports_induction_currents_in_the_field_of_the_steps_start():
    flux = {"psi_ralpha": 0.3, "psi_rbeta": 0.1, "i_salpha": 2.0, "omega": 150.0}
    for env, is_late in zip(pair("SCIM", "Cont", "SC", start=flux), (True, False), strict=True):
        first, (after,) = play(env, [[0.2, -0.1, -0.1]])
        field = env.machine.field_angle(first.x if is_late else after.x)
        expected = float(field.cos * after.x.i_salpha + field.sin * after.x.i_sbeta)
        assert measured(env, after)["i_sd"] == pytest.approx(expected, abs=1e-4)


def test_gem_holds_dq_voltages_where_terminals_hold_phases():
    gem, physical = pair("PMSM", "Cont", "SC", start=SPINNING)
    angle = SPINNING["epsilon"]
    _, (held,) = play(gem, [[0.5, -0.25, -0.25]])
    _, (turning,) = play(physical, [[0.5, -0.25, -0.25]])
    u_d = 0.25 * gem.nominal.supply  # alpha is half of 0.5 of the supply, beta 0
    end = measured(physical, turning)["epsilon"]
    assert measured(gem, held)["u_sd"] == pytest.approx(u_d * math.cos(angle), rel=1e-4)
    assert measured(physical, turning)["u_sd"] == pytest.approx(u_d * math.cos(end), rel=1e-4)
    assert float(abs(held.x.i_sq - turning.x.i_sq)) > 0.1


PHASES = {
    "PMSM": ("u_a", "u_b", "u_c"),
    "EESM": ("u_a", "u_b", "u_c"),
    "DFIM": ("u_sa", "u_sb", "u_sc", "u_ra", "u_rb", "u_rc"),
    "PermExDc": (),
}


@pytest.mark.parametrize("family", PHASES)
def test_gem_shows_half_the_supply_on_bridges_after_a_reset(family):
    for env in pair(family):
        shown = measured(env, start(env))
        for name in (n for n in env.layout.names if n.startswith("u_") and n != "u_sup"):
            expected = -0.5 * env.nominal.supply if env.gem and name in PHASES[family] else 0.0
            assert shown[name] == pytest.approx(expected, abs=1e-3)


def test_gem_interlocking_of_a_four_quadrant_converter_cancels():
    gem, physical = pair("PermExDc", "Cont", "SC", interlocking_time=5e-6, start={"i": 50.0})
    volts = [measured(env, play(env, [[0.3]])[1][0])["u"] for env in (gem, physical)]
    assert volts[0] == pytest.approx(0.3 * 60.0, rel=1e-5)
    assert volts[1] == pytest.approx((0.3 - 2 * 0.05) * 60.0, rel=1e-5)


def test_gem_interlocking_of_bridges_counts_by_the_default_control_period():
    envs = pair("PMSM", "Cont", "CC", interlocking_time=5e-6, tau=5e-5, start={"i_sd": 50.0})
    volts = [measured(env, play(env, [[0.0, 0.0, 0.0]])[1][0])["u_a"] / env.nominal.supply for env in envs]
    np.testing.assert_allclose(volts, [-5e-6 / 1e-4, -5e-6 / 5e-5], rtol=1e-5)


def test_gem_leaves_a_finite_leg_that_changes_rails_off_for_the_whole_step():
    envs = pair("PermExDc", "Finite", "CC", interlocking_time=1e-6, start={"i": 50.0})
    volts = [[measured(env, s)["u"] for s in play(env, [2, 1, 1])[1]] for env in envs]
    # Both legs change between actions 2 and 1; a positive current then flows from the lower rail to the upper one.
    np.testing.assert_allclose(volts[0], [-60.0, -60.0, 60.0], rtol=1e-6)
    np.testing.assert_allclose(volts[1], [-60.0, 60.0, 60.0], rtol=1e-6)


def test_gem_asks_an_rc_supply_for_the_current_of_the_legs_before_the_action():
    envs = pair("PermExDc", "Finite", "CC", supply="rc", start={"i": 90.0})
    sags = [[60.0 - measured(env, s)["u_sup"] for s in play(env, [0, 1, 1])[1]] for env in envs]
    assert sags[0][1] == pytest.approx(0.0, abs=1e-6) and sags[0][2] > 0.1
    assert sags[1][1] > 0.1


def test_gem_exciter_data_make_the_machine_unstable_where_physical_does_not():
    """Eigenvalues [1/s] at standstill, of the specification."""
    values = {}
    for gem in (True, False):
        machine, sheet = EESM(gem=gem), FAMILIES["EESM"].parameters
        u = machine.inputs((0.0, 0.0, 0.0, 0.0), start(make_motor("EESM")).angle)

        def rates(x, machine=machine, sheet=sheet, u=u):
            return machine.derivative(machine.State(*x), u, 0.0, machine.Params(**sheet))[0]

        jacobian = [jax.tree.leaves(rates(tuple(jnp.float32(v) for v in row))) for row in np.eye(3)]
        values[gem] = np.sort(np.linalg.eigvals(np.array(jacobian, float)).real)
    np.testing.assert_allclose(values[True], [-44.4, -2.70, 46.1], rtol=5e-3)
    assert values[False].max() < 0


def test_gem_six_phase_machine_mixes_speeds_and_halves_torque():
    gem, physical = pair("SIXPMSM")
    x = gem.machine.State(*(jnp.float32(v) for v in (0.0, 100.0, 0.0, 0.0)))
    params = gem.machine.Params(**FAMILIES["SIXPMSM"].parameters)
    torques = [float(env.machine.torque(x, params)) for env in (gem, physical)]
    assert torques[1] == pytest.approx(2 * torques[0]) == pytest.approx(3 * 5 * 4.7e-3 * 100.0)
    u = gem.machine.inputs((0.0,) * 6, start(gem).angle)
    still = gem.machine.State(*(jnp.float32(0.0),) * 4)
    back = [float(env.machine.derivative(still, u, 100.0, params)[0].i_sq) * 126e-6 for env in (gem, physical)]
    np.testing.assert_allclose(back, [-100.0 * 4.7e-3, -5 * 100.0 * 4.7e-3], rtol=1e-5)


def test_gem_reads_a_given_start_by_position():
    """Listed as given, then the rest with q before d, and read as (i_sd, i_sq, epsilon)."""
    for given, expected in (
        ({"i_sq": 20.0}, (20.0, 0.0)),
        ({"i_sd": 5.0, "i_sq": 20.0}, (5.0, 20.0)),
        ({"i_sq": 20.0, "i_sd": 5.0}, (20.0, 5.0)),
    ):
        gem, physical = (start(env).x for env in pair("PMSM", start=given))
        assert (float(gem.i_sd), float(gem.i_sq)) == expected
        assert (float(physical.i_sd), float(physical.i_sq)) == (given.get("i_sd", 0.0), 20.0)


def test_gem_turns_a_doubly_fed_machines_rotor_current_twice_at_a_reset():
    given = {"i_salpha": 0.0, "i_sbeta": 0.0, "psi_ralpha": 0.3, "psi_rbeta": 0.4, "epsilon": 0.5}
    found = {}
    for env in pair("DFIM", start=given):
        first = start(env)
        found[env.gem] = measured(env, first)["i_ra"]
        i_r = 0.5 / (297.5e-3 + 25.71e-3) * np.exp(1j * math.atan2(0.4, 0.3))
    assert found[True] == pytest.approx(i_r.real, rel=1e-4)
    assert found[False] == pytest.approx((i_r * np.exp(-0.5j)).real, rel=1e-4)


def test_gem_speed_profiles_lag_by_a_control_period():
    """Physical: on the profile at every step. Gem: the same on ramps, not where they bend."""
    samples = (0.0, 0.0, 100.0, 100.0, 100.0)
    for env, exact in zip(pair("PMSM", load=loads.SpeedProfile(samples, 1e-4)), (False, True), strict=True):
        _, states = play(env, [np.zeros(3)] * 4)
        omega = np.array([float(s.omega) for s in states])
        assert np.allclose(omega, samples[1:], atol=1e-3) is exact


def test_gem_never_truncates_and_physical_does():
    gem, physical = pair()
    assert gem.horizon == 2**31 - 1 and physical.horizon == 2000


def test_unseeded_resets_continue_the_stream_in_both_forms():
    """The original draws a new seed from the machine; here equal seeds give equal sequences of episodes."""
    seen = []
    for _ in range(2):
        env = gymnasium.make("palaestra/Motor-Cont-CC-PermExDc-v0", compat="gem")
        seen.append([env.reset(seed=3)[0], env.reset()[0], env.reset()[0]])
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0][0], seen[0][1])
