"""What every teacher in the registry promises."""

import dataclasses
import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra import curricula
from palaestra.curricula import TEACHERS, Teacher, make_teacher
from palaestra.envs.tasks import Outcome, Parameter, TaskSpace

ROWS = 200
SMALL = {"alp_gmm": {"fit_rate": 40, "components": (2, 4), "history": 128}}
MIXED = TaskSpace(
    (
        Parameter("height", -1.0, 3.0, 0.0, unit="m"),
        Parameter("mass", 0.1, 10.0, 1.0, unit="kg", scale="log"),
        Parameter("locked", 2.0, 2.0, 2.0),
        Parameter("doors", 1, 4, 1, kind="integer"),
        Parameter("colour", 0, 2, 0, kind="categorical"),
    )
)
ONE = TaskSpace((Parameter("slope", 0.0, 0.3, 0.1),))
LOCKED = TaskSpace((Parameter("locked", 2.0, 2.0, 2.0),))
WHOLE = TaskSpace((Parameter("colour", 0, 2, 0, kind="categorical"),))
SPACES = {"mixed": MIXED, "one": ONE, "locked": LOCKED, "categorical": WHOLE}


def small(name: str) -> Teacher:
    return make_teacher(name, **SMALL.get(name, {}))


@functools.partial(jax.jit, static_argnums=(0, 2))
def init(teacher, key, space):
    return teacher.init(key, space)


@functools.partial(jax.jit, static_argnums=0)
def sample_rows(teacher, state, key):
    return teacher.sample(state, key, ROWS)


@functools.partial(jax.jit, static_argnums=0)
def update_rows(teacher, state, outcome):
    return teacher.update(state, outcome)


def sample(teacher, state, key, count):
    """The first `count` of ROWS draws: one program for all tests."""
    state, task, meta = sample_rows(teacher, state, key)
    return state, task[:count], jax.tree.map(lambda leaf: leaf[:count], meta)


def update(teacher, state, outcome):
    """Takes in the outcome, padded to ROWS with masked nonsense: one program for all tests."""
    missing = ROWS - len(outcome.valid)

    def pad(leaf):
        leaf = np.asarray(leaf)
        return np.concatenate([leaf, np.full((missing, *leaf.shape[1:]), 0 if leaf.dtype == bool else 7, leaf.dtype)])

    return update_rows(teacher, state, jax.tree.map(pad, outcome))


@functools.partial(jax.jit, static_argnums=0)
def refit(teacher, state, key):
    return teacher.refit(state, key)


def outcome_of(task, meta, valid=None) -> Outcome:
    """Episodes whose return depends smoothly on the task and drifts from row to row."""
    task = np.asarray(task)
    count = len(task)
    drift = np.arange(count, dtype=np.float32) / count
    return Outcome(
        task=task,
        return_=np.sin(task).sum(-1) + drift * task[:, 0],
        length=np.full((count,), 7, np.int32),
        success=np.zeros((count,), np.float32),
        valid=np.ones((count,), bool) if valid is None else np.asarray(valid),
        meta=meta,
    )


def taught(teacher, space, episodes=90, refits=True):
    """A state after some uniform-ish episodes, and a refit."""
    key_init, key_sample, key_refit = jax.random.split(jax.random.key(3), 3)
    state = init(teacher, key_init, space)
    state, task, meta = sample(teacher, state, key_sample, episodes)
    state = update(teacher, state, outcome_of(task, meta))
    return refit(teacher, state, key_refit) if refits else state


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def rows(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


every_teacher = pytest.mark.parametrize("name", sorted(TEACHERS))


@every_teacher
def test_class_fulfils_the_protocol_and_is_hashable(name):
    assert isinstance(small(name), Teacher)
    assert small(name) == small(name) and hash(small(name)) == hash(small(name))
    assert dataclasses.is_dataclass(small(name))
    assert TEACHERS[name].summary


@every_teacher
@pytest.mark.parametrize("space", sorted(SPACES))
def test_tasks_lie_inside_the_space_before_and_after_a_refit(name, space):
    teacher, space = small(name), SPACES[space]
    for state in (init(teacher, jax.random.key(0), space), taught(teacher, space)):
        _, task, _ = sample(teacher, state, jax.random.key(1), ROWS)
        task = np.asarray(task)
        assert task.shape == (ROWS, space.dim) and task.dtype == np.float32
        assert (task >= space.low).all() and (task <= space.high).all()
        for column, parameter in zip(task.T, space.parameters, strict=True):
            assert parameter.kind == "continuous" or (column == np.round(column)).all()


@every_teacher
def test_same_key_gives_same_tasks_and_another_key_others(name):
    teacher = small(name)
    state = taught(teacher, MIXED)
    _, first, _ = sample(teacher, state, jax.random.key(1), 16)
    _, again, _ = sample(teacher, state, jax.random.key(1), 16)
    _, other, _ = sample(teacher, state, jax.random.key(2), 16)
    np.testing.assert_array_equal(first, again)
    assert name in ("fixed", "mastery") or (np.asarray(first) != np.asarray(other)).any()


@every_teacher
def test_jit_equals_eager(name):
    teacher = small(name)
    state = taught(teacher, MIXED)
    drawn = teacher.sample(state, jax.random.key(1), ROWS)
    _, task, meta = sample(teacher, state, jax.random.key(1), ROWS)
    np.testing.assert_allclose(drawn[1], task, rtol=1e-5, atol=1e-6)
    eager, jitted = teacher.update(state, outcome_of(task, meta)), update(teacher, state, outcome_of(task, meta))
    for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@every_teacher
def test_vmap_equals_a_loop(name):
    teacher = small(name)
    state = taught(teacher, MIXED)
    keys = jax.random.split(jax.random.key(5), 3)
    states = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), state)
    _, tasks, meta = jax.jit(jax.vmap(lambda s, k: teacher.sample(s, k, ROWS)))(states, keys)
    valid = jax.random.uniform(jax.random.key(0), (3, ROWS)) < jnp.array([[0.0], [0.3], [1.0]])
    outcomes = jax.tree.map(
        lambda *leaves: np.stack(leaves), *(outcome_of(tasks[i], rows(meta, i), valid[i]) for i in range(3))
    )
    after = jax.jit(jax.vmap(teacher.update))(states, outcomes)
    for i in range(3):
        _, task, _ = sample(teacher, state, keys[i], ROWS)
        np.testing.assert_allclose(tasks[i], task, rtol=1e-5, atol=1e-6)
        alone = update(teacher, state, rows(outcomes, i))
        for a, b in zip(jax.tree.leaves(rows(after, i)), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@every_teacher
def test_one_trace_serves_many_calls(name):
    teacher = small(name)
    traces = []

    @jax.jit
    def cycle(state, key):
        traces.append(1)
        state, task, meta = teacher.sample(state, key, 25)
        outcome = Outcome(
            task=task,
            return_=jnp.sum(task, -1),
            length=jnp.ones((25,), jnp.int32),
            success=jnp.zeros((25,)),
            valid=jnp.ones((25,), bool),
            meta=meta,
        )
        return teacher.update(state, outcome)

    state = init(teacher, jax.random.key(0), MIXED)
    for key in jax.random.split(jax.random.key(1), 4):
        state = refit(teacher, cycle(state, key), key)
    assert len(traces) == 1


@every_teacher
def test_masked_rows_leave_the_state_bitwise_unchanged(name):
    teacher = small(name)
    state = taught(teacher, MIXED)
    _, task, meta = sample(teacher, state, jax.random.key(1), 50)
    assert_same(update(teacher, state, outcome_of(task, meta, jnp.zeros((50,), bool))), state)


@every_teacher
def test_masked_rows_between_valid_ones_do_not_matter(name):
    teacher = small(name)
    state = taught(teacher, MIXED)
    _, task, meta = sample(teacher, state, jax.random.key(1), 200)
    valid = jnp.arange(200) % 7 == 3
    outcome = outcome_of(task, meta, valid)
    assert_same(update(teacher, state, outcome), update(teacher, state, rows(outcome, np.flatnonzero(valid))))


@every_teacher
def test_batches_may_be_cut_anywhere(name):
    teacher = small(name)
    state = taught(teacher, MIXED, refits=False)
    _, task, meta = sample(teacher, state, jax.random.key(1), 150)
    outcome = outcome_of(task, meta)
    parts = update(teacher, state, rows(outcome, slice(0, 67)))
    parts = update(teacher, parts, rows(outcome, slice(67, 150)))
    assert_same(update(teacher, state, outcome), parts)


@every_teacher
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_returns_that_are_not_finite_are_dropped_and_counted(name, bad):
    teacher = small(name)
    state = taught(teacher, MIXED)
    _, task, meta = sample(teacher, state, jax.random.key(1), 20)
    outcome = outcome_of(task, meta)
    spoilt = outcome.replace(return_=np.where(np.arange(20) == 4, np.float32(bad), outcome.return_))
    without = update(teacher, state, rows(outcome, np.delete(np.arange(20), 4)))
    after = update(teacher, state, spoilt)
    assert int(teacher.metrics(after)["dropped"]) == int(teacher.metrics(state)["dropped"]) + 1
    assert int(teacher.metrics(after)["episodes"]) == int(teacher.metrics(state)["episodes"]) + 19
    _, expected, _ = sample(teacher, without, jax.random.key(2), 30)
    _, got, _ = sample(teacher, after, jax.random.key(2), 30)
    np.testing.assert_array_equal(got, expected)


@every_teacher
def test_state_keeps_shapes_and_dtypes(name):
    teacher = small(name)
    state = taught(teacher, MIXED, refits=False)
    _, task, meta = sample(teacher, state, jax.random.key(1), 50)
    for after in (update(teacher, state, outcome_of(task, meta)), refit(teacher, state, jax.random.key(0))):
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
        assert jax.tree.map(jnp.result_type, after) == jax.tree.map(jnp.result_type, state)
    assert all(leaf.dtype in (jnp.float32, jnp.int32, jnp.bool_) for leaf in jax.tree.leaves(state))


@every_teacher
def test_saved_and_restored_state_continues_identically(name):
    teacher = small(name)
    state = taught(teacher, MIXED)
    file = io.BytesIO()
    np.savez(file, *jax.tree.leaves(state))
    file.seek(0)
    with np.load(file) as archive:
        leaves = [jnp.asarray(archive[f"arr_{i}"]) for i in range(len(archive.files))]
    restored = jax.tree.unflatten(jax.tree.structure(state), leaves)
    _, task, meta = sample(teacher, state, jax.random.key(1), 60)
    ends = []
    for start in (state, restored):
        after = update(teacher, start, outcome_of(task, meta))
        ends.append(refit(teacher, after, jax.random.key(8)))
    assert_same(*ends)


@every_teacher
def test_metrics_are_finite_scalars_and_snapshots_are_arrays(name):
    teacher = small(name)
    for state in (init(teacher, jax.random.key(0), MIXED), taught(teacher, MIXED)):
        for value in teacher.metrics(state).values():
            assert value.shape == () and np.isfinite(value)
        for value in teacher.snapshot(state).values():
            assert np.isfinite(np.asarray(value, np.float32)).all()


@every_teacher
def test_density_is_not_negative_and_jittable(name):
    teacher = small(name)
    grid = jnp.asarray(MIXED.grid(3))
    density = jax.jit(teacher.distribution)(taught(teacher, MIXED), grid)
    assert density.shape == grid.shape[:1] and (np.asarray(density) >= 0).all()


def test_the_package_offers_what_it_lists_and_nothing_else():
    assert all(getattr(curricula, name) for name in curricula.__all__)
    assert set(curricula.__all__) <= set(dir(curricula))
    offered = {curricula.Random, curricula.Fixed, curricula.Mastery, curricula.ALPGMM}
    assert {TEACHERS[name].load() for name in TEACHERS} == offered
    with pytest.raises(AttributeError, match=r"'palaestra.curricula' has no attribute 'Randm'"):
        curricula.Randm  # noqa: B018


def test_unknown_teacher_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'alp'.*alp_gmm.*fixed.*random"):
        make_teacher("alp")


def test_unknown_setting_is_an_error():
    with pytest.raises(TypeError, match="fit_rat"):
        make_teacher("alp_gmm", fit_rat=3)
