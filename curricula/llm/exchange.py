"""One question, one answer: from the cache, from an equal question in flight, or from the server."""

import asyncio
import contextlib
import datetime
import json
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from ...envs.errors import OptionError, short
from .cache import Cache, Row, canonical, key_of
from .config import Config
from .counters import Counters
from .credentials import mask
from .errors import OfflineError
from .limits import Timing
from .transport import Answer, Session, Transport

_Result = TypeVar("_Result")


class Exchange:
    """Cache, counters and transport of one configuration.

    Attributes:
      turn: held while questions are out, so that calls from several threads come one after another: they share the
        cache's connection, and equal questions are sent once. Whoever holds it may gather.
    """

    def __init__(self, config: Config, timing: Timing) -> None:
        """Opens the cache; raises CacheError where that is not possible."""
        self.config = config
        self.cache = Cache(config.cache, must_exist=config.offline)
        self.counters = Counters(config.price_in, config.price_out)
        self.turn = threading.RLock()
        self._timing = timing
        self._transport = Transport(config, self.counters, timing)

    def gather(self, make: Callable[[Session], Iterable[Awaitable[_Result]]]) -> list[_Result]:
        """Runs what `make(session)` returns side by side; results keep its order.

        After a failure nothing new is sent, what is in flight is waited for and stored, and then the failure is raised.
        """

        async def guarded(session: Session, work: Awaitable[_Result]) -> _Result | None:
            # Suppressed for now: it is raised when all that is in flight has come in.
            with contextlib.suppress(Exception), session.stopping_at_errors():
                return await work
            return None

        async def main(session: Session) -> list[_Result]:
            results = await asyncio.gather(*(guarded(session, work) for work in make(session)))
            if session.failure is not None:
                raise session.failure
            return cast(list[_Result], results)

        with self.turn:
            return self._transport.run(main)

    async def fetch(
        self,
        session: Session,
        asked: Mapping[str, Any],
        send: Callable[[], Awaitable[Answer]],
        status: Callable[[Mapping[str, Any]], str],
    ) -> tuple[Row, bool]:
        """The answer to `asked`, and whether it took no request of its own.

        Args:
          session: whose event loop this is.
          asked: all that the answer depends on; JSON.
          send: asks the server.
          status: the cache's word for the data of an answer; whatever it raises keeps the answer out of the cache.

        Raises:
          OptionError: where the question or the server's address holds the API key; neither is shown.
          OfflineError: if `offline` is set and the answer is not in the cache.
        """
        self._check_address()
        request = canonical(asked)
        if mask(request, self.config.api_key_env) != request:
            raise OptionError("question to a model: messages; got a text that holds the API key; expected one without")
        key = key_of(request)
        row = self.cache.get(key)
        if row is not None:
            self.counters.hits += 1
            return row, True
        if self.config.offline:
            raise OfflineError(
                f"offline, and not in the cache: {self.config.cache}; got {_told(asked)} (key {key[:12]}); "
                "expected an answer from an earlier run",
                hint="Ask it once with offline=False",
                file=self.config.cache,
                key="offline",
            )
        flight = session.flights.get(key)
        if flight is not None:
            row = await flight
            self.counters.hits += 1
            return row, True
        session.flights[key] = asyncio.ensure_future(self._ask(session, key, request, send, status))
        return await session.flights[key], False

    def _check_address(self) -> None:
        """Refuses an address that holds the key: it would reach errors, logs and the cache's table of servers."""
        for address in (self.config.base_url, unquote(self.config.base_url)):
            if mask(address, self.config.api_key_env) != address:
                raise OptionError(
                    "setting of the model server: base_url; got an address that holds the API key (not shown); "
                    "expected one without",
                    hint="Leave the key in the environment variable that api_key_env names",
                    key="base_url",
                )

    async def _ask(
        self,
        session: Session,
        key: str,
        request: str,
        send: Callable[[], Awaitable[Answer]],
        status: Callable[[Mapping[str, Any]], str],
    ) -> Row:
        with session.stopping_at_errors():  # here already: a task that waits for this one hears of it too late
            answer = await send()
        created = datetime.datetime.fromtimestamp(self._timing.now(), datetime.UTC).isoformat(timespec="seconds")
        row = Row(
            key=key,
            request=request,
            response=json.dumps(answer.data),
            created=created,
            latency_ms=1e3 * answer.latency,
            prompt_tokens=answer.tokens_in,
            completion_tokens=answer.tokens_out,
            attempts=answer.attempts,
            status=status(answer.data),
        )
        return self.cache.put(row)


def _told(asked: Mapping[str, Any]) -> str:
    """A question in a few words: what an error says is missing."""
    text = asked["messages"][-1]["content"] if asked.get("messages") else asked.get("input", "")
    return f"model {short(asked.get('model'))}, template {short(asked.get('template', ''))}, {short(text)}"
