"""The API key: read where it is sent, masked where it might come back.

No function that may fail keeps the key in a variable, so that a traceback with local variables does not show it.
"""

import contextlib
import functools
import json
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

from .errors import CredentialError

MASK = "***"
_SENDABLE = re.compile(r"[!-~]+")  # visible ASCII; anything else breaks the header, and the error would quote it
_MIN_LENGTH = 8  # a shorter value ("EMPTY", "none") is a placeholder; masking it would change ordinary answers
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")


def bearer(variable: str) -> str:
    """The Authorization header's value.

    Raises:
      CredentialError: where the variable is empty, or holds what no header can hold.
    """
    if not os.environ.get(variable):
        raise CredentialError(
            f"API key: environment variable {variable}; got nothing; expected the key",
            hint=f"Run: export {variable}=...",
            key="api_key_env",
        )
    if not _SENDABLE.fullmatch(os.environ[variable]):
        raise CredentialError(
            f"API key: environment variable {variable}; got a text with spaces, line ends or letters outside ASCII; "
            "expected the key alone",
            key="api_key_env",
        )
    return f"Bearer {os.environ[variable]}"


def mask(value: Any, variable: str) -> Any:
    """`value`, JSON or text, with the key replaced by `***` wherever it occurs; also in names of fields.

    A key of fewer than 8 characters is taken for a placeholder and left as it is.
    """
    if not variable or len(os.environ.get(variable, "")) < _MIN_LENGTH:
        return value
    if isinstance(value, str):
        return functools.reduce(lambda text, form: text.replace(form, MASK), _forms(os.environ[variable]), value)
    if isinstance(value, list):
        return [mask(item, variable) for item in value]
    if isinstance(value, dict):
        return {mask(name, variable): mask(item, variable) for name, item in value.items()}
    return value


def _forms(key: str) -> tuple[str, ...]:
    """The key, and how it may stand inside a JSON text."""
    escaped = json.dumps(key)[1:-1]
    return key, escaped, escaped.replace("/", r"\/")


class _Masking(logging.Filter):
    def __init__(self, variable: str) -> None:
        super().__init__()
        self._variable = variable

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask(record.getMessage(), self._variable), ()
        return True


@contextlib.contextmanager
def masked_logs(variable: str) -> Iterator[None]:
    """Masks the key in what the HTTP library logs: at level DEBUG it shows headers, which a server may fill with it."""
    masking = _Masking(variable)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(masking)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(masking)
