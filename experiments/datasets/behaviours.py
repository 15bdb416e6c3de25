"""What acts in generated data, on the device or beside environments that the host steps."""

from typing import Any, Protocol

import jax
from flax import struct


class Behaviour(Protocol):
    """A way to act: pure functions, and equal ones hash equal.

    One that is a `flax.struct.PyTreeNode` may hold arrays, such as what a policy has learned: another one that differs
    in them alone is not compiled anew.
    """

    def __hash__(self) -> int: ...

    def start(self, key: jax.Array) -> Any:
        """What it remembers at the start of an episode. `key` is consumed."""

    def act(self, key: jax.Array, memory: Any, obs: Any) -> tuple[Any, Any]:
        """(memory, action) for one observation. `key` is consumed."""


def take_apart(behaviour: Behaviour) -> tuple[Any, list[Any]]:
    """(what programs are compiled for, the arrays that they are given)."""
    if not isinstance(behaviour, struct.PyTreeNode):
        return behaviour, []
    arrays, structure = jax.tree.flatten(behaviour)
    return structure, arrays


def put_together(compiled_for: Any, arrays: list[Any]) -> Behaviour:
    """The inverse of `take_apart`."""
    if not isinstance(compiled_for, jax.tree_util.PyTreeDef):
        behaviour: Behaviour = compiled_for
        return behaviour
    whole: Behaviour = jax.tree.unflatten(compiled_for, arrays)
    return whole
