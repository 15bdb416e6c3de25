"""The studies of drives: their settings are complete runs, and policies are measured like controllers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.ppo import PPO
from palaestra.agents.ppo import Config as PPOConfig
from palaestra.curricula.fixed import Fixed
from palaestra.envs.motors.build import make_motor
from palaestra.experiments import assemble, motor_tracking, motors_drift, motors_vs_pi
from palaestra.experiments.evaluation import draw_test_tasks
from palaestra.experiments.motor_plots import errors_figure


@pytest.fixture(scope="module")
def agent():
    config = PPOConfig(hidden=(4,), num_envs=4, rollout_length=4, num_minibatches=2, start_every=4)
    return PPO(make_motor("PermExDc"), Fixed(), config)


def test_settings_of_both_studies_are_complete():
    for drive in motors_vs_pi.DRIVES:
        setup = assemble.complete(motors_vs_pi.run_settings(motors_vs_pi.Config(), drive))
        assert setup.run.num_seeds == 10 and setup.run.total_timesteps == drive.total_timesteps
    for teacher in motors_drift.TEACHERS:
        setup = assemble.complete(motors_drift.run_settings(motors_drift.Config(), teacher))
        assert assemble.build(setup).env.horizon == motors_drift.Config().horizon


def test_a_policy_is_tracked_with_the_episodes_of_a_controller(agent):
    learners = jax.vmap(agent.init)(jnp.stack([jax.random.key(0), jax.random.key(1)]))
    tasks = draw_test_tasks(agent.env, 3, "default")
    policy = motor_tracking.track_policy(agent, learners, tasks, 30)
    pi = motor_tracking.track_controller(agent.env, "pi", tasks, 30)
    assert policy.error.shape == (2, 3) and pi.error.shape == (1, 3)
    assert (pi.error < policy.error.min(0)).all(), "an untrained policy follows worse than a tuned controller"
    assert (pi.terminations == 0).all()


def test_results_have_intervals_and_a_figure():
    tracked = motor_tracking.Tracked(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[0, 1], [0, 0]]))
    pi = motor_tracking.Tracked(np.array([[0.3, 0.2]]), np.array([[0, 0]]))
    row = motors_vs_pi.result_row("Cont-CC-PMSM", "ppo", tracked, pi)
    assert row["difference"] == pytest.approx(0.0) and row["difference_low"] <= 0 <= row["difference_high"]
    assert row["error"] == pytest.approx(0.25) and row["low"] <= 0.25 <= row["high"]
    assert row["terminations"] == pytest.approx(0.25) and row["scores"] == pytest.approx([0.15, 0.35])
    assert "| Cont-CC-PMSM | ppo | 0.2500" in motors_vs_pi.table([row])
    assert errors_figure([row, row | {"controller": "pi"}]).get_axes()


def test_teachers_are_compared_with_random_tasks_on_the_same_drives():
    own, other = {"drive": "data sheet", "over": "seeds"}, {"drive": "task space", "over": "seeds"}
    rows = [
        own | {"controller": "alp_gmm", "scores": [0.5, 0.6]},
        own | {"controller": "random", "scores": [0.1, 0.2]},
        other | {"controller": "alp_gmm", "scores": [0.1, 0.1]},
        {"drive": "data sheet", "over": "episodes", "controller": "pi", "scores": [0.3, 0.3]},
    ]
    (found,) = motors_drift.against_random(rows)
    assert (found["drive"], found["controller"]) == ("data sheet", "alp_gmm")
    assert found["error"] == pytest.approx(0.4) and 0.2 < found["low"] <= 0.4 <= found["high"] < 0.6
    assert found["p_value"] == pytest.approx(1 / 3)


@pytest.mark.slow
def test_a_tiny_study_runs_from_end_to_end(tmp_path):
    config = dataclasses.replace(
        motors_drift.Config(), total_timesteps=20_000, num_seeds=2, tests=4, test_steps=50, out=str(tmp_path / "drift")
    )
    result = motors_drift.main(config)
    assert {row["controller"] for row in result["rows"]} == {*motors_drift.TEACHERS, "pi"}
    assert (tmp_path / "drift" / "results.json").exists() and (tmp_path / "drift" / "errors.png").exists()
