"""What every generator is: a frozen description of a family of levels, see `source.Source`."""

import dataclasses
from typing import Any, ClassVar

from ...tasks import Parameter
from .. import words
from ..rules import ReachGoal, Rule
from .placing import Shape


@dataclasses.dataclass(frozen=True)
class Generator:
    """A `Source` by halves; a family adds `shape`, `max_steps`, `missions` and `sample`."""

    see_through: ClassVar[bool] = False

    @property
    def shape(self) -> Shape:
        """(H, W) of the largest level."""
        raise NotImplementedError

    @property
    def missions(self) -> tuple[str, ...]:
        """Sentences of the family, all of them where they are few."""
        raise NotImplementedError

    @property
    def height(self) -> int:
        """H."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """W."""
        return self.shape[1]

    @property
    def rule(self) -> Rule:
        """How a level is judged."""
        return ReachGoal()

    @property
    def mission_length(self) -> int:
        """L."""
        return max(1, *(len(words.encode(mission)) for mission in self.missions))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a teacher may schedule; nothing."""
        return ()


@dataclasses.dataclass(frozen=True)
class Square(Generator):
    """A family whose levels are squares and whose limits of steps grow with their area.

    Attributes:
      size: the largest width and height.
    """

    size: int
    steps_per_cell: ClassVar[int] = 4

    @property
    def shape(self) -> Shape:
        return self.size, self.size

    @property
    def max_steps(self) -> int:
        return self.limit(self.size)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (size_of(5, self.size),)

    def limit(self, size: Any) -> Any:
        """The limit of steps of a level of this size, a number or () int32."""
        return self.steps_per_cell * size**2


def count_of(name: str, low: int, high: int, doc: str, unit: str = "1", default: int | None = None) -> Parameter:
    """A parameter that counts something; the default is the upper bound."""
    return Parameter(name, low, high, high if default is None else default, unit=unit, kind="integer", doc=doc)


def switch(name: str, default: bool, doc: str) -> Parameter:
    """A parameter that is 0 or 1."""
    return Parameter(name, 0, 1, int(default), kind="categorical", doc=doc)


def size_of(low: int, high: int) -> Parameter:
    """The size of a square level."""
    return count_of("size", low, high, "Width and height of the level, walls included.", unit="cells")
