"""A run in iterations: where it ends, and at which multiples the host has something to do."""

import dataclasses

from .settings import RunSettings

MAX_CHUNK = 1024  # iterations in one call of the compiled program; bounds how long a signal waits


@dataclasses.dataclass(frozen=True)
class Plan:
    """Counts of iterations; an interval of 0 means never.

    Boundaries depend on the iteration alone, never on time or on where a process began, so that a resumed run writes
    the rows an uninterrupted one would have written.
    """

    steps_per_iteration: int
    total: int
    log: int
    eval: int
    save: int

    @classmethod
    def of(cls, settings: RunSettings, steps_per_iteration: int) -> "Plan":
        """From resolved settings, which count environment steps; everything is rounded up."""

        def iterations(steps: int | None) -> int:
            return -(-(steps or 0) // steps_per_iteration)

        total = iterations(settings.total_timesteps)
        log = min(iterations(settings.log_every), MAX_CHUNK, total)
        return cls(steps_per_iteration, total, log, iterations(settings.eval_every), iterations(settings.save_every))

    def next_boundary(self, iteration: int) -> int:
        """The next iteration at which something is due; at most `log` away."""
        ahead = [(iteration // every + 1) * every for every in (self.log, self.eval, self.save) if every]
        return min([*ahead, self.total])

    def is_due(self, iteration: int, every: int) -> bool:
        """Whether something with this interval is due; at the end everything is."""
        return bool(every) and (iteration % every == 0 or iteration == self.total)
