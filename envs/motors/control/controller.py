"""Classical controllers of a drive, made from its functional environment: `make_controller`.

A controller knows what an observation says and what the data sheet says, nothing else. Outer loops turn references
into current targets, an inner loop turns targets into an action:

| kind | inner loop | actions |
|---|---|---|
| pi | proportional-integral with feed-forward, field-oriented for three-phase machines | continuous |
| deadbeat | the voltage that reaches the target in one period | continuous |
| mpc | every switching state tried on the model | finite |
| hysteresis | three points around the target | finite, commutator machines |

Letters: O observation, A action entries.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ...errors import OptionError
from ..env import Motor
from . import gains
from .commutator import Permanent, Separate, Series, Shunt
from .continuous import CurrentPI, Deadbeat
from .induction import DoublyFed, Induction
from .outer import CurrentTargets, SpeedTargets, TorqueTargets
from .plant import Axes, Plant, Situation
from .prediction import Model
from .reader import Reader, make_reader
from .switching import Hysteresis, Predictive
from .synchronous import Excited, SixPhase, Synchronous

SHARES = {"Cont": 0.95, "Finite": 0.9}
KINDS = {"Cont": ("pi", "deadbeat"), "Finite": ("mpc", "hysteresis")}
PLANTS: dict[str, type[Plant]] = {
    "PermExDc": Permanent,
    "SeriesDc": Series,
    "ShuntDc": Shunt,
    "ExtExDc": Separate,
    "PMSM": Synchronous,
    "SynRM": Synchronous,
    "EESM": Excited,
    "SIXPMSM": SixPhase,
    "SCIM": Induction,
    "DFIM": DoublyFed,
}
AXES = {
    "PermExDc": ("i",),
    "SeriesDc": ("i",),
    "ShuntDc": ("i_a",),
    "ExtExDc": ("i_a", "i_e"),
    "EESM": ("i_sd", "i_sq", "i_e"),
    "SIXPMSM": ("i_sd", "i_sq", "i_sx", "i_sy"),
}


class State(struct.PyTreeNode):
    """A controller at work."""

    outer: Any
    inner: Any
    estimate: Any  # of what is not measured
    pending: tuple[Axes, ...]  # terminal voltages [V] on their way, oldest first


@dataclasses.dataclass(frozen=True)
class Controller:
    """`init` and `act`, pure; equal settings compare equal.

    Attributes:
      reader: of observations.
      plant: the family.
      model: one-period prediction.
      outer: references to targets.
      inner: targets to voltages or switching states.
      dead_time: periods between an action and its effect.
    """

    reader: Reader
    plant: Plant
    model: Model
    outer: CurrentTargets | TorqueTargets | SpeedTargets
    inner: CurrentPI | Deadbeat | Predictive | Hysteresis
    dead_time: int

    def init(self, dtype: Any = jnp.float32) -> State:
        """The state at the start of an episode."""
        zero = jnp.zeros((), dtype)
        return State(
            outer=self.outer.init(dtype),
            inner=self.inner.init(dtype),
            estimate=self.plant.initial_estimate(dtype),
            pending=((zero,) * len(self.plant.machine.phases),) * (self.dead_time * self._predicts),
        )

    def act(self, state: State, obs: jax.Array | tuple[jax.Array, ...]) -> tuple[State, jax.Array]:
        """(state, action (A,)) for an observation (O,)."""
        reading = self.reader(obs)
        estimate, x = self.plant.estimate(state.estimate, reading)
        now = Situation(x=x, omega=reading.omega, angle=reading.angle, u_sup=reading.u_sup)
        for underway in state.pending:
            now = self.model.after(now, underway)
        outer, target = self.outer(state.outer, reading.references, now)
        inner: Any
        if isinstance(self.inner, CurrentPI | Deadbeat):
            inner, voltages = self.inner(state.inner, target, now)
            ahead = self.plant.middle + (0 if self._predicts else self.dead_time)
            terminals = self.plant.terminals(voltages, now, ahead)
            action = self.plant.action(voltages, terminals, now)
        else:
            inner, action, terminals = self.inner(state.inner, target, now)
        pending = (*state.pending, terminals)[1:] if state.pending else ()
        return State(outer=outer, inner=inner, estimate=estimate, pending=pending), action

    @property
    def _predicts(self) -> bool:
        return isinstance(self.inner, Deadbeat | Predictive)


def make_controller(
    env: Motor,
    kind: str | None = None,
    *,
    current_share: float | None = None,
    tuning: str = "magnitude",
    anti_windup: str = "back_calculation",
    injection: bool = True,
    speed_spread: float = gains.FAST,
    speed_filter: float | None = None,
    torque_share: float = 1.0,
    prefilter: bool = False,
    flux_rule: str = "rated",
    horizon: int = 1,
    switching: float = 0.0,
    band: float = 0.01,
    dead_time: int | None = None,
) -> Controller:
    """Builds the controller of a drive.

    Args:
      env: the functional environment.
      kind: "pi", "deadbeat", "mpc" or "hysteresis"; by default "pi" for continuous and "mpc" for finite actions.
      current_share: of current limits that targets may take; what is above is room for overshoot and ripple. By default
        0.95 for continuous and 0.9 for finite actions; less for "hysteresis" where a period moves the current far.
      tuning: of current PI, "magnitude" or "symmetrical".
      anti_windup: of current PI, "back_calculation", or "conditional", with which DC speed control exceeds limits.
      injection: min-max zero sequence in three-phase voltages.
      speed_spread: of the speed PI's symmetrical optimum, 2 fast to 4 damped.
      speed_filter: [s] delay of the torque beyond the current controller's; the family's by default.
      torque_share: of the torque limit that the speed PI may ask for.
      prefilter: smooth speed references with the speed PI's integral time.
      flux_rule: of induction machines, "rated" holds the flux of the largest torque, "loss" that of least copper loss.
      horizon: of "mpc", periods.
      switching: of "mpc", cost of a leg's change.
      band: of "hysteresis", share of the limit.
      dead_time: periods between an action and its effect; the environment's by default.

    Raises:
      OptionError: a kind that does not fit the actions, an unknown option, references without a controller.
    """
    action = "Finite" if env.converter.finite else "Cont"
    kind = KINDS[action][0] if kind is None else kind
    _one_of("kind", kind, KINDS[action])
    _one_of("tuning", tuning, ("magnitude", "symmetrical"))
    _one_of("anti_windup", anti_windup, ("conditional", "back_calculation"))
    _one_of("flux_rule", flux_rule, ("rated", "loss"))
    if kind == "hysteresis" and env.machine.has_angle:
        raise OptionError(f"kind='hysteresis' with {env.machine.family}; expected a commutator machine", key="kind")
    share = _share(env, kind) if current_share is None else current_share
    plant = _plant(env, share, injection, flux_rule)
    model = Model(plant, env.solver, env.substeps)
    delay = env.nominal.dead_time if dead_time is None else dead_time
    t_sigma = gains.delay(env.tau, delay)
    inner: CurrentPI | Deadbeat | Predictive | Hysteresis
    if kind == "pi":
        tuned = gains.symmetrical_optimum(plant.inductance, env.tau)
        if tuning == "magnitude":
            tuned = gains.magnitude_optimum(plant.inductance, plant.resistance, t_sigma)
        inner = CurrentPI(plant, tuned, anti_windup == "back_calculation")
    elif kind == "deadbeat":
        inner = Deadbeat(plant, model)
    elif kind == "mpc":
        inner = Predictive(plant, model, env.converter, _scales(env, plant), switching, horizon)
    else:
        inner = Hysteresis(plant, env.converter, band)
    slow = plant.torque_delay(env.nominal.supply) if speed_filter is None else speed_filter
    speed = gains.speed_gains(_inertia(env), 2 * t_sigma + slow, speed_spread)
    most = torque_share * env.layout.limit("torque")
    outer = _outer(env, plant, speed, most, prefilter)
    return Controller(make_reader(env), plant, model, outer, inner, delay)


def _one_of(name: str, value: Any, expected: tuple[str, ...]) -> None:
    if value not in expected:
        raise OptionError(f"{name}={value!r}; expected one of {list(expected)}", key=name)


def _share(env: Motor, kind: str) -> float:
    share = SHARES["Finite" if env.converter.finite else "Cont"]
    if kind != "hysteresis":
        return share
    fastest = _plant(env, 1.0, False, "rated").inductance[0][0]
    ripple = 2 * env.nominal.supply * env.tau / (fastest * env.layout.limit(env.machine.currents[0]))
    return max(min(share, 1 - ripple), 0.5)  # the induced voltage can be as large as the supply's


def _plant(env: Motor, share: float, injection: bool, flux_rule: str) -> Plant:
    family = env.machine.family
    axes = AXES.get(family, ("i_sd", "i_sq"))
    more: dict[str, Any] = {}
    if issubclass(PLANTS[family], Induction):
        more["flux_rule"] = flux_rule
        more["stale_frame"] = env.gem and family == "SCIM" and set(env.observed.references) <= set(axes)
    if family == "DFIM":
        more["rotor_limit"] = share * env.layout.limit("i_rd")
    return PLANTS[family](
        machine=env.machine,
        sheet=env.nominal.machine,
        axes=axes,
        limits=tuple(share * env.layout.limit(name) for name in axes),
        bridges=env.converter.bridges,
        injection=injection,
        frame_actions=env.control == "dq",
        tau=env.tau,
        **more,
    )


def _scales(env: Motor, plant: Plant) -> tuple[float, ...]:
    """What errors of the axes are divided by; a driven flux counts by the current that would hold it."""
    scales = tuple(env.layout.limit(name) for name in plant.axes)
    return (*scales, plant.params.l_m * scales[0]) if isinstance(plant, DoublyFed) else scales


def _inertia(env: Motor) -> float:
    return dict(env.nominal.machine)["j_rotor"] + dict(env.nominal.load)["j_load"]


def _outer(
    env: Motor, plant: Plant, speed: tuple[float, float], most: float, prefilter: bool
) -> CurrentTargets | TorqueTargets | SpeedTargets:
    names = env.observed.references
    if names == ("omega",):
        return SpeedTargets(plant, *speed, most, speed[0] / speed[1] if prefilter else 0.0)
    if names == ("torque",):
        return TorqueTargets(plant)
    if not names or not set(names) <= set(plant.axes):
        raise OptionError(
            f"referenced={list(names)}; expected ['omega'], ['torque'] or some of {list(plant.axes)} for a controller",
            key="referenced",
        )
    return CurrentTargets(plant, tuple(names.index(a) if a in names else -1 for a in plant.axes))
