"""What asking cost: requests, tokens, time and money."""

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a client has used since it was made.

    Attributes:
      requests: sent to the server; each counts once, however often it was tried.
      hits: answered without a request of their own: from the cache, or by an equal request in flight.
      retries: further tries.
      invalid: replies that were still not valid after the repair.
      repaired: replies that became valid by the repair.
      tokens_in: prompt tokens paid for.
      tokens_out: answer tokens paid for.
      latency_p50: median time of an answered request, its waits before retries left out [s]; None before the first.
      latency_p95: the same, 95th percentile.
      cost: tokens times prices, in the currency of the prices.
    """

    requests: int
    hits: int
    retries: int
    invalid: int
    repaired: int
    tokens_in: int
    tokens_out: int
    latency_p50: float | None
    latency_p95: float | None
    cost: float


class Counters:
    """The running sums behind `Usage`."""

    def __init__(self, price_in: float, price_out: float) -> None:
        """Prices are per million tokens."""
        self.requests = self.hits = self.retries = self.invalid = self.repaired = 0
        self.tokens_in = self.tokens_out = 0
        self._latencies: list[float] = []
        self._price_in, self._price_out = price_in, price_out

    @property
    def cost(self) -> float:
        """Spent so far."""
        return (self.tokens_in * self._price_in + self.tokens_out * self._price_out) / 1e6

    def answered(self, latency: float, tokens_in: int, tokens_out: int) -> None:
        """Counts one answer; `latency` in seconds."""
        self._latencies.append(latency)
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    def usage(self) -> Usage:
        """The sums as they stand."""
        latencies = sorted(self._latencies)
        counts = {
            name: getattr(self, name)
            for name in ("requests", "hits", "retries", "invalid", "repaired", "tokens_in", "tokens_out", "cost")
        }
        return Usage(**counts, latency_p50=_quantile(latencies, 0.5), latency_p95=_quantile(latencies, 0.95))


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
