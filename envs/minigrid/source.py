"""Where levels come from: the interface that generators and banks share.

Letters: H rows, W columns, L words of a mission.
"""

from collections.abc import Mapping
from typing import Protocol

import jax

from ..tasks import Parameter
from .level import Level
from .rules import Rule


class Source(Protocol):
    """A family of levels: a frozen, hashable description, so that equal sources share compiled programs."""

    @property
    def width(self) -> int:
        """W, the widest level's; smaller levels stand in the upper left corner, surrounded by walls."""

    @property
    def height(self) -> int:
        """H, the highest level's."""

    @property
    def rule(self) -> Rule:
        """How a level is judged."""

    @property
    def max_steps(self) -> int:
        """The largest limit of steps that a level may have."""

    @property
    def see_through(self) -> bool:
        """Whether walls hide nothing."""

    @property
    def missions(self) -> tuple[str, ...]:
        """Sentences of the family, for `MissionSpace.sample`; all of them where they are few."""

    @property
    def mission_length(self) -> int:
        """L, words of the longest mission."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a teacher may schedule; the defaults give the levels of the package."""

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`.

        Args:
          values: a () float32 for each of `parameters`.
        """
