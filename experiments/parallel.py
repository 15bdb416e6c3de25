"""Spreading training over seeds and devices: one compiled chunk, whatever the layout.

Seeds are a leading `vmap` axis. Devices take whole seeds where they can, because seeds never talk to each other;
otherwise they share the lanes of every seed and average gradients.

Letters: S seeds, n iterations of a chunk.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..envs.compilation import compile_for

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
    axis_name = AXIS if layout.shared == "lanes" else None
    return dataclasses.replace(agent, config=dataclasses.replace(agent.config, axis_name=axis_name))


def initialize(agent: Any, layout: Layout, seeds: Sequence[int]) -> Any:
    """Fresh learners, one per seed, placed on their devices.

    Raises:
      ValueError: the number of seeds is not the layout's.
    """
    if len(seeds) != layout.num_seeds:
        raise ValueError(f"seeds={list(seeds)}; expected {layout.num_seeds} of them")
    keys = jax.numpy.stack([jax.random.key(seed) for seed in seeds])
    single = laid_out(agent, dataclasses.replace(layout, shared=None))
    init = single.init if layout.num_seeds == 1 else jax.vmap(single.init)
    state = compile_for(agent.env, init)(keys[0] if layout.num_seeds == 1 else keys)
    return place(agent, layout, state)


def place(agent: Any, layout: Layout, state: Any) -> Any:
    """Puts a state (fresh or restored) onto the layout's devices."""
    specs = partition(agent, layout, state)
    mesh = layout.mesh
    return jax.tree.map(lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), state, specs)


def partition(agent: Any, layout: Layout, state: Any) -> Any:
    """How each leaf of `state` is spread: a tree of PartitionSpec."""
    if layout.shared == "seeds":
        return jax.tree.map(lambda _: PartitionSpec(AXIS), state)
    if layout.shared is None:
        return jax.tree.map(lambda _: PartitionSpec(), state)
    lanes = PartitionSpec(AXIS) if layout.num_seeds == 1 else PartitionSpec(None, AXIS)
    return jax.tree.map(lambda is_lane: lanes if is_lane else PartitionSpec(), agent.lane_axes(state))


def compile_chunk(agent: Any, layout: Layout, state: Any, length: int) -> Callable[[Any], tuple[Any, Any]]:
    """`length` iterations as one program: state -> (state, metrics with leading axes (n,) or (S, n)).

    The given state's buffers are donated: use the returned one.
    """
    agent = laid_out(agent, layout)

    def iterate(state: Any) -> tuple[Any, Any]:
        return jax.lax.scan(lambda carry, _: agent.train_step(carry), state, None, length=length)

    chunk = iterate if layout.num_seeds == 1 else jax.vmap(iterate)
    if layout.shared is not None:
        specs = partition(agent, layout, state)
        metrics = PartitionSpec(AXIS) if layout.shared == "seeds" else PartitionSpec()
        chunk = jax.shard_map(chunk, mesh=layout.mesh, in_specs=(specs,), out_specs=(specs, metrics), check_vma=False)
    return compile_for(agent.env, chunk, donate_argnums=0)
