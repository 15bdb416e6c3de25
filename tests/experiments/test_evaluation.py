"""Evaluation against a plain Python loop."""

import jax
import jax.numpy as jnp
import numpy as np
from fake_agent import FakeAgent
from palaestra.envs.registration import make_functional
from palaestra.envs.stepping import begin, step
from palaestra.experiments.evaluation import draw_test_tasks, evaluate, summarize_scores


def test_scores_equal_a_python_loop_over_seeds_and_tasks(env):
    agent = FakeAgent(env)
    states = jax.vmap(agent.init)(jax.random.split(jax.random.key(1), 2))
    tasks = draw_test_tasks(env, 3, "space")
    key = jax.random.key(4)
    scores = jax.jit(lambda s: evaluate(env, agent.act, s, tasks, key))(states)
    key_begin, key_step, _ = jax.random.split(key, 3)
    begins, steps = jax.random.split(key_begin, 3), jax.random.split(key_step, 3)
    act = jax.jit(lambda k, s, obs: agent.act(k, s, obs, deterministic=True))
    start = jax.jit(lambda k, task: begin(env, k, task))
    take = jax.jit(lambda k, e, a, p: step(env, k, e, a, p))
    for seed in range(2):
        state = jax.tree.map(lambda x: x[seed], states)  # noqa: B023
        for task in range(3):
            lane = start(begins[task], tasks[task])
            episode, obs, lane_key, ended = lane.episode, lane.obs, steps[task], False
            while not ended:
                lane_key, now = jax.random.split(lane_key)
                episode, timestep = take(now, episode, act(now, state, obs), lane.params)
                obs, ended = timestep.obs, bool(timestep.ended)
            assert scores.length[seed, task] == episode.steps
            np.testing.assert_allclose(scores.return_[seed, task], episode.return_, rtol=1e-5)


def test_test_tasks_are_fixed_and_spread_over_every_dimension():
    env = make_functional("palaestra/CartPole-v0")
    tasks = draw_test_tasks(env, 20, "space")
    np.testing.assert_array_equal(tasks, draw_test_tasks(env, 20, "space"))
    unit = np.asarray(env.task_space.to_unit(tasks))
    for column in unit.T:
        assert sorted(np.floor(column * 20).astype(int)) == list(range(20))


def test_default_tasks_are_the_default():
    env = make_functional("palaestra/CartPole-v0")
    np.testing.assert_array_equal(draw_test_tasks(env, 2, "default"), np.tile(env.task_space.default, (2, 1)))


def test_summaries_are_per_learner():
    from palaestra.experiments.evaluation import Scores

    scores = Scores(jnp.asarray([[1.0, 3.0]]), jnp.asarray([[10, 20]]), jnp.asarray([[0.0, 1.0]]))
    assert summarize_scores(scores) == [
        {"eval/mean_reward": 2.0, "eval/std_reward": 1.0, "eval/mean_ep_length": 15.0, "eval/success_rate": 0.5}
    ]
