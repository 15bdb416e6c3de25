"""Drives as environments: every id, tasks, ends, actions.

That every id passes Gymnasium's checker and the environment contract is tested over the registry in `test_gym.py` and
`test_contract.py`.

Letters: T steps, S measured quantities.
"""

import dataclasses
import math

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import palaestra  # noqa: F401  (registers the ids)
import pytest
from palaestra.envs import stepping
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, motor_ids
from palaestra.envs.registration import ENVIRONMENTS

from .motor_play import play, start


def test_the_sixty_ids_are_registered_and_make_the_drives_they_name():
    ids = {entry.id for entry in ENVIRONMENTS if "/Motor-" in entry.id}
    assert ids == {f"palaestra/Motor-{action}-{task}-{family}-v0" for family, action, task in motor_ids()}
    assert len(ids) == 60
    for env_id in ids:
        spec = gymnasium.spec(env_id)
        action, task, family = env_id.removeprefix("palaestra/Motor-").removesuffix("-v0").split("-")
        env = make_motor(family, action, task)
        assert dict(spec.kwargs)["env_id"] == env_id
        assert (env.machine.family, env.converter.finite) == (family, action == "Finite")
        wanted = {"SC": ("omega",), "TC": ("torque",), "CC": FAMILIES[family].currents}[task]
        assert env.observed.references == wanted
        assert env.horizon * env.tau == pytest.approx({"Cont": 2000, "Finite": 20000}[action] * env.tau)


@pytest.mark.parametrize("family, action, task", [("PermExDc", "Cont", "CC"), ("EESM", "Finite", "TC")])
def test_vector_environments_run_a_batch(family, action, task):
    envs = gymnasium.make_vec(f"palaestra/Motor-{action}-{task}-{family}-v0", num_envs=3, horizon=4)
    obs, _ = envs.reset(seed=0)
    envs.action_space.seed(0)
    ended = np.zeros(3, bool)
    for _ in range(8):
        obs, reward, terminated, truncated, _ = envs.step(envs.action_space.sample())
        assert envs.observation_space.contains(obs) and np.isfinite(reward).all()
        ended |= terminated | truncated
    assert ended.all()
    envs.close()


FAST_FAMILIES = ("SeriesDc", "PMSM", "EESM", "DFIM")


@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=[] if f in FAST_FAMILIES else pytest.mark.slow) for f in FAMILIES]
)
def test_a_thousand_tasks_share_one_compilation(family):
    """An episode of three steps each, the start of which depends on the task; random corners of the task space."""
    env, traces = make_motor(family, "Cont", "SC", extras=("dead_time", "noise", "load_step", "heating")), []

    @jax.jit
    def episode(task, key):
        traces.append(1)
        params = env.task_params(task)
        state, _ = stepping.reset(env, key, params)
        for _ in range(2):
            state, timestep = stepping.step(env, key, state, jnp.zeros(env.action_space.shape), params)
        return timestep.obs

    unit = np.random.default_rng(0).uniform(size=(1000, env.task_space.unit_dim))
    unit = np.where(unit < 0.1, 0.0, np.where(unit > 0.9, 1.0, unit)).astype(np.float32)
    tasks = np.asarray(env.task_space.from_unit(jnp.asarray(unit)))
    seen = [np.asarray(episode(task, jax.random.key(0))) for task in tasks]
    assert len(traces) == 1
    assert np.isfinite(seen).all()
    assert len({obs.tobytes() for obs in seen}) == 1000, "every task is a drive of its own"


FULL = {
    # (family, options): (actions until the end, expected reason)
    "PermExDc": ({}, [[1.0]], "|i| above its limit"),
    "ExtExDc exciter": (
        {"start": {"i_e": 209.0}, "load_parameters": {"speed": 0.0}},
        [[0.0, 1.0]],
        "|i_e| above its limit",
    ),
    "ShuntDc": ({}, [[1.0]], "|i_a| above its limit"),
    "PMSM": ({}, [[1.0, -1.0, -1.0]], "|(i_sd, i_sq)| above its limit"),
    "EESM exciter": ({"start": {"i_e": 149.9}}, [[0.0, 0.0, 0.0, 1.0]], "|i_e| above its limit"),
    "DFIM rotor": ({}, [[0.0, 0.0, 0.0, 1.0, -1.0, -1.0]], "|(i_rd, i_rq)| above its limit"),
    "SIXPMSM": ({}, [[1.0, -1.0, 1.0, -1.0, 1.0, -1.0]], "|(i_sd, i_sq, i_sx, i_sy)| above its limit"),
}


@pytest.mark.parametrize("case", FULL)
def test_full_voltage_ends_an_episode_with_the_limit_named(case):
    options, actions, reason = FULL[case]
    env = make_motor(case.split()[0], "Cont", "CC", **options)
    params, key = env.default_params, jax.random.key(0)
    state, _ = stepping.reset(env, key, params)
    for _ in range(100):
        state, timestep = stepping.step(env, key, state, jnp.asarray(actions[0]), params)
        if timestep.terminated:
            break
    assert timestep.terminated and env.end_reasons[int(timestep.end_reason)] == reason
    assert float(timestep.reward) == pytest.approx(env.reward_terms.violation)
    assert env.reward_terms.violation == pytest.approx(-20.0 if case == "SIXPMSM" else -10.0)


def test_the_gymnasium_door_says_why_an_episode_ended():
    env = gymnasium.make("palaestra/Motor-Cont-CC-SeriesDc-v0", supply_voltage=200.0)
    env.reset(seed=0)
    for _ in range(1000):
        _, reward, terminated, truncated, info = env.step(np.ones(1, np.float32))
        if terminated or truncated:
            break
    assert terminated and not truncated
    assert info["end_reason"] == "|i| above its limit"
    assert reward == pytest.approx(-10.0)


def test_divergence_ends_an_episode_that_watches_no_limit():
    env = make_motor("PermExDc", "Cont", "CC", watched=(), machine={"r_a": 1e-3})
    _, states = play(env, [[1.0]] * 60)
    diverged = [bool(env.terminal(s, jax.random.key(0))) for s in states]
    first = diverged.index(True)
    assert not any(diverged[:first])
    assert env.end_reasons[int(env.end_reason(states[first]))] == "the simulation diverged"
    assert np.abs(states[first].measured).max() == 10.0
    reward = env.reward(states[first - 1], jnp.zeros(1), states[first], jax.random.key(0))
    assert float(reward) == pytest.approx(-10.0)


def test_a_state_that_is_no_number_is_divergence_too():
    env = make_motor("SynRM", "Cont", "CC")
    broken = start(env)
    broken = broken.replace(x=jax.tree.map(lambda leaf: leaf * jnp.nan, broken.x))
    after = env.transition(broken, jnp.zeros(3), jax.random.key(0), env.default_params)
    assert env.terminal(after, jax.random.key(0))
    assert np.isfinite(env.observation(after, jax.random.key(0))).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_action_that_is_not_finite_counts_as_zero_and_is_reported(bad):
    env = make_motor("PMSM", "Cont", "CC", start={"omega": 0.0, "i_sd": 3.0})
    state, key, params = start(env), jax.random.key(0), env.default_params
    given = env.transition(state, jnp.asarray([0.4, bad, 0.2]), key, params)
    zero = env.transition(state, jnp.asarray([0.4, 0.0, 0.2]), key, params)
    np.testing.assert_array_equal(given.measured, zero.measured)
    assert bool(env.transition_info(state, jnp.asarray([0.4, bad, 0.2]), given)["invalid_action"])
    assert not bool(env.transition_info(state, jnp.asarray([0.4, 0.0, 0.2]), zero)["invalid_action"])


def test_averaged_actions_are_clipped_to_their_box():
    env = make_motor("PMSM", "Cont", "CC")
    state, key, params = start(env), jax.random.key(0), env.default_params
    far, near = (env.transition(state, jnp.asarray(a), key, params) for a in ([5.0, -7.0, 0.1], [1.0, -1.0, 0.1]))
    np.testing.assert_array_equal(far.measured, near.measured)


def test_dead_time_delays_actions_and_begins_with_zeros():
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (8, 3)).astype(np.float32)
    env = make_motor("PMSM", "Cont", "CC")
    _, prompt = play(env, [np.zeros(3)] * 2 + list(actions[:6]))
    _, late = play(dataclasses.replace(make_motor("PMSM", "Cont", "CC", dead_time=2)), actions)
    np.testing.assert_allclose([s.measured for s in late], [s.measured for s in prompt], atol=1e-6)
    scheduled = make_motor("PMSM", "Cont", "CC", extras=("dead_time",))
    params = scheduled.task_params(jnp.asarray(scheduled.task_space.from_dict({"dead_time": 2})))
    _, chosen = play(scheduled, actions, params)
    np.testing.assert_allclose([s.measured for s in chosen], [s.measured for s in late], atol=1e-6)
