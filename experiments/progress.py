"""What a person sees while a run works: a bar on a terminal, a plain line now and then elsewhere. Always on stderr."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TextIO

PLAIN_SECONDS = 10.0  # between plain lines, or one per cent of the run if that is longer
SHOWN = {"rollout/ep_rew_mean": "return", "rollout/success_rate": "success", "eval/mean_reward": "eval"}


class Progress(Protocol):
    """What the runner tells."""

    def start(self, total: int, done: int) -> None: ...

    def update(self, done: int, numbers: Mapping[str, Any], rate: float) -> None:
        """`done` steps of each learner; `rate` in steps of all learners per second."""

    def busy(self, what: str) -> contextlib.AbstractContextManager[None]:
        """A block that takes a while without progress: compiling, saving."""

    def message(self, text: str) -> None: ...

    def stop(self) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, total: int, done: int) -> None: ...

    def update(self, done: int, numbers: Mapping[str, Any], rate: float) -> None: ...

    def busy(self, what: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def message(self, text: str) -> None: ...

    def stop(self) -> None: ...


class Plain(Silent):
    """Lines for logs and pipes."""

    def __init__(self, stream: TextIO | None = None, seconds: float = PLAIN_SECONDS):
        self._stream, self._seconds = stream or sys.stderr, seconds
        self._total, self._next_time, self._next_step = 1, 0.0, 0

    def start(self, total: int, done: int) -> None:
        self._total = total
        self._next_time, self._next_step = time.monotonic() + self._seconds, done + total // 100

    def update(self, done: int, numbers: Mapping[str, Any], rate: float) -> None:
        due = time.monotonic() >= self._next_time and done >= self._next_step
        if due or done >= self._total:
            self.message(describe(done, self._total, numbers, rate))
            self._next_time, self._next_step = time.monotonic() + self._seconds, done + self._total // 100

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        begin = time.monotonic()
        self.message(f"{what} ...")
        with _heartbeat(self._seconds, lambda s: self.message(f"{what} ... {s:.0f} s")):
            yield
        self.message(f"{what} took {time.monotonic() - begin:.1f} s")

    def message(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bar(Silent):
    """A rich progress bar."""

    def __init__(self, color: bool = True):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._total = 1
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True, no_color=not color),
            transient=False,
        )
        self._task = self._bar.add_task("starting", total=1)

    def start(self, total: int, done: int) -> None:
        self._total = total
        self._bar.update(self._task, total=total, completed=done)
        self._bar.start()

    def update(self, done: int, numbers: Mapping[str, Any], rate: float) -> None:
        text = describe(done, self._total, numbers, rate)
        self._bar.update(self._task, completed=done, description=_escape(text))

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        self._bar.update(self._task, description=f"{what} ...")
        with _heartbeat(1.0, lambda s: self._bar.update(self._task, description=f"{what} ... {s:.0f} s")):
            yield

    def message(self, text: str) -> None:
        self._bar.console.print(_escape(text), highlight=False)

    def stop(self) -> None:
        self._bar.stop()


def choose_progress(quiet: bool, wanted: bool | None, color: bool) -> Progress:
    """The form that suits this terminal; `wanted` True or False is the user's explicit word."""
    if quiet or wanted is False:
        return Silent()
    return Bar(color) if sys.stderr.isatty() else Plain()


def describe(done: int, total: int, numbers: Mapping[str, Any], rate: float) -> str:
    """One line: steps, speed, time left, and the numbers a person watches."""
    words = [f"{done:,}/{total:,} steps", f"{rate:,.0f} steps/s"]
    remaining = int(numbers.get("remaining_s", 0))
    if remaining > 0 and done < total:
        words.append(f"ETA {remaining // 3600}:{remaining // 60 % 60:02d}:{remaining % 60:02d}")
    words += [f"{word} {numbers[key]:.4g}" for key, word in SHOWN.items() if _is_number(numbers.get(key))]
    stage = numbers.get("teacher/stage")
    return "  ".join([*words, f"stage {stage:.0f}"] if _is_number(stage) else words)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@contextlib.contextmanager
def _heartbeat(seconds: float, beat: Any) -> Iterator[None]:
    """Calls `beat(elapsed)` every so often from a thread, because the main one is inside the compiler."""
    begin, ended = time.monotonic(), threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            beat(time.monotonic() - begin)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
