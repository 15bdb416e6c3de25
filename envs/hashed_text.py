"""Sentences as vectors without a model: signed hashing of words and letter groups.

Related wordings share features, so they lie nearer to each other than to others, and the vectors are the same on every
machine. A learned embedding says more about meaning; this one needs nothing installed.

Letters: N texts, E dimensions.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

DIMENSIONS = 384  # as many as the sentence encoder has that the published agents use


def hash_embedding(texts: Sequence[str], dimensions: int = DIMENSIONS) -> np.ndarray:
    """(N, E) float32 of norm 1; an empty text is 0."""
    vectors = np.zeros((len(texts), dimensions), np.float64)
    for vector, text in zip(vectors, texts, strict=True):
        for feature in _features(text.lower()):
            digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
            vector[digest % dimensions] += 1.0 if digest >> 63 else -1.0
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)


def _features(text: str) -> Iterator[str]:
    """Words, and groups of 3 to 5 letters of each with its ends marked."""
    for word in text.split():
        yield f"word:{word}"
        marked = f"<{word}>"
        for size in (3, 4, 5):
            yield from (marked[i : i + size] for i in range(len(marked) - size + 1))
