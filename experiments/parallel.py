"""Spreading learners over devices; `program.py` compiles what runs there.

Seeds are a leading `vmap` axis. Devices take whole seeds where they can, because seeds never talk to each other;
otherwise they share the lanes of every seed and average gradients.

Letters: S seeds.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where learners live.

    Attributes:
      num_seeds: S; 1 means a state without seed axis.
      devices: the devices in use.
      shared: what the devices divide among them; None with one device.
    """

    num_seeds: int
    devices: tuple[Any, ...]
    shared: Literal["seeds", "lanes"] | None

    @property
    def mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (AXIS,))


def choose_layout(num_seeds: int, num_envs: int, devices: Sequence[Any] | None = None) -> Layout:
    """The layout that uses the most of `devices` (default: all local ones).

    Raises:
      ValueError: num_seeds below 1.
    """
    if num_seeds < 1:
        raise ValueError(f"num_seeds={num_seeds}; expected at least 1")
    devices = tuple(jax.local_devices() if devices is None else devices)
    for count in range(len(devices), 1, -1):
        if num_seeds % count == 0:
            return Layout(num_seeds, devices[:count], "seeds")
        if num_envs % count == 0:
            return Layout(num_seeds, devices[:count], "lanes")
    return Layout(num_seeds, devices[:1], None)


def laid_out(agent: Any, layout: Layout) -> Any:
    """The agent as it must be configured to run under `layout`."""
    if layout.shared != "lanes":
        return agent
    return dataclasses.replace(agent, config=dataclasses.replace(agent.config, axis_name=AXIS))


def place(agent: Any, layout: Layout, state: Any) -> Any:
    """Puts a state (fresh or restored) onto the layout's devices."""
    return jax.tree.map(_put, state, shardings(agent, layout, state))


def _put(x: Any, sharding: NamedSharding) -> jax.Array:
    """By way of the host: moving shards from device to device compiles a program for every shape."""
    if isinstance(x, jax.Array) and x.sharding.is_equivalent_to(sharding, x.ndim):
        return x
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = _put(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    return jax.device_put(np.asarray(x), sharding)


def placed_shapes(agent: Any, layout: Layout, shapes: Any) -> Any:
    """The shapes and dtypes of a state, as they are once it has been placed: what programs are compiled for."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        shapes,
        shardings(agent, layout, shapes),
    )


def shardings(agent: Any, layout: Layout, state: Any) -> Any:
    """Where each leaf of `state` lives: a tree of NamedSharding."""
    mesh = layout.mesh
    return jax.tree.map(lambda _, spec: NamedSharding(mesh, spec), state, partition(agent, layout, state))


def partition(agent: Any, layout: Layout, state: Any) -> Any:
    """How each leaf of `state` is spread: a tree of PartitionSpec."""
    if layout.shared == "seeds":
        return jax.tree.map(lambda _: PartitionSpec(AXIS), state)
    if layout.shared is None:
        return jax.tree.map(lambda _: PartitionSpec(), state)
    lanes = PartitionSpec(AXIS) if layout.num_seeds == 1 else PartitionSpec(None, AXIS)
    return jax.tree.map(lambda is_lane: lanes if is_lane else PartitionSpec(), agent.lane_axes(state))
