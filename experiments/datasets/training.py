"""The training run whose policies make data: an earlier one, or one that is made for them."""

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import jax
from flax import struct

from ...envs.stepping import take_row
from .. import assemble
from ..checkpoint import CheckpointStore, load
from ..errors import ExitCode, ResourceError, UsageError, problem
from ..programs import program_for
from ..progress import choose_progress
from ..run_config import config_digest
from ..run_folder import new_path, runs_root
from ..runner import train
from ..settings import RunConfig
from .requests import Request

TRAIN_STEPS = 200_000
SAVE_EVERY = 10_000  # steps between checkpoints


class Trained(struct.PyTreeNode):
    """A trained policy as a behaviour, which draws its actions; other checkpoints run the same program."""

    state: Any
    agent: Any = struct.field(pytree_node=False)

    def start(self, key: jax.Array) -> tuple[()]:
        return ()

    def act(self, key: jax.Array, memory: tuple[()], obs: Any) -> tuple[tuple[()], jax.Array]:
        row = jax.tree.map(lambda x: x[None], obs)
        return memory, jax.tree.map(lambda x: x[0], self.agent.act(key, self.state, row))


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run with its checkpoints; of several learners the first.

    Attributes:
      path: its folder.
      setup: its configuration.
    """

    path: Path
    setup: RunConfig

    @functools.cached_property
    def agent(self) -> Any:
        return assemble.build(self.setup)

    @functools.cached_property
    def steps(self) -> list[int]:
        """Steps of the checkpoints that were kept."""
        return self._store.steps()

    @property
    def has_replay(self) -> bool:
        """Whether the learner keeps what it has seen."""
        return hasattr(self._template, "replay")

    def state(self, step: int) -> Any:
        """The learner at a checkpoint.

        Raises:
          InputFileError: it is damaged.
        """
        found = load(self._store.path(step), self._template).state
        return found if self.setup.run.num_seeds == 1 else take_row(found, 0)

    def behaviour(self, step: int) -> Trained:
        """The policy at a checkpoint."""
        state = self.state(step)
        # A replay is no part of acting, and as large as the memory allows.
        return Trained(state.replace(replay=None) if hasattr(state, "replay") else state, self.agent)

    @property
    def _store(self) -> CheckpointStore:
        return CheckpointStore(self.path / "checkpoints", writable=False)

    @functools.cached_property
    def _template(self) -> Any:
        return program_for(self.agent, self.setup.run.num_seeds, chunk_length=1).template()


def trained_run(request: Request) -> TrainedRun:
    """The run that is asked for; one that is made is found again, or taken up again, by an equal request.

    Raises:
      UsageError: a run of another environment, or training that this environment does not allow.
      InputFileError: no run there.
      ResourceError: training was interrupted.
    """
    if request.run is None:
        return _made(request)
    setup = assemble.read_setup(request.run)
    if setup.env != request.env_id:
        raise UsageError(problem("run of another environment", "--run", setup.env, request.env_id), key="--run")
    theirs = assemble.typed_arguments(setup.env, setup.env_kwargs)
    if theirs != request.env_kwargs:
        raise UsageError(
            problem(
                "environment with other arguments", "--env-kwargs", dict(request.env_kwargs), f"{theirs}, the run's"
            ),
            hint="Give the same --env-kwargs as the run's.",
            key="--env-kwargs",
        )
    return TrainedRun(request.run, setup)


def training_of(request: Request) -> RunConfig:
    """Soft actor-critic with every checkpoint kept and a replay that forgets nothing."""
    total = TRAIN_STEPS if request.train_steps is None else request.train_steps
    every = _save_every(total)
    iteration = math.gcd(every, 100)
    agent = {"start_every": iteration, "warmup": min(5000, total // 20), "buffer_size": total + iteration}
    return assemble.complete(
        {
            "env": request.env_id,
            "env_kwargs": request.env_kwargs,
            "agent": "sac",
            "agent_config": agent,
            "teacher": "random" if request.tasks == "space" else "fixed",
            "run": {
                "total_timesteps": total,
                "seed": request.seed,
                "log_every": every,
                "eval_every": 0,  # whoever rates the policies does it the way they act in the data
                "save_every": every,
                "save_seconds": 1e9,  # checkpoints by the clock would make the data depend on it
                "keep": total // every + 2,
            },
        }
    )


def _save_every(total: int) -> int:
    """Steps between checkpoints: more of them in short runs, whose scores rise at once and whose replays are small."""
    return max(1, total // 60) if total <= 60_000 else min(SAVE_EVERY, total // 20)


def _made(request: Request) -> TrainedRun:
    setup = training_of(request)
    name = f"for-datasets-s{request.seed}-{config_digest(setup.to_plain())[:6]}"
    path = new_path(runs_root(), setup.env, setup.agent, setup.teacher, "x", request.seed).with_name(name)
    progress = choose_progress(False, None, True)
    agent = assemble.build(setup)
    result = train(agent, setup.run, path, resume="auto", config=setup.to_plain(), progress=progress)
    if result.status != "finished":
        error = ResourceError(
            f"training was interrupted: {path}; got {result.steps} steps; expected {setup.run.total_timesteps}",
            hint="The same command goes on with it.",
            file=path,
        )
        error.code = ExitCode(result.exit_code)
        raise error
    return TrainedRun(path, setup)
