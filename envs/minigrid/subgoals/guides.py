"""Who knows the subgoals of a level: a rule of the family, or a table made beforehand.

Letters: N levels, K subgoals at most.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ...errors import PalaestraError
from ..bank import LevelBank
from ..level import Level
from ..source import Source
from .chain import Chain
from .schemes import ANY_OBJECT, Mistakes, Scheme


class GuideError(PalaestraError, ValueError):
    """A table of subgoals that does not fit its levels."""

    code = 2


class Guide(Protocol):
    """Levels together with their subgoals; frozen and hashable."""

    @property
    def source(self) -> Source:
        """Where the levels come from."""

    @property
    def size(self) -> int:
        """K."""

    @property
    def mistakes(self) -> Mistakes:
        """What an error model may name instead of a subgoal."""

    def begin(self, key: jax.Array, values: Mapping[str, jax.Array]) -> tuple[Level, Chain]:
        """A level for the source's parameters `values`, and its subgoals. Consumes `key`."""


@dataclasses.dataclass(frozen=True)
class SchemeGuide:
    """Reads the subgoals off every fresh level: exact, on the device, for any number of levels."""

    source: Source
    scheme: Scheme

    @property
    def size(self) -> int:
        return self.scheme.size

    @property
    def mistakes(self) -> Mistakes:
        return self.scheme.mistakes

    def begin(self, key: jax.Array, values: Mapping[str, jax.Array]) -> tuple[Level, Chain]:
        level = self.source.sample(key, values)
        return level, self.scheme.chain(level)


@dataclasses.dataclass(frozen=True, eq=False)
class TableGuide:
    """Subgoals that somebody wrote down for each level of a bank: a planner, a language model, a person.

    Attributes:
      source: N levels.
      chains: leading axis N, NumPy; cells inside the grid. A chain without any subgoal must not be `complete`.
      mistakes: what an error model may name instead.

    Raises:
      GuideError: another number of chains than levels, an empty chain that claims to hold the task itself, or a cell
        outside of the grid.
    """

    source: LevelBank
    chains: Chain
    mistakes: Mistakes = ANY_OBJECT

    def __post_init__(self) -> None:
        chains, bank = self.chains, self.source
        if chains.x.ndim != 2 or chains.x.shape != chains.y.shape or chains.count.shape != (len(bank),):
            raise GuideError(
                f"subgoals: got x {chains.x.shape}, y {chains.y.shape}, count {chains.count.shape}; "
                f"expected (N, K), (N, K), (N,) with N = {len(bank)} levels"
            )
        complete = np.ones(len(bank), bool) if chains.complete is None else chains.complete
        if complete.shape != (len(bank),) or complete.dtype != bool:
            raise GuideError(
                f"subgoals.complete: got {complete.dtype} {complete.shape}; expected bool ({len(bank)},), or None"
            )
        for name, values, high in (("x", chains.x, bank.width), ("y", chains.y, bank.height)):
            outside = (values < 0) | (values >= high)
            if outside.any():
                place = tuple(int(i) for i in np.argwhere(outside)[0])
                raise GuideError(f"subgoals.{name}{list(place)}: got {values[place]}; expected 0 to {high - 1}")
        wrong = (chains.count < complete) | (chains.count > chains.x.shape[1])
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            expected = f"{int(complete[row])} to {chains.x.shape[1]}"
            raise GuideError(f"subgoals.count[{row}]: got {chains.count[row]}; expected {expected}")

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of levels and subgoals."""
        told = hashlib.sha256(f"{self.source.digest} {self.mistakes}".encode())
        for leaf in jax.tree.leaves(self.chains):
            told.update(f"{leaf.dtype}{leaf.shape}".encode() + np.ascontiguousarray(leaf).tobytes())
        return told.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableGuide) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def size(self) -> int:
        return self.chains.x.shape[1]

    def begin(self, key: jax.Array, values: Mapping[str, jax.Array]) -> tuple[Level, Chain]:
        index = self.source.draw(key, values)
        level, chain = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], (self.source.levels, self.chains))
        return level, chain
