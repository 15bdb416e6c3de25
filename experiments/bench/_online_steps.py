"""Online steps as runs take them: one step of an environment, then one gradient phase."""

import dataclasses
import math
import time
from typing import Any

import jax

from ...agents.off_policy.online import Online
from ...agents.off_policy.outside import Outside
from ...agents.off_policy.presets import WSRL
from ...curricula.fixed import Fixed
from ...envs.registration import make_functional
from ..foreign import foreign
from ..host_program import HostProgram
from ..program import Program
from ._phases import Size

STEPS = 8  # of one iteration, and of one call here


class Steps:
    """Online steps by a run's own program; calling it takes some of them.

    Attributes:
      first_seconds: compilation and the steps until there is a full batch to learn from.
    """

    def __init__(self, program: Program, rows: int):
        begin = time.perf_counter()
        self._program, self._iteration = program, program.agent.steps_per_iteration
        self._state = program.init(0)
        for _ in range(math.ceil(rows / self._iteration)):
            self()
        self.first_seconds = time.perf_counter() - begin

    def __call__(self) -> int:
        self._state, chunk = self._program.advance(self._state, 1)
        jax.block_until_ready((self._state, chunk))
        return self._iteration

    @property
    def updates(self) -> float:
        """Gradient phases of the last call."""
        self._state, chunk = self._program.advance(self._state, 1)
        return float(chunk.metrics["train/updates_sum"][0, 0])


def inside(size: Size) -> Steps:
    """In our Pendulum: everything in one compiled scan."""
    config = _config(size)
    return Steps(Program(Online(make_functional("palaestra/Pendulum-v0"), Fixed(), config), 1, 1), config.learner.rows)


def outside(size: Size) -> Steps:
    """In Gymnasium's Pendulum-v1: a call for every step."""
    config = _config(size)
    agent: Any = Outside(foreign("Pendulum-v1", {}), None, config)
    return Steps(HostProgram(agent, 1, 1), config.learner.rows)


def _config(size: Size) -> WSRL:
    config = WSRL()
    learner = size.fit(config.learner)
    return dataclasses.replace(config, learner=learner, warmup=0, buffer_size=size.rows, start_every=STEPS)
