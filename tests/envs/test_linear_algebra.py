"""Factorisations: right, under any vmap, and never waiting for each other."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs import linear_algebra

MANY_AT_ONCE = """
import jax
from palaestra.envs.linear_algebra import {name} as function

def several(key):
    keys = jax.random.split(key, 6)
    return [function(jax.random.normal(keys[i], (32, 32)) + 40.0 * jax.numpy.eye(32)) for i in range(6)]

unfused = {{"xla_disable_hlo_passes": "fusion,cpu-instruction-fusion"}}
call = jax.jit(jax.vmap(several), compiler_options=unfused)
for _ in range(10):
    jax.block_until_ready(call(jax.random.split(jax.random.key(0), 3)))
"""


def matrices(*shape):
    x = np.random.default_rng(0).normal(size=(*shape, shape[-1])).astype(np.float32)
    return jnp.asarray(x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1], dtype=np.float32))


def test_factors_agree_with_numpy_under_nested_batches():
    batch = matrices(2, 3, 6)
    lower = jax.jit(jax.vmap(jax.vmap(linear_algebra.cholesky)))(batch)
    np.testing.assert_allclose(lower, np.linalg.cholesky(batch), atol=1e-4)
    inverse = jax.jit(jax.vmap(jax.vmap(linear_algebra.lower_inverse)))(lower)
    np.testing.assert_allclose(inverse @ lower, np.broadcast_to(np.eye(6), (2, 3, 6, 6)), atol=1e-4)


def test_columns_are_orthonormal_and_their_signs_fixed():
    tall = jax.random.normal(jax.random.key(0), (4, 7, 3))
    q = jax.vmap(linear_algebra.orthonormal_columns)(tall)
    np.testing.assert_allclose(jnp.swapaxes(q, -1, -2) @ q, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-5)
    assert (jnp.diagonal(jnp.swapaxes(q, -1, -2) @ tall, axis1=-2, axis2=-1) > 0).all()


@pytest.mark.parametrize("name", ["cholesky", "lower_inverse", "orthonormal_columns"])
def test_many_batched_factorisations_in_one_program_return(name):
    """Batched LAPACK calls of jaxlib 0.10 wait for each other for ever on a machine of two cores."""
    subprocess.run([sys.executable, "-c", MANY_AT_ONCE.format(name=name)], check=True, timeout=120)
