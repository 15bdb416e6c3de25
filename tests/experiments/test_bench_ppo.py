"""The benchmark of PPO beside Stable-Baselines3: what it computes, and its rows on a few hundred steps."""

import dataclasses
import importlib
import math
import sys

import jax
import numpy as np
import pytest
from palaestra.envs.errors import MissingExtraError
from palaestra.experiments import catalog
from palaestra.experiments.bench import ppo, ppo_walker
from palaestra.experiments.bench._cases import EPISODES, FINAL_ROUNDS, Learned

try:
    import stable_baselines3
except ImportError:
    stable_baselines3 = None

needs_sb3 = pytest.mark.skipif(stable_baselines3 is None, reason="needs the extra sb3")

CARTPOLE, PENDULUM = ppo.CASES
TINY = {
    "CartPole": dataclasses.replace(CARTPOLE, num_envs=2, batch_size=16, rollout_length=16, epochs=1, iterations=5),
    "Pendulum": dataclasses.replace(PENDULUM, num_envs=2, batch_size=16, rollout_length=32, epochs=1, iterations=2),
}
TINY = {name: dataclasses.replace(case, evaluate_every=2) for name, case in TINY.items()}


def learned(finals, curves, seconds=2.0, compile_seconds=0.0):
    """Learners with given final returns and curves, each episode of an evaluation alike."""
    curves = np.array(curves, float)
    return Learned(
        steps=100 * np.arange(1, 1 + curves.shape[1]),
        returns=np.repeat(curves[..., None], 3, -1),
        final_returns=np.repeat(np.array(finals, float)[:, None], 4, -1),
        seconds=np.full(len(finals), seconds),
        compile_seconds=compile_seconds,
    )


def test_the_catalog_lists_the_benchmark_but_not_its_helper():
    assert "ppo" in catalog.benchmarks()
    assert not any(name.startswith("_") for name in catalog.benchmarks())


def test_cases_have_the_batches_and_lengths_of_the_zoo():
    assert [case.total_steps for case in ppo.CASES] == [100_096, 102_400]
    for case in ppo.CASES:
        config = ppo.make_agent(case).config
        assert config.num_envs * config.rollout_length // config.num_minibatches == case.batch_size
        assert not config.normalize_observations and not config.normalize_rewards


def test_the_walker_has_the_numbers_of_the_zoo():
    """rl-zoo3's hyperparams/ppo.yml; only the length of training is ours."""
    config = ppo.make_agent(ppo_walker.WALKER).config
    assert (config.num_envs, config.rollout_length, config.epochs) == (32, 2048, 10)
    assert config.num_envs * config.rollout_length // config.num_minibatches == 64
    assert config.normalize_observations and config.normalize_rewards
    hyper = config.hyper
    assert (hyper.discount, hyper.lam, hyper.learning_rate, hyper.clip) == (0.999, 0.95, 3e-4, 0.18)
    assert hyper.entropy_cost == 0 and hyper.decay_steps == math.inf


def test_a_batch_that_lanes_cannot_share_evenly_is_refused():
    with pytest.raises(ValueError, match=r"batch_size=63.*num_envs=4"):
        ppo.make_agent(dataclasses.replace(PENDULUM, batch_size=63))


def test_evaluations_are_due_at_whole_intervals_before_the_end():
    case = TINY["CartPole"]  # 5 iterations of 32 steps
    assert [steps for steps in range(0, 161, 16) if case.is_evaluated(steps)] == [64, 128]


def test_steps_to_the_threshold_are_those_of_the_first_evaluation_that_reaches_it():
    found = learned([0, 0], [[1, 5, 3], [1, 2, 3]])
    np.testing.assert_array_equal(found.steps_to(5), [200, math.inf])


def test_clip_falls_with_the_learning_rate(key):
    agent = ppo.make_agent(TINY["CartPole"])
    state = jax.jit(agent.init)(key)
    clips = []
    update = type(agent).update

    class Spy(ppo.FallingClip):
        def update(self, key, state, batch):
            clips.append(float(state.hyper.clip))
            return update(self, key, state, batch)

    spy = Spy(agent.env, agent.teacher, agent.config)
    rates = []
    for _ in range(2):
        state, metrics = spy.train_step(state)
        rates.append(float(metrics["train/learning_rate"]))
    np.testing.assert_allclose(clips, [0.2 * 0.8, 0.2 * 0.6], rtol=1e-5)
    np.testing.assert_allclose(rates, [1e-3 * 0.8, 1e-3 * 0.6], rtol=1e-5)
    assert float(state.hyper.clip) == pytest.approx(0.2)


def test_rows_tell_both_sides_with_intervals_and_ratios():
    ours = learned([500, 500, 480, 500, 500], [[100, 480]] * 5, seconds=1.0, compile_seconds=7.0)
    alone = learned([500], [[100, 480]], seconds=2.0, compile_seconds=5.0)
    theirs = learned([490, 490, 500, 500], [[100, 480]] * 3 + [[100, 100]], seconds=10.0)
    rows = ppo.compare(CARTPOLE, ours, alone, theirs)
    assert all(set(row) >= {"case", "peer", "ours", "theirs", "unit", "ratio"} for row in rows)
    final, first, reached, side, side_rate, compilation, single, *_ = rows
    assert final["ours"] == pytest.approx(500) and final["theirs"] == pytest.approx(495)
    assert final["ours_low"] <= 500 <= final["ours_high"] and final["difference_low"] <= 5 <= final["difference_high"]
    assert final["ours_seeds"] == [500, 500, 480, 500, 500] and final["ratio"] is None
    assert (first["ours"], first["theirs"], first["ratio"]) == (200, 200, 1.0)
    assert first["theirs_seeds"] == [200, 200, 200, math.inf]
    assert (reached["ours"], reached["theirs"]) == (100, 75)
    assert (side["ours"], side["theirs"], side["ratio"]) == (1.0, 10.0, 0.1)
    assert side_rate["ours"] == CARTPOLE.total_steps and side_rate["ratio"] == pytest.approx(10)
    assert (compilation["ours"], compilation["theirs"], compilation["ratio"]) == (7.0, None, None)
    assert single["ours"] == 2.0


def test_a_peer_that_never_gets_there_gives_no_ratio():
    never = learned([10, 10], [[1, 2]] * 2)
    rows = ppo.compare(CARTPOLE, learned([500, 500], [[480, 480]] * 2), never, never)
    assert rows[1]["theirs"] == math.inf and rows[1]["ratio"] is None


@pytest.mark.parametrize("name", TINY)
def test_ours_is_examined_when_the_case_says(name):
    case = TINY[name]
    found = ppo.train(case, 2)
    due = [steps for steps in range(1, case.total_steps) if case.is_evaluated(steps)]
    assert found.steps.tolist() == [*due, case.total_steps]
    assert found.returns.shape == (2, len(found.steps), EPISODES)
    assert found.final_returns.shape == (2, EPISODES * FINAL_ROUNDS)
    assert (found.returns[0] != found.returns[1]).any(), "learners are examined on starts of their own"
    assert np.isfinite(found.returns).all() and (found.seconds > 0).all() and found.compile_seconds > 0


def test_without_sb3_the_benchmark_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    for name in [name for name in sys.modules if name.startswith("stable_baselines3.") or name.endswith("bench._sb3")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(importlib.import_module("palaestra.experiments.bench"), "_sb3", raising=False)
    with pytest.raises(MissingExtraError, match=r'pip install "palaestra\[sb3\]"'):
        ppo.run(1.0)


@needs_sb3
@pytest.mark.parametrize("name", TINY)
def test_the_peer_is_examined_at_the_same_steps(name):
    from palaestra.experiments.bench import _sb3

    case = TINY[name]
    theirs = _sb3.train(case, 1)
    due = [steps for steps in range(1, case.total_steps) if case.is_evaluated(steps)]
    assert theirs.steps.tolist() == [*due, case.total_steps]
    assert theirs.returns.shape == (1, len(theirs.steps), EPISODES)
    assert theirs.final_returns.shape == (1, EPISODES * FINAL_ROUNDS)
    assert (theirs.seconds > 0).all()


@pytest.mark.slow
@needs_sb3
def test_walkers_train_on_either_side_and_ours_visit_gymnasiums(monkeypatch):
    pytest.importorskip("Box2D")
    monkeypatch.setattr(ppo, "EPISODES", 2)
    monkeypatch.setattr(ppo, "SEEDS", 1)
    tiny = dataclasses.replace(ppo_walker.WALKER, num_envs=2, batch_size=16, rollout_length=16, epochs=1, iterations=1)
    monkeypatch.setattr(ppo_walker, "WALKER", tiny)
    rows = ppo_walker.run(1e-3)
    visit = rows[-1]
    assert visit["peer"] == "BipedalWalker-v3" and math.isfinite(visit["ours"]) and math.isfinite(visit["theirs"])


@needs_sb3
def test_a_small_budget_gives_all_rows_with_one_seed_of_the_peer(monkeypatch):
    monkeypatch.setattr(ppo, "CASES", (TINY["Pendulum"],))
    monkeypatch.setattr(ppo, "SEEDS", 2)
    rows = ppo.run(1e-3)
    assert [len(row["theirs_seeds"]) for row in rows if "theirs_seeds" in row] == [1, 1, 1, 1]
    assert len(rows[0]["ours_seeds"]) == 2 and math.isnan(rows[0]["theirs_low"])
