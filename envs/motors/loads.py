"""Mechanical loads: what the shaft does with the machine's torque.

Every load gives the derivative of the machine's speed, beside states of its own. Loads that prescribe the speed choose
a slope at the start of a step, so that the speed is linear within it.

Source: gym-electric-motor 3.0.3, `mechanical_loads/`. Differs: speed profiles are arrays; the Ornstein-Uhlenbeck speed
has the exact variance and its mean, which the original leaves out; two-mass shaft, Stribeck friction and load steps are
additions.
"""

import dataclasses
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
from flax import struct

from .transforms import Scalar

TAU_DECAY = 1e-3  # [s] in which static friction alone would stop the shaft; smooths its step at standstill


class Params(struct.PyTreeNode):
    """What a load is made of; a kind of load ignores what it does not have."""

    a: Scalar = 0.0  # [N m] static friction
    b: Scalar = 0.0  # [N m s/rad] viscous friction
    c: Scalar = 0.0  # [N m s^2/rad^2] fan
    j_load: Scalar = 1e-5  # [kg m^2] moment of inertia
    speed: Scalar = 0.0  # [rad/s] of the constant-speed load, mean of the Ornstein-Uhlenbeck speed
    theta: Scalar = 1.0  # [1/s] return of the Ornstein-Uhlenbeck speed
    sigma: Scalar = 50.0  # [rad/s/sqrt(s)] noise of the Ornstein-Uhlenbeck speed
    bound: Scalar = 200.0  # [rad/s] range of the Ornstein-Uhlenbeck speed, +-
    stiffness: Scalar = 1e3  # [N m/rad] of the shaft between two masses
    damping: Scalar = 0.1  # [N m s/rad] of the shaft between two masses
    breakaway: Scalar = 0.0  # [N m] Stribeck friction above static friction
    stribeck_speed: Scalar = 1.0  # [rad/s] over which Stribeck friction falls
    step_height: Scalar = 0.0  # [N m] load torque that sets in within the episode


class Friction(struct.PyTreeNode):
    """State of a load with torque steps."""

    step_time: jax.Array  # () [s] when the load step sets in


class Load(Protocol):
    """One kind of load.

    Attributes:
      moves: whether the torque matters to the speed.
      has_speed: whether it uses the parameters' speed.
      draws: whether its `prescribe` is random.
    """

    moves: bool
    has_speed: bool
    draws: bool

    def initial(self, key: jax.Array, omega: jax.Array, params: Params, duration: float) -> tuple[jax.Array, Any]:
        """(omega, state) at the start of an episode of `duration` [s]; `omega` is what the caller would have."""
        ...

    def prescribe(self, key: jax.Array, omega: jax.Array, state: Any, params: Params, time: Any, tau: float) -> Any:
        """What is fixed for a step at its start, handed to `derivative`; () [rad/s^2] slope, or a torque."""
        ...

    def derivative(
        self, omega: Any, state: Any, torque: Any, fixed: Any, params: Params, j_rotor: Any
    ) -> tuple[Any, Any]:
        """(d omega/dt, d state/dt)."""
        ...


def _still(state: Any) -> Any:
    return jax.tree.map(lambda _: 0.0, state)


@dataclasses.dataclass(frozen=True)
class ConstantSpeed:
    """A test bench that holds the speed whatever the torque; base of those that prescribe another one."""

    moves: ClassVar[bool] = False
    has_speed: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    def initial(self, key: jax.Array, omega: jax.Array, params: Params, duration: float) -> tuple[jax.Array, Any]:
        return jnp.zeros_like(omega) + params.speed, ()

    def prescribe(self, key: jax.Array, omega: jax.Array, state: Any, params: Params, time: Any, tau: float) -> Any:
        return 0.0

    def derivative(
        self, omega: Any, state: Any, torque: Any, fixed: Any, params: Params, j_rotor: Any
    ) -> tuple[Any, Any]:
        return fixed, _still(state)


@dataclasses.dataclass(frozen=True)
class OrnsteinUhlenbeck(ConstantSpeed):
    """A speed that wanders: per step exactly distributed, clipped to +-`bound`."""

    draws: ClassVar[bool] = True

    def prescribe(self, key: jax.Array, omega: jax.Array, state: Any, params: Params, time: Any, tau: float) -> Any:
        decay = jnp.exp(-jnp.asarray(params.theta) * tau)
        spread = params.sigma * jnp.sqrt((1 - decay**2) / (2 * params.theta))
        wanted = params.speed + (omega - params.speed) * decay + spread * jax.random.normal(key, (), omega.dtype)
        return (jnp.clip(wanted, -params.bound, params.bound) - omega) / tau


class Clock(struct.PyTreeNode):
    """State of a load that depends on time."""

    time: jax.Array  # () [s] since the episode's start


@dataclasses.dataclass(frozen=True)
class SpeedProfile(ConstantSpeed):
    """A given speed over time.

    Attributes:
      samples: (K,) [rad/s], linearly interpolated; the last holds on.
      interval: [s] between samples.
      gem: the speed follows the profile through a lag of one control period, `d omega/dt = (f(t + tau) - omega) / tau`
        at every instant, as in the original; else it is on the profile at the end of every step.
    """

    samples: tuple[float, ...]
    interval: float
    gem: bool = False
    has_speed: ClassVar[bool] = False

    def initial(self, key: jax.Array, omega: jax.Array, params: Params, duration: float) -> tuple[jax.Array, Any]:
        return jnp.full_like(omega, self.samples[0]), Clock(time=jnp.zeros_like(omega)) if self.gem else ()

    def prescribe(self, key: jax.Array, omega: jax.Array, state: Any, params: Params, time: Any, tau: float) -> Any:
        return tau if self.gem else (self.at(time + tau) - omega) / tau

    def derivative(
        self, omega: Any, state: Any, torque: Any, fixed: Any, params: Params, j_rotor: Any
    ) -> tuple[Any, Any]:
        if self.gem:
            return (self.at(state.time + fixed) - omega) / fixed, Clock(time=1.0)  # type: ignore[arg-type]
        return super().derivative(omega, state, torque, fixed, params, j_rotor)

    def at(self, time: jax.Array) -> jax.Array:
        """The profile [rad/s] at a time [s]."""
        place = jnp.clip(time / self.interval, 0.0, len(self.samples) - 1.0)
        first = jnp.clip(jnp.floor(place), 0.0, max(len(self.samples) - 2.0, 0.0))
        table = jnp.asarray(self.samples, time.dtype)
        index = first.astype(jnp.int32)
        low, high = table[index], table[jnp.minimum(index + 1, len(self.samples) - 1)]
        return low + (high - low) * (place - first)


def friction(omega: Any, params: Params, inertia: Any, stribeck: bool) -> jax.Array:
    """Load torque [N m] at a speed: static friction (smooth through 0), viscous friction, fan.

    Source: gym-electric-motor 3.0.3, `PolynomialStaticLoad`; Stribeck's falling part is ours.
    """
    sign = jnp.sign(omega)
    static = params.a
    if stribeck:
        ratio = omega / params.stribeck_speed
        static = static + params.breakaway * jnp.exp(-ratio * ratio)
    slope = inertia / TAU_DECAY
    held = jnp.where(jnp.abs(omega) * slope > static, sign * static, slope * omega)
    return sign * params.c * omega * omega + params.b * omega + held


@dataclasses.dataclass(frozen=True)
class Polynomial:
    """Friction and a fan on the machine's shaft; `steps` adds a torque at a random time, `stribeck` a breakaway."""

    steps: bool = False
    stribeck: bool = False
    moves: ClassVar[bool] = True
    has_speed: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self, key: jax.Array, omega: jax.Array, params: Params, duration: float) -> tuple[jax.Array, Any]:
        if not self.steps:
            return omega, ()
        return omega, Friction(step_time=duration * jax.random.uniform(key, (), omega.dtype))

    def prescribe(self, key: jax.Array, omega: jax.Array, state: Any, params: Params, time: Any, tau: float) -> Any:
        return jnp.where(time >= state.step_time, params.step_height, 0.0) if self.steps else 0.0

    def derivative(
        self, omega: Any, state: Any, torque: Any, fixed: Any, params: Params, j_rotor: Any
    ) -> tuple[Any, Any]:
        inertia = j_rotor + params.j_load
        return (torque - fixed - friction(omega, params, inertia, self.stribeck)) / inertia, _still(state)


class Shaft(struct.PyTreeNode):
    """State of two masses on a shaft."""

    omega_load: jax.Array  # [rad/s]
    twist: jax.Array  # [rad] machine ahead of load


@dataclasses.dataclass(frozen=True)
class TwoMass:
    """An elastic shaft: the machine at one end, the load with its friction at the other."""

    stribeck: bool = False
    moves: ClassVar[bool] = True
    has_speed: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self, key: jax.Array, omega: jax.Array, params: Params, duration: float) -> tuple[jax.Array, Any]:
        return omega, Shaft(omega_load=omega, twist=jnp.zeros_like(omega))

    def prescribe(self, key: jax.Array, omega: jax.Array, state: Any, params: Params, time: Any, tau: float) -> Any:
        return 0.0

    def derivative(
        self, omega: Any, state: Shaft, torque: Any, fixed: Any, params: Params, j_rotor: Any
    ) -> tuple[Any, Any]:
        through = params.stiffness * state.twist + params.damping * (omega - state.omega_load)
        resisting = friction(state.omega_load, params, params.j_load, self.stribeck)
        return (torque - through) / j_rotor, Shaft(
            omega_load=(through - resisting) / params.j_load, twist=omega - state.omega_load
        )


LOADS: dict[str, Any] = {
    "constant_speed": ConstantSpeed(),
    "polynomial": Polynomial(),
    "load_step": Polynomial(steps=True),
    "stribeck": Polynomial(stribeck=True),
    "two_mass": TwoMass(),
    "ornstein_uhlenbeck": OrnsteinUhlenbeck(),
}
