"""Teachers: who decides what the agents train on.

A teacher is a frozen configuration with pure functions over one state (`contract.Teacher`): it proposes tasks, takes in
outcomes and now and then refits its idea of where progress is to be had. `TEACHERS` lists them by name, for command
lines and for the tests that hold every one of them to the contract. `HostTeacher` and `TaskWrapper` bring them to
training loops and environments that are not compiled.
"""

from typing import Any

from .alp_gmm import ALPGMM, TDRL, TMA, Gaussian
from .contract import Teacher
from .fixed import Fixed
from .host import HostTeacher
from .random import Random
from .wrapper import TaskWrapper

TEACHERS: dict[str, tuple[type, str]] = {
    "random": (Random, "uniform over the whole task space"),
    "fixed": (Fixed, "the same task in every episode; the environment's standard one unless told otherwise"),
    "alp_gmm": (ALPGMM, "where the return is moving, as a Gaussian mixture sees it (ALP-GMM)"),
}


def make_teacher(name: str, **settings: Any) -> Teacher:
    """A teacher by its name in `TEACHERS`, with the fields of its configuration as keywords.

    Raises:
      ValueError: naming the teachers there are.
      TypeError: a setting the teacher does not have.
    """
    if name not in TEACHERS:
        raise ValueError(f"unknown teacher {name!r}; expected one of {sorted(TEACHERS)}")
    return TEACHERS[name][0](**settings)


__all__ = [
    "ALPGMM",
    "TDRL",
    "TEACHERS",
    "TMA",
    "Fixed",
    "Gaussian",
    "HostTeacher",
    "Random",
    "TaskWrapper",
    "Teacher",
    "make_teacher",
]
