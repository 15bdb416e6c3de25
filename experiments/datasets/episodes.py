"""One episode as a data set holds it: host arrays, checked when it is made.

Letters: T steps.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from ...envs.errors import PalaestraError
from ..errors import ExitCode, InputFileError, problem
from .trees import leaves, map_leaves, space_leaves

LARGEST = float(np.finfo(np.float32).max)  # learners calculate in 32 bits
SUCCESS = ("success", "is_success")  # what infos call it


class EpisodeError(PalaestraError, ValueError):
    """Arrays that are no episode; `key` is the field at fault."""

    code = ExitCode.USAGE

    def __init__(self, what: str, field: str, got: Any, expected: str):
        super().__init__(problem(what, field, got, expected), hint="Correct the arrays.", key=field)
        self.what, self.field, self.got, self.expected = what, field, got, expected

    def within(self, file: Path, episode: int) -> InputFileError:
        """The error of a file that holds such an episode."""
        where = f"{file}, episode {episode}, {self.field}"
        return InputFileError(
            problem(self.what, where, self.got, self.expected),
            hint="Make the data set again or leave the episode out.",
            file=file,
            key=self.field,
        )


@dataclasses.dataclass(frozen=True)
class Episode:
    """Everything about one episode.

    Attributes:
      observations: tree of arrays (T + 1, ...), the reset's and one after every step.
      actions: tree of arrays (T, ...), as the environment got them.
      rewards: (T,) as the environment gave them.
      terminated: whether the task ended it.
      truncated: whether the clock, or the collector, cut it off; exactly one of the two is True.
      seed: of the reset.
      infos: tree of arrays (T + 1, ...), beside the observations.
      options: of the reset, numbers, words, lists of numbers and dicts of those.

    Raises:
      EpisodeError: arrays of wrong lengths, numbers that are not finite, no step, or no end.
    """

    observations: Any
    actions: Any
    rewards: np.ndarray
    terminated: bool
    truncated: bool
    seed: int | None = None
    infos: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        rewards = np.asarray(self.rewards)
        if rewards.ndim != 1 or not len(rewards):
            raise EpisodeError("wrong shape", "rewards", rewards.shape, "(T,) with at least one step")
        _check_numbers("rewards", rewards, "fiub")
        for name, rows in (("observations", len(rewards) + 1), ("actions", len(rewards)), ("infos", len(rewards) + 1)):
            for path, leaf in leaves(getattr(self, name) or {} if name == "infos" else getattr(self, name), name):
                _check_rows(path, leaf, rows)
        if bool(self.terminated) == bool(self.truncated):
            raise EpisodeError(
                "an episode ends in one way",
                "terminated, truncated",
                (self.terminated, self.truncated),
                "exactly one to be True",
            )

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def return_(self) -> float:
        """Undiscounted sum of rewards."""
        return float(np.sum(self.rewards, dtype=np.float64))

    @property
    def success(self) -> bool | None:
        """Whether the task was solved when the episode ended, by `infos`; None where they do not tell."""
        told = self._told_success
        return None if told is None else bool(told[-1])

    @property
    def steps_to_success(self) -> int | None:
        """Steps until the task was solved for the first time; None where it was not, or `infos` do not tell."""
        told = self._told_success
        return None if told is None or not told.any() else int(np.argmax(told))

    @property
    def _told_success(self) -> np.ndarray | None:
        """(T + 1,) bool."""
        found = [self.infos[name] for name in SUCCESS if name in self.infos] if self.infos else []
        return np.asarray(found[0]).astype(bool) if found else None

    def cut(self, steps: int) -> "Episode":
        """The first steps of it, truncated unless they are all."""
        if steps >= len(self):
            return self
        return dataclasses.replace(
            self,
            observations=map_leaves(lambda x: x[: steps + 1], self.observations),
            actions=map_leaves(lambda x: x[:steps], self.actions),
            rewards=self.rewards[:steps],
            terminated=False,
            truncated=True,
            infos=None if self.infos is None else map_leaves(lambda x: x[: steps + 1], self.infos),
        )


def take_steps(episodes: Iterable[Episode], count: int) -> Iterator[Episode]:
    """Episodes with `count` steps in all; the last one is cut where the count is reached."""
    for episode in episodes:
        yield episode.cut(count)
        count -= len(episode)
        if count <= 0:
            return


def check_fields(name: str, space: Space, tree: Any) -> None:
    """Whether observations or actions are of their space, but for bounds.

    Raises:
      EpisodeError: a part that is missing or not of the space, an array of another shape, a choice that is none.
    """
    found, expected = dict(leaves(tree, name)), dict(space_leaves(space, name))
    for path in expected:
        if path not in found:
            raise EpisodeError("missing field", path, sorted(found), f"a field of the space {type(space).__name__}")
    for path in found:
        if path not in expected:
            raise EpisodeError("unknown field", path, sorted(found), f"the fields {sorted(expected)}")
    for path, leaf in found.items():
        _check_space(path, expected[path], leaf)


def update_digest(digest: Any, episode: Episode) -> None:
    """Adds an episode's contents to a hashlib object: names, kinds, shapes and bytes of observations to rewards."""
    fields = [*leaves(episode.observations, "observations"), *leaves(episode.actions, "actions")]
    for path, leaf in [*fields, ("rewards", episode.rewards)]:
        array = np.ascontiguousarray(leaf) if isinstance(leaf, np.ndarray) else np.array(leaf)
        digest.update(f"{path}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.data if array.dtype.kind in "fiub" else repr(array.tolist()).encode())
    digest.update(b"terminated;" if episode.terminated else b"truncated;")


def digest_of(episodes: Iterable[Episode]) -> str:
    """SHA-256 of what episodes hold; equal for both storages."""
    digest = hashlib.sha256()
    for episode in episodes:
        update_digest(digest, episode)
    return digest.hexdigest()


def _check_rows(path: str, leaf: Any, rows: int) -> None:
    if not hasattr(leaf, "__len__") or len(leaf) != rows:
        got = len(leaf) if hasattr(leaf, "__len__") else leaf
        what = "one more row than rewards" if path.startswith(("observations", "infos")) else "as many rows as rewards"
        raise EpisodeError("wrong number of rows", path, got, f"{rows}, {what}")
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" and not path.startswith("infos"):
        _check_numbers(path, leaf, "f")


def _check_numbers(path: str, array: np.ndarray, kinds: str) -> None:
    if array.dtype.kind not in kinds:
        raise EpisodeError("wrong type", path, array.dtype, "real numbers")
    if array.dtype.kind == "f" and not np.abs(array).max(initial=0) <= LARGEST:  # nor if it is NaN
        where = tuple(int(i) for i in np.argwhere(~(np.abs(array) <= LARGEST))[0])
        raise EpisodeError(f"not finite at step {where[0]}", path, float(array[where]), "finite numbers of 32 bits")


def _check_space(path: str, space: Space, leaf: Any) -> None:
    if space.shape is None or not isinstance(leaf, np.ndarray):
        return
    if leaf.shape[1:] != space.shape:
        raise EpisodeError("wrong shape", path, leaf.shape, f"{(len(leaf), *space.shape)} by its space")
    if isinstance(space, spaces.Discrete):
        wrong = (leaf < space.start) | (leaf >= space.start + space.n)
        if leaf.dtype.kind not in "iu" or wrong.any():
            got = leaf.dtype if leaf.dtype.kind not in "iu" else int(leaf[wrong][0])
            raise EpisodeError("no choice of its space", path, got, f"whole numbers of {space}")
    elif leaf.dtype.kind not in "fiub":
        raise EpisodeError("wrong type", path, leaf.dtype, "real numbers")
