"""Teachers: who decides what the agents train on.

A teacher is a frozen configuration with pure functions over one state (`contract.Teacher`): it proposes tasks, takes in
outcomes and now and then refits its idea of where progress is to be had. `TEACHERS` lists them by name, for command
lines and for the tests that hold every one of them to the contract. `HostTeacher` and `TaskWrapper` bring them to
training loops and environments that are not compiled.

The names below are imported when they are asked for: the command line reads `TEACHERS` without loading JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .registration import TEACHERS, make_teacher

if TYPE_CHECKING:
    from .alp_gmm import ALPGMM, TDRL, TMA, Gaussian
    from .contract import Teacher
    from .fixed import Fixed
    from .host import HostTeacher
    from .mastery import Mastery
    from .random import Random
    from .wrapper import TaskWrapper

__all__ = [
    "ALPGMM",
    "TDRL",
    "TEACHERS",
    "TMA",
    "Fixed",
    "Gaussian",
    "HostTeacher",
    "Mastery",
    "Random",
    "TaskWrapper",
    "Teacher",
    "make_teacher",
]

_HOMES = {
    "ALPGMM": "alp_gmm",
    "TDRL": "alp_gmm",
    "TMA": "alp_gmm",
    "Fixed": "fixed",
    "Gaussian": "alp_gmm",
    "HostTeacher": "host",
    "Mastery": "mastery",
    "Random": "random",
    "TaskWrapper": "wrapper",
    "Teacher": "contract",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
