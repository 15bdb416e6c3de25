"""What the benchmarks share: rates over rounds, and rows of their tables."""

import statistics
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 5


def row(case: str, peer: str, ours: float, theirs: float | None, unit: str) -> dict[str, Any]:
    """One row of a benchmark; `theirs` None where no peer was measured, no ratio to 0."""
    ratio = ours / theirs if theirs else None
    return {"case": case, "peer": peer, "ours": ours, "theirs": theirs, "unit": unit, "ratio": ratio}


def median_rate(work: Callable[[], int], seconds: float) -> float:
    """Median over rounds of what `work` returns (steps done) per second; at least one call a round."""
    rates = []
    for _ in range(ROUNDS):
        steps, begin = 0, time.perf_counter()
        while not steps or time.perf_counter() - begin < seconds / ROUNDS:
            steps += work()
        rates.append(steps / (time.perf_counter() - begin))
    return statistics.median(rates)
