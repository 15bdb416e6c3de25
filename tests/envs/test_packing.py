"""Trees as a few flat arrays, and back."""

import pickle

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import palaestra  # noqa: F401  (registers the ids)
from palaestra.envs.packing import Packing
from palaestra.envs.seats import single_programs

TREE = {
    "key": jax.random.key(7),
    "flags": jnp.array([True, False]),
    "none": None,
    "numbers": (jnp.float32(1.5), jnp.arange(6, dtype=jnp.int32).reshape(2, 3), jnp.zeros((0, 4))),
    "words": jnp.array([2**32 - 1], jnp.uint32),
}


def test_unpacking_gives_what_was_packed():
    packing = Packing.of(TREE)
    back = jax.jit(lambda tree: packing.unpack(packing.pack(tree)))(TREE)
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(TREE), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def test_flags_go_with_the_floats_and_there_is_one_array_per_dtype():
    packed = Packing.of(TREE).pack(TREE)
    assert {name: array.shape for name, array in packed.items()} == {"uint32": (3,), "float32": (3,), "int32": (6,)}


def test_numpy_arrays_are_unpacked_without_jax():
    tree = {"a": jnp.float32(2.0), "b": jnp.array([True])}
    packing = Packing.of(tree)
    back = packing.unpack({name: np.asarray(array) for name, array in packing.pack(tree).items()})
    assert isinstance(back["a"], np.ndarray) and back["a"] == 2.0
    assert isinstance(back["b"], np.ndarray) and back["b"].tolist() == [True]


def test_an_episode_goes_on_where_none_has_been_started():
    """As in another process: programs that have only ever been asked for a step know how the episode is packed."""
    env = gymnasium.make("palaestra/CartPole-v0").unwrapped
    env.reset(seed=0)
    elsewhere = pickle.dumps(env)
    single_programs.cache_clear()
    moved = pickle.loads(elsewhere)
    for _ in range(3):
        np.testing.assert_array_equal(moved.step(1)[0], env.step(1)[0])
