"""The update of SAC and its kin against the same update written out plainly, with the same random numbers."""

import dataclasses

import jax
import numpy as np
import pytest
from palaestra.experiments.bench import _written_out as plain

from .cases import LEARNERS, made_learned, made_transitions, quick

UPDATES = 50


def course(learner, settings):
    """Both learners' states and reports after every update on the same transitions with the same keys."""
    learned = made_learned(learner, 1)
    state = plain.start_of(learned)
    ours, theirs = quick(learner.update), quick(plain.update, static_argnums=0)
    steps = [(learned, {}, state, {})]
    for number in range(UPDATES):
        batch, key = made_transitions(number, learner.rows), jax.random.key(number)
        learned, metrics = ours(key, learned, batch)
        state, report = theirs(settings, state, batch, key)
        steps.append((learned, metrics, state, report))
    return steps


@pytest.fixture(params=LEARNERS, scope="module")
def learner(request):
    return LEARNERS[request.param]


@pytest.fixture(scope="module")
def steps(learner):
    return course(learner, plain.settings_of(learner))


def difference(ours, theirs):
    """Of whole arrays, relative to their length."""
    return np.linalg.norm(np.ravel(ours - theirs)) / np.linalg.norm(np.ravel(theirs))


def test_losses_penalty_and_entropy_of_the_first_update(learner, steps):
    _, metrics, _, report = steps[1]
    names = {"critic_loss": "td", "actor_loss": "actor_loss", "entropy": "entropy"}
    names |= {"conservative_penalty": "penalty"} if learner.conservative else {}
    for ours, theirs in names.items():
        np.testing.assert_allclose(metrics[f"train/{ours}"], report[theirs], rtol=1e-5, err_msg=ours)


def test_gradients_of_the_first_update(learner, steps):
    """Adam's first moments are sums of them; those of several critic steps differ by what the first steps round."""
    learned, _, state, _ = steps[1]
    moments = plain.flat_params({name: own.mu for name, own in learned.opt_state.items()})
    assert moments.keys() == state.mean.keys()
    worst = {name: difference(moments[name], array) for name, array in state.mean.items()}
    assert max(worst.values()) < (1e-5 if learner.utd == 1 else 1e-4), worst


@pytest.mark.parametrize(("updates", "tolerance"), [(1, 1e-5), (5, 1e-4), (UPDATES, 1e-3)])
def test_parameters_and_targets(steps, updates, tolerance):
    learned, _, state, _ = steps[updates]
    for ours, theirs in ((learned.params, state.params), (learned.target_params, state.target)):
        found = plain.flat_params(ours)
        assert found.keys() == theirs.keys()
        for name, array in theirs.items():
            np.testing.assert_allclose(found[name], array, rtol=0.0, atol=tolerance, err_msg=name)


def test_all_networks_move_by_more_than_the_tolerance_and_take_every_step(learner, steps):
    learned, _, state, _ = steps[-1]
    for name, begin in steps[0][2].params.items():
        assert np.abs(state.params[name] - begin).max() > 2e-3, name
    counts = {int(own.count) for own in learned.opt_state.values()}
    assert counts == {int(state.steps)} == {UPDATES * (learner.utd + 1)}


@pytest.mark.parametrize("name", ["wsrl", "counted"])
def test_targets(name):
    """A single action without entropy, and the best of several with it."""
    learner, batch, key = LEARNERS[name], made_transitions(3, 16), jax.random.key(4)
    learned = made_learned(learner, 1)
    found = quick(learner.target)(key, learned, batch)
    expected = quick(plain.target_values, static_argnums=0)(
        plain.settings_of(learner), plain.start_of(learned), batch, key
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[batch.mask == 0.0], batch.reward[batch.mask == 0.0])


def test_critics_of_one_call_for_all_losses_are_the_same():
    """The reference code's order where there is one critic step to an update: its actor climbs critics before it."""
    learner = dataclasses.replace(LEARNERS["counted"], conservative=None, reference_optimizer_leak=False)
    batch, key, learned = made_transitions(3, learner.rows), jax.random.key(4), made_learned(learner, 1)
    settings, state = plain.settings_of(learner, at_once=True), plain.start_of(learned)
    learned, _ = quick(learner.update)(key, learned, batch)
    state, _ = quick(plain.update, static_argnums=0)(settings, state, batch, key)
    found, moved = plain.flat_params(learned.params), plain.flat_params(learned.target_params)
    for name, array in state.params.items():
        # Adam's first step is as long as its rate; where gradients are opposed, learners end up twice as far apart.
        tolerance = 2.1 * settings.actor_rate if name.startswith("actor") else 1e-6
        np.testing.assert_allclose(found[name], array, rtol=0.0, atol=tolerance, err_msg=name)
    for name, array in state.target.items():
        np.testing.assert_allclose(moved[name], array, rtol=0.0, atol=1e-6, err_msg=name)
