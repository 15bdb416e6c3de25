"""Embeddings from a server, through the same transport and cache as chats."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.errors import short
from .config import Config
from .counters import Usage
from .embedding import check_texts, unit_rows
from .errors import ServerError
from .exchange import Exchange
from .limits import Timing
from .transport import Session


class HTTPEmbedder:
    """POST {base_url}/embeddings, one text a request; D is the model's. Sampling settings play no part.

    Calls from several threads take turns.
    """

    def __init__(self, config: Config, timing: Timing = Timing()) -> None:
        """Opens the cache and nothing else; raises CacheError where that is not possible."""
        self.config = config
        self._exchange = Exchange(config, timing)

    def usage(self) -> Usage:
        """What this embedder has used since it was made."""
        return self._exchange.counters.usage()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, D), rows of length 1. Raises what `Client.ask` raises."""
        check_texts(texts)
        if not texts:
            return np.zeros((0, 0), np.float32)
        rows = self._exchange.gather(lambda session: [self._row(session, text) for text in texts])
        sizes = sorted({len(row) for row in rows})
        if len(sizes) > 1:
            raise ServerError(f"embeddings of model {self.config.model!r}: size; got {sizes}; expected one size")
        return unit_rows(rows)

    def close(self) -> None:
        """Closes the cache."""
        self._exchange.cache.close()

    async def _row(self, session: Session, text: str) -> list[float]:
        payload = {"model": self.config.model, "input": text}

        async def send() -> Any:
            return await session.post("/embeddings", payload, expected=(len(text) // 4 + 1, 0))

        def status(data: Mapping[str, Any]) -> str:
            _vector_of(data)
            return "ok"

        row, _ = await self._exchange.fetch(session, {"kind": "embedding", **payload}, send, status)
        return _vector_of(json.loads(row.response))


def _vector_of(data: Mapping[str, Any]) -> list[float]:
    held = data.get("data")
    first = held[0] if isinstance(held, list) and held else None
    vector = first.get("embedding") if isinstance(first, Mapping) else None
    if not isinstance(vector, list) or not vector or not all(type(number) in (int, float) for number in vector):
        raise ServerError(f"model server: answer with an embedding; got {short(data)}; expected data[0].embedding")
    return vector
