"""Task spaces: unit coordinates, validation, and the errors a user sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from palaestra.envs.errors import PalaestraError
from palaestra.envs.exchange import check_task
from palaestra.envs.tasks import Parameter, TaskError, TaskSpace

SPACE = TaskSpace(
    (
        Parameter("gravity", 1.0, 20.0, 9.8, "m/s^2"),
        Parameter("mass", 0.1, 10.0, 1.0, "kg", "log"),
        Parameter("fixed", 3.0, 3.0, 3.0),
        Parameter("rooms", 1, 6, 2, kind="integer"),
    )
)
units = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)


def test_fixed_parameters_are_hidden_from_teachers():
    assert (SPACE.dim, SPACE.unit_dim) == (4, 3)
    np.testing.assert_array_equal(SPACE.free, [0, 1, 3])
    assert float(SPACE.from_unit(jnp.zeros(3))[2]) == 3.0


@settings(max_examples=50)
@given(unit=units)
def test_unit_tasks_land_inside_and_come_back(unit):
    task = SPACE.from_unit(jnp.asarray(unit, jnp.float32))
    np.testing.assert_array_equal(SPACE.validate(np.asarray(task)), task)
    back = SPACE.to_unit(task)
    np.testing.assert_allclose(back[:2], unit[:2], atol=1e-5)
    np.testing.assert_allclose(SPACE.from_unit(back), task, rtol=1e-5)


def test_a_log_scale_spreads_evenly_over_orders_of_magnitude():
    np.testing.assert_allclose(SPACE.from_unit(jnp.full(3, 0.5))[1], 1.0, rtol=1e-6)


def test_whole_numbers_are_equally_likely():
    rooms = jax.vmap(SPACE.sample)(jax.random.split(jax.random.key(0), 6000))[:, 3]
    values, counts = np.unique(np.asarray(rooms), return_counts=True)
    np.testing.assert_array_equal(values, np.arange(1, 7))
    assert np.all(np.abs(counts - 1000) < 150)


def test_clip_moves_to_the_nearest_task():
    np.testing.assert_allclose(SPACE.clip(jnp.array([0.0, 99.0, 7.0, 2.6])), [1.0, 10.0, 3.0, 3.0])


@pytest.mark.parametrize("leading", [(), (5,), (2, 3)], ids=str)
def test_tasks_may_have_any_leading_axes(leading, key):
    unit = jax.random.uniform(key, (*leading, SPACE.unit_dim), minval=-0.5, maxval=1.5)
    far = 9.0 * jax.random.normal(key, (*leading, SPACE.dim))
    for function, argument in ((SPACE.clip, far), (SPACE.to_unit, SPACE.clip(far)), (SPACE.from_unit, unit)):
        found = function(argument)
        rows = [function(row) for row in argument.reshape(-1, argument.shape[-1])]
        assert found.shape[:-1] == leading
        np.testing.assert_allclose(found.reshape(len(rows), -1), jnp.stack(rows), rtol=1e-5)


def test_a_grid_has_cell_centres_with_the_last_parameter_fastest():
    grid = SPACE.grid(2)
    assert grid.shape == (8, 4)
    np.testing.assert_allclose(grid[0], SPACE.from_unit(jnp.full(3, 0.25)), rtol=1e-6)
    assert grid[0, 3] != grid[1, 3] and grid[0, 1] == grid[1, 1]
    with pytest.raises(ValueError, match="per_parameter=0"):
        SPACE.grid(0)


def test_tasks_can_be_given_by_name():
    task = SPACE.from_dict({"mass": 2, "rooms": np.int64(4)})
    np.testing.assert_allclose(task, [9.8, 2.0, 3.0, 4.0])
    assert SPACE.to_dict(task) == pytest.approx({"gravity": 9.8, "mass": 2.0, "fixed": 3.0, "rooms": 4.0})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"gravitas": 1.0}, r"'gravitas'; expected one of \['gravity', 'mass'"),
        ({"mass": "2"}, "'mass': got '2'; expected a number"),
        ({"mass": True}, "'mass': got True; expected a number"),
        ({"mass": [1.0]}, r"'mass': got \[1.0\]; expected a number"),
        ({"mass": None}, "'mass': got None"),
        ({"mass": 1e300}, r"'mass': got inf; expected a value in \[0.1, 10.0\]"),
        ({"rooms": 2.5}, "'rooms': got 2.5; expected a whole number"),
        ([9.8, np.nan, 3.0, 2.0], "'mass': got nan"),
        ([9.8, 1.0, 3.1, 2.0], r"'fixed': got 3.1.*expected a value in \[3.0, 3.0\]"),
        ([9.8, 1.0, 3.0], r"shape \(3,\); expected \(4,\)"),
        ([[9.8, 1.0, 3.0, 2.0], [9.8, 11.0, 3.0, 2.0]], "row 1, parameter 'mass': got 11;"),
        ([[1, 2], [3]], "expected 4 numbers"),
        ([True, True, True, True], "dtype bool"),
        (["9.8", "1", "3", "2"], "dtype <U3"),
        ([1j, 1, 3, 2], "dtype complex128"),
        (None, "dtype object"),
    ],
)
def test_a_bad_task_is_refused_by_name_value_and_range(task, message):
    with pytest.raises(TaskError, match=message) as caught:
        SPACE.validate(task)
    assert isinstance(caught.value, PalaestraError) and isinstance(caught.value, ValueError)


def test_bounds_are_inclusive_with_room_for_float32():
    task = SPACE.validate(np.array([20.0 + 1e-6, 0.1, 3.0, 6.0]))
    assert task.dtype == np.float32
    assert np.all(task <= SPACE.high) and np.all(task >= SPACE.low)


@settings(max_examples=200)
@given(st.lists(st.floats(width=64), min_size=4, max_size=4))
def test_any_numbers_are_refused_or_made_a_task_of_the_space(numbers):
    try:
        task = SPACE.validate(numbers)
    except TaskError:
        return
    assert task in SPACE.gymnasium_space()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(low=0.0, high=1.0, default=2.0), "default=2.0"),
        (dict(low=0.0, high=1.0, default=0.5, scale="log"), "low > 0"),
        (dict(low=0.5, high=3.0, default=1.0, kind="integer"), "whole numbers"),
        (dict(low=0.0, high=np.inf, default=1.0), "high=inf"),
    ],
)
def test_a_parameter_that_contradicts_itself_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Parameter("x", **arguments)


def test_names_are_unique():
    with pytest.raises(ValueError, match="more than once"):
        TaskSpace((Parameter("x", 0, 1, 0), Parameter("x", 0, 1, 0)))


def test_tasks_of_a_batch_are_one_for_all_or_one_per_environment():
    assert check_task(SPACE, SPACE.default, 3).shape == (3, 4)
    assert check_task(SPACE, {"mass": 2.0}, 3)[2, 1] == 2.0
    rows = np.asarray(jax.vmap(SPACE.sample)(jax.random.split(jax.random.key(0), 3)))
    np.testing.assert_array_equal(check_task(SPACE, rows, 3), rows)
    with pytest.raises(TaskError, match=r"one row per environment: \(5, 4\)"):
        check_task(SPACE, rows, 5)
    with pytest.raises(TaskError, match="one task"):
        check_task(SPACE, rows)
