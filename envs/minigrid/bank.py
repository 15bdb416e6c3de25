"""Levels of the package, read once and drawn from on the device.

    bank = import_bank("BabyAI-BossLevel-v0", range(1000))

Any id works, since the package itself makes the levels; a bank remembers which seeds of which version they are.

Letters: N levels, H rows, W columns, L words, O object numbers.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..tasks import Parameter
from . import reference, words
from .instructions import Instruction, with_object_numbers
from .level import Level
from .reference import PackageError
from .rules import Rule

ANY_LEVEL = -1
MISSION_SAMPLES = 200
ROUND_TO = 8  # lengths are multiples of this, so that few shapes are compiled


@dataclasses.dataclass(frozen=True, eq=False)
class LevelBank:
    """N levels as a `Source`; equal contents judged alike are equal, so programs are shared.

    Attributes:
      name: id in the package.
      options: its constructor's further arguments, as JSON.
      seeds: (N,) int64, which resets the levels are.
      version: of the package.
      rule: how levels are judged.
      see_through: whether walls hide nothing.
      levels: leading axis N, NumPy; of `import_bank` read-only, since all who ask for the same share it.
    """

    name: str
    options: str
    seeds: np.ndarray
    version: str
    rule: Rule
    see_through: bool
    levels: Level

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the contents, where they come from, and how they are judged."""
        source = [self.name, self.options, self.version, self.see_through, repr(self.rule)]
        told = hashlib.sha256(json.dumps(source).encode())
        for leaf in (self.seeds, *jax.tree.leaves(self.levels)):
            told.update(f"{leaf.dtype}{leaf.shape}".encode() + np.ascontiguousarray(leaf).tobytes())
        return told.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LevelBank) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def height(self) -> int:
        """H."""
        return self.levels.grid.shape[1]

    @property
    def width(self) -> int:
        """W."""
        return self.levels.grid.shape[2]

    @property
    def max_steps(self) -> int:
        """The largest limit of any level."""
        return int(self.levels.max_steps.max())

    @property
    def mission_length(self) -> int:
        """L."""
        return self.levels.mission.shape[1]

    @functools.cached_property
    def missions(self) -> tuple[str, ...]:
        """The first sentences that differ."""
        return tuple(dict.fromkeys(map(words.decode, self.levels.mission)))[:MISSION_SAMPLES]

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Which level, or any."""
        doc = f"Which level of the bank; {ANY_LEVEL} draws one."
        return (Parameter("level", ANY_LEVEL, len(self) - 1, ANY_LEVEL, kind="integer", doc=doc),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """The level named by `values`, or one drawn uniformly. Consumes `key`."""
        index = self.draw(key, values)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], self.levels)

    def draw(self, key: jax.Array, values: Mapping[str, jax.Array]) -> jax.Array:
        """() int32: which level `sample` gives. Consumes `key`."""
        wanted = jnp.round(values["level"]).astype(jnp.int32)
        drawn = jax.random.randint(key, (), 0, len(self), jnp.int32)
        return jnp.where(wanted < 0, drawn, wanted)


def import_bank(name: str, seeds: Iterable[int], **options: Any) -> LevelBank:
    """Reads the levels that an id of the package makes from `seeds`; further arguments go to the package.

    Raises:
      PackageError: no such id, no seeds, or levels of different sizes.
    """
    return _import_bank(name, tuple(int(seed) for seed in seeds), json.dumps(options, sort_keys=True))


@functools.lru_cache(maxsize=32)
def _import_bank(name: str, seeds: tuple[int, ...], options: str) -> LevelBank:
    if not seeds:
        raise PackageError("level bank: seeds; got none; expected at least one")
    env = reference.make_reference(name, **json.loads(options))
    levels = []
    for seed in seeds:
        reference.reset(env, seed)
        levels.append(reference.import_level(env))
    bank = LevelBank(
        name=name,
        options=options,
        seeds=np.array(seeds, np.int64),
        version=importlib.metadata.version("minigrid"),
        rule=reference.rule_of(env),
        see_through=bool(env.see_through_walls),
        levels=stack(levels),
    )
    for leaf in (bank.seeds, *jax.tree.leaves(bank.levels)):
        leaf.setflags(write=False)
    return bank


def stack(levels: Sequence[Level]) -> Level:
    """Levels of one family as one with leading axis N; missions and object numbers filled up to a common length.

    Raises:
      PackageError: grids of different sizes.
    """
    sizes = {level.grid.shape for level in levels}
    if len(sizes) > 1:
        raise PackageError(f"level bank: got grids of sizes {sorted(sizes)}; expected one size")
    length = _rounded(max(len(level.mission) for level in levels))
    return jax.tree.map(
        lambda *rows: np.stack(rows), *_with_equal_goals([_lengthened(level, length) for level in levels])
    )


def _lengthened(level: Level, length: int) -> Level:
    return level.replace(mission=np.pad(level.mission, (0, length - len(level.mission))))


def _with_equal_goals(levels: Sequence[Level]) -> Sequence[Level]:
    if not isinstance(levels[0].goal, Instruction):
        return levels
    numbers = _rounded(max(level.goal.x.shape[0] for level in levels))
    return [level.replace(goal=with_object_numbers(level.goal, numbers)) for level in levels]


def _rounded(length: int) -> int:
    return max(1, -(-length // ROUND_TO)) * ROUND_TO
