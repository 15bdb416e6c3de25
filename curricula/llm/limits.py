"""Time, and how much of something may begin within a minute of it."""

import asyncio
import collections
import dataclasses
import random
import time
from collections.abc import Awaitable, Callable

_WINDOW = 60.0  # [s]


@dataclasses.dataclass(frozen=True)
class Timing:
    """Clocks and chance, replaceable so that tests need not wait.

    Attributes:
      clock: monotonic [s].
      now: seconds since 1970, UTC.
      sleep: waits [s].
      chance: uniform in [0, 1).
    """

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


@dataclasses.dataclass
class Entry:
    """An amount and when it began; the amount may be corrected later."""

    time: float
    amount: float


class Window:
    """Lets no more than `limit` units begin in any 60 s."""

    def __init__(self, limit: float | None, timing: Timing) -> None:
        """`limit` None lets everything pass."""
        self._limit = limit
        self._timing = timing
        self._entries: collections.deque[Entry] = collections.deque()

    async def admit(self, amount: float) -> Entry:
        """Waits until `amount` fits; what exceeds the limit by itself passes once nothing else is in the window."""
        while True:
            now = self._timing.clock()
            while self._entries and now - self._entries[0].time >= _WINDOW:
                self._entries.popleft()
            used = sum(entry.amount for entry in self._entries)
            if self._limit is None or not self._entries or used + amount <= self._limit:
                entry = Entry(now, amount)
                if self._limit is not None:
                    self._entries.append(entry)
                return entry
            # Looked at every second, as amounts may be corrected; the floor is for rounding at the last instant.
            await self._timing.sleep(min(max(self._entries[0].time + _WINDOW - now, 1e-3), 1.0))
