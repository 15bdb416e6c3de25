"""How fast data sets are written, in steps per second of this process's CPU time, beside Minari's own way."""

import contextlib
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from ..datasets.about import About
from ..datasets.episodes import Episode
from ..datasets.store import write_dataset
from ._measuring import ROUNDS

OBSERVATION = spaces.Box(-np.inf, np.inf, (11,), np.float64)  # of Gymnasium's Hopper-v5
ACTION = spaces.Box(-1.0, 1.0, (3,), np.float32)
FOLDER = "MINARI_DATASETS_PATH"


def writing_rates(episodes: int, steps: int) -> tuple[list[float], list[float]]:
    """Steps per CPU-second of ours and of Minari's in every round."""
    made = _episodes(episodes, steps)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        for writer, found in ((_write_ours, ours), (_write_theirs, theirs)):
            with _empty_folder():
                found.append(episodes * steps / _cpu_seconds(writer, made))
    return ours, theirs


def median_rates(episodes: int, steps: int) -> tuple[float, float]:
    """Their medians."""
    ours, theirs = writing_rates(episodes, steps)
    return statistics.median(ours), statistics.median(theirs)


def _cpu_seconds(writer: Callable[[list[Episode]], None], made: list[Episode]) -> float:
    begin = time.process_time()
    writer(made)
    return time.process_time() - begin


def _episodes(count: int, steps: int) -> list[Episode]:
    rng = np.random.default_rng(0)
    return [
        Episode(
            observations=rng.normal(size=(steps + 1, 11)),
            actions=rng.uniform(-1.0, 1.0, (steps, 3)).astype(np.float32),
            rewards=rng.normal(size=steps),
            terminated=False,
            truncated=True,
            seed=number,
        )
        for number in range(count)
    ]


def _write_ours(made: list[Episode]) -> None:
    write_dataset("palaestra/bench/ours-v0", made, About(OBSERVATION, ACTION))


def _write_theirs(made: list[Episode]) -> None:
    import minari
    from minari.data_collector import EpisodeBuffer

    buffers = [
        EpisodeBuffer(
            seed=episode.seed,
            observations=episode.observations,
            actions=episode.actions,
            rewards=episode.rewards,  # type: ignore[arg-type]
            terminations=[False] * len(episode),
            truncations=[False] * (len(episode) - 1) + [True],
        )
        for episode in made
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata that is left out
        minari.create_dataset_from_buffers(
            dataset_id="bench/theirs-v0", buffer=buffers, observation_space=OBSERVATION, action_space=ACTION
        )


@contextlib.contextmanager
def _empty_folder() -> Iterator[Any]:
    """A new folder for data sets, gone at the end."""
    before = os.environ.get(FOLDER)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER] = folder
        try:
            yield folder
        finally:
            if before is None:
                del os.environ[FOLDER]
            else:
                os.environ[FOLDER] = before
