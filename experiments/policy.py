"""A trained policy, loaded from a run folder and verified."""

import dataclasses
from pathlib import Path
from typing import Any

from ..envs.stepping import take_row
from . import assemble
from .checkpoint import CheckpointStore, Loaded, load
from .errors import InputFileError, UsageError, problem
from .program import Program
from .programs import program_for
from .settings import RunConfig


@dataclasses.dataclass(frozen=True)
class Policy:
    """An agent with the state of one checkpoint.

    Attributes:
      state: leading seed axis when the run has several seeds.
      program: compiles what is asked of the policy.
      warnings: checkpoints that were skipped.
    """

    agent: Any
    state: Any
    setup: RunConfig
    step: int
    path: Path
    program: Program
    warnings: tuple[str, ...]

    def learner(self, index: int = 0) -> Any:
        """The state of one learner, without seed axis."""
        return self.state if self.setup.run.num_seeds == 1 else take_row(self.state, index)


def load_policy(run_dir: Path, which: str = "latest") -> Policy:
    """The policy of a run.

    Args:
      which: "latest" (the newest sound checkpoint), "best", "final", or a step.

    Raises:
      InputFileError: no run, no such checkpoint, or a damaged one.
    """
    setup = assemble.read_setup(run_dir)
    agent = assemble.build(setup)
    draws = setup.run.eval_actions == "drawn"
    program = program_for(agent, setup.run.num_seeds, chunk_length=1, draws_actions=draws)
    warnings: list[str] = []
    store = CheckpointStore(run_dir / "checkpoints", warn=warnings.append, writable=False)
    found = _find(store, which, program.template())
    return Policy(agent, found.state, setup, found.step, found.path, program, tuple(warnings))


def _find(store: CheckpointStore, which: str, template: Any) -> Loaded:
    if which == "latest":
        found = store.load_latest(template)
        if found is None:
            raise InputFileError(f"no checkpoint yet: {store.root}", hint="Train the run first.", file=store.root)
        return found
    if which not in ("best", "final") and not which.isdecimal():
        expected = "latest, best, final or a step"
        raise UsageError(problem("bad value", "--checkpoint", which, expected), key="--checkpoint")
    path = store.path(int(which)) if which.isdecimal() else store.root / which
    if not path.is_dir():
        steps = [str(step) for step in store.steps()]
        hint = f"There are {', '.join(['latest', *steps[-5:]])}."
        raise InputFileError(f"no such checkpoint: {path}", hint=hint, file=path)
    return load(path, template)
