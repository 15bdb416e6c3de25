"""Where the model server is and how it is asked."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...envs.errors import OptionError, short

# Capitals only: a key pasted here by mistake is not taken for a name, and the error does not show it.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Config:
    """One server, one model, and the limits that hold for both.

    Raises:
      OptionError: where a value does not fit; the message names it.
    """

    base_url: str
    """Address of the API, such as http://127.0.0.1:8080/v1; without user, password or query."""
    model: str
    """Name of the model, as the server knows it."""
    api_key_env: str = ""
    """Name of the environment variable that holds the API key; empty for a server that wants none. A value of fewer
    than 8 characters is taken for a placeholder: it is sent, but not masked where it comes back."""
    temperature: float = 0.0
    """Sampling temperature; 0 takes the likeliest token."""
    seed: int | None = 0
    """Sampling seed; None where the server does not know the word."""
    max_tokens: int = 1024
    """Longest answer [tokens]."""
    concurrency: int = 8
    """Requests in flight at once."""
    requests_per_minute: int | None = None
    """Most requests begun in any 60 s, retries included."""
    tokens_per_minute: int | None = None
    """Most tokens in and out in any 60 s; a request counts its longest answer until the true one is known."""
    connect_timeout: float = 5.0
    """Longest wait for a connection [s]."""
    total_timeout: float = 120.0
    """Longest time from sending a request to the last byte of its answer [s]; for each try."""
    max_retries: int = 6
    """Further tries after statuses 408, 409, 429, 5xx, timeouts and broken connections."""
    backoff: float = 0.5
    """Mean wait before the n-th retry is half of backoff * 2^(n - 1) [s]."""
    max_wait: float = 60.0
    """Longest wait before a retry, also where the server asks for more [s]."""
    max_body: int = 16 * 2**20
    """Longest body of an answer [bytes]."""
    price_in: float = 0.0
    """Price of a million prompt tokens, in any currency."""
    price_out: float = 0.0
    """Price of a million answer tokens, in the same currency."""
    budget: float | None = None
    """No request begins once a client has spent this much; up to `concurrency` more may be in flight. Needs a price."""
    offline: bool = False
    """Forbids the network: every answer must be in the cache."""
    cache: Path | None = None
    """SQLite file of answers; None keeps them in memory until the client is closed."""

    def __post_init__(self) -> None:
        _check_address(self.base_url)
        _check_variable(self.api_key_env)
        _require("model", self.model, isinstance(self.model, str) and bool(self.model), "the name of a model")
        for name in ("concurrency", "max_tokens", "max_body"):
            _check_whole(name, getattr(self, name), least=1)
        _check_whole("max_retries", self.max_retries, least=0)
        for name in ("requests_per_minute", "tokens_per_minute"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), least=1)
        if self.seed is not None:
            _check_whole("seed", self.seed, least=0)
        for name in ("connect_timeout", "total_timeout"):
            _require(name, getattr(self, name), _number(getattr(self, name)) > 0, "a positive number of seconds")
        for name in ("temperature", "backoff", "max_wait", "price_in", "price_out"):
            _require(name, getattr(self, name), _number(getattr(self, name)) >= 0, "a number of at least 0")
        if self.budget is not None:
            _require("budget", self.budget, _number(self.budget) >= 0, "a number of at least 0, or None")
            priced = self.price_in > 0 or self.price_out > 0
            _require("budget", self.budget, priced, "a price_in or price_out above 0 beside it")
        _require("offline", self.offline, isinstance(self.offline, bool), "True or False")
        _require("cache", self.cache, self.cache is None or isinstance(self.cache, str | Path), "a path, or None")
        if self.offline:
            _require("cache", self.cache, self.cache is not None, "the file of answers, as offline is True")


def _number(value: Any) -> float:
    """The value, or NaN where it is not a finite number: every comparison with NaN fails."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return math.nan
    return value


def _require(name: str, value: Any, holds: bool, expected: str) -> None:
    if not holds:
        raise OptionError(f"setting of the model server: {name}; got {short(value)}; expected {expected}", key=name)


def _check_whole(name: str, value: Any, least: int) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
    _require(name, value, fits, f"a whole number of at least {least}")


def _check_address(address: Any) -> None:
    """Refuses, without showing it, an address that may hold a credential."""
    expected = "an address such as http://127.0.0.1:8080/v1"
    _require("base_url", type(address), isinstance(address, str), expected)
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if "@" in address or "?" in address or "#" in address:
        raise OptionError(
            "setting of the model server: base_url; got an address with a user, a query or a fragment (not shown, as "
            f"it may hold a secret); expected {expected}",
            hint="Put the key into an environment variable and its name into api_key_env",
            key="base_url",
        )
    if not sound or re.search(r"\s", address):
        raise OptionError(
            "setting of the model server: base_url; got something that is no address (not shown, as it may be the key "
            f"itself); expected {expected}",
            key="base_url",
        )


def _check_variable(name: Any) -> None:
    if isinstance(name, str) and (not name or _VARIABLE.fullmatch(name)):
        return
    raise OptionError(
        "setting of the model server: api_key_env; got something that is not the name of a variable (not shown, as it "
        "may be the key itself); expected a name in capitals such as OPENAI_API_KEY, or nothing",
        hint="Export the key under such a name",
        key="api_key_env",
    )
