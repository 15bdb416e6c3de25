"""Factorisations that are safe inside batched programs on a CPU.

XLA's CPU backend spreads the rows of a *batched* LAPACK call over its worker threads and blocks the calling worker
until they are done. As many such calls in flight as there are workers, from one program or from several devices,
wait for each other for ever (jaxlib 0.10, seen with two cores). Here a batch runs row by row on a CPU; an accelerator
has its own batched kernels.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap


def by_row(function: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """`function` of one matrix as a function that is safe under any nesting of `vmap`."""
    sequential = sequential_vmap(function)

    def safe(matrix: jax.Array) -> jax.Array:
        return jax.lax.platform_dependent(matrix, cpu=sequential, default=function)

    return safe


@by_row
def cholesky(matrix: jax.Array) -> jax.Array:
    """Lower factor (C, C) of a positive definite matrix (C, C)."""
    return jnp.linalg.cholesky(matrix)


@by_row
def lower_inverse(lower: jax.Array) -> jax.Array:
    """Inverse (C, C) of a lower triangular matrix (C, C)."""
    eye = jnp.eye(lower.shape[-1], dtype=lower.dtype)
    return jax.lax.linalg.triangular_solve(lower, eye, left_side=True, lower=True)


@by_row
def orthonormal_columns(matrix: jax.Array) -> jax.Array:
    """Q (N, M) of the QR factorisation with a positive diagonal of a matrix (N, M), N >= M.

    Q of a Gaussian matrix is uniform among matrices with orthonormal columns (Mezzadri 2007).
    """
    q, r = jnp.linalg.qr(matrix)
    return q * jnp.sign(jnp.diagonal(r))[None, :]
