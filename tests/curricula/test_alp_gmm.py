import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.curricula import ALPGMM, TDRL, TMA, Gaussian
from palaestra.curricula.alp_gmm import FIRST
from palaestra.curricula.mixture import Fit, Mixture
from palaestra.envs.tasks import Outcome, Parameter, TaskSpace

STUMPS = TaskSpace((Parameter("height", 0.0, 3.0, 0.0, unit="m"), Parameter("gap", 0.0, 6.0, 6.0, unit="m")))
SMALL = ALPGMM(fit_rate=50, components=(2, 4), history=256)


init = jax.jit(lambda teacher, space: teacher.init(jax.random.key(0), space), static_argnums=(0, 1))
sample = jax.jit(
    lambda teacher, state, seed, count: teacher.sample(state, jax.random.key(seed), count), static_argnums=(0, 3)
)
update = jax.jit(lambda teacher, state, outcome: teacher.update(state, outcome), static_argnums=0)
refit = jax.jit(lambda teacher, state, seed: teacher.refit(state, jax.random.key(seed)), static_argnums=0)
snapshot_of = jax.jit(lambda teacher, state: teacher.snapshot(state), static_argnums=0)
density_of = jax.jit(lambda teacher, state, task: teacher.distribution(state, task), static_argnums=0)


def outcome_of(task, return_, valid=None) -> Outcome:
    """Padded with masked rows to a multiple of 256, so that few programs serve all tests."""
    count = len(return_)
    size = -(-count // 256) * 256
    valid = np.ones(count, bool) if valid is None else np.asarray(valid)
    return Outcome(
        task=np.pad(np.asarray(task, np.float32).reshape(count, -1), ((0, size - count), (0, 0))),
        return_=np.pad(np.asarray(return_, np.float32), (0, size - count)),
        length=np.ones((size,), np.int32),
        success=np.zeros((size,), np.float32),
        valid=np.pad(valid, (0, size - count)),
        meta=np.zeros((size,), np.int32),
    )


def progress_by_hand(task: np.ndarray, return_: np.ndarray, history: int | None = None) -> np.ndarray:
    """The published rule, one episode at a time."""
    progress = np.zeros(len(task))
    for n in range(FIRST + 1, len(task)):
        first = 0 if history is None else max(0, n - history)
        distance = ((task[first:n] - task[n]) ** 2).sum(-1)
        progress[n] = abs(return_[n] - return_[first + distance.argmin()])
    return progress


def played(teacher, task, return_, space=STUMPS, parts=1):
    state = init(teacher, space)
    for rows in np.array_split(np.arange(len(task)), parts):
        state = update(teacher, state, outcome_of(task[rows], return_[rows]))
    return state


def two_hills(rng, count):
    """Returns move in the lower left corner only."""
    task = rng.random((count, 2)) * [3.0, 6.0]
    near = (task[:, 0] < 1.0) & (task[:, 1] < 2.0)
    return task, np.where(near, rng.random(count), 0.0)


def test_progress_equals_brute_force_for_two_thousand_random_tasks():
    rng = np.random.default_rng(0)
    task = (rng.random((2000, 2)) * [3.0, 6.0]).astype(np.float32)
    return_ = rng.normal(size=2000).astype(np.float32)
    state = played(ALPGMM(history=2048), task, return_, parts=3)
    np.testing.assert_allclose(state.history.progress[-2000:], progress_by_hand(task, return_), atol=1e-6)
    np.testing.assert_array_equal(state.history.task[-2000:], task)


def test_history_keeps_only_the_latest_episodes():
    rng = np.random.default_rng(1)
    task = (rng.random((700, 2)) * [3.0, 6.0]).astype(np.float32)
    return_ = rng.normal(size=700).astype(np.float32)
    state = played(dataclasses.replace(SMALL, history=100), task, return_, parts=4)
    expected = progress_by_hand(task, return_, history=100)
    np.testing.assert_allclose(state.history.progress, expected[-100:], atol=1e-6)


def test_the_first_episodes_have_no_progress():
    state = played(SMALL, np.zeros((9, 2)), np.arange(9.0))
    np.testing.assert_array_equal(state.history.progress[-9:], [0, 0, 0, 0, 0, 0, 6, 7, 8])


def test_the_oldest_of_equally_near_tasks_wins():
    task = np.array([[1.0, 1.0], [1.0, 2.0]] * 4 + [[1.0, 1.5]])  # the last lies half-way between both
    return_ = np.array([5.0, 1, 2, 3, 4, 6, 7, 8, 0])
    for parts in (1, 9):
        assert float(played(SMALL, task, return_, parts=parts).history.progress[-1]) == 5.0


def test_distance_is_measured_in_task_units_unless_asked_otherwise():
    # Seen from the last row, row 6 is (0.1, 1.5) m away and row 7 (0.6, 1.3) m: in unit tasks row 6 is the nearer one.
    task = np.array([[0.0, 6.0]] * 6 + [[1.1, 0.0], [0.4, 2.8], [1.0, 1.5]])
    return_ = np.array([0.0] * 6 + [10.0, 20.0, 30.0])
    assert float(played(SMALL, task, return_).history.progress[-1]) == 10.0
    in_units = dataclasses.replace(SMALL, neighbours_in_unit_space=True)
    assert float(played(in_units, task, return_).history.progress[-1]) == 20.0


def test_reward_scale_maps_and_clips():
    teacher = dataclasses.replace(SMALL, reward_scale=(-150.0, 350.0))
    state = played(teacher, np.zeros((4, 2)), np.array([-400.0, -150.0, 100.0, 1000.0]))
    np.testing.assert_allclose(state.history.return_[-4:], [0.0, 0.0, 0.5, 1.0])


def test_refit_is_due_after_fit_rate_valid_episodes():
    rng = np.random.default_rng(0)
    task, return_ = two_hills(rng, 120)
    state = played(SMALL, task[:49], return_[:49])
    assert not SMALL.should_refit(state)
    early = refit(SMALL, state, 0)
    assert int(early.fits) == 0 and int(early.since_fit) == 49
    state = update(SMALL, state, outcome_of(task[49:60], return_[49:60], np.arange(11) < 1))
    assert SMALL.should_refit(state)
    state = refit(SMALL, state, 0)
    assert int(state.fits) == 1 and not SMALL.should_refit(state)


def test_fit_sees_the_latest_window_only():
    rng = np.random.default_rng(0)
    old = np.column_stack([rng.random(200), rng.random(200)])
    new = np.column_stack([2.5 + 0.5 * rng.random(50), 5.0 + rng.random(50)])
    state = played(SMALL, np.concatenate([old, new]), rng.random(250), parts=2)
    snapshot = snapshot_of(SMALL, refit(SMALL, state, 0))
    means = np.asarray(snapshot["mean"])[np.asarray(snapshot["mask"])]
    assert (means >= [2.4, 4.9]).all()


def test_tasks_are_uniform_before_the_first_refit():
    state = played(SMALL, *two_hills(np.random.default_rng(0), 49))
    _, task, component = sample(SMALL, state, 0, 4000)
    assert (np.asarray(component) == -1).all()
    quarter = (np.asarray(task) < [1.5, 3.0]).all(-1).mean()
    assert abs(quarter - 0.25) < 0.03
    np.testing.assert_array_equal(density_of(SMALL, state, task[:5]), 1.0)


def test_after_the_refit_tasks_gather_where_returns_move():
    teacher = dataclasses.replace(SMALL, fit_rate=200)
    state = played(teacher, *two_hills(np.random.default_rng(0), 250))
    state = refit(teacher, state, 0)
    _, task, component = sample(teacher, state, 1, 4000)
    near = (np.asarray(task) < [1.2, 2.4]).all(-1)
    assert near[np.asarray(component) >= 0].mean() > 0.8
    assert abs((np.asarray(component) == -1).mean() - 0.2) < 0.03


def test_components_are_chosen_by_their_mean_progress_and_not_by_weight():
    state = played(SMALL, *two_hills(np.random.default_rng(0), 60))
    mean = jnp.array([[0.2, 0.2, 0.3], [0.8, 0.8, 0.1], [0.5, 0.5, -0.2], [0.5, 0.5, 9.0]])
    mixture = Mixture(
        weight=jnp.array([0.1, 0.8, 0.1, 0.0]),
        mean=mean,
        covariance=jnp.tile(1e-4 * jnp.eye(3), (4, 1, 1)),
        mask=jnp.array([True, True, True, False]),
    )
    state = state.replace(mixture=mixture, fits=jnp.ones((), jnp.int32))
    np.testing.assert_allclose(snapshot_of(SMALL, state)["probability"], [0.75, 0.25, 0, 0], rtol=1e-6)
    _, task, component = sample(SMALL, state, 0, 4000)
    drawn = np.asarray(component)
    share = np.bincount(drawn[drawn >= 0], minlength=4) / (drawn >= 0).sum()
    np.testing.assert_allclose(share, [0.75, 0.25, 0, 0], atol=0.02)
    np.testing.assert_allclose(np.asarray(task)[drawn == 0].mean(0), [0.6, 1.2], atol=0.01)
    np.testing.assert_allclose(np.asarray(task)[drawn == 0].std(0), [0.03, 0.06], rtol=0.1)


def test_equal_returns_choose_components_uniformly():
    task, _ = two_hills(np.random.default_rng(0), 60)
    state = refit(SMALL, played(SMALL, task, np.full(60, 3.0)), 0)
    snapshot = snapshot_of(SMALL, state)
    assert int(state.fits) == 1
    exists = np.asarray(snapshot["mask"], float)
    np.testing.assert_allclose(snapshot["probability"], exists / exists.sum(), atol=1e-6)


@pytest.mark.parametrize("free", [0, 1, 2])
def test_density_integrates_to_one_where_nothing_is_clipped(free):
    fixed = Parameter("locked", 1.0, 1.0, 1.0)
    space = TaskSpace((fixed, *(Parameter(f"p{i}", 0.0, 4.0, 0.0) for i in range(free))))
    teacher = dataclasses.replace(SMALL, random_ratio=0.1)
    rng = np.random.default_rng(0)
    task = np.column_stack([np.ones(60), 2.0 + 0.15 * rng.normal(size=(60, free))])
    state = refit(teacher, played(teacher, task, rng.random(60), space), 0)
    assert int(state.fits) == 1
    density = np.asarray(density_of(teacher, state, jnp.asarray(space.grid(200 if free == 1 else 100))))
    np.testing.assert_allclose(density.mean(), 1.0, atol=0.02)
    assert free == 0 or density.max() > 3.0


def test_snapshot_is_in_task_units():
    space = TaskSpace(
        (Parameter("a", -1.0, 3.0, 0.0), Parameter("lock", 5.0, 5.0, 5.0), Parameter("n", 1, 4, 1, kind="integer"))
    )
    state = init(SMALL, space)
    mean = jnp.zeros((4, 3)).at[0].set(jnp.array([0.25, 0.5, 0.7]))
    covariance = jnp.zeros((4, 3, 3)).at[0, :2, :2].set(jnp.array([[0.01, 0.002], [0.002, 0.02]]))
    state = state.replace(mixture=state.mixture.replace(mean=mean, covariance=covariance))
    snapshot = snapshot_of(SMALL, state)
    np.testing.assert_allclose(snapshot["mean"][0], [0.0, 5.0, 2.5])
    expected = [[0.16, 0, 0.032], [0, 0, 0], [0.032, 0, 0.32]]
    np.testing.assert_allclose(snapshot["covariance"][0], expected, rtol=1e-5)
    np.testing.assert_allclose(snapshot["progress"], [0.7, 0, 0, 0], rtol=1e-6)


def test_bootstrap_draws_from_the_given_gaussian_until_the_first_refit():
    start = Gaussian(mean=(0.5, 4.0), covariance=((0.01, 0.0), (0.0, 0.09)))
    teacher = dataclasses.replace(SMALL, bootstrap=start)
    state = init(teacher, STUMPS)
    _, task, component = sample(teacher, state, 0, 4000)
    assert (np.asarray(component) == 0).all()
    np.testing.assert_allclose(np.asarray(task).mean(0), start.mean, atol=0.02)
    np.testing.assert_allclose(np.cov(np.asarray(task).T), start.covariance, atol=0.01)
    state = refit(teacher, played(teacher, *two_hills(np.random.default_rng(0), 60)), 0)
    np.testing.assert_allclose(teacher.metrics(state)["random_share"], 0.2)


def test_a_fit_that_is_not_finite_leaves_the_mixture_as_it_was():
    task, return_ = two_hills(np.random.default_rng(0), 60)
    state = refit(SMALL, played(SMALL, task, return_), 0)
    broken = state.replace(history=state.history.replace(progress=state.history.progress.at[-1].set(jnp.inf)))
    after = refit(SMALL, broken, 1)
    assert int(after.failed_fits) == 1 and int(after.fits) == 1
    np.testing.assert_array_equal(after.mixture.mean, state.mixture.mean)


@pytest.mark.parametrize("criterion", ["bic", "aicc"])
def test_stricter_criteria_keep_fewer_components(criterion):
    task, return_ = two_hills(np.random.default_rng(3), 60)
    kept = []
    for teacher in (SMALL, dataclasses.replace(SMALL, criterion=criterion)):
        state = refit(teacher, played(teacher, task, return_), 0)
        kept.append(int(teacher.metrics(state)["components"]))
    assert kept[1] <= kept[0]


def test_reference_aicc_counts_fewer_parameters():
    fit_score = {}
    for reference in (False, True):
        teacher = ALPGMM(fit_rate=50, components=(2, 4), criterion="aicc", reference_aicc=reference)
        fit = teacher._score(_fit_of(jnp.array([2, 3, 4])), 2)
        fit_score[reference] = np.asarray(fit)
    p = np.array([2, 3, 4]) * 10 - 1
    q = np.array([2, 3, 4]) * 6 - 1
    np.testing.assert_allclose(fit_score[False], 2 * p + 2 * p * (p + 1) / (49 - p), rtol=1e-5)
    np.testing.assert_allclose(fit_score[True], 2 * p + 2 * q * (q + 1) / (49 - q), rtol=1e-5)


def _fit_of(counts):
    return Fit(mixture=None, num_components=counts, log_likelihood=jnp.zeros(counts.shape), iterations=None)


def test_presets_carry_the_published_settings():
    assert (TDRL.fit_rate, TDRL.random_ratio, TDRL.components, TDRL.criterion) == (250, 0.2, (2, 10), "aic")
    assert (TMA.fit_rate, TMA.random_ratio, TMA.components, TMA.criterion) == (150, 0.05, (2, 9), "aic")
    assert ALPGMM() == TDRL


@pytest.mark.parametrize(
    "settings",
    [
        {"components": (3, 2)},
        {"components": (0, 2)},
        {"fit_rate": 5},
        {"random_ratio": 1.5},
        {"criterion": "dic"},
        {"reference_aicc": True},
        {"max_iter": 0},
        {"tol": 0.0},
        {"reg_covar": -1.0},
        {"history": 100},
        {"reward_scale": (1.0, 1.0)},
    ],
)
def test_impossible_settings_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ALPGMM(**settings)


@pytest.mark.parametrize(
    "covariance", [((1.0,),), ((1.0, 2.0), (2.0, 1.0)), ((1.0, 0.5), (0.0, 1.0))], ids=["shape", "sign", "symmetry"]
)
def test_an_impossible_bootstrap_is_refused(covariance):
    with pytest.raises(ValueError, match="bootstrap"):
        ALPGMM(bootstrap=Gaussian((1.0, 1.0), covariance)).init(jax.random.key(0), STUMPS)


def test_a_space_without_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameters"):
        ALPGMM().init(jax.random.key(0), TaskSpace(()))
