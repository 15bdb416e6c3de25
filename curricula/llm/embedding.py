"""Sentences as vectors: what an embedder is, one that needs nothing, and the table that training reads.

An embedder is used before training; compiled code gathers rows of the table.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ...envs.errors import OptionError, PalaestraError, short
from ...envs.hashed_text import hash_embedding


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors; D is the embedder's own."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, D), rows of length 1; equal texts give equal rows. Empty texts are an OptionError."""


@dataclasses.dataclass(frozen=True)
class HashEmbedder:
    """Signed hashing of words and character 3-5-grams; the same numbers in every process and on every machine.

    Words count without regard to capitals; n-grams run across words, so that order shows, and keep capitals. Texts that
    share words and endings lie near each other. Nothing is known of meaning: "red" and "crimson" are strangers.

    Attributes:
      dim: D.
      seed: another seed gives another, unrelated, space.

    Source: Weinberger et al. 2009, "Feature hashing for large scale multitask learning".
    """

    dim: int = 384
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, value in (("dim", 1, self.dim), ("seed", 0, self.seed)):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
                expected = f"a whole number of at least {least}"
                raise OptionError(f"hash embedder: {name}; got {short(value)}; expected {expected}", key=name)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, D), rows of length 1."""
        check_texts(texts)
        return hash_embedding(texts, self.dim, self.seed)


def check_texts(texts: Sequence[str]) -> None:
    """Refuses what has no embedding.

    Raises:
      OptionError: for a single text instead of a list, and for an empty text.
    """
    if isinstance(texts, str):
        raise OptionError(f"texts to embed: texts; got {short(texts)}; expected a list of texts", key="texts")
    for i, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            raise OptionError(f"texts to embed: texts[{i}]; got {short(text)}; expected a text", key="texts")


def unit_rows(rows: Any) -> np.ndarray:
    """Rows (n, D) scaled to length 1, float32.

    Raises:
      PalaestraError: where a row is zero or not finite.
    """
    rows = np.asarray(rows, np.float64)
    lengths = np.sqrt(np.sum(rows**2, axis=-1, keepdims=True))
    if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
        raise PalaestraError("embedding of a text: length; got 0 or not finite; expected a vector with a direction")
    return (rows / lengths).astype(np.float32)


def embedding_table(embedder: Embedder, texts: Sequence[str], most_similar: float = 0.99) -> np.ndarray:
    """The rows of a closed set of texts, computed once: float32 (n, D), rows of length 1.

    Args:
      embedder: any; its answer is checked.
      texts: without repetition; row i belongs to texts[i].
      most_similar: cosine that two texts must stay below, so that an agent can tell them apart.

    Raises:
      OptionError: if a text occurs twice.
      PalaestraError: if the rows have another shape or length, or two texts are too similar.
    """
    check_texts(texts)
    if len(set(texts)) < len(texts):
        raise OptionError("texts to embed: texts; got one twice; expected each once", key="texts")
    rows = np.asarray(embedder.embed(texts))
    if rows.ndim != 2 or len(rows) != len(texts) or rows.dtype != np.float32:
        raise PalaestraError(
            f"embeddings: {type(embedder).__name__}; got {rows.dtype} {rows.shape}; expected float32 ({len(texts)}, D)"
        )
    if not np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-3):
        raise PalaestraError(f"embeddings: {type(embedder).__name__}; got rows of another length; expected length 1")
    cosines = rows @ rows.T - 2.0 * np.eye(len(rows), dtype=np.float32)
    if len(rows) > 1 and cosines.max() >= most_similar:
        i, j = np.unravel_index(cosines.argmax(), cosines.shape)
        raise PalaestraError(
            f"embeddings: {type(embedder).__name__}; got a cosine of {cosines[i, j]:.4f} between {short(texts[i])} and "
            f"{short(texts[j])}; expected less than {most_similar}",
            hint="Word the texts differently, or take another embedder",
        )
    return rows
