"""What a controller has to know about a family: its windings, its frame, its terminals, its operating points.

Quantities are tuples of scalars () over the controlled axes, in this order: the currents, and behind them what else
the converters can drive (the rotor flux of the doubly fed machine). Every axis has a voltage.

In the controller's frame every family reads `u = R x + M dx/dt + e`, with the matrix M of inductances, resistances R
and voltages e that feed-forward cancels.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ..converters import TERMINALS
from ..machines.machine import Machine
from ..transforms import Angle
from .gains import Matrix
from .reader import Reading

Axes = tuple[Any, ...]
RESERVE = 0.953  # share of the voltage that an operating point may take; the rest moves the current


class Situation(struct.PyTreeNode):
    """The machine at one instant; scalars ()."""

    x: Any  # the machine's electrical state
    omega: jax.Array  # [rad/s] mechanical
    angle: Angle | None  # electrical rotor angle
    u_sup: jax.Array  # [V]


@dataclasses.dataclass(frozen=True)
class Plant:
    """A family in the controller's view, all numbers from the data sheet.

    Attributes:
      machine: the equations.
      sheet: (name, value) of its parameters.
      axes: names of the controlled currents, as measured.
      limits: [A] that targets may reach, one per axis.
      bridges: of the converter.
      injection: shift the three phase voltages so that their extremes are symmetric (min-max zero sequence), which
        raises the longest voltage vector from u_sup / 2 to u_sup / sqrt(3).
      frame_actions: actions are voltages of the axes instead of the terminals.
      tau: [s] control period.
    """

    machine: Machine
    sheet: tuple[tuple[str, float], ...]
    axes: tuple[str, ...]
    limits: tuple[float, ...]
    bridges: tuple[str, ...]
    injection: bool
    frame_actions: bool
    tau: float

    @functools.cached_property
    def params(self) -> Any:
        """The machine's Params, of Python floats."""
        return self.machine.Params(**dict(self.sheet))

    @property
    def middle(self) -> float:
        """Periods from an action's start to the instant whose frame its voltage belongs to."""
        return 0.5

    @property
    def inductance(self) -> Matrix:
        """M [H]."""
        raise NotImplementedError

    @property
    def resistance(self) -> tuple[float, ...]:
        """R [Ohm] of each axis."""
        raise NotImplementedError

    def torque_delay(self, u_sup: float) -> float:
        """[s] from a torque asked for to the torque made, beyond the current controller's; `u_sup` [V] nominal."""
        return 0.0

    def initial_estimate(self, dtype: Any) -> Any:
        """What the controller has to remember to know the machine's state."""
        return ()

    def estimate(self, estimate: Any, reading: Reading) -> tuple[Any, Any]:
        """(estimate, the machine's electrical state)."""
        names = (field.name for field in dataclasses.fields(self.machine.State))
        return estimate, self.machine.State(**{name: reading.values[name] for name in names})

    def frame(self, now: Situation) -> tuple[Angle | None, jax.Array]:
        """The controller's frame and the electrical speed [rad/s] at which it turns."""
        return now.angle, now.omega

    def controlled(self, now: Situation) -> Axes:
        """The controlled quantities, in the controller's frame."""
        return tuple(getattr(now.x, name) for name in self.axes)

    def in_frame(self, now: Situation, frame: Angle | None) -> Axes:
        """The controlled quantities in a given frame; without one, where the machine's own already is the frame."""
        return self.controlled(now)

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        """e [V] at the frame's speed [rad/s]."""
        raise NotImplementedError

    def loading(self, now: Situation) -> Axes:
        """Squared currents divided by squared `limits`, one entry for everything that must stay below 1."""
        raise NotImplementedError

    def within(self, targets: Axes, now: Situation) -> Axes:
        """Targets that stay below every limit."""
        raise NotImplementedError

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        """(targets for a torque [N m], the torque that they make)."""
        raise NotImplementedError

    def bounds(self, now: Situation) -> tuple[jax.Array | float, ...]:
        """Largest voltage [V] of axes behind the currents they act on, which are limited first; else infinite."""
        return (math.inf,) * len(self.axes)

    def limited(self, voltages: Axes, hold: Axes, now: Situation) -> Axes:
        """The voltages [V] of the axes that the converter can make.

        Args:
          voltages: wanted.
          hold: those that would leave the controlled quantities as they are.
        """
        raise NotImplementedError

    def terminals(self, voltages: Axes, now: Situation, ahead: float) -> Axes:
        """Terminal voltages [V] whose mean over a period, `ahead` periods from now, is `voltages`."""
        raise NotImplementedError

    def action(self, voltages: Axes, terminals: Axes, now: Situation) -> jax.Array:
        """The continuous action (A,) that makes these voltages."""
        if self.frame_actions:
            return self._frame_action(voltages, now)
        shares: list[jax.Array] = []
        rest = terminals
        for bridge in self.bridges:
            own, rest = rest[: TERMINALS[bridge]], rest[TERMINALS[bridge] :]
            swing = guarded(0.5 * now.u_sup if bridge == "B6" else now.u_sup)
            shift: Any = 0.0
            if bridge == "B6" and self.injection:
                shift = -0.5 * (jnp.max(jnp.stack(own)) + jnp.min(jnp.stack(own)))
            low = 0.0 if bridge in ("1QC", "2QC") else -1.0
            shares += [jnp.clip((u + shift) / swing, low, 1.0) for u in own]
        return jnp.stack(shares)

    def _frame_action(self, voltages: Axes, now: Situation) -> jax.Array:
        swings = [0.5 * now.u_sup if name.startswith("i_s") else now.u_sup for name in self.axes]
        return jnp.clip(jnp.stack([u / guarded(s) for u, s in zip(voltages, swings, strict=True)]), -1.0, 1.0)

    @property
    def reach(self) -> float:
        """Longest voltage vector of a three-phase bridge per supply voltage."""
        return 3**-0.5 if self.injection and not self.frame_actions else 0.5


def diagonal(*entries: float) -> Matrix:
    """A matrix without coupling."""
    return tuple(tuple(x if i == j else 0.0 for j in range(len(entries))) for i, x in enumerate(entries))


def guarded(divisor: jax.Array, smallest: float = 1e-4) -> jax.Array:
    """A divisor that is not 0, of the same sign."""
    return jnp.where(divisor < 0, jnp.minimum(divisor, -smallest), jnp.maximum(divisor, smallest))


def square_of(vector: Axes) -> jax.Array:
    """Squared length."""
    return sum((jnp.square(c) for c in vector), start=jnp.zeros_like(vector[0]))


def length(*components: jax.Array) -> jax.Array:
    """Of a vector."""
    return jnp.sqrt(square_of(components))


def shortened(vector: Axes, longest: jax.Array | float) -> Axes:
    """The vector, scaled to `longest` if it is longer."""
    scale = jnp.minimum(1.0, longest / jnp.maximum(length(*vector), 1e-9))
    return tuple(scale * component for component in vector)


def ahead_of(angle: Angle, speed: jax.Array, duration: float) -> Angle:
    """Where an angle will be."""
    return Angle.of(angle.value + speed * duration) if duration else angle


def share_of_circle(start: Axes, move: Axes, radius: jax.Array) -> jax.Array:
    """The largest share of `move` that leads from `start` to within a circle; 0 from outside of it."""
    along = sum((s * m for s, m in zip(start, move, strict=True)), start=jnp.zeros_like(radius))
    square = jnp.maximum(square_of(move), 1e-12)
    room = jnp.square(radius) - square_of(start)
    return jnp.where(room > 0, (jnp.sqrt(jnp.maximum(along * along + square * room, 0.0)) - along) / square, 0.0)


def toward(hold: Axes, wanted: Axes, longest: jax.Array) -> Axes:
    """A voltage no longer than `longest`, as far from `hold` towards `wanted` as that allows.

    Currents then move straight to their targets, and between two points within their limits they keep them; a vector
    that were only shortened would turn them aside. Where `hold` itself is too long, `wanted` is shortened.
    """
    move = tuple(w - h for w, h in zip(wanted, hold, strict=True))
    share = jnp.clip(share_of_circle(hold, move, longest), 0.0, 1.0)
    share = jnp.where(square_of(hold) < jnp.square(longest), share, 1.0)
    return shortened(tuple(h + share * m for h, m in zip(hold, move, strict=True)), longest)
