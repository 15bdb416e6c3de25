"""Evaluation against a plain Python loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_agent import FakeAgent
from palaestra.envs.registration import make_functional
from palaestra.envs.stepping import begin, step
from palaestra.envs.tasks import TaskError
from palaestra.experiments.evaluation import Scores, draw_test_tasks, evaluate, summarize_scores
from palaestra.experiments.film import film
from palaestra.experiments.parallel import Layout


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


LAYOUTS = [(4, 5, 4, "seeds"), (1, 5, 8, "lanes"), (3, 8, 4, "lanes"), (2, 2, 8, "lanes"), (1, 1, 1, None)]


@pytest.mark.parametrize(("seeds", "count", "devices", "shared"), LAYOUTS)
def test_scores_do_not_depend_on_the_devices(env, seeds, count, devices, shared):
    agent = FakeAgent(env)
    states = jax.vmap(agent.init)(jax.random.split(jax.random.key(1), seeds))
    tasks, key = draw_test_tasks(env, count, "space"), jax.random.key(4)
    layout = Layout(seeds, tuple(jax.devices()[:devices]), shared)
    found = jax.jit(lambda s: evaluate(env, agent.act, s, tasks, key, layout))(states)
    expected = jax.jit(lambda s: evaluate(env, agent.act, s, tasks, key))(states)
    assert found.return_.shape == (seeds, count)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)


@pytest.mark.parametrize("shared", [None, "lanes"])
def test_every_device_stops_with_its_last_episode(shared):
    """Two devices have the tests 0, 1 and 2, 3; each takes as many steps as the longest of its own."""
    env = make_functional("palaestra/CartPole-v0", horizon=1_000_000)
    agent, steps = FakeAgent(env), []

    def act(key, state, obs, deterministic):
        jax.debug.callback(lambda _: steps.append(1), obs[0, 0])
        return agent.act(key, state, obs, deterministic)

    states = jax.tree.map(lambda x: x[None], agent.init(jax.random.key(1)))
    layout = Layout(1, tuple(jax.devices()[: 2 if shared else 1]), shared)
    tasks = draw_test_tasks(env, 4, "space")
    scores = jax.jit(lambda s: evaluate(env, act, s, tasks, jax.random.key(0), layout))(states)
    jax.effects_barrier()
    lengths = np.asarray(scores.length[0]).reshape(-1, 2 if shared else 4)
    assert len(steps) == lengths.max(-1).sum() * lengths.shape[1] < 40_000  # the callback is called for every lane


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


def test_a_share_of_successes_has_no_rounding_of_single_precision():
    scores = Scores(
        jnp.zeros((1, 100)), jnp.ones((1, 100), jnp.int32), (jnp.arange(100) < 11).astype(jnp.float32)[None]
    )
    assert summarize_scores(scores)[0]["eval/success_rate"] == 0.11


def test_test_tasks_may_be_one_named_task(env):
    tasks = draw_test_tasks(env, 3, {"gravity": 5.0})
    expected = env.task_space.to_dict(env.task_space.default) | {"gravity": 5.0}
    assert [env.task_space.to_dict(task) for task in tasks] == [expected] * 3
    with pytest.raises(TaskError, match="'weight'"):
        draw_test_tasks(env, 3, {"weight": 1.0})


class Wavers:
    """An agent that does the same unless it draws."""

    def act(self, key, state, obs, deterministic=False):
        lead = obs.shape[:-1]
        return jnp.zeros(lead, jnp.int32) if deterministic else jax.random.randint(key, lead, 0, 2)


def test_policies_may_draw_their_actions(env):
    """Learners with equal states and equal tests draw apart, and a learner's tests do, too."""
    tasks, states = draw_test_tasks(env, 8, "default"), jnp.zeros(2)
    fixed, drawn = (evaluate(env, Wavers().act, states, tasks, jax.random.key(0), None, d) for d in (True, False))
    np.testing.assert_array_equal(fixed.length[0], fixed.length[1])
    assert (np.asarray(drawn.length) > np.asarray(fixed.length)).mean() > 0.5
    assert (np.asarray(drawn.length[0]) != np.asarray(drawn.length[1])).mean() > 0.5
    assert len(set(np.asarray(drawn.length[0]).tolist())) > 4


@pytest.mark.parametrize(("seeds", "count", "devices", "shared"), LAYOUTS[:4])
def test_drawn_actions_do_not_depend_on_the_devices(env, seeds, count, devices, shared):
    tasks, states = draw_test_tasks(env, count, "default"), jnp.zeros(seeds)
    layout = Layout(seeds, tuple(jax.devices()[:devices]), shared)
    run = lambda layout: evaluate(env, Wavers().act, states, tasks, jax.random.key(0), layout, False)  # noqa: E731
    np.testing.assert_array_equal(jax.jit(lambda: run(layout))().length, jax.jit(lambda: run(None))().length)


def test_films_show_the_actions_that_a_run_is_judged_by(env):
    class Agent(Wavers):
        def __init__(self):
            self.env = env

    tasks = draw_test_tasks(env, 4, "default")
    fixed, drawn = (film(Agent(), jnp.zeros(()), tasks, 0, deterministic=d)[1] for d in (True, False))
    assert fixed.max() <= 10 < drawn.max()  # a pole that is pushed to one side only falls at once
