"""Which program runs an agent."""

from typing import Any

from .foreign import ForeignEnv
from .host_program import HostProgram
from .program import Program


def program_for(agent: Any, *args: Any, **kwargs: Any) -> Program:
    """The program of an agent, by who steps its environment: the device, or, for Gymnasium's, the host."""
    kind = HostProgram if isinstance(agent.env, ForeignEnv) else Program
    return kind(agent, *args, **kwargs)
