"""Tasks: what a teacher may choose, and what it learns from the choice.

A *task* is a float32 vector `(D,)` inside a `TaskSpace`: an ordered list of named parameters with bounds, units
and defaults. An environment turns a task into its physical `Params`; a teacher proposes tasks and receives one
`Outcome` per finished episode. Both sides meet here and know nothing else of each other.

Letters: D task parameters, F free parameters (those with low < high), K tasks or episodes.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.custom_batching import sequential_vmap

from .errors import PalaestraError

SLACK = 1e-6  # relative to the width of a bound: how far outside a float32 round trip may land


class TaskError(PalaestraError, ValueError):
    """A task that does not belong to its space; the message names parameter, value and range."""

    code = 2


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One named number that a teacher may schedule.

    Attributes:
      low, high: inclusive bounds; equal bounds fix the parameter and hide it from teachers.
      default: the value that gives the environment its standard form.
      unit: "1" for pure numbers.
      scale: "log" spreads a teacher's attention evenly over orders of magnitude; needs low > 0.
      kind: "integer" and "categorical" parameters are held as whole float32 numbers.
      doc: one sentence for the documentation table.
    """

    name: str
    low: float
    high: float
    default: float
    unit: str = "1"
    scale: Literal["linear", "log"] = "linear"
    kind: Literal["continuous", "integer", "categorical"] = "continuous"
    doc: str = ""

    def __post_init__(self) -> None:
        numbers = {"low": self.low, "high": self.high, "default": self.default}
        for field, value in numbers.items():
            if not math.isfinite(value):
                raise ValueError(f"parameter {self.name!r}: {field}={value}; expected a finite number")
        if not self.low <= self.default <= self.high:
            raise ValueError(
                f"parameter {self.name!r}: default={self.default}; expected a value in [{self.low}, {self.high}]"
            )
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"parameter {self.name!r}: low={self.low}; a log scale needs low > 0")
        if self.kind != "continuous" and any(v != int(v) for v in numbers.values()):
            raise ValueError(f"parameter {self.name!r}: {numbers}; a {self.kind} parameter needs whole numbers")

    @property
    def is_free(self) -> bool:
        """Whether there is anything to choose."""
        return self.high > self.low


@dataclasses.dataclass(frozen=True)
class TaskSpace:
    """An ordered set of named parameters; hashable, so it may be static under `jit`.

    Teachers work in *unit tasks* `(F,)`: free parameters only, each mapped to [0, 1] along its scale.
    """

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        names = [p.name for p in self.parameters]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ValueError(f"parameter names {repeated} appear more than once; expected unique names")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @property
    def dim(self) -> int:
        """D, the length of a task."""
        return len(self.parameters)

    @property
    def unit_dim(self) -> int:
        """F, the number of free parameters: the length of a unit task."""
        return sum(p.is_free for p in self.parameters)

    @functools.cached_property
    def low(self) -> np.ndarray:
        """(D,) float32."""
        return np.array([p.low for p in self.parameters], np.float32)

    @functools.cached_property
    def high(self) -> np.ndarray:
        """(D,) float32."""
        return np.array([p.high for p in self.parameters], np.float32)

    @functools.cached_property
    def default(self) -> np.ndarray:
        """(D,) float32, the environment's standard task."""
        return np.array([p.default for p in self.parameters], np.float32)

    @functools.cached_property
    def free(self) -> np.ndarray:
        """(F,) indices of the free parameters."""
        return np.array([i for i, p in enumerate(self.parameters) if p.is_free], np.int32)

    @functools.cached_property
    def _whole(self) -> np.ndarray:
        """(D,) bool, which parameters are whole numbers."""
        return np.array([p.kind != "continuous" for p in self.parameters], bool)

    def index(self, name: str) -> int:
        """Position of a parameter by name.

        Raises:
          TaskError: naming the parameters that do exist.
        """
        if name not in self.names:
            raise TaskError(f"unknown task parameter {name!r}; expected one of {list(self.names)}")
        return self.names.index(name)

    def sample(self, key: jax.Array) -> jax.Array:
        """One task (D,), uniform in unit space. `key` is consumed."""
        return self.from_unit(jax.random.uniform(key, (self.unit_dim,)))

    def to_unit(self, task: jax.Array) -> jax.Array:
        """Tasks (..., D) to unit tasks (..., F)."""
        columns = [_to_unit(self.parameters[i], task[..., i]) for i in self.free]
        return jnp.stack(columns, -1) if columns else jnp.zeros((*task.shape[:-1], 0), jnp.float32)

    def from_unit(self, unit: jax.Array) -> jax.Array:
        """Unit tasks (..., F), clipped to [0, 1], to tasks (..., D); fixed parameters get their value."""
        unit = jnp.clip(unit, 0.0, 1.0)
        free = {int(i): unit[..., k] for k, i in enumerate(self.free)}
        shape = unit.shape[:-1]
        columns = [
            _from_unit(p, free[i]) if i in free else jnp.full(shape, p.low, jnp.float32)
            for i, p in enumerate(self.parameters)
        ]
        return jnp.stack(columns, -1) if columns else jnp.zeros((*shape, 0), jnp.float32)

    def clip(self, task: jax.Array) -> jax.Array:
        """Tasks (..., D) moved to the nearest point of the space; whole-number parameters are rounded."""
        whole, low, high = (jnp.broadcast_to(x, task.shape) for x in (self._whole, self.low, self.high))
        return jnp.clip(jnp.where(whole, jnp.round(task), task), low, high)

    def grid(self, per_parameter: int) -> np.ndarray:
        """(per_parameter**F, D) tasks, evenly spaced in unit space at cell centres, last parameter fastest."""
        if per_parameter < 1:
            raise ValueError(f"per_parameter={per_parameter}; expected at least 1")
        axis = (np.arange(per_parameter, dtype=np.float32) + 0.5) / per_parameter
        mesh = np.meshgrid(*[axis] * self.unit_dim, indexing="ij")
        unit = np.stack(mesh, -1).reshape(-1, self.unit_dim) if mesh else np.zeros((1, 0), np.float32)
        return np.asarray(self.from_unit(jnp.asarray(unit)))

    def to_dict(self, task: Sequence[float] | np.ndarray) -> dict[str, float]:
        """A task (D,) as {name: value}."""
        return {name: float(value) for name, value in zip(self.names, self.validate(task), strict=True)}

    def from_dict(self, values: Mapping[str, float]) -> np.ndarray:
        """{name: value} to a task (D,); parameters that are not named keep their default."""
        task = self.default.copy()
        for name, value in values.items():
            index = self.index(name)
            number = np.asarray(value)
            if number.ndim or number.dtype.kind not in "fiu":
                raise TaskError(f"task parameter {name!r}: got {value!r:.120}; expected a number")
            with np.errstate(over="ignore"):
                task[index] = number
        return self.validate(task)

    def validate(self, task: Any) -> np.ndarray:
        """Checks a host-side task (D,) or batch (K, D) and returns it as float32.

        Raises:
          TaskError: not numeric, wrong length, not finite, out of bounds or not whole, naming the first offender.
        """
        if isinstance(task, Mapping):
            return self.from_dict(task)
        try:
            array = np.asarray(task)
        except ValueError as error:  # ragged nesting
            raise TaskError(f"task: got {task!r:.120}; expected {self.dim} numbers ({error})") from None
        if array.dtype.kind not in "fiu":
            raise TaskError(f"task: got dtype {array.dtype}; expected {self.dim} real numbers {list(self.names)}")
        if array.ndim not in (1, 2) or array.shape[-1] != self.dim:
            raise TaskError(f"task: got shape {array.shape}; expected ({self.dim},) for {list(self.names)}")
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        slack = SLACK * np.maximum(self.high - self.low, 1.0)
        inside = np.isfinite(array) & (array >= self.low - slack) & (array <= self.high + slack)
        if not inside.all():
            where = tuple(np.argwhere(~inside)[0])
            parameter = self.parameters[where[-1]]
            row = f"row {where[0]}, " if array.ndim == 2 else ""
            raise TaskError(
                f"task {row}parameter {parameter.name!r}: got {array[where]:.7g}; "
                f"expected a value in [{parameter.low}, {parameter.high}]"
            )
        array = np.clip(array, self.low, self.high)
        broken = self._whole & (array != np.round(array))
        if broken.any():
            where = tuple(np.argwhere(broken)[0])
            parameter = self.parameters[where[-1]]
            raise TaskError(
                f"task parameter {parameter.name!r}: got {array[where]:.7g}; expected a whole number ({parameter.kind})"
            )
        return array

    def gymnasium_space(self) -> gymnasium.spaces.Box:
        """The space as a Gymnasium Box (D,) float32."""
        return gymnasium.spaces.Box(self.low, self.high, dtype=np.float32)


def _to_unit(parameter: Parameter, value: jax.Array) -> jax.Array:
    low, high = parameter.low, parameter.high
    if parameter.kind != "continuous":
        return (value - low + 0.5) / (high - low + 1)
    if parameter.scale == "log":
        return jnp.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _from_unit(parameter: Parameter, unit: jax.Array) -> jax.Array:
    low, high = parameter.low, parameter.high
    if parameter.kind != "continuous":
        return jnp.clip(jnp.floor(low + unit * (high - low + 1)), low, high)
    if parameter.scale == "log":
        return jnp.clip(low * jnp.exp(unit * math.log(high / low)), low, high)
    return jnp.clip(low + unit * (high - low), low, high)


class Outcome(struct.PyTreeNode):
    """What teachers learn from: K rows, one per finished episode; rows with `valid` False change nothing.

    Attributes:
      task: (K, D) tasks, or a level pytree with leading axis K.
      return_: (K,) float32, undiscounted sum of raw rewards.
      length: (K,) int32 [steps].
      success: (K,) float32 in {0, 1}; 0 throughout where the environment defines no success.
      valid: (K,) bool.
      meta: what `sample` handed out with the task, leading axis K.
    """

    task: Any
    return_: jax.Array
    length: jax.Array
    success: jax.Array
    valid: jax.Array
    meta: Any = ()


class TaskSource(Protocol):
    """What a training loop asks of a teacher; the full contract is `curricula.contract.Teacher`."""

    def init(self, key: jax.Array, space: Any) -> Any: ...

    def sample(self, state: Any, key: jax.Array, count: int) -> tuple[Any, Any, Any]: ...

    def update(self, state: Any, outcome: Outcome) -> Any: ...

    def should_refit(self, state: Any) -> jax.Array: ...

    def refit(self, state: Any, key: jax.Array) -> Any: ...

    def metrics(self, state: Any) -> dict[str, jax.Array]: ...

    def snapshot(self, state: Any) -> dict[str, jax.Array]: ...


def refit_when_due(source: TaskSource, state: Any, key: jax.Array) -> Any:
    """Runs `source.refit` if `source.should_refit`, and nothing else otherwise; `key` is consumed.

    Under `vmap` over learners the check stays a branch: learners are visited one after another, because a batched
    condition would run the expensive fit for every learner in every call.
    """

    @sequential_vmap
    def visit(state: Any, key: jax.Array) -> Any:
        return jax.lax.cond(source.should_refit(state), lambda: source.refit(state, key), lambda: state)

    return visit(state, key)
