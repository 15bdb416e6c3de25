"""Adam with its learning rate and gradient bound as traced numbers, so that a sweep over them is a `vmap`."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

Scalar = jax.Array | float


def init_adam(params: Any, epsilon: float) -> optax.OptState:
    """Moments of zero for `params`."""
    return optax.scale_by_adam(eps=epsilon).init(params)


def adam_step(
    params: Any, gradients: Any, state: optax.OptState, learning_rate: Scalar, max_grad_norm: Scalar, epsilon: float
) -> tuple[Any, optax.OptState, jax.Array]:
    """One Adam step on gradients whose global norm is cut to `max_grad_norm`.

    Returns:
      (params, state, global norm before the cut).
    """
    norm = optax.tree.norm(gradients)
    scale = jnp.minimum(1.0, max_grad_norm / (norm + 1e-6))  # torch's clip_grad_norm_ adds the same 1e-6
    clipped = jax.tree.map(lambda g: g * scale, gradients)
    return *plain_adam_step(params, clipped, state, learning_rate, epsilon), norm


def plain_adam_step(
    params: Any, gradients: Any, state: optax.OptState, learning_rate: Scalar, epsilon: float = 1e-8
) -> tuple[Any, optax.OptState]:
    """One Adam step on gradients as they are. Returns (params, state)."""
    with jax.numpy_dtype_promotion("standard"):  # optax mixes its int32 step count with floats
        updates, state = optax.scale_by_adam(eps=epsilon).update(gradients, state)
    return jax.tree.map(lambda p, u: p - learning_rate * u, params, updates), state


def coast(
    params: Any, state: optax.OptState, learning_rate: Scalar, epsilon: float = 1e-8
) -> tuple[Any, optax.OptState]:
    """An Adam step on gradients of zero: momentum goes on moving `params`. Returns (params, state)."""
    return plain_adam_step(params, jax.tree.map(jnp.zeros_like, params), state, learning_rate, epsilon)
