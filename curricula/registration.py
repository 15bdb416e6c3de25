"""The registry of teachers. Entries are strings, so reading it imports no teacher and no JAX.

`TEACHERS` is what the contract tests and the command line run over: a teacher is tested and listed by being in it.
"""

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contract import Teacher


@dataclasses.dataclass(frozen=True)
class Entry:
    """One teacher with a name.

    Attributes:
      factory: "module:class", the module relative to this package; the class is its own configuration.
      summary: one line for `palaestra list`.
    """

    factory: str
    summary: str

    def load(self) -> Any:
        """The class."""
        module, name = self.factory.split(":")
        return getattr(importlib.import_module(module, __package__), name)


TEACHERS: dict[str, Entry] = {
    "random": Entry(".random:Random", "Uniform draws from the task space."),
    "fixed": Entry(".fixed:Fixed", "The same task in every episode: no curriculum."),
    "mastery": Entry(".mastery:Mastery", "A path through the task space, one step per proof of mastery."),
    "alp_gmm": Entry(".alp_gmm:ALPGMM", "Absolute learning progress, Gaussian mixture (Portelas 2019)."),
}


def make_teacher(name: str, **settings: Any) -> "Teacher":
    """A teacher by its name in `TEACHERS`, with the fields of its configuration as keywords.

    Raises:
      ValueError: naming the teachers there are.
      TypeError: a setting the teacher does not have.
    """
    if name not in TEACHERS:
        raise ValueError(f"unknown teacher {name!r}; expected one of {sorted(TEACHERS)}")
    return TEACHERS[name].load()(**settings)
