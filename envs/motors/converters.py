"""Power electronic converters: actions to terminal voltages, terminal currents to the supply's.

Every bridge is made of legs (half bridges) whose output is a share of the supply voltage: 0 to 1. A continuous action
is averaged over the step; a finite one is a switching state. Interlocking, the time in which both switches of a leg are
off so that they never conduct together, costs an averaged leg voltage against its current, and gives a finite leg a
first interval in which the current's sign decides.

| bridge | terminals | continuous action | finite action |
|---|---|---|---|
| 1QC | 1 | duty cycle in [0, 1] | 0 off, 1 on |
| 2QC | 1 | duty cycle in [0, 1] | 0 off, 1 upper, 2 lower |
| 4QC | 1 | share of the supply in [-1, 1] | 0: 0, 1: +1, 2: -1, 3: 0 |
| B6 | 3 | share of half the supply in [-1, 1], per phase | 0 .. 7, bits: phases a, b, c at the upper rail |
| direct | 3 | none: the terminals are the supply's three phases | none |

Source: gym-electric-motor 3.0.3, `converters.py`. Differs: see `Converter.gem`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import Space, spaces

TERMINALS = {"1QC": 1, "2QC": 1, "4QC": 1, "B6": 3, "direct": 3}
FINITE_ACTIONS = {"1QC": 2, "2QC": 3, "4QC": 4, "B6": 8}
LEGS = {"1QC": 0, "2QC": 1, "4QC": 2, "B6": 3, "direct": 0}
SWING = {"1QC": 1.0, "2QC": 1.0, "4QC": 1.0, "B6": 0.5, "direct": 1.0}  # largest terminal voltage per supply voltage
AVERAGED_TAU = 1e-4  # [s] the original's default control period of averaged converters

OFF, UPPER, LOWER = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Converter:
    """One bridge, or several side by side.

    Attributes:
      bridges: kinds, in the order of the machine's terminals.
      finite: actions are switching states instead of averages.
      interlocking: whether interlocking is simulated at all; without, it costs nothing.
      gem: reproduce the original's errors: the second leg of an averaged 4QC sees the current with the wrong sign,
        so that interlocking cancels; a finite leg that interlocks stays off for the whole step.
      period_ratio: of the control period to that which an averaged 4QC or B6 counts interlocking by; not 1 in the gem
        form alone, where it is their default control period.

    Raises:
      ValueError: an unknown bridge.
    """

    bridges: tuple[str, ...]
    finite: bool
    interlocking: bool = False
    gem: bool = False
    period_ratio: float = 1.0

    def __post_init__(self) -> None:
        for bridge in self.bridges:
            if bridge not in TERMINALS:
                raise ValueError(f"converter={bridge!r}; expected bridges out of {list(TERMINALS)}")
        if "direct" in self.bridges and len(self.bridges) > 1:
            raise ValueError(f"converter={self.bridges!r}; 'direct' stands alone")

    @property
    def num_terminals(self) -> int:
        return sum(TERMINALS[b] for b in self.bridges)

    @property
    def num_legs(self) -> int:
        return sum(LEGS[b] for b in self.bridges)

    @property
    def has_leg_states(self) -> bool:
        """Whether the last switching states matter to the next step."""
        return self.finite and self.interlocking and self.num_legs > 0

    @property
    def action_space(self) -> Space:
        """Box, Discrete, or MultiDiscrete for several finite bridges."""
        active = [b for b in self.bridges if b != "direct"]
        if self.finite and active:
            counts = [FINITE_ACTIONS[b] for b in active]
            return spaces.Discrete(counts[0]) if len(counts) == 1 else spaces.MultiDiscrete(counts)
        low = [0.0 if b in ("1QC", "2QC") else -1.0 for b in active for _ in range(TERMINALS[b])]
        return spaces.Box(np.array(low, np.float32), np.ones(len(low), np.float32), dtype=np.float32)

    def commands(self, action: jax.Array) -> tuple[jax.Array, ...]:
        """An action, or one entry of it per bridge or phase, as scalars."""
        if isinstance(self.action_space, spaces.Discrete):
            return (action,)
        return tuple(action[i] for i in range(self.action_space.shape[0]))  # type: ignore[index]

    def legs_wanted(self, action: jax.Array) -> tuple[jax.Array, ...]:
        """The states OFF, UPPER, LOWER that a finite action asks of each leg; () int32 each."""
        wanted: list[jax.Array] = []
        for bridge, command in zip(self.bridges, self.commands(action), strict=True):
            if bridge == "2QC":
                wanted.append(command)
            elif bridge == "4QC":
                wanted += [LOWER - ((command == 0) | (command == own)).astype(jnp.int32) for own in (1, 2)]
            elif bridge == "B6":
                wanted += [LOWER - (command >> bit & 1) for bit in (2, 1, 0)]
        return tuple(wanted)

    def outputs(
        self, action: jax.Array, legs: tuple[jax.Array, ...], currents: tuple[Any, ...], interlocking: Any
    ) -> tuple[tuple[Any, ...], Any]:
        """Terminal voltages per supply voltage, and the current drawn from the supply [A].

        Args:
          action: as in `action_space`, clipped.
          legs: the legs' present states, if finite.
          currents: [A] out of each terminal.
          interlocking: its share of the control period, if averaged.
        """
        commands = self.commands(action)
        voltages: list[Any] = []
        drawn: Any = 0.0
        for bridge in self.bridges:
            count = TERMINALS[bridge]
            own, currents = currents[:count], currents[count:]
            if bridge == "direct":
                return (1.0,) * 3, own[0]
            taken = 1 if self.finite else count
            command, commands = commands[:taken], commands[taken:]
            if self.finite:
                states, legs = legs[: LEGS[bridge]], legs[LEGS[bridge] :]
                u, i = _switched(bridge, command[0], states, own)
            else:
                u, i = self._averaged(bridge, command, own, interlocking)
            voltages += u
            drawn = drawn + i
        return tuple(voltages), drawn

    def _averaged(
        self, bridge: str, command: tuple[Any, ...], currents: tuple[Any, ...], interlocking: Any
    ) -> tuple[list[Any], Any]:
        if bridge == "1QC":
            return [jnp.where(currents[0] >= 0, command[0], 1.0)], command[0] * currents[0]
        if bridge == "2QC":
            u, i = self._leg(command[0], currents[0], interlocking)
            return [u], i
        interlocking = interlocking * self.period_ratio
        if bridge == "4QC":
            if not self.interlocking:
                return [command[0]], command[0] * currents[0]
            first, i = self._leg(0.5 * (1 + command[0]), currents[0], interlocking)
            second, back = self._leg(0.5 * (1 - command[0]), -currents[0], interlocking)
            if self.gem:
                second, _ = self._leg(0.5 * (1 - command[0]), currents[0], interlocking)
            return [first - second], i + back
        pairs = [self._leg(0.5 * (1 + c), i, interlocking) for c, i in zip(command, currents, strict=True)]
        return [u - 0.5 for u, _ in pairs], sum(i for _, i in pairs)

    def _leg(self, duty: Any, current: Any, interlocking: Any) -> tuple[Any, Any]:
        """Averaged output of a leg and what it draws: in the interlocking time a diode conducts."""
        if not self.interlocking:
            return duty, duty * current
        through_diode = jnp.where(current < 0, 1.0, 0.0)
        output = jnp.clip(duty - jnp.sign(current) * interlocking, 0.0, 1.0)
        return output, (duty + interlocking * (through_diode - duty)) * current


def _switched(
    bridge: str, command: jax.Array, legs: tuple[jax.Array, ...], currents: tuple[Any, ...]
) -> tuple[list[Any], Any]:
    if bridge == "1QC":
        is_on = (command == 1).astype(currents[0].dtype)
        return [jnp.where(currents[0] >= 0, is_on, 1.0)], is_on * currents[0]
    if bridge == "4QC":
        first, i = _switched_leg(legs[0], currents[0])
        second, back = _switched_leg(legs[1], -currents[0])
        return [first - second], i + back
    pairs = [_switched_leg(leg, i) for leg, i in zip(legs, currents, strict=True)]
    middle = 0.5 if bridge == "B6" else 0.0
    return [u - middle for u, _ in pairs], sum(i for _, i in pairs)


def _switched_leg(state: jax.Array, current: Any) -> tuple[Any, Any]:
    is_up = (state == UPPER) | ((state == OFF) & (current < 0))
    up = is_up.astype(current.dtype)
    return up, up * current


def interlock(
    present: tuple[jax.Array, ...], wanted: tuple[jax.Array, ...], share: Any
) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """(leg states in the interlocking interval, whether any leg waits): off where a leg changes rails, if share > 0."""
    waits = [
        (now != want) & (now != OFF) & (want != OFF) & (share > 0) for now, want in zip(present, wanted, strict=True)
    ]
    legs = tuple(jnp.where(wait, OFF, want) for wait, want in zip(waits, wanted, strict=True))
    return legs, jnp.any(jnp.stack(waits))
