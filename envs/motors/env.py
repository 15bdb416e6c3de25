"""The drive as an environment: one control period is one pure step.

Order of a step, as in the original: dead time, converter and supply at the currents of the start, integration,
measurement, limits and reward against the reference seen before, next reference.

Letters: S measured quantities, R references, C limits, D task parameters, A action entries.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import Space, spaces

from ..contract import TaskEnv
from ..tasks import TaskSpace
from . import drift, references
from .converters import Converter, interlock
from .integrators import integrate
from .layout import Layout
from .limits import Limit, degrees, saturate
from .machines.machine import Instant, Machine
from .noise import add_noise
from .observe import Observation
from .reward import Reward
from .transforms import Angle, clarke, direction

Params = drift.Params
SCOPE_STEPS = 500  # shown by the scope


class State(struct.PyTreeNode):
    """One drive at work; scalars () unless a shape is given, None or () where the setting has no such part."""

    x: Any  # the machine's electrical state
    omega: jax.Array  # [rad/s] mechanical
    angle: Angle | None  # electrical rotor angle
    load: Any
    supply: Any
    legs: tuple[jax.Array, ...]  # int32 states of the converter's legs, where interlocking needs them
    pending: jax.Array | None  # (max dead time, A) actions on their way, oldest first
    action: jax.Array | None  # (A,) the last action, where it is observed
    flux: tuple[jax.Array, jax.Array] | None  # [V s] of the flux observer
    temperature: jax.Array | None  # [deg C] of the windings, where they heat up
    references: references.State
    measured: jax.Array  # (S,) normalised
    degrees: jax.Array  # (C + 1,) violation of each limit, and divergence
    steps: jax.Array  # int32
    trace: jax.Array | None  # (N, S + R) the last N measurements and their references, oldest first, for pictures


def action_space(converter: Converter, control: str) -> Space:
    """One entry per phase, or with control "dq" two per group of three phases."""
    if control == "phase":
        return converter.action_space
    count = converter.num_terminals - sum(b == "B6" for b in converter.bridges)
    return spaces.Box(-np.ones(count, np.float32), np.ones(count, np.float32), dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class Motor(TaskEnv):
    """An electric drive whose currents, torque or speed shall follow a reference.

    Description:
      A machine of one of ten families at its converter, supply and load. `gymnasium.make("palaestra/Motor-<Cont or
      Finite>-<CC, TC or SC>-<family>-v0")` gives the sixty standard tasks: Cont averages the converter over a control
      period, Finite chooses its switching state; CC, TC and SC control currents, torque or speed. Arguments of `make`
      change every part (`build.make_motor`).

    Action space: `Box` (Cont), `Discrete` or `MultiDiscrete` (Finite); see the family's page.

    Observation space: `Box`, float32; measurements divided by their limits, then references; see the family's page.

    Reward: minus the weighted sum of errors, each divided by the width of its range; a violated limit costs what the
      worst error would for ever at discount 0.9 (-10 with weights that sum to 1).

    Start: at rest (no current), at the test bench's speed in current and torque control.

    End: terminated when a current exceeds its limit, `info["end_reason"]` says which; truncated after `horizon` steps.

    Source: gym-electric-motor 3.0.3. Differs: `compat="gem"` reproduces where the original is wrong.
    """

    machine: Machine
    nominal: drift.Nominal
    layout: Layout
    converter: Converter
    supply: Any
    load: Any
    references: references.References
    reward_terms: Reward
    limits: tuple[Limit, ...]
    observed: Observation
    tau: float  # [s] control period
    horizon: int
    solver: str = "rk4"
    substeps: int = 1
    control: str = "phase"
    noise: str = "normal"
    flux_observer: bool = False
    gem: bool = False
    start: tuple[tuple[str, float], ...] = ()
    trace: int = 0

    render_fps: ClassVar[int] = 50

    # What follows is derived once from the fields; none of it takes part in comparison.

    @functools.cached_property
    def task_space(self) -> TaskSpace:  # type: ignore[override]
        parts = self.machine, self.load, self.supply, self.references
        return drift.task_space(*parts, self.nominal, self.layout)

    @functools.cached_property
    def observation_space(self) -> Space:  # type: ignore[override]
        return self.observed.space

    @functools.cached_property
    def action_space(self) -> Space:  # type: ignore[override]
        return action_space(self.converter, self.control)

    @property
    def end_reasons(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*(limit.label for limit in self.limits), "the simulation diverged")

    @property
    def max_dead_time(self) -> int:
        """Steps of dead time that there is room for."""
        return drift.MAX_DEAD_TIME if "dead_time" in self.nominal.extras else self.nominal.dead_time

    @property
    def heats(self) -> bool:
        """Whether winding temperature is a state."""
        return "heating" in self.nominal.extras

    def task_params(self, task: jax.Array) -> Params:
        return drift.task_params(self.machine, self.nominal, self.task_space, task)

    def initial(self, rng: jax.Array, params: Params | None = None) -> State:
        params = self.default_params if params is None else params
        key_state, key_load, key_supply, key_reference = jax.random.split(rng, 4)
        x, omega, angle = self._random_start(key_state, params)
        omega, load = self.load.initial(key_load, omega, params.load, self.horizon * self.tau)
        supply = self.supply.initial(key_supply, params.supply)
        _, u_sup = self.supply.voltages(supply, params.supply, 0.0, 0.0, 0.0)
        resting = -0.5 if self.gem and self.machine.has_angle else 0.0
        b6 = [float(b == "B6") for b in self.converter.bridges for _ in range(3 if b in ("B6", "direct") else 1)]
        phases = tuple(resting * u_sup[0] * is_bridge + jnp.zeros_like(omega) for is_bridge in b6)
        action = self._no_action(omega.dtype)
        state = State(
            x=x,
            omega=omega,
            angle=angle,
            load=load,
            supply=supply,
            legs=tuple(jnp.zeros((), jnp.int32) for _ in range(self.converter.num_legs if self._keeps_legs else 0)),
            pending=jnp.stack([action] * self.max_dead_time) if self.max_dead_time else None,
            action=action if self.observed.previous_action else None,
            flux=(jnp.zeros_like(omega),) * 2 if self.flux_observer else None,
            temperature=jnp.zeros_like(omega) + params.temperature if self.heats else None,
            references=self.references.initial(key_reference, params.reference, self.tau),
            measured=jnp.zeros(len(self.layout.names), omega.dtype),
            degrees=jnp.zeros(len(self.limits) + 1, omega.dtype),
            steps=jnp.zeros((), jnp.int32),
            trace=None,
        )
        u = self.machine.inputs(phases, angle)
        now = Instant(x, angle, u, phases, x, angle)
        state = self._measure(state, self.machine.report_start(now, params.machine), u_sup, params.machine)
        if not self.trace:
            return state
        first = jnp.concatenate([state.measured, state.references.shown[0]])
        return state.replace(trace=jnp.stack([first] * self.trace))

    def transition(self, state: State, action: jax.Array, rng: jax.Array, params: Params | None = None) -> State:
        params = self.default_params if params is None else params
        key_reference, key_load, key_noise = self._keys(rng)
        action = self._clipped(action, state.omega.dtype)
        applied, pending = self._delayed(state.pending, action, params)
        machine = params.machine
        if state.temperature is not None:
            machine = drift.warmed(self.machine, params, state.temperature)
        time = self.tau * state.steps.astype(state.omega.dtype)
        fixed = self.load.prescribe(key_load, state.omega, state.load, params.load, time, self.tau)
        phase_action = self._to_phases(state, applied, params)
        moved, now, u_sup = self._simulate(state, phase_action, machine, params, time, fixed)
        moved = moved.replace(
            pending=pending,
            action=action if self.observed.previous_action else None,
            temperature=self._heated(state, moved, params),
            references=self.references.next(state.references, key_reference, params.reference, self.tau),
            steps=state.steps + 1,
        )
        if state.flux is not None:
            moved = moved.replace(flux=self._observed_flux(state.flux, moved))
        report = self.machine.report(now, machine)
        moved = self._measure(moved, report, u_sup, machine, key_noise, params)
        if state.trace is None:
            return moved
        latest = jnp.concatenate([moved.measured, moved.references.shown[0]])
        return moved.replace(trace=jnp.concatenate([state.trace[1:], latest[None]]))

    def observation(self, state: State, rng: jax.Array, params: Params | None = None) -> Any:
        del rng, params  # measured with the transition's noise
        return self.observed.show(state.measured, state.references.shown, state.action)

    def reward(
        self, state: State, action: jax.Array, next_state: State, rng: jax.Array, params: Params | None = None
    ) -> jax.Array:
        del action, rng, params
        return self.reward_terms(next_state.measured, state.references.shown[0], next_state.degrees)

    def terminal(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        del rng, params
        return jnp.any(state.degrees >= 1)

    def end_reason(self, state: State, params: Params | None = None) -> jax.Array:
        del params
        return jnp.argmax(state.degrees >= 1).astype(jnp.int32)

    def transition_info(
        self, state: State, action: jax.Array, next_state: State, params: Params | None = None
    ) -> dict[str, Any]:
        """Whether the action had entries that are not finite, which count as 0."""
        return {"invalid_action": jnp.any(~jnp.isfinite(action))}

    def for_rendering(self) -> "Motor":
        return dataclasses.replace(self, trace=SCOPE_STEPS)

    def render_image(
        self, state: State, render_state: Any = None, params: Params | None = None
    ) -> tuple[Any, np.ndarray]:
        from .scope import draw_scope

        return draw_scope(self, state, render_state)

    @property
    def _late_legs(self) -> bool:
        """The original asks the supply for the current of the legs' states before the action."""
        return self.gem and self.converter.finite and not self.supply.stiff

    @property
    def _keeps_legs(self) -> bool:
        return self.converter.has_leg_states or self._late_legs

    def _keys(self, rng: jax.Array) -> tuple[jax.Array, Any, Any]:
        """Keys of reference, load and noise; splitting costs as much as drawing, so only where there is use for it."""
        if not self._draws_in_step:
            return rng, rng, rng
        key_reference, key_load, key_noise = jax.random.split(rng, 3)
        return key_reference, key_load, key_noise

    @property
    def _draws_in_step(self) -> bool:
        return "noise" in self.nominal.extras or self.load.draws

    def _no_action(self, dtype: Any) -> jax.Array:
        is_box = isinstance(self.action_space, spaces.Box)
        return jnp.zeros(self.action_space.shape or (), dtype if is_box else jnp.int32)

    def _clipped(self, action: jax.Array, dtype: Any) -> jax.Array:
        space = self.action_space
        if not isinstance(space, spaces.Box):
            return jnp.asarray(action).astype(jnp.int32)
        action = jnp.asarray(action).astype(dtype)
        low, high = jnp.asarray(space.low, dtype), jnp.asarray(space.high, dtype)
        return jnp.clip(jnp.where(jnp.isfinite(action), action, 0.0), low, high)

    def _delayed(
        self, pending: jax.Array | None, action: jax.Array, params: Params
    ) -> tuple[jax.Array, jax.Array | None]:
        """(the action that takes effect, those still on their way)."""
        if pending is None:
            return action, None
        line = jnp.concatenate([pending, action[None]])
        delay = jnp.clip(jnp.round(params.dead_time).astype(jnp.int32), 0, self.max_dead_time)
        return line[self.max_dead_time - delay], line[1:]

    def _to_phases(self, state: State, action: jax.Array, params: Params) -> jax.Array:
        """An action in rotor or field coordinates as one per terminal, clipped to what the converter takes."""
        if self.control == "phase":
            return action
        assert state.angle is not None
        angle = self.machine.control_frame(state.x, state.angle)
        if not self.gem:  # the middle of the period; an action that was delayed takes effect now, too
            angle = Angle.of(angle.value + 0.5 * self.tau * params.machine.p * state.omega)
        return jnp.clip(jnp.stack(self.machine.terminals(tuple(action), angle)), -1.0, 1.0)

    def _simulate(
        self, state: State, action: jax.Array, machine: Any, params: Params, time: Any, fixed: Any
    ) -> tuple[State, Instant, tuple[Any, ...]]:
        """One control period: (state, what there is to report, supply voltages [V])."""
        wanted = self.converter.legs_wanted(action) if self.converter.finite else ()
        share = params.interlocking
        intervals: list[tuple[tuple[jax.Array, ...], Any]] = [(wanted, self.tau)]
        if self.converter.has_leg_states:
            waiting, any_waits = interlock(state.legs, wanted, share)
            wanted = waiting if self.gem else wanted
            first = self.tau * jnp.where(any_waits, share, 0.0)
            intervals = [(waiting, first), (wanted, self.tau - first)]
        elapsed = jnp.where(state.steps > 0, self.tau, 0.0).astype(state.omega.dtype)
        for legs, duration in intervals:
            start_x, start_angle = state.x, state.angle
            currents = self.machine.terminal_currents(state.x, state.angle, machine)
            outputs, drawn = self.converter.outputs(action, legs, currents, share)
            if self._late_legs:
                _, drawn = self.converter.outputs(action, state.legs, currents, share)
            supply, u_sup = self.supply.voltages(state.supply, params.supply, drawn, time, elapsed)
            each = u_sup if len(u_sup) > 1 else u_sup * len(outputs)
            phases = tuple(output * voltage for output, voltage in zip(outputs, each, strict=True))
            u = self.machine.inputs(phases, state.angle)
            state = state.replace(supply=supply, legs=legs if self._keeps_legs else ())
            state, u = self._integrate(state, u, duration, machine, params, fixed)
            elapsed = jnp.zeros_like(elapsed)
        return state, Instant(state.x, state.angle, u, phases, start_x, start_angle), u_sup

    def _integrate(
        self, state: State, u: Any, duration: Any, machine: Any, params: Params, fixed: Any
    ) -> tuple[State, Any]:
        def slopes(y: Any) -> Any:
            x, u, omega, load, _ = y
            dx, du = self.machine.derivative(x, u, omega, machine)
            torque = self.machine.torque(x, machine)
            domega, dload = self.load.derivative(omega, load, torque, fixed, params.load, machine.j_rotor)
            return dx, du, domega, dload, (machine.p * omega if self.machine.has_angle else ())

        angle = () if state.angle is None else state.angle.value
        y = (state.x, u, state.omega, state.load, angle)
        x, u, omega, load, angle = integrate(self.solver, slopes, y, duration, self.substeps)
        turned = None if state.angle is None else Angle.of(angle)
        return state.replace(x=x, omega=omega, load=load, angle=turned), u

    def _measure(
        self,
        state: State,
        report: dict[str, Any],
        u_sup: tuple[Any, ...],
        machine: Any,
        key: jax.Array | None = None,
        params: Params | None = None,
    ) -> State:
        layout = self.layout
        values = report | {"omega": state.omega, "torque": self.machine.torque(state.x, machine)}
        if state.angle is not None:
            values["epsilon"] = state.angle.value
        values |= dict(zip([n for n in layout.names if n.startswith("u_sup")], u_sup, strict=True))
        if "i_sum" in layout.names:
            values["i_sum"] = values["i_a"] + values["i_e"]
        if state.flux is not None:
            pointer = direction(*state.flux)
            values["psi_abs"] = pointer.cos * state.flux[0] + pointer.sin * state.flux[1]
            values["psi_angle"] = pointer.value
        dtype = state.measured.dtype
        measured = jnp.stack([jnp.asarray(values[name], dtype) for name in layout.names])
        measured = measured / jnp.asarray(layout.limits, dtype)
        if key is not None and params is not None and "noise" in self.nominal.extras:
            measured = add_noise(key, measured, layout, self.noise, params.current_noise, params.angle_noise)
        measured = saturate(measured)
        return state.replace(measured=measured, degrees=degrees(self.limits, measured, layout))

    def _heated(self, before: State, after: State, params: Params) -> jax.Array | None:
        if before.temperature is None:
            return None
        fields = [getattr(after.x, f.name) for f in dataclasses.fields(after.x) if f.name.startswith("i")]
        loss = sum(i * i for i in fields) / self._nominal_current**2
        return before.temperature + self.tau * params.heating * loss  # type: ignore[operator]

    @property
    def _nominal_current(self) -> float:
        return self.layout.nominal[self.layout.index(self.machine.currents[0])]

    def _observed_flux(self, flux: tuple[jax.Array, jax.Array], state: State) -> tuple[jax.Array, jax.Array]:
        """One Euler step of the rotor flux estimate, from the data sheet's parameters."""
        sheet = self.machine.Params(**dict(self.nominal.machine))
        alpha, beta = clarke(*self.machine.terminal_currents(state.x, state.angle, sheet)[:3])
        damping, speed = sheet.r_r / sheet.l_r, sheet.p * state.omega
        return (
            flux[0] + self.tau * (damping * (sheet.l_m * alpha - flux[0]) - speed * flux[1]),
            flux[1] + self.tau * (damping * (sheet.l_m * beta - flux[1]) + speed * flux[0]),
        )

    def _random_start(self, key: jax.Array, params: Params) -> tuple[Any, jax.Array, Angle | None]:
        """(x, omega, angle): the configured start plus a random part of size `spread`."""
        names = [field.name for field in dataclasses.fields(self.machine.State)]
        start, dtype = dict(self.start), params.load.speed.dtype  # type: ignore[union-attr]
        draws = params.spread * jax.random.uniform(key, (len(names) + 2,), dtype, -1.0, 1.0)
        sizes = drift.initial_scale(tuple(names), self.layout, dict(self.nominal.machine))
        x = self.machine.State(**{n: start.get(n, 0.0) + sizes[n] * draws[i] for i, n in enumerate(names)})
        low = self.layout.low[self.layout.index("omega")]
        turning = draws[-2] if low < 0 else jnp.abs(draws[-2])
        omega = start.get("omega", 0.0) + self.layout.nominal[self.layout.index("omega")] * turning
        if not self.machine.has_angle:
            return x, omega, None
        return x, omega, Angle.of(start.get("epsilon", 0.0) + jnp.pi * draws[-1])
