"""Many small arrays as a few flat ones.

Calling a compiled program costs time for every array that goes in or out, whatever its size: a drive's state and
parameters are some fifty numbers, and handing them over one by one takes longer than a step.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

Packed = dict[str, Any]  # {dtype: (K,) all numbers of that dtype}


@dataclasses.dataclass(frozen=True)
class _Leaf:
    shape: tuple[int, ...]  # of the numbers; of a key's words for typed keys
    dtype: str  # in which the numbers are packed
    is_bool: bool  # packed as 0.0 and 1.0, so that flags need no array of their own
    key_impl: str | None
    start: int

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Packing:
    """How trees of one structure are packed."""

    structure: Any
    leaves: tuple[_Leaf, ...]

    @classmethod
    def of(cls, tree: Any) -> "Packing":
        """The packing of trees like `tree`, whose leaves are arrays, traced or not."""
        leaves, structure = jax.tree.flatten(tree)
        sizes: dict[str, int] = {}
        found = []
        for leaf in map(jnp.asarray, leaves):
            impl = None
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                impl, leaf = str(jax.random.key_impl(leaf)), jax.random.key_data(leaf)
            is_bool = leaf.dtype == bool
            dtype = "float32" if is_bool else str(leaf.dtype)
            found.append(_Leaf(tuple(leaf.shape), dtype, is_bool, impl, sizes.get(dtype, 0)))
            sizes[dtype] = found[-1].stop
        return cls(structure, tuple(found))

    def pack(self, tree: Any) -> Packed:
        """All leaves, flat, by dtype."""
        parts: dict[str, list[jax.Array]] = {}
        for spec, leaf in zip(self.leaves, jax.tree.leaves(tree), strict=True):
            numbers = jnp.asarray(leaf) if spec.key_impl is None else jax.random.key_data(leaf)
            parts.setdefault(spec.dtype, []).append(jnp.ravel(numbers).astype(spec.dtype))
        return {dtype: jnp.concatenate(arrays) for dtype, arrays in parts.items()}

    def unpack(self, packed: Packed) -> Any:
        """The tree that `pack` was given: views if what comes in is NumPy's."""
        leaves: list[Any] = []
        for spec in self.leaves:
            numbers = packed[spec.dtype][spec.start : spec.stop].reshape(spec.shape)
            if spec.is_bool:
                leaves.append(numbers != 0)
            elif spec.key_impl is not None:
                leaves.append(jax.random.wrap_key_data(numbers, impl=spec.key_impl))
            else:
                leaves.append(numbers)
        return jax.tree.unflatten(self.structure, leaves)
