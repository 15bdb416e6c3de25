"""Missions: sentences for people, numbered words for programs.

A mission is an array (L,) uint8 of words, 0 for none; its sentence is the words that are there, one space apart. So a
template with an optional word keeps its length, and every sentence of the family has exactly one spelling.
"""

import functools
from typing import Any

import numpy as np

from ..contract import CodedSpace
from ..errors import PalaestraError
from .cells import COLORS, KINDS

WORDS = (
    *("", ",", "a", "the", "to", "and", "then", "after", "you", "your"),
    *COLORS,
    *("door", "key", "ball", "box", "object", "goal", "square", "lava", "opening", "room", "rooms", "maze", "hallway"),
    *("left", "right", "front", "behind", "in", "of", "on", "at", "end"),
    *("go", "get", "fetch", "must", "pick", "up", "open", "put", "next", "near", "use", "avoid", "find", "traverse"),
    *("reach", "matching", "from", "unlock"),
)
_NUMBER = {word: number for number, word in enumerate(WORDS)}
COLOR_WORDS = np.array([_NUMBER[name] for name in COLORS], np.uint8)
"""(6,) the word of a colour."""
KIND_WORDS = np.array([_NUMBER.get(name, 0) for name in KINDS], np.uint8)
"""(11,) the word of a kind of object; 0 for kinds that no mission names."""


class MissionError(PalaestraError, ValueError):
    """A sentence with a word that no mission has."""

    code = 2


def encode(sentence: str, length: int | None = None) -> np.ndarray:
    """The words (L,) uint8 of a sentence, filled up with 0.

    Args:
      sentence: words of `WORDS`, one space apart; a comma follows its word at once.
      length: L; as many as there are words by default.

    Raises:
      MissionError: an unknown word, or more of them than `length`.
    """
    names = sentence.replace(",", " ,").split()
    unknown = sorted(set(names) - set(WORDS))
    if unknown:
        raise MissionError(f"mission: got {sentence!r} with the words {unknown}; expected words of {list(WORDS[1:])}")
    length = len(names) if length is None else length
    if len(names) > length:
        raise MissionError(f"mission: got {len(names)} words in {sentence!r}; expected at most {length}")
    words = np.zeros(length, np.uint8)
    words[: len(names)] = [_NUMBER[name] for name in names]
    return words


def decode(words: np.ndarray) -> str:
    """The sentence of words (L,) uint8."""
    return _sentence(np.asarray(words, np.uint8).tobytes())


@functools.lru_cache(maxsize=65536)
def _sentence(words: bytes) -> str:
    return " ".join(WORDS[number] for number in words if number).replace(" ,", ",")


class MissionSpace(CodedSpace):
    """Sentences that `encode` takes, of at most `length` words.

    On the device a mission is (length,) uint8; the doors hand out its sentence. `samples` are what `sample` draws.
    """

    num_codes = len(WORDS)

    def __init__(self, length: int, samples: tuple[str, ...], seed: Any = None):
        self.length = length
        self.samples = samples
        super().__init__(dtype=str, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """One of `samples`, uniformly.

        Raises:
          ValueError: with a mask or probabilities, which sentences do not have.
        """
        if mask is not None or probability is not None:
            raise ValueError("sample(mask=..., probability=...): a space of missions has neither; expected None")
        return self.samples[int(self.np_random.integers(len(self.samples)))]

    def contains(self, x: Any) -> bool:
        """Whether `x` is a sentence of known words, not too long."""
        try:
            return isinstance(x, str) and decode(encode(x, self.length)) == x
        except MissionError:
            return False

    def to_host(self, codes: np.ndarray) -> str | tuple[str, ...]:
        """The sentence of words (L,), or those of (B, L)."""
        return decode(codes) if codes.ndim == 1 else tuple(map(decode, codes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MissionSpace) and (self.length, self.samples) == (other.length, other.samples)

    def __repr__(self) -> str:
        return f"MissionSpace({self.length}, {self.samples})"
