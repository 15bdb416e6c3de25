"""A PI-controlled drive whose gains are off, each by a factor of its own."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ...errors import OptionError
from .continuous import CurrentPI
from .controller import Controller, State
from .gains import Gains, Matrix
from .outer import SpeedTargets


class Off(struct.PyTreeNode):
    """A detuned controller at work."""

    factors: jax.Array  # of `Detuned.num_gains` gains, drawn once per episode
    state: State


@dataclasses.dataclass(frozen=True)
class Detuned:
    """`draw` and `act`, pure; equal settings compare equal.

    Attributes:
      controller: of `make_controller(env, "pi")`.
      spread: factors are uniform in 1 +- spread.

    Raises:
      OptionError: a controller without gains.
    """

    controller: Controller
    spread: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.controller.inner, CurrentPI):
            raise OptionError("controller: got one without gains; expected kind='pi'", key="kind")

    @property
    def num_gains(self) -> int:
        """Two per axis of the current controller, two of the speed controller."""
        axes = len(self._inner.gains.integral)
        return 2 * axes + 2 * isinstance(self.controller.outer, SpeedTargets)

    def draw(self, key: jax.Array, dtype: Any = jnp.float32) -> Off:
        """The memory at the start of an episode. `key` is consumed."""
        factors = jax.random.uniform(key, (self.num_gains,), dtype, 1 - self.spread, 1 + self.spread)
        return Off(factors=factors, state=self.controller.init(dtype))

    def act(self, memory: Off, obs: jax.Array) -> tuple[Off, jax.Array]:
        """(memory, action (A,)) for an observation (O,)."""
        state, action = self._with(memory.factors).act(memory.state, obs)
        return memory.replace(state=state), action

    @property
    def _inner(self) -> CurrentPI:
        assert isinstance(self.controller.inner, CurrentPI)
        return self.controller.inner

    def _with(self, factors: jax.Array) -> Controller:
        exact = self._inner
        axes = len(exact.gains.integral)
        proportional, integral, rest = factors[:axes], factors[axes : 2 * axes], factors[2 * axes :]
        rows = zip(proportional, exact.gains.proportional, strict=True)
        gains: Any = Gains(  # of traced numbers
            proportional=tuple(tuple(f * k for k in row) for f, row in rows),
            integral=tuple(f * k for f, k in zip(integral, exact.gains.integral, strict=True)),
        )
        inverse: Any = tuple(
            tuple(k / f for k, f in zip(row, proportional, strict=True)) for row in exact.errors_per_voltage
        )
        inner = _Scaled(exact.plant, gains, exact.back_calculation, inverse)
        outer: Any = self.controller.outer
        if isinstance(outer, SpeedTargets):
            scaled: Any = {"proportional": rest[0] * outer.proportional, "integral": rest[1] * outer.integral}
            outer = dataclasses.replace(outer, **scaled)
        return dataclasses.replace(self.controller, inner=inner, outer=outer)


@dataclasses.dataclass(frozen=True)
class _Scaled(CurrentPI):
    """Current control whose gains are arrays: rows of gains scaled by f have an inverse with columns scaled by 1/f."""

    inverse: Matrix = ()

    @property
    def errors_per_voltage(self) -> Matrix:  # type: ignore[override]
        return self.inverse
