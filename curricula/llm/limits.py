"""Time, and how much of something may begin within a minute of it."""

import asyncio
import collections
import dataclasses
import random
import time
from collections.abc import Awaitable, Callable, Sequence

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

    def __init__(self, limit: float | None) -> None:
        """`limit` None lets everything pass."""
        self._limit = limit
        self._entries: collections.deque[Entry] = collections.deque()

    def wait(self, amount: float, now: float) -> float:
        """How long to wait before looking again [s]; 0 where `amount` fits at the time `now`.

        What exceeds the limit by itself passes once nothing else is in the window.
        """
        while self._entries and now - self._entries[0].time >= _WINDOW:
            self._entries.popleft()
        used = sum(entry.amount for entry in self._entries)
        if self._limit is None or not self._entries or used + amount <= self._limit:
            return 0.0
        # Looked at every second, as amounts may be corrected; the floor is for rounding at the last instant.
        return min(max(self._entries[0].time + _WINDOW - now, 1e-3), 1.0)

    def enter(self, amount: float, now: float) -> Entry:
        """Counts an amount that begins at the time `now`."""
        entry = Entry(now, amount)
        if self._limit is not None:
            self._entries.append(entry)
        return entry


async def admit(wanted: Sequence[tuple[Window, float]], timing: Timing) -> list[Entry]:
    """Waits for a moment at which every amount fits its window, and enters all of them at that moment.

    One after another would not do: an amount that was let in by one window and then waits for another would begin later
    than the first window believes.
    """
    while True:
        now = timing.clock()
        wait = max(window.wait(amount, now) for window, amount in wanted)
        if not wait:
            return [window.enter(amount, now) for window, amount in wanted]
        await timing.sleep(wait)
