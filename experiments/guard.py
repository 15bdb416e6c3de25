"""What happens when training is not finite: stop, skip the update, or go back to the last good checkpoint."""

import dataclasses
from typing import Any

import numpy as np

from .errors import NotFiniteError
from .program import Chunk, is_guarded
from .settings import NanPolicy

MAX_ROLLBACKS = 3
MAX_SKIPS = 10  # in a row


@dataclasses.dataclass(frozen=True)
class Fault:
    """The first iteration of a chunk that is not finite."""

    cause: str
    row: int  # iteration within the chunk
    seed: int  # index of the learner
    count: int  # how many iterations are bad
    statistics: dict[str, list[float]]  # [least, greatest, mean] of every metric over the chunk

    def at(self, steps: int, seed: int) -> str:
        """Where, for a message."""
        return f"{self.cause} at step {steps}, seed {seed}"


def find_fault(chunk: Chunk) -> Fault | None:
    """The first bad iteration, named after the first bad metric, or after `params` when all metrics are finite."""
    bad = np.argwhere(~chunk.finite)
    if len(bad) == 0:
        return None
    row, seed = (int(i) for i in bad[0])
    named = [k for k, v in chunk.metrics.items() if is_guarded(k) and not np.isfinite(v[row, seed])]
    statistics = {k: [float(f(v)) for f in (np.min, np.max, np.mean)] for k, v in chunk.metrics.items()}
    return Fault(named[0] if named else "params", row, seed, len(bad), statistics)


class Guard:
    """Counts faults and says when the policy's patience is at its end."""

    def __init__(self, policy: NanPolicy, file: Any):
        self.policy, self._file, self._skips = policy, file, 0

    def tolerates(self, chunk: Chunk, where: str) -> bool:
        """Whether training goes on from here (True) or from the last checkpoint (False).

        Raises:
          NotFiniteError: the policy says to stop.
        """
        if self.policy == "stop":
            raise self.error(where, "--nan-policy stop")
        if self.policy == "rollback":
            return False
        for good in np.atleast_1d(np.asarray(chunk.finite).all(1)):
            self._skips = 0 if good else self._skips + 1
            if self._skips > MAX_SKIPS:
                raise self.error(where, f"more than {MAX_SKIPS} updates skipped in a row")
        return True

    def relax(self) -> None:
        """A whole chunk was good."""
        self._skips = 0

    def error(self, where: str, why: str) -> NotFiniteError:
        return NotFiniteError(
            f"training is not finite: {where}; {why}; expected finite losses, gradients, rewards and parameters",
            hint="Lower the learning rate, or look at events.log.",
            file=self._file,
        )
