import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.envs.tasks import refit_when_due


@dataclasses.dataclass(frozen=True)
class Counter:
    """Due at 3; refitting starts again at a drawn number below 1."""

    def should_refit(self, state):
        return state >= 3

    def refit(self, state, key):
        return jax.random.uniform(key)


def test_only_states_that_are_due_are_refitted():
    states = jnp.array([2.0, 3.0, 0.0, 5.0])
    keys = jax.random.split(jax.random.key(0), 4)
    after = jax.jit(jax.vmap(lambda s, k: refit_when_due(Counter(), s, k)))(states, keys)
    drawn = jax.vmap(jax.random.uniform)(keys)
    np.testing.assert_array_equal(after, jnp.where(states >= 3, drawn, states))
    np.testing.assert_array_equal(refit_when_due(Counter(), states[1], keys[1]), drawn[1])


def test_a_batch_of_seeds_branches_instead_of_running_both_sides():
    keys = jax.random.split(jax.random.key(0), 4)
    program = jax.make_jaxpr(jax.vmap(lambda s, k: refit_when_due(Counter(), s, k)))(jnp.zeros(4), keys)
    assert "cond" in str(program)
