"""Contestants measured in turn, round after round, so that whatever else the machine does meets all of them alike."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from ._measuring import ROUNDS, row

COMPILED = "/jax/core/compile/backend_compile_duration"
Work = Callable[[], int]  # does something and says how much of it


def rates(works: dict[str, Work], seconds: float) -> dict[str, list[float]]:
    """Work per second of every contestant in each round, after one call each that is not measured.

    Args:
      seconds: spent on each contestant in all; at least one call a round.

    Raises:
      RuntimeError: something was compiled meanwhile.
    """
    for work in works.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    with no_compilation():
        for _ in range(ROUNDS):
            for name, work in works.items():
                done, begin = 0, time.perf_counter()
                while not done or time.perf_counter() - begin < seconds / ROUNDS:
                    done += work()
                found[name].append(done / (time.perf_counter() - begin))
    return found


def compared(case: str, peer: str, ours: list[float], theirs: list[float] | None, unit: str) -> dict[str, Any]:
    """A row of medians; its ratio is the median of the rounds' ratios, which outlasts a machine that changes speed."""
    if not theirs:
        return row(case, peer, statistics.median(ours), None, unit)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return row(case, peer, statistics.median(ours), statistics.median(theirs), unit) | {"ratio": ratio}


@contextlib.contextmanager
def no_compilation() -> Iterator[None]:
    """Raises RuntimeError at the end where JAX has compiled something within."""
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **details: Any) -> None:
        if event == COMPILED:
            compiled.append(str(details.get("fun_name", event)))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    if compiled:
        raise RuntimeError(f"compiled within the measurement: {', '.join(compiled)}; expected nothing")


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """Leaves JAX's persistent cache out, so that compilation takes what a newcomer waits for."""
    from jax.experimental.compilation_cache import compilation_cache

    folder = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()
