"""Posts JSON to one server: bounded in number, rate, time and size, tried again where that may help."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import email.utils
import json
import logging
import math
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ...envs.errors import missing_extra
from .config import Config
from .counters import Counters
from .credentials import bearer, mask, masked_logs
from .errors import LLMError, ServerError, SpentError
from .extraction import parse_json
from .limits import Entry, Timing, Window, admit

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_QUOTED = 300  # characters of a server's answer that an error may show


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a server said to one request.

    Attributes:
      data: the JSON object, credentials masked.
      attempts: tries that it took.
      latency: of the try that succeeded [s].
      tokens_in: as reported, or as expected by the caller where the server reports none.
      tokens_out: likewise.
    """

    data: dict[str, Any]
    attempts: int
    latency: float
    tokens_in: int
    tokens_out: int


@dataclasses.dataclass(frozen=True)
class _Try:
    """One try: its data, or what went wrong and whether another try may help."""

    data: dict[str, Any] | None = None
    problem: str = ""
    status: int | None = None
    again: bool = False
    wait: float | None = None  # [s], where the server names one


class Abandoned(LLMError):
    """A request not sent because another one failed; never seen outside."""


class Transport:
    """The way to one server; `run` gives asynchronous code a session on it."""

    def __init__(self, config: Config, counters: Counters, timing: Timing) -> None:
        self.config = config
        self.counters = counters
        self.timing = timing
        self.requests = Window(config.requests_per_minute)
        self.tokens = Window(config.tokens_per_minute)

    def run(self, main: Callable[["Session"], Awaitable[_Result]]) -> _Result:
        """Runs `main(session)` to its end, also where the caller is inside an event loop, as in a notebook."""

        async def body() -> _Result:
            session = Session(self)
            try:
                return await main(session)
            finally:
                await session.close()

        with masked_logs(self.config.api_key_env):
            if not _inside_event_loop():
                return asyncio.run(body())
            with concurrent.futures.ThreadPoolExecutor(1) as executor:
                return executor.submit(lambda: asyncio.run(body())).result()


class Session:
    """Connections and bounds that belong to one event loop. No socket is opened before the first `post`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._config = transport.config
        self._slots = asyncio.Semaphore(transport.config.concurrency)
        self._http: Any = None
        self.flights: dict[str, asyncio.Task[Any]] = {}  # questions on their way, by key
        self.failure: Exception | None = None  # once set, nothing is sent any more

    async def post(self, path: str, payload: Mapping[str, Any], expected: tuple[int, int]) -> Answer:
        """Posts to `base_url + path` and waits for a JSON object.

        Args:
          path: begins with a slash.
          payload: the body.
          expected: tokens in and out, to reserve, and to count where the server reports none.

        Raises:
          ServerError: for a refusal (a 4xx that no retry helps), or when all tries failed.
          SpentError: if the budget is spent.
          CredentialError: if there should be an API key and there is none.
          MissingExtraError: if httpx is not installed.
        """
        url = self._config.base_url.rstrip("/") + path
        body = json.dumps(payload, allow_nan=False).encode("ascii")
        timing, counters = self._transport.timing, self._transport.counters
        async with self._slots:
            attempt = 0
            while True:
                attempt += 1
                reserved = await self._admit(sum(expected))
                counters.retries += attempt > 1
                counters.requests += attempt == 1
                start = timing.clock()
                tried = await self._try(url, body)
                latency = timing.clock() - start
                if tried.data is not None:
                    tokens_in, tokens_out = _tokens(tried.data, expected)
                    reserved.amount = tokens_in + tokens_out
                    counters.answered(latency, tokens_in, tokens_out)
                    return Answer(tried.data, attempt, latency, tokens_in, tokens_out)
                if not tried.again or attempt > self._config.max_retries:
                    raise self._refusal(url, tried, attempt)
                wait = self._wait(attempt, tried.wait)
                _log.info("%s: %s; try %d in %.1f s", url, tried.problem, attempt + 1, wait)
                await timing.sleep(wait)

    @contextlib.contextmanager
    def stopping_at_errors(self) -> Iterator[None]:
        """Has the first error inside keep all later requests from being sent."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error
            raise

    async def close(self) -> None:
        """Closes the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def _admit(self, tokens: int) -> Entry:
        """Waits for the rate limits; budget and failure are looked at last, as they may change meanwhile."""
        windows = ((self._transport.requests, 1), (self._transport.tokens, tokens))
        _, reserved = await admit(windows, self._transport.timing)
        if self.failure is not None:
            raise Abandoned("not sent, as another request failed")
        budget, cost = self._config.budget, self._transport.counters.cost
        if budget is not None and cost >= budget:
            raise SpentError(
                f"budget for the model server is spent: budget; got {cost:.6g} spent; expected less than {budget:.6g}",
                hint="What was answered is in the cache; raise the budget to go on",
                key="budget",
            )
        return reserved

    async def _try(self, url: str, body: bytes) -> _Try:
        httpx = self._connect()
        limit = self._config.total_timeout
        try:
            async with (
                asyncio.timeout(limit),
                self._http.stream("POST", url, content=body, auth=self._authorize) as response,
            ):
                held = bytearray()
                async for chunk in response.aiter_bytes():
                    held += chunk
                    if len(held) > self._config.max_body:
                        return _Try(problem=f"an answer of more than {self._config.max_body} bytes")
                status, after = response.status_code, response.headers.get("retry-after")
        except TimeoutError:
            return _Try(problem=f"no complete answer within {limit:g} s", again=True)
        except httpx.HTTPError as error:
            # The error itself holds the request and with it the key: only its masked text goes on from here.
            problem = self._quote(f"{type(error).__name__}: {error}")
            return _Try(problem=problem, again=True)
        return self._judge(status, after, bytes(held))

    def _judge(self, status: int, after: str | None, body: bytes) -> _Try:
        text = body.decode("utf-8", errors="replace")
        again = status in (408, 409, 429) or status >= 500
        if not 200 <= status < 300:
            wait = _retry_after(after, self._transport.timing.now())
            return _Try(problem=f"status {status}: {self._quote(text)}", status=status, again=again, wait=wait)
        try:
            # Twice: a server may write the key with escapes, which only parsing undoes.
            data = mask(parse_json(mask(text, self._config.api_key_env)), self._config.api_key_env)
        except ValueError as error:
            return _Try(problem=f"not JSON ({error}): {self._quote(text)}", status=status, again=True)
        if not isinstance(data, dict):
            return _Try(problem=f"not a JSON object: {self._quote(text)}", status=status, again=True)
        return _Try(data=data, status=status)

    def _connect(self) -> Any:
        try:
            import httpx
        except ImportError as error:
            raise missing_extra("httpx", "llm", "asking a model server") from error
        if self._http is None:
            config = self._config
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(config.total_timeout, connect=config.connect_timeout),
                limits=httpx.Limits(max_connections=config.concurrency),
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                trust_env=not _is_this_machine(config.base_url),  # a proxy cannot reach what listens here
            )
        return httpx

    def _authorize(self, request: Any) -> Any:
        if self._config.api_key_env:
            request.headers["Authorization"] = bearer(self._config.api_key_env)
        return request

    def _wait(self, attempt: int, named: float | None) -> float:
        """Full jitter: uniform up to a limit that doubles. The server's own word goes first."""
        if named is None:
            named = self._transport.timing.chance() * self._config.backoff * 2.0 ** (attempt - 1)
        return min(named, self._config.max_wait)

    def _quote(self, text: str) -> str:
        """Undoes JSON's escapes, masks, then cuts: after another order, a key or half of one could remain."""
        with contextlib.suppress(ValueError):
            text = json.dumps(mask(parse_json(text), self._config.api_key_env), ensure_ascii=False)
        text = " ".join(mask(text, self._config.api_key_env).split())
        return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."

    def _refusal(self, url: str, tried: _Try, attempts: int) -> ServerError:
        hint = ""
        if tried.status in (401, 403):
            hint = f"Check the key in {self._config.api_key_env}" if self._config.api_key_env else "Set api_key_env"
        elif tried.status is not None and 300 <= tried.status < 400:
            hint = "Give the address that the server redirects to as base_url"
        tries = "1 try" if attempts == 1 else f"{attempts} tries"
        message = f"model server: {url}; got {tried.problem} ({tries}); expected status 200 with a JSON object"
        return ServerError(message, status=tried.status, hint=hint, key="base_url")


def _inside_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _retry_after(header: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header (a number, or an HTTP date); None where it says nothing."""
    if header is None:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(header)
        return None if math.isnan(seconds) else max(seconds, 0.0)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(email.utils.parsedate_to_datetime(header).timestamp() - now, 0.0)
    return None


def _tokens(data: Mapping[str, Any], expected: tuple[int, int]) -> tuple[int, int]:
    """Tokens in and out as reported; what is missing or no count is what was expected, so that a budget holds."""
    usage = data.get("usage")
    reported = [
        usage.get(name) if isinstance(usage, Mapping) else None for name in ("prompt_tokens", "completion_tokens")
    ]
    used = [
        number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53 else default
        for number, default in zip(reported, expected, strict=True)
    ]
    return used[0], used[1]


def _is_this_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    with contextlib.suppress(OSError):
        return socket.inet_aton(host)[0] == 127
    return host in ("localhost", "::1")
