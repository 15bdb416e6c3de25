"""RND, RIDE and NovelD: their formulas against NumPy, and that their networks learn what they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from palaestra.agents.bonuses.distillation import Distillation
from palaestra.agents.bonuses.noveld import NovelD, novelty_gain
from palaestra.agents.bonuses.ride import RIDE, Models, Steps, impact
from palaestra.agents.bonuses.rnd import RND, WHITE_CLIP
from palaestra.agents.bonuses.training import Training
from palaestra.agents.normalization import init_stats, merge, normalize
from palaestra.envs.classic.pendulum import Pendulum
from palaestra.envs.errors import OptionError

from . import little_grid
from .test_bonus_counts import rollout_of

ENV = little_grid.LittleGrid(horizon=20)
QUICK = Training(learning_rate=1e-3, epochs=4, num_minibatches=2)


def images(places):
    """Images (T, B, 4, 3, 3) with the agent at `places` (T, B)."""
    image = np.zeros((*places.shape, 4, 3, 3), np.uint8)
    np.put_along_axis(image[..., 1, 0], places[..., None], little_grid.AGENT, -1)
    return image


def test_observations_are_whitened_and_clipped_at_five_deviations():
    data = np.random.default_rng(0).normal(3.0, 2.0, (50, 4)).astype(np.float32)
    stats = merge(init_stats((4,)), jnp.asarray(data))
    white = normalize(stats, jnp.asarray(np.concatenate([data, np.full((1, 4), 1e3, np.float32)])), WHITE_CLIP)
    np.testing.assert_allclose(white[:-1], (data - data.mean(0)) / data.std(0), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(white[-1], np.full(4, 5.0))


def prediction_errors(nets, flat):
    """Predictor minus target (..., E), of networks that see the image alone."""
    both = Distillation(spaces.Dict({"image": ENV.observation_space["image"]}))
    predicted = jax.jit(both.predictor.apply)(nets.predictor, flat)
    return np.asarray(predicted, np.float64) - np.asarray(jax.jit(both.target.apply)(nets.target, flat), np.float64)


def test_rnd_rewards_are_errors_over_the_deviation_of_their_discounted_sums(key):
    bonus = RND(discount=0.9)
    state = jax.jit(bonus.init, static_argnums=(1, 2))(key, ENV, 3)
    places = np.random.default_rng(0).integers(0, 3, (10, 3))
    places[4, 1] = 3  # so seldom that it is clipped
    # An episode's end does not cut the stream.
    rollout = rollout_of(images(places), np.random.default_rng(1).random((10, 3)) < 0.3)
    after, reward = jax.jit(bonus.reward, static_argnums=(0, 3))(ENV, state, rollout, None)
    seen = images(places).reshape(10, 3, -1).astype(np.float32)
    white = (seen - seen.mean((0, 1))) / np.sqrt(seen.var((0, 1)) + 1e-8)
    assert white.max() > 5.0
    raw = np.mean(prediction_errors(state.shared.nets, np.clip(white, -5.0, 5.0)) ** 2, -1)
    sums, sofar = np.zeros((10, 3)), np.zeros(3)
    for t in range(10):
        sofar = 0.9 * sofar + raw[t]
        sums[t] = sofar
    np.testing.assert_allclose(after.lanes, sums[-1], rtol=1e-4)
    np.testing.assert_allclose(reward, raw / sums.std(), rtol=1e-3)


def test_rnd_error_falls_where_it_has_been_and_not_where_it_has_not(key):
    bonus = RND(training=QUICK)
    state = jax.jit(bonus.init, static_argnums=(1, 2))(key, ENV, 4)
    reward = jax.jit(bonus.reward, static_argnums=(0, 3))
    learn = jax.jit(bonus.learn, static_argnums=(1, 4))
    known = rollout_of(images(np.tile([[0, 0, 1, 1]], (8, 1))))
    both = rollout_of(images(np.tile([[0, 1, 2, 3]], (8, 1))))
    state, before = reward(ENV, state, both, None)
    first = np.asarray(before * state.shared.return_stats.std).mean(0)
    fixed = state.replace(shared=state.shared.replace(nets=state.shared.nets))
    for _ in range(25):
        fixed, metrics = learn(key, ENV, fixed, known, None)
    state, now = reward(ENV, fixed, both, None)
    last = np.asarray(now * state.shared.return_stats.std).mean(0)
    assert np.all(last[:2] < 0.2 * first[:2]) and np.all(last[2:] > 0.4 * first[2:])
    assert float(metrics["bonus/prediction_loss"]) < 0.2 * first[:2].mean()
    np.testing.assert_array_equal(*(jax.tree.leaves(s.shared.nets.target)[0] for s in (state, fixed)))


def test_impact_is_the_distance_of_embeddings_over_the_root_of_visits():
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(2, 6, 3, 5)).astype(np.float32)
    met = generator.integers(1, 9, (6, 3)).astype(np.int32)
    expected = np.linalg.norm(after - before, axis=-1) / np.sqrt(met)
    np.testing.assert_allclose(impact(*map(jnp.asarray, (before, after, met))), expected, rtol=1e-5)


def test_ride_models_err_by_the_distance_of_embeddings_and_the_cross_entropy_of_actions(key):
    models = Models(ENV.observation_space, 4)
    params = jax.jit(models.init)(key)
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(2, 7, 4 * 3 * 3 + 4 + 2)).astype(np.float32)
    action = generator.integers(0, 4, 7)
    forward, inverse = jax.jit(models.errors)(params, Steps(before=before, after=after, action=jnp.asarray(action)))

    def dense(tree, x):
        tree = jax.tree.map(np.asarray, tree["params"]["MLP_0"])
        hidden = np.maximum(x @ tree["Dense_0"]["kernel"] + tree["Dense_0"]["bias"], 0.0)
        return hidden @ tree["Dense_1"]["kernel"] + tree["Dense_1"]["bias"]

    phi, next_phi = (np.asarray(jax.jit(models.embed)(params, x)) for x in (before, after))
    predicted = dense(params["forward"], np.concatenate([phi, np.eye(4)[action]], -1))
    np.testing.assert_allclose(forward, np.linalg.norm(predicted - next_phi, axis=-1).mean(), rtol=1e-4)
    logits = dense(params["inverse"], np.concatenate([phi, next_phi], -1)).astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(inverse, -log_probs[np.arange(7), action].mean(), rtol=1e-4)


def a_walk_around_a_ring():
    """(rollout (16, 8), places before, places after): actions 1 and 2 go back and on."""
    action = np.random.default_rng(0).integers(1, 3, (16, 8))
    after = np.cumsum(np.where(action == 2, 1, -1), axis=0) % 4
    before = np.concatenate([np.zeros((1, 8), int), after[:-1]])
    rollout = rollout_of(images(after)).replace(obs={"image": images(before)}, action=jnp.asarray(action))
    return rollout, before, after


def trained_ride(bonus, rollout, key, count):
    state = jax.jit(bonus.init, static_argnums=(1, 2))(key, ENV, 8)
    learn = jax.jit(lambda s: bonus.learn(key, ENV, s, rollout, None))
    return jax.jit(lambda s: jax.lax.scan(lambda s, _: learn(s), s, None, length=count))(state)


def test_ride_learns_which_action_was_taken_and_its_rewards_stay(key):
    rollout, before, after = a_walk_around_a_ring()
    bonus = RIDE(training=Training(learning_rate=3e-4, epochs=4, num_minibatches=2))
    state, metrics = trained_ride(bonus, rollout, key, 200)
    assert float(metrics["bonus/inverse_loss"][-1]) < 0.3 < 1.0 < float(metrics["bonus/inverse_loss"][0])
    _, reward = jax.jit(bonus.reward, static_argnums=(0, 3))(ENV, state, rollout, None)
    assert float(reward.mean()) > 0.02
    steps = {}  # the same step pays less by the root of visits
    for lane in range(8):
        seen = [0]
        for t in range(16):
            seen.append(after[t, lane])
            paid = float(reward[t, lane]) * np.sqrt(seen.count(after[t, lane]))
            steps.setdefault((before[t, lane], after[t, lane]), []).append(paid)
    assert all(np.ptp(values) < 1e-4 * max(values) for values in steps.values())


def test_with_the_sources_gradient_the_embedding_shrinks_to_a_point(key):
    rollout, _, _ = a_walk_around_a_ring()
    bonus = RIDE(reference_gradient=True, training=Training(learning_rate=3e-4, epochs=4, num_minibatches=2))
    state, _ = trained_ride(bonus, rollout, key, 200)
    _, reward = jax.jit(bonus.reward, static_argnums=(0, 3))(ENV, state, rollout, None)
    assert float(reward.mean()) < 0.002


def test_noveld_pays_the_gain_over_a_share_of_the_old_novelty_at_first_visits_only():
    before = jnp.array([2.0, 2.0, 8.0, 2.0])
    after = jnp.array([3.0, 3.0, 3.0, 1.0])
    met = jnp.array([1, 2, 1, 1])
    np.testing.assert_allclose(novelty_gain(before, after, met, 0.5), [2.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(novelty_gain(before, after, met, 0.1), [2.8, 0.0, 2.2, 0.8])


def test_noveld_gates_by_episode_and_uses_the_predictors_error(key):
    bonus = NovelD(alpha=0.5)
    state = jax.jit(bonus.init, static_argnums=(1, 2))(key, ENV, 1)
    places = np.array([[1], [2], [1], [3], [1], [2]])
    before = np.array([[0], [1], [2], [0], [3], [1]])  # the third step ends an episode
    ended = np.array([[False], [False], [True], [False], [False], [False]])
    rollout = rollout_of(images(places), ended).replace(obs={"image": images(before)})
    after, reward = jax.jit(bonus.reward, static_argnums=(0, 3))(ENV, state, rollout, None)
    flat = images(np.arange(4)).reshape(4, -1).astype(np.float32)
    novelty = np.linalg.norm(prediction_errors(state.shared, flat), axis=-1)  # of each place
    is_first = [True, True, False, True, True, True]
    expected = np.where(is_first, np.maximum(novelty[places[:, 0]] - 0.5 * novelty[before[:, 0]], 0.0), 0.0)
    assert np.count_nonzero(expected) >= 3
    np.testing.assert_allclose(reward[:, 0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(after.lanes.count, [4])


def test_ride_refuses_actions_that_are_no_choice(key):
    with pytest.raises(OptionError, match="RIDE: got the action space"):
        RIDE().init(key, Pendulum(), 2)


def test_training_refuses_minibatches_that_do_not_fit(key):
    bonus = RND(training=Training(num_minibatches=3))
    state = jax.eval_shape(lambda: bonus.init(key, ENV, 1))
    with pytest.raises(ValueError, match="num_minibatches=3 must divide rollout_length=4"):
        jax.eval_shape(lambda s: bonus.learn(key, ENV, s, rollout_of(images(np.zeros((4, 1), int))), None), state)
    with pytest.raises(ValueError, match="epochs=0"):
        Training(epochs=0)
