"""Three ways to ask for JSON, best first; which one a server takes is found out once per server and model."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .cache import Cache, canonical
from .config import Config
from .errors import ServerError
from .transport import Answer

RUNGS = ("json_schema", "json_object", "text")
_REFUSED = (400, 422)  # how servers say that they do not know a field
_Send = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class Ladder:
    """Sends payloads in the best form that the server takes; for one event loop."""

    def __init__(self, cache: Cache, config: Config) -> None:
        self._cache = cache
        self._config = config
        self._rung = cache.rung(config.base_url, config.model)
        self._searching = asyncio.Lock()

    async def send(self, payload: Mapping[str, Any], schema: Mapping[str, Any] | None, send: _Send) -> Answer:
        """The answer to a chat payload whose answer should fit `schema`.

        The first request tries the rungs; others wait for it. A rung that has worked is not left any more, so a refusal
        then is about the request itself.

        Raises:
          ServerError: if the server refuses the request on its rung, or on all where none is known yet.
        """
        if schema is None:
            return await send(payload)
        if self._rung is None:
            async with self._searching:
                if self._rung is None:
                    return await self._climb_down(payload, schema, send)
        return await send(dressed(payload, schema, self._rung))

    async def _climb_down(self, payload: Mapping[str, Any], schema: Mapping[str, Any], send: _Send) -> Answer:
        for rung in RUNGS:
            try:
                answer = await send(dressed(payload, schema, rung))
            except ServerError as error:
                if error.status not in _REFUSED or rung == RUNGS[-1]:
                    raise
                continue
            self._cache.set_rung(self._config.base_url, self._config.model, rung)
            self._rung = rung
            return answer
        raise AssertionError("the last rung returns or raises")


def dressed(payload: Mapping[str, Any], schema: Mapping[str, Any], rung: str) -> dict[str, Any]:
    """The payload with the schema in the form of a rung; below the first, the schema is told in words as well."""
    if rung == "json_schema":
        named = {"name": "answer", "strict": True, "schema": schema}
        return {**payload, "response_format": {"type": "json_schema", "json_schema": named}}
    *before, last = payload["messages"]
    told = f"{last['content']}\n\nAnswer with one JSON value and nothing else. It must fit this JSON schema:\n"
    messages = [*before, {**last, "content": told + canonical(schema)}]
    if rung == "json_object":
        return {**payload, "messages": messages, "response_format": {"type": "json_object"}}
    return {**payload, "messages": messages}
