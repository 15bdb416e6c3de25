"""Voltage supplies of a converter.

Source: gym-electric-motor 3.0.3, `voltage_supplies.py`. Differs: the ideal supply has an inner resistance, 0 by
default; alternating supplies draw their phase from the episode's key (the original: from NumPy's global stream).
"""

import dataclasses
import math
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
from flax import struct

from .transforms import Scalar


class Params(struct.PyTreeNode):
    """What a supply is made of; a kind of supply ignores what it does not have."""

    voltage: Scalar  # [V] nominal; AC: effective value
    resistance: Scalar  # [Ohm] in series
    capacitance: Scalar  # [F] of the RC supply, parallel to the converter
    frequency: Scalar  # [Hz] of AC


class Supply(Protocol):
    """One kind of supply; `swing` is its largest voltage per nominal voltage, a stiff one may have any resistance."""

    @property
    def swing(self) -> float: ...

    num_voltages: int
    stiff: ClassVar[bool]

    def initial(self, key: jax.Array, params: Params) -> Any: ...

    def voltages(self, state: Any, params: Params, current: Any, time: Any, dt: Any) -> tuple[Any, tuple[Any, ...]]:
        """(state, voltages [V]) at the start of an interval.

        Args:
          current: [A] that the converter draws.
          time: [s] since the episode's start.
          dt: [s] since the last call.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Ideal:
    """A stiff source behind a resistance."""

    swing: float = 1.0
    num_voltages: int = 1
    stiff: ClassVar[bool] = True

    def initial(self, key: jax.Array, params: Params) -> Any:
        return ()

    def voltages(self, state: Any, params: Params, current: Any, time: Any, dt: Any) -> tuple[Any, tuple[Any, ...]]:
        return state, (params.voltage - params.resistance * current,)


@dataclasses.dataclass(frozen=True)
class RC:
    """A source behind a resistance with a capacitor at the converter, one Euler step per interval."""

    swing: float = 1.0
    num_voltages: int = 1
    stiff: ClassVar[bool] = False

    def initial(self, key: jax.Array, params: Params) -> Any:
        return jnp.asarray(params.voltage)

    def voltages(self, state: Any, params: Params, current: Any, time: Any, dt: Any) -> tuple[Any, tuple[Any, ...]]:
        inflow = (params.voltage - state) / params.resistance - current
        voltage = state + dt * inflow / params.capacitance
        return voltage, (voltage,)


@dataclasses.dataclass(frozen=True)
class AC:
    """One or three sinusoidal phases, at a random angle when the episode starts unless `phase` [rad] is given."""

    num_voltages: int = 1
    phase: float | None = None
    stiff: ClassVar[bool] = False

    @property
    def swing(self) -> float:
        return math.sqrt(2.0) if self.num_voltages == 1 else math.sqrt(2.0 / 3.0)

    def initial(self, key: jax.Array, params: Params) -> Any:
        random = jax.random.uniform(key, (), jnp.result_type(params.voltage), maxval=2 * math.pi)
        return random if self.phase is None else jnp.full_like(random, self.phase)

    def voltages(self, state: Any, params: Params, current: Any, time: Any, dt: Any) -> tuple[Any, tuple[Any, ...]]:
        angle = 2 * math.pi * params.frequency * time + state
        shifts = [2 * math.pi / 3 * i for i in range(self.num_voltages)]
        return state, tuple(self.swing * params.voltage * jnp.sin(angle + shift) for shift in shifts)


SUPPLIES: dict[str, Any] = {"ideal": Ideal(), "rc": RC(), "ac1": AC(1), "ac3": AC(3)}
