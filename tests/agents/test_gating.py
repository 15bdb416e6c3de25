"""Work at times: the same alone and in company, and none in vain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.gating import when

DUE = {"nobody": [False] * 3, "some": [True, False, True], "everybody": [True] * 3}


def work(state, gain, table):
    """Too large to be traced as a select: a matrix product."""
    after = {"x": gain * (table @ state["x"]), "n": state["n"] + 1}
    return after, {"sum": jnp.sum(after["x"]), "n": after["n"]}


def one(due, state, gain, table):
    return when(due, work, state, gain, table)


@pytest.fixture
def operands():
    """State and gain of each of three learners, and a table that they share."""
    state = {"x": jnp.arange(12.0).reshape(3, 4), "n": jnp.arange(3, dtype=jnp.int32)}
    return state, jnp.array([1.0, 2.0, 3.0]), jnp.arange(16.0).reshape(4, 4)


@pytest.mark.parametrize("due", DUE.values(), ids=DUE)
def test_learners_in_company_do_what_each_does_alone(due, operands):
    state, gain, table = operands
    together = jax.jit(jax.vmap(one, (0, 0, 0, None)))(jnp.array(due), state, gain, table)
    for i in range(3):
        own, report = jax.jit(one)(jnp.array(due[i]), jax.tree.map(lambda x, i=i: x[i], state), gain[i], table)
        alone = (own, report)
        jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a[i], b), together, alone)
        if not due[i]:
            jax.tree.map(lambda x, y, i=i: np.testing.assert_array_equal(x, y[i]), own, state)
            assert not any(np.any(x) for x in jax.tree.leaves(report))


def test_a_shared_due_is_enough(operands):
    state, gain, table = operands
    together = jax.jit(jax.vmap(one, (None, 0, 0, None)))(jnp.asarray(True), state, gain, table)
    same = jax.jit(jax.vmap(one, (0, 0, 0, None)))(jnp.ones(3, bool), state, gain, table)
    jax.tree.map(np.testing.assert_array_equal, together, same)


def test_nothing_is_done_while_nobody_is_due(operands):
    """Of the product, the batched program has one, and it lies within a branch."""
    state, gain, table = operands
    arguments = (jnp.zeros(3, bool), state, gain, table)
    text = jax.jit(jax.vmap(one, (0, 0, 0, None))).lower(*arguments).compile().as_text()
    entry = text[text.index("ENTRY") :]
    assert "conditional(" in entry
    assert " dot(" not in entry
