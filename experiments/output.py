"""What a verb answers, as text for people or as one JSON object for programs."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..envs.errors import PalaestraError
from .errors import ExitCode
from .redaction import redact

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Answer:
    """A verb's answer.

    Attributes:
      result: for `--json`.
      text: for people, on stdout.
      run_dir: the run it is about.
      exit_code: not 0 where the answer itself is bad news (a failed check, an interrupted run).
      warnings: sentences.
    """

    result: Mapping[str, Any]
    text: str = ""
    run_dir: Path | None = None
    exit_code: int = ExitCode.OK
    warnings: Sequence[str] = ()


def envelope(verb: str, answer: Answer, warnings: Sequence[Mapping[str, str]] = ()) -> str:
    """The JSON object of an answer."""
    said = [*warnings, *({"code": "run", "message": redact(text)} for text in answer.warnings)]
    ok = answer.exit_code == ExitCode.OK
    return _dump(verb, ok, answer.run_dir, answer.result, said, None)


def error_envelope(verb: str, error: BaseException, code: int, warnings: Sequence[Mapping[str, str]] = ()) -> str:
    """The JSON object of a failure."""
    known = error if isinstance(error, PalaestraError) else None
    described = {
        "code": int(code),
        "type": type(error).__name__,
        "message": redact(known.message if known else str(error)),
        "hint": redact(known.hint) if known else "",
        "file": known.file if known else None,
        "key": redact(known.key) if known and known.key else None,  # it may be a word of the user's own
    }
    return _dump(verb, False, None, {}, warnings, described)


def table(rows: Sequence[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Left-aligned columns."""
    cells = [[_cell(value) for value in row] for row in ([header, *rows] if header else rows)]
    if not cells:
        return ""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def jsonable(value: Any) -> Any:
    """`value` with everything JSON lacks made plain; numbers that are not finite become the words inf, -inf, nan."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else str(float(value))
    if hasattr(value, "tolist"):  # NumPy and JAX
        return jsonable(value.tolist())
    return str(value)


def _dump(
    verb: str,
    ok: bool,
    run_dir: Path | None,
    result: Mapping[str, Any],
    warnings: Sequence[Mapping[str, str]],
    error: Mapping[str, Any] | None,
) -> str:
    from .. import __version__

    whole = {
        "schema": SCHEMA,
        "ok": ok,
        "verb": verb,
        "version": __version__,
        "run_dir": None if run_dir is None else str(run_dir),
        "result": jsonable(result),
        "warnings": list(warnings),
        "error": error,
    }
    return json.dumps(whole, allow_nan=False)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
