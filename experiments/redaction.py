"""Keeps secrets out of everything that is written or shown."""

import os
import re
from collections.abc import Iterable, Mapping

MASK = "***"

_PATTERNS = (
    re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}"),
    re.compile(r"\bhf_[A-Za-z0-9]{8,}"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{16,}"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(r"(?i)(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # user:password in an address
)
_NAMED = re.compile(r"(?i)((?:api[_-]?key|token(?!s)|secret|password|passwd|credential)[\w-]*\s*[=:]\s*)(\S+)")
_SECRET_NAME = re.compile(r"(?i)(api_?key|token(?!s)|secret|password|passwd|credential)")
_MIN_LENGTH = 6  # a shorter value of a key variable would mask ordinary words


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` with everything that looks like a secret, and every value of a key variable, replaced by `***`."""
    for value in _secret_values(os.environ if environment is None else environment):
        text = text.replace(value, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(MASK, text)
    return _NAMED.sub(rf"\g<1>{MASK}", text)


def redact_arguments(arguments: Iterable[str]) -> list[str]:
    """A command line, safe to keep: also masks the word after a flag such as `--api-key`."""
    kept, mask_next = [], False
    for word in arguments:
        is_flag = word.startswith("--")
        kept.append(MASK if mask_next and not is_flag else redact(word))
        mask_next = is_flag and "=" not in word and bool(_SECRET_NAME.search(word.replace("-", "_")))
    return kept


def _secret_values(environment: Mapping[str, str]) -> list[str]:
    values = {v for k, v in environment.items() if _SECRET_NAME.search(k) and len(v) >= _MIN_LENGTH}
    return sorted(values, key=len, reverse=True)
