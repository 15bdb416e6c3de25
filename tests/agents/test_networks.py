"""Convolutions against Linen's own, and the initial weights."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.networks import Convolution, ConvolutionStack, GridTorso


class Linens(nn.Module):
    """The same convolutions by Linen."""

    filters: tuple
    stride: int

    @nn.compact
    def __call__(self, x):
        for features in self.filters:
            stride = (self.stride, self.stride)
            x = nn.elu(nn.Conv(features, (3, 3), stride, padding=((1, 1), (1, 1)), precision="highest")(x))
        return x


def random_params(*sizes):
    """Parameters of a stack whose layers take and give so many channels."""
    generator = np.random.default_rng(0)

    def layer(taken, given):
        shapes = {"kernel": (9 * taken, given), "bias": (given,)}
        return {name: 0.3 * generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    return {f"Convolution_{i}": layer(*pair) for i, pair in enumerate(itertools.pairwise(sizes))}


def for_linen(params):
    return {
        name.replace("Convolution", "Conv"): layer | {"kernel": layer["kernel"].reshape(3, 3, -1, len(layer["bias"]))}
        for name, layer in params.items()
    }


@pytest.mark.parametrize(
    ("height", "width", "stride"),
    [(7, 7, 2), (4, 4, 2), (2, 2, 2), (1, 1, 2), (2, 1, 2), (1, 5, 2), (6, 8, 2), (5, 5, 1), (1, 1, 1)],
)
def test_convolution_and_its_gradient_equal_linens(height, width, stride):
    x = np.random.default_rng(1).normal(size=(5, height, width, 3)).astype(np.float32)
    params = random_params(3, 8)
    ours, linens = ConvolutionStack((8,), stride), Linens((8,), stride)

    def total(apply):
        return jax.jit(jax.value_and_grad(lambda p: jnp.sum(apply({"params": p}, x) ** 2)))

    value, gradient = total(ours.apply)(params)
    expected, wanted = total(linens.apply)(for_linen(params))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), for_linen(gradient), wanted)


def test_a_window_of_seven_cells_shrinks_to_one_as_linens_does():
    x = np.random.default_rng(1).integers(0, 11, (6, 7, 7, 3)).astype(np.float32)
    params = random_params(3, 32, 32, 32)
    ours = jax.jit(ConvolutionStack((32, 32, 32)).apply)({"params": params}, x)
    assert ours.shape == (6, 1, 1, 32)
    expected = jax.jit(Linens((32, 32, 32), 2).apply)({"params": for_linen(params)}, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_seeds_under_vmap_see_their_own_kernels():
    x = np.random.default_rng(1).normal(size=(3, 7, 7, 3)).astype(np.float32)
    params = [random_params(3, 8, 8), jax.tree.map(lambda leaf: -leaf, random_params(3, 8, 8))]
    apply = jax.jit(lambda p: ConvolutionStack((8, 8)).apply({"params": p}, x))
    together = jax.jit(jax.vmap(apply))(jax.tree.map(lambda *leaves: np.stack(leaves), *params))
    for row, own in zip(together, params, strict=True):
        np.testing.assert_allclose(row, apply(own), atol=1e-5)


def test_kernels_are_orthogonal_with_gain_root_two_and_biases_zero(key):
    x = jnp.zeros((1, 7, 7, 3))
    wide = jax.jit(Convolution(32).init)(key, x)["params"]
    np.testing.assert_allclose(wide["kernel"] @ wide["kernel"].T, 2.0 * np.eye(27), atol=1e-4)
    tall = jax.jit(Convolution(8).init)(key, x)["params"]
    np.testing.assert_allclose(tall["kernel"].T @ tall["kernel"], 2.0 * np.eye(8), atol=1e-4)
    assert not np.any(wide["bias"])


def test_a_torso_joins_what_stands_before_and_after_the_image():
    torso = GridTorso((3, 3, 2), 2, (4,), ())
    flat = np.random.default_rng(1).normal(size=(5, 6, 2 + 18 + 3)).astype(np.float32)
    features = torso.apply({"params": {"ConvolutionStack_0": random_params(2, 4)}}, flat)
    assert features.shape == (5, 6, 4 * 4 + 5)
    np.testing.assert_array_equal(features[..., -5:], np.concatenate([flat[..., :2], flat[..., 20:]], -1))
