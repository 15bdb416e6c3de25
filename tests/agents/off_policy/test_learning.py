"""That SAC learns, with the settings it has by default."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy.learning import Config
from palaestra.agents.off_policy.online import Online
from palaestra.curricula import Fixed
from palaestra.envs.registration import make_functional
from palaestra.experiments.evaluation import draw_test_tasks, evaluate

SEEDS, STEPS, EVERY, EPISODES = 5, 10_000, 1000, 20


@pytest.mark.slow
def test_sac_swings_the_pendulum_up_within_ten_thousand_steps():
    env = make_functional("palaestra/Pendulum-v0")
    agent, tasks = Online(env, Fixed(), Config(buffer_size=STEPS)), draw_test_tasks(env, EPISODES, "default")
    iterations = EVERY // agent.steps_per_iteration

    def advance(state):
        return jax.lax.fori_loop(0, iterations, lambda _, state: agent.train_step(state)[0], state)

    def examine(states, key):
        return evaluate(env, agent.act, states, tasks, key).return_.mean(1)

    advance, examine = jax.jit(jax.vmap(advance), donate_argnums=0), jax.jit(examine)
    states = jax.jit(jax.vmap(agent.init))(jnp.stack([jax.random.key(seed) for seed in range(SEEDS)]))
    returns = []
    for number in range(STEPS // EVERY):
        states = advance(states)
        returns.append(np.asarray(examine(states, jax.random.key(number))))
    assert np.all(np.asarray(states.steps) == STEPS)
    best = np.max(returns, 0)
    assert np.sum(best > -200.0) >= 4, f"mean returns of {EPISODES} episodes every {EVERY} steps: {np.round(returns)}"
