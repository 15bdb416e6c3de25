"""Reference generators: what the controlled quantities should be, step by step, as shares of their limits.

A generator computes one value per step from a small state; nothing is laid out ahead. Parameters of a wave or a random
walk hold for a sub-episode of random length and are then drawn anew. All functions work on R signals at once.

Letters: R referenced quantities, K uniform draws, H steps of preview.

Source: gym-electric-motor 3.0.3, `reference_generators/`. Differs: the offset of a wave stays inside one-sided margins,
too (`gem=True`: not); a step wave is periodic from its first period on; band-limited noise, step-and-hold and preview
are additions.
"""

import dataclasses
import itertools
import math
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.special import erfinv

from .transforms import Scalar

SMALLEST = 1e-7  # keeps erfinv and log finite at the ends of a uniform draw


class Params(struct.PyTreeNode):
    """Ranges of what is drawn; a kind of generator ignores what it does not have."""

    low: Scalar  # (R,) smallest reference, share of the limit
    high: Scalar  # (R,) largest
    sigma_low: Scalar = 1e-3  # (,) or (R,) range of the random walk's step, log-uniform
    sigma_high: Scalar = 1e-1
    length_low: Scalar = 500.0  # steps of a sub-episode, uniform
    length_high: Scalar = 2000.0
    frequency_low: Scalar = 1.0  # [Hz] of waves, uniform; corner of band-limited noise, log-uniform
    frequency_high: Scalar = 10.0


class Generator(Protocol):
    """One kind of reference.

    Attributes:
      num_draws: uniform numbers per signal and step that make it move.
      walks, waves: whether it uses the parameters' range of random steps, of frequencies.
    """

    num_draws: int
    walks: bool
    waves: bool

    def initial(self, draws: jax.Array, params: Params) -> Any:
        """State before the first value; `draws` (2, R) in [0, 1)."""
        ...

    def next(self, state: Any, draws: jax.Array, params: Params, tau: float) -> Any:
        """State with the next `value` (R,); `draws` (K, R)."""
        ...

    def resume(self, state: Any, value: jax.Array) -> Any:
        """The state as if its last value had been `value` (R,) and its sub-episode were over."""
        ...


def normal(u: jax.Array) -> jax.Array:
    """Standard normal numbers from uniform ones."""
    return math.sqrt(2.0) * erfinv(jnp.clip(2 * u - 1, -1 + SMALLEST, 1 - SMALLEST))


def laplace(u: jax.Array) -> jax.Array:
    """Laplace-distributed numbers of scale 1 from uniform ones."""
    centered = u - 0.5
    return -jnp.sign(centered) * jnp.log(jnp.maximum(1 - 2 * jnp.abs(centered), SMALLEST))


def between(low: Scalar, high: Scalar, u: jax.Array) -> jax.Array:
    """Uniform in [low, high]."""
    return low + (high - low) * u


def between_logs(low: Scalar, high: Scalar, u: jax.Array) -> jax.Array:
    """Log-uniform in [low, high]."""
    return jnp.exp(between(jnp.log(low), jnp.log(high), u))


def _count_down(left: jax.Array, u: jax.Array, params: Params) -> tuple[jax.Array, jax.Array]:
    """(whether a sub-episode begins, steps left after this one)."""
    begins = left <= 0
    length = jnp.floor(between(params.length_low, params.length_high, u)).astype(jnp.int32)
    return begins, jnp.where(begins, length, left) - 1


class WalkState(struct.PyTreeNode):
    """A random walk; all (R,)."""

    value: jax.Array
    sigma: jax.Array
    left: jax.Array  # int32 steps of the sub-episode


@dataclasses.dataclass(frozen=True)
class Walk:
    """A random walk clipped to the margins; `heavy` takes Laplace-distributed steps instead of normal ones."""

    heavy: bool = False
    num_draws: ClassVar[int] = 3
    walks: ClassVar[bool] = True
    waves: ClassVar[bool] = False

    def initial(self, draws: jax.Array, params: Params) -> WalkState:
        value = between(params.low, params.high, draws[0])
        return WalkState(value=value, sigma=jnp.zeros_like(value), left=jnp.zeros(value.shape, jnp.int32))

    def next(self, state: WalkState, draws: jax.Array, params: Params, tau: float) -> WalkState:
        begins, left = _count_down(state.left, draws[0], params)
        sigma = jnp.where(begins, between_logs(params.sigma_low, params.sigma_high, draws[1]), state.sigma)
        move = laplace(draws[2]) if self.heavy else normal(draws[2])
        value = jnp.clip(state.value + sigma * move, params.low, params.high)
        return WalkState(value=value, sigma=sigma, left=left)

    def resume(self, state: WalkState, value: jax.Array) -> WalkState:
        return state.replace(value=value, left=jnp.zeros_like(state.left))


class WaveState(struct.PyTreeNode):
    """A periodic signal; all (R,)."""

    value: jax.Array
    amplitude: jax.Array
    offset: jax.Array
    frequency: jax.Array  # [Hz]
    phase: jax.Array  # periods
    shape: jax.Array  # rising or low share of a period
    cycle: jax.Array  # periods since the sub-episode began
    left: jax.Array  # int32


def sine(cycle: jax.Array, shape: jax.Array) -> jax.Array:
    """sin(2 pi cycle)."""
    return jnp.sin(2 * math.pi * cycle)


def triangle(cycle: jax.Array, shape: jax.Array) -> jax.Array:
    """Rises from -1 to 1 in the share `shape` of a period and falls in the rest."""
    place = cycle - jnp.floor(cycle)
    rising = place < shape
    up = 2 * place / jnp.maximum(shape, SMALLEST) - 1
    down = 1 - 2 * (place - shape) / jnp.maximum(1 - shape, SMALLEST)
    return jnp.where(rising, up, down)


def sawtooth(cycle: jax.Array, shape: jax.Array) -> jax.Array:
    """Rises from -1 to 1 in a period and falls at once."""
    return 2 * (cycle - jnp.floor(cycle)) - 1


def square(cycle: jax.Array, shape: jax.Array) -> jax.Array:
    """-1 in the share `shape` of a period, then 1."""
    return jnp.where(cycle - jnp.floor(cycle) < shape, -1.0, 1.0)


WAVES = {"sinus": sine, "triangle": triangle, "sawtooth": sawtooth, "step": square}


@dataclasses.dataclass(frozen=True)
class Wave:
    """A wave of `WAVES` with random amplitude, offset, frequency, phase and shape.

    With `gem`, waves other than steps keep the offset alone within the lower margin, not offset minus amplitude, and
    one-sided references are cut off there.
    """

    form: str
    gem: bool = False
    num_draws: ClassVar[int] = 7
    walks: ClassVar[bool] = False
    waves: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.form not in WAVES:
            raise ValueError(f"form={self.form!r}; expected one of {list(WAVES)}")

    def initial(self, draws: jax.Array, params: Params) -> WaveState:
        zero = jnp.zeros_like(between(params.low, params.high, draws[0]))
        fields = ("value", "amplitude", "offset", "frequency", "phase", "shape", "cycle")
        return WaveState(**dict.fromkeys(fields, zero), left=jnp.zeros(zero.shape, jnp.int32))

    def next(self, state: WaveState, draws: jax.Array, params: Params, tau: float) -> WaveState:
        begins, left = _count_down(state.left, draws[0], params)
        amplitude = between(0.0, 0.5 * (params.high - params.low), draws[1])
        lowest, highest = params.low + amplitude, params.high - amplitude
        if self.gem and self.form != "step":
            lowest = jnp.clip(params.low, -highest, highest)
        drawn = {
            "amplitude": amplitude,
            "offset": between(lowest, highest, draws[2]),
            "frequency": between(params.frequency_low, params.frequency_high, draws[3]),
            "phase": draws[4],
            "shape": 0.5 * (draws[5] + draws[6]) if self.form == "step" else draws[5],  # triangular around 1/2
        }
        new = {name: jnp.where(begins, value, getattr(state, name)) for name, value in drawn.items()}
        cycle = jnp.where(begins, 0.0, state.cycle + tau * new["frequency"])
        cycle = cycle - jnp.floor(cycle)  # float32 counts few periods exactly
        value = new["amplitude"] * WAVES[self.form](cycle + new["phase"], new["shape"]) + new["offset"]
        return WaveState(value=jnp.clip(value, params.low, params.high), cycle=cycle, left=left, **new)

    def resume(self, state: WaveState, value: jax.Array) -> WaveState:
        return state.replace(left=jnp.zeros_like(state.left))


class HoldState(struct.PyTreeNode):
    """A value and how long it holds; (R,)."""

    value: jax.Array
    left: jax.Array  # int32


@dataclasses.dataclass(frozen=True)
class StepAndHold:
    """A value uniform in the margins, held for a sub-episode."""

    num_draws: ClassVar[int] = 2
    walks: ClassVar[bool] = False
    waves: ClassVar[bool] = False

    def initial(self, draws: jax.Array, params: Params) -> HoldState:
        value = between(params.low, params.high, draws[0])
        return HoldState(value=value, left=jnp.zeros(value.shape, jnp.int32))

    def next(self, state: HoldState, draws: jax.Array, params: Params, tau: float) -> HoldState:
        begins, left = _count_down(state.left, draws[0], params)
        return HoldState(jnp.where(begins, between(params.low, params.high, draws[1]), state.value), left)

    def resume(self, state: HoldState, value: jax.Array) -> HoldState:
        return HoldState(value=value, left=jnp.zeros_like(state.left))


@dataclasses.dataclass(frozen=True)
class Constant:
    """One value for ever, a share of the limit."""

    value: float = 0.0
    num_draws: ClassVar[int] = 0
    walks: ClassVar[bool] = False
    waves: ClassVar[bool] = False

    def initial(self, draws: jax.Array, params: Params) -> HoldState:
        value = jnp.full_like(between(params.low, params.high, draws[0]), self.value)
        return HoldState(value=value, left=jnp.zeros(value.shape, jnp.int32))

    def next(self, state: HoldState, draws: jax.Array, params: Params, tau: float) -> HoldState:
        return state

    def resume(self, state: HoldState, value: jax.Array) -> HoldState:
        return state


class NoiseState(struct.PyTreeNode):
    """White noise behind two equal low passes; (R,)."""

    value: jax.Array
    first: jax.Array
    second: jax.Array
    corner: jax.Array  # [Hz]
    left: jax.Array  # int32


@dataclasses.dataclass(frozen=True)
class BandLimited:
    """Noise without content far above a corner frequency; its standard deviation, before it is clipped to the margins,
    is a quarter of their width."""

    num_draws: ClassVar[int] = 3
    walks: ClassVar[bool] = False
    waves: ClassVar[bool] = True

    def initial(self, draws: jax.Array, params: Params) -> NoiseState:
        zero = jnp.zeros_like(between(params.low, params.high, draws[0]))
        start = normal(draws[0])
        value = jnp.clip(_in_margins(start, params), params.low, params.high)
        return NoiseState(value=value, first=start, second=start, corner=zero, left=jnp.zeros(zero.shape, jnp.int32))

    def next(self, state: NoiseState, draws: jax.Array, params: Params, tau: float) -> NoiseState:
        begins, left = _count_down(state.left, draws[0], params)
        drawn = between_logs(params.frequency_low, params.frequency_high, draws[1])
        corner = jnp.where(begins, drawn, state.corner)
        keep = jnp.exp(-2 * math.pi * tau * corner)
        # Variance of the impulse response (1 - keep)^2 (n + 1) keep^n, summed over n.
        variance = (1 - keep) ** 4 * (1 + keep**2) / (1 - keep**2) ** 3
        noise = normal(draws[2]) / jnp.sqrt(variance)
        first = keep * state.first + (1 - keep) * noise
        second = keep * state.second + (1 - keep) * first
        value = jnp.clip(_in_margins(second, params), params.low, params.high)
        return NoiseState(value=value, first=first, second=second, corner=corner, left=left)

    def resume(self, state: NoiseState, value: jax.Array) -> NoiseState:
        return state.replace(left=jnp.zeros_like(state.left))


def _in_margins(standard: jax.Array, params: Params) -> jax.Array:
    return 0.5 * (params.low + params.high) + 0.25 * (params.high - params.low) * standard


class SwitchedState(struct.PyTreeNode):
    """Several generators, one of which is heard; `which`, `left` and `value` (R,)."""

    parts: tuple[Any, ...]
    which: jax.Array  # int32
    left: jax.Array  # int32
    value: jax.Array


@dataclasses.dataclass(frozen=True)
class Switched:
    """Chooses among generators and holds the choice for 100 to 9999 steps.

    Attributes:
      generators: what is chosen from.
      probabilities: of each; equal by default.
      lengths: smallest and largest number of steps of a choice.
    """

    generators: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None
    lengths: tuple[int, int] = (100, 9999)

    def __post_init__(self) -> None:
        chances = self.probabilities
        if chances is not None and (len(chances) != len(self.generators) or abs(sum(chances) - 1) > 1e-6):
            raise ValueError(f"probabilities={chances}; expected {len(self.generators)} numbers that sum to 1")

    @property
    def num_draws(self) -> int:
        return 2 + sum(g.num_draws for g in self.generators)

    def initial(self, draws: jax.Array, params: Params) -> SwitchedState:
        parts = tuple(g.initial(draws, params) for g in self.generators)
        none = jnp.zeros(parts[0].value.shape, jnp.int32)
        return SwitchedState(parts=parts, which=none, left=none, value=parts[0].value)

    def next(self, state: SwitchedState, draws: jax.Array, params: Params, tau: float) -> SwitchedState:
        chances = self.probabilities or (1 / len(self.generators),) * len(self.generators)
        edges = jnp.cumsum(jnp.asarray(chances, draws.dtype))[:-1]
        switches = state.left <= 0
        choice = jnp.sum(draws[:1] >= edges[:, None], axis=0, dtype=jnp.int32)
        which = jnp.where(switches, choice, state.which)
        low, high = self.lengths
        length = jnp.floor(between(low, high + 1, draws[1])).astype(jnp.int32)
        left = jnp.where(switches, length, state.left) - 1
        parts, value, draws = [], state.value, draws[2:]
        for i, (generator, part) in enumerate(zip(self.generators, state.parts, strict=True)):
            resumed = generator.resume(part, state.value)
            starts = switches & (which == i)
            part = jax.tree.map(lambda new, old, starts=starts: jnp.where(starts, new, old), resumed, part)
            part = generator.next(part, draws[: generator.num_draws], params, tau)
            draws = draws[generator.num_draws :]
            parts.append(part)
            value = jnp.where(which == i, part.value, value)
        return SwitchedState(parts=tuple(parts), which=which, left=left, value=value)

    def resume(self, state: SwitchedState, value: jax.Array) -> SwitchedState:
        return state.replace(value=value, left=jnp.zeros_like(state.left))


GENERATORS: dict[str, Any] = {
    "wiener": Walk(),
    "laplace": Walk(heavy=True),
    "sinus": Wave("sinus"),
    "triangle": Wave("triangle"),
    "sawtooth": Wave("sawtooth"),
    "step": Wave("step"),
    "step_and_hold": StepAndHold(),
    "band_limited": BandLimited(),
    "zero": Constant(0.0),
    "switched": Switched((Wave("sinus"), Wave("triangle"), Wave("sawtooth"), Wave("step"), Walk())),
}


class State(struct.PyTreeNode):
    """The generators and the values that the agent sees, the present one first."""

    generators: tuple[Any, ...]
    shown: jax.Array  # (H + 1, R)


@dataclasses.dataclass(frozen=True)
class References:
    """One generator per referenced quantity, or one for all.

    Attributes:
      generators: one for all R signals, or R of them.
      count: R.
      preview: H, how many coming values are shown beside the present one.

    Raises:
      ValueError: a number of generators that is neither 1 nor R; a negative preview.
    """

    generators: tuple[Any, ...]
    count: int
    preview: int = 0

    def __post_init__(self) -> None:
        if len(self.generators) not in (1, self.count):
            raise ValueError(f"{len(self.generators)} reference generators; expected 1 or {self.count}")
        if self.preview < 0:
            raise ValueError(f"preview={self.preview}; expected at least 0")

    @property
    def kinds(self) -> tuple[Any, ...]:
        """Every generator, and instead of a switched one those that it switches between."""
        return _unswitched(self.generators)

    def initial(self, key: jax.Array, params: Params, tau: float) -> State:
        """The state whose first value is already one step of the generator on, as in the original."""
        keys = jax.random.split(key, self.preview + 2)
        draws = _uniform(keys[0], 2, self.count, params)
        pairs = zip(self.generators, self._shares(draws, params), strict=True)
        generators = tuple(g.initial(d, p) for g, (d, p) in pairs)
        generators, shown = jax.lax.scan(lambda g, k: self._advance(g, k, params, tau), generators, keys[1:])
        return State(generators=generators, shown=shown)

    def next(self, state: State, key: jax.Array, params: Params, tau: float) -> State:
        """One step on; `key` is consumed."""
        generators, value = self._advance(state.generators, key, params, tau)
        return State(generators=generators, shown=jnp.concatenate([state.shown[1:], value[None]]))

    def _advance(self, states: tuple[Any, ...], key: jax.Array, params: Params, tau: float) -> tuple[Any, jax.Array]:
        count = max(g.num_draws for g in self.generators)
        draws = _uniform(key, count, self.count, params)
        shares = self._shares(draws, params)
        moved = tuple(
            g.next(s, d[: g.num_draws], p, tau) for g, s, (d, p) in zip(self.generators, states, shares, strict=True)
        )
        return moved, jnp.concatenate([s.value for s in moved])

    def _shares(self, draws: jax.Array, params: Params) -> list[tuple[jax.Array, Params]]:
        """Draws and parameters of each generator."""
        if len(self.generators) == 1:
            return [(draws, params)]

        def cut(x: Any, i: int) -> Any:
            return x[i : i + 1] if jnp.ndim(x) else x

        return [
            (draws[:, i : i + 1], jax.tree.map(lambda x, i=i: cut(x, i), params)) for i in range(len(self.generators))
        ]


def _unswitched(generators: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = (_unswitched(g.generators) if isinstance(g, Switched) else (g,) for g in generators)
    return tuple(itertools.chain.from_iterable(parts))


def _uniform(key: jax.Array, count: int, signals: int, params: Params) -> jax.Array:
    """(count, signals) in [0, 1); drawn flat, which XLA makes three times as fast on a CPU as the same matrix."""
    return jax.random.uniform(key, (count * signals,), jnp.result_type(params.low)).reshape(count, signals)
