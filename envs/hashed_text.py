"""Sentences as vectors without a model: signed hashing of words and letter groups.

Related wordings share features, so they lie nearer to each other than to others, and the vectors are the same in every
process and on every machine. Nothing is known of meaning: "red" and "crimson" are strangers.

Source: Weinberger et al. 2009, "Feature hashing for large scale multitask learning".

Letters: N texts, E dimensions.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from .errors import OptionError

DIMENSIONS = 384  # as many as the sentence encoder has that the published agents use
_WORD = re.compile(r"\w+")
_SIZES = (3, 4, 5)  # of letter groups


def hash_embedding(texts: Sequence[str], dimensions: int = DIMENSIONS, seed: int = 0) -> np.ndarray:
    """(N, E) float32, rows of length 1.

    Words count without regard to capitals; letter groups run across words, so that order shows, and keep capitals.

    Args:
      dimensions: E, at least 1.
      seed: in [0, 2**64); another one gives another, unrelated, space.

    Raises:
      OptionError: dimensions or seed out of range.
    """
    if dimensions < 1:
        raise OptionError(f"dimensions={dimensions!r}; expected a whole number of at least 1", key="dimensions")
    if not 0 <= seed < 2**64:
        raise OptionError(f"seed={seed!r}; expected a whole number in [0, 2**64)", key="seed")
    salt = seed.to_bytes(8, "little")
    rows = np.zeros((len(texts), dimensions))
    for row, text in zip(rows, texts, strict=True):
        for feature in _features(text):
            _add(row, feature, 1.0, salt)
        # Half a count for the whole text: beside whole counts it cancels with nothing, so no row is zero.
        _add(row, f"text {text}", 0.5, salt)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _add(row: np.ndarray, feature: str, weight: float, salt: bytes) -> None:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()
    number = int.from_bytes(digest, "little")
    row[(number >> 1) % len(row)] += weight if number & 1 else -weight


def _features(text: str) -> Iterator[str]:
    for word in _WORD.findall(text.lower()):
        yield f"word {word}"
    framed = f"\x02{text}\x03"
    for size in _SIZES:
        for start in range(len(framed) - size + 1):
            yield f"gram {framed[start : start + size]}"
