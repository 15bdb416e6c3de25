"""Transforms, converters and supplies of drives: matrices, truth tables, currents."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats
from palaestra.envs.motors import converters, supplies, transforms
from palaestra.envs.motors.transforms import Angle

SIGNIFICANT = 0.01  # p value below which a distribution is not the expected one; one seed in a hundred is below
S = math.sqrt(3) / 2
CLARKE = np.array([[1, -0.5, -0.5], [0, S, -S]]) * 2 / 3
SIX = np.array(
    [[1, -0.5, -0.5, S, -S, 0], [0, S, -S, 0.5, 0.5, -1], [1, -0.5, -0.5, -S, S, 0], [0, -S, S, 0.5, 0.5, -1]]
)


def columns(function, count):
    """The matrix of a linear function of `count` numbers."""
    return np.array([function(*row) for row in np.eye(count)]).T


def test_clarke_is_the_specifications_matrix_and_its_inverse_restores_phases_without_zero_sequence():
    np.testing.assert_allclose(columns(transforms.clarke, 3), CLARKE, atol=1e-7)
    inverse = columns(transforms.inverse_clarke, 2)
    np.testing.assert_allclose(CLARKE @ inverse, np.eye(2), atol=1e-7)
    np.testing.assert_allclose(inverse @ CLARKE, np.eye(3) - 1 / 3, atol=1e-7)


def test_vector_space_decomposition_is_the_specifications_matrix_and_its_inverse():
    np.testing.assert_allclose(columns(transforms.vector_space, 6), SIX / 3, atol=1e-7)
    zeros = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])
    expected = np.linalg.inv(np.concatenate([SIX, zeros]) / 3)[:, :4]
    np.testing.assert_allclose(columns(transforms.inverse_vector_space, 4), expected, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.3, 2.0, -3.0, 40.0])
def test_rotations_are_the_specifications_and_undo_each_other(angle):
    turn = Angle.of(jnp.float32(angle))
    c, s = math.cos(angle), math.sin(angle)
    forward = columns(lambda x, y: transforms.rotate(x, y, turn), 2)
    np.testing.assert_allclose(forward, [[c, -s], [s, c]], atol=1e-5)
    np.testing.assert_allclose(columns(lambda x, y: transforms.rotate_back(x, y, turn), 2), forward.T, atol=1e-7)
    assert -math.pi <= float(turn.value) < math.pi
    assert float(jnp.cos(turn.value)) == pytest.approx(c, abs=1e-5)


def test_direction_of_nothing_is_zero_and_differences_add_up():
    nowhere = transforms.direction(jnp.float32(0.0), jnp.float32(0.0))
    assert (float(nowhere.value), float(nowhere.cos), float(nowhere.sin)) == (0.0, 1.0, 0.0)
    one, two = Angle.of(jnp.float32(3.0)), Angle.of(jnp.float32(-3.0))
    between = transforms.difference(one, two)
    assert float(between.value) == pytest.approx(6.0 - 2 * math.pi, abs=1e-6)
    assert (float(between.cos), float(between.sin)) == pytest.approx((math.cos(6.0), math.sin(6.0)), abs=1e-6)


def outputs(bridges, action, currents, finite=False, interlocking=0.0, legs=None, gem=False):
    converter = converters.Converter(bridges, finite, interlocking=interlocking > 0, gem=gem)
    action = jnp.asarray(action, jnp.int32 if finite else jnp.float32)
    wanted = converter.legs_wanted(action) if finite and legs is None else legs or ()
    wanted = tuple(jnp.int32(leg) for leg in wanted)
    currents = tuple(jnp.float32(i) for i in currents)
    voltages, drawn = converter.outputs(action, wanted, currents, interlocking)
    return [float(u) for u in voltages], float(drawn)


@pytest.mark.parametrize("current", [5.0, 0.0, -5.0])
@pytest.mark.parametrize("duty", [0.0, 0.3, 1.0])
def test_averaged_one_and_two_quadrant_converters(duty, current):
    blocked = 1.0 if current < 0 else duty
    assert outputs(("1QC",), [duty], [current]) == (pytest.approx([blocked]), pytest.approx(duty * current))
    assert outputs(("2QC",), [duty], [current]) == (pytest.approx([duty]), pytest.approx(duty * current))
    lock = 0.1
    expected = min(max(duty - np.sign(current) * lock, 0.0), 1.0)
    drawn = (duty + lock * ((current < 0) - duty)) * current
    assert outputs(("2QC",), [duty], [current], interlocking=lock) == (pytest.approx([expected]), pytest.approx(drawn))


@pytest.mark.parametrize("current", [5.0, -5.0])
@pytest.mark.parametrize("action", [-1.0, -0.4, 0.0, 0.7])
def test_averaged_four_quadrant_converter(action, current):
    assert outputs(("4QC",), [action], [current]) == (pytest.approx([action]), pytest.approx(action * current))
    lock, sign = 0.05, np.sign(current)
    first, second = (np.clip(0.5 * (1 + s * action) - s * sign * lock, 0, 1) for s in (1, -1))
    voltages, _ = outputs(("4QC",), [action], [current], interlocking=lock)
    assert voltages == pytest.approx([first - second], abs=1e-6)
    if abs(action) < 0.8:
        assert voltages == pytest.approx([action - 2 * sign * lock], abs=1e-6)
        assert outputs(("4QC",), [action], [current], interlocking=lock, gem=True)[0] == pytest.approx(
            [action], abs=1e-6
        )


def test_averaged_bridge_loses_its_interlocking_against_every_current():
    action, currents, lock = [0.2, -0.4, 0.6], [3.0, -2.0, -1.0], 0.02
    voltages, drawn = outputs(("B6",), action, currents)
    assert voltages == pytest.approx([a / 2 for a in action])
    assert drawn == pytest.approx(sum((1 + a) / 2 * i for a, i in zip(action, currents, strict=True)), rel=1e-5)
    voltages, _ = outputs(("B6",), action, currents, interlocking=lock)
    assert voltages == pytest.approx(
        [a / 2 - np.sign(i) * lock for a, i in zip(action, currents, strict=True)], abs=1e-6
    )


@pytest.mark.parametrize("current", [5.0, -5.0])
def test_finite_one_and_two_quadrant_converters(current):
    down = 1.0 if current < 0 else 0.0
    assert outputs(("1QC",), 0, [current], finite=True) == ([down], 0.0)
    assert outputs(("1QC",), 1, [current], finite=True) == ([1.0], current)
    assert outputs(("2QC",), 0, [current], finite=True) == ([down], min(current, 0.0))
    assert outputs(("2QC",), 1, [current], finite=True) == ([1.0], current)
    assert outputs(("2QC",), 2, [current], finite=True) == ([0.0], 0.0)


@pytest.mark.parametrize("current", [5.0, -5.0])
def test_finite_four_quadrant_converter(current):
    found = [outputs(("4QC",), action, [current], finite=True) for action in range(4)]
    assert found == [([0.0], 0.0), ([1.0], current), ([-1.0], -current), ([0.0], 0.0)]


def test_finite_bridge_has_phase_a_in_its_highest_bit():
    currents = [1.0, 2.0, -4.0]
    for action, bits in enumerate(itertools.product((0, 1), repeat=3)):
        voltages, drawn = outputs(("B6",), action, currents, finite=True)
        assert voltages == [bit - 0.5 for bit in bits]
        assert drawn == sum(bit * i for bit, i in zip(bits, currents, strict=True))


def test_off_legs_follow_their_diodes():
    voltages, drawn = outputs(("B6",), 0, [1.0, -2.0, 0.0], finite=True, legs=(0, 0, 0))
    assert (voltages, drawn) == ([-0.5, 0.5, -0.5], -2.0)


def test_legs_wait_when_they_change_rails_and_only_then():
    off, up, down = (jnp.int32(x) for x in (converters.OFF, converters.UPPER, converters.LOWER))
    for now, want, waits in (
        (up, down, True),
        (down, up, True),
        (up, up, False),
        (off, up, False),
        (down, off, False),
    ):
        (leg,), any_waits = converters.interlock((now,), (want,), 0.1)
        assert bool(any_waits) is waits
        assert int(leg) == (converters.OFF if waits else int(want))
        assert int(converters.interlock((now,), (want,), 0.0)[0][0]) == int(want)


def test_converters_side_by_side_share_actions_and_currents_in_order():
    voltages, drawn = outputs(("B6", "4QC"), [0.2, -0.4, 0.6, 0.5], [1.0, 2.0, -3.0, 10.0])
    assert voltages == pytest.approx([0.1, -0.2, 0.3, 0.5])
    assert drawn == pytest.approx(0.6 * 1 + 0.3 * 2 - 0.8 * 3 + 0.5 * 10, rel=1e-5)
    voltages, _ = outputs(("4QC", "4QC"), [1, 2], [1.0, 1.0], finite=True)
    assert voltages == [1.0, -1.0]


def test_action_spaces_of_converters():
    def space(*bridges, finite=False):
        return converters.Converter(bridges, finite).action_space

    np.testing.assert_array_equal(space("1QC", "4QC").low, [0, -1])
    assert space("B6", "B6").shape == (6,) and space("direct").shape == (0,)
    assert [space(b, finite=True).n for b in ("1QC", "2QC", "4QC", "B6")] == [2, 3, 4, 8]
    np.testing.assert_array_equal(space("B6", "4QC", finite=True).nvec, [8, 4])


def test_unknown_bridges_are_errors():
    with pytest.raises(ValueError, match=r"'3QC'.*B6"):
        converters.Converter(("3QC",), False)
    with pytest.raises(ValueError, match="alone"):
        converters.Converter(("direct", "B6"), False)


PLANT = supplies.Params(voltage=100.0, resistance=2.0, capacitance=1e-3, frequency=50.0)


def test_an_ideal_supply_droops_over_its_resistance():
    assert supplies.Ideal().voltages((), PLANT, 3.0, 0.0, 1e-4)[1] == (94.0,)


def test_an_rc_supply_takes_one_euler_step_since_it_was_last_asked():
    """`C du/dt = (u_0 - u) / R - i`."""
    state, (voltage,) = supplies.RC().voltages(90.0, PLANT, 3.0, 0.0, 1e-4)
    assert state == voltage == pytest.approx(90.0 + 1e-4 * ((100.0 - 90.0) / 2.0 - 3.0) / 1e-3)
    assert supplies.RC().voltages(90.0, PLANT, 3.0, 0.0, 0.0)[0] == 90.0
    assert float(supplies.RC().initial(jax.random.key(0), PLANT)) == 100.0


def test_alternating_supplies_have_their_amplitude_frequency_and_phases():
    for count, amplitude in ((1, math.sqrt(2)), (3, math.sqrt(2 / 3))):
        supply, phase = supplies.AC(count, 0.4), jnp.float32(0.4)
        for time in (0.0, 0.003):
            _, found = supply.voltages(phase, PLANT, 0.0, time, 0.0)
            shifts = [2 * math.pi / 3 * i for i in range(count)]
            expected = [100 * amplitude * math.sin(100 * math.pi * time + 0.4 + shift) for shift in shifts]
            np.testing.assert_allclose(found, expected, atol=1e-3)
        assert float(supply.initial(jax.random.key(0), PLANT)) == pytest.approx(0.4)


def test_alternating_supplies_start_anywhere():
    keys = jax.random.split(jax.random.key(0), 2000)
    phases = np.asarray(jax.vmap(lambda key: supplies.AC(1).initial(key, PLANT))(keys))
    assert scipy.stats.kstest(phases / (2 * math.pi), "uniform").pvalue > SIGNIFICANT
