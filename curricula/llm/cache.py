"""Answers of model servers in one SQLite file: what was asked once is never asked again."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...envs.errors import short
from .errors import CacheError
from .extraction import parse_json

APPLICATION = 0x70616C61  # "pala": tells our files from other people's
VERSION = 1
STATUSES = ("ok", "invalid")

_PATIENCE = 30.0  # wait for other processes [s]

_TABLES = f"""
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY,
  request TEXT NOT NULL,
  response TEXT NOT NULL,
  created TEXT NOT NULL,
  latency_ms REAL NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  status TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS servers (
  base_url TEXT NOT NULL,
  model TEXT NOT NULL,
  rung TEXT NOT NULL,
  PRIMARY KEY (base_url, model)
);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """One answer.

    Attributes:
      key: `key_of(request)`.
      request: canonical JSON of all that the answer depends on.
      response: JSON object, as the server gave it, credentials masked.
      created: time of the answer, ISO 8601, UTC.
      latency_ms: from sending to the last byte, of the try that succeeded [ms].
      prompt_tokens: tokens in.
      completion_tokens: tokens out.
      attempts: tries that it took.
      status: "ok", or "invalid" where the answer does not fit its schema.
    """

    key: str
    request: str
    response: str
    created: str
    latency_ms: float
    prompt_tokens: int
    completion_tokens: int
    attempts: int
    status: str


_COLUMNS = tuple(field.name for field in dataclasses.fields(Row))
_NUMBERS = ("latency_ms", "prompt_tokens", "completion_tokens", "attempts")
_INSERT = (
    f"INSERT INTO answers ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT DO NOTHING"
)


def canonical(value: Any) -> str:
    """JSON in ASCII, equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(request: str) -> str:
    """Hex SHA-256 of a canonical request."""
    return hashlib.sha256(request.encode("ascii")).hexdigest()


class Cache:
    """A table of answers, safe to share between processes: the first answer to a request stays.

    Every write is one transaction, so a crash leaves the answers before it and nothing of the one it cut off.
    """

    def __init__(self, path: Path | None, *, must_exist: bool = False) -> None:
        """Opens or makes the file.

        Args:
          path: the file; None keeps the answers in memory.
          must_exist: whether a missing file is an error.

        Raises:
          CacheError: where the file cannot be opened, is damaged, or is another kind of file.
        """
        self.path = None if path is None else Path(path)
        if self.path is not None and must_exist and not self.path.is_file():
            raise CacheError(
                f"cache of answers: no such file; got {short(str(self.path))}; expected the answers of an earlier run",
                hint="Ask with offline=False first, or import answers into it",
                file=self.path,
                key="cache",
            )
        with self._explained("open"):
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            # Calls come one at a time, but not always from one thread.
            self._database = sqlite3.connect(self.path or ":memory:", timeout=_PATIENCE, check_same_thread=False)
        try:
            with self._explained("open"):
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    def get(self, key: str) -> Row | None:
        """The answer stored under a key."""
        with self._explained("read"):
            found = self._database.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM answers WHERE key = ?", (key,)
            ).fetchone()
        return None if found is None else Row(*found)

    def put(self, row: Row) -> Row:
        """Stores an answer unless there is one, and returns the one that is stored."""
        with self._explained("write"), self._database:
            self._database.execute(_INSERT, dataclasses.astuple(row))
        return self.get(row.key) or row

    def __len__(self) -> int:
        with self._explained("read"):
            return self._database.execute("SELECT count(*) FROM answers").fetchone()[0]

    def rung(self, base_url: str, model: str) -> str | None:
        """The form of schema that a server is known to take for a model."""
        with self._explained("read"):
            query = "SELECT rung FROM servers WHERE base_url = ? AND model = ?"
            found = self._database.execute(query, (base_url, model)).fetchone()
        return None if found is None else found[0]

    def set_rung(self, base_url: str, model: str, rung: str) -> None:
        """Remembers the form of schema that a server takes for a model."""
        with self._explained("write"), self._database:
            self._database.execute("INSERT OR REPLACE INTO servers VALUES (?, ?, ?)", (base_url, model, rung))

    def export_jsonl(self, path: Path) -> int:
        """Writes every answer as one line of JSON, sorted by key; returns how many. Replaces `path` as a whole."""
        path = Path(path)
        temporary = path.with_name(f".tmp-{path.name}-{uuid.uuid4().hex[:8]}")
        count = 0
        try:
            with self._explained("export"), open(temporary, "w", encoding="ascii") as file:
                for found in self._database.execute(f"SELECT {', '.join(_COLUMNS)} FROM answers ORDER BY key"):
                    file.write(canonical(dict(zip(_COLUMNS, found, strict=True))) + "\n")
                    count += 1
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return count

    def import_jsonl(self, path: Path) -> int:
        """Adds the answers of an export; returns how many were new. Answers already here stay.

        Raises:
          CacheError: at the first line that is not an answer; then nothing was added.
        """
        with self._explained("import"), open(path, encoding="utf-8") as file, self._database:
            before = self._database.total_changes
            self._database.executemany(_INSERT, map(dataclasses.astuple, _rows(file, Path(path))))
            return self._database.total_changes - before

    def close(self) -> None:
        """Closes the file; the cache is of no use afterwards."""
        self._database.close()

    def _prepare(self) -> None:
        ask = self._database.execute
        ask("BEGIN")  # one view of all three, as another process may be making the tables right now
        version = ask("PRAGMA user_version").fetchone()[0]
        application = ask("PRAGMA application_id").fetchone()[0]
        empty = not ask("SELECT count(*) FROM sqlite_master").fetchone()[0]
        ask("COMMIT")
        if empty:
            self._database.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        elif (application, version) != (APPLICATION, VERSION):
            raise self._error("it holds something else, or answers of another version; expected a cache of answers")
        fault = ask("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise self._error(f"it is damaged ({short(fault)})")
        self._write_ahead()

    def _write_ahead(self) -> None:
        """Lets readers and a writer work side by side. Unlike other statements, this one does not wait for its turn."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.01)

    def _error(self, problem: str) -> CacheError:
        hint = "Move the file away to begin a new one, or restore it from an export" if self.path else ""
        return CacheError(
            f"cache of answers: {self.path or 'in memory'}; {problem}", hint=hint, file=self.path, key="cache"
        )

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise self._error(f"cannot {verb} it: {error}") from error


def _rows(lines: Iterable[str], path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        problem = ""
        try:
            held = parse_json(line)
        except ValueError as error:
            held, problem = None, f"not JSON ({error})"
        if not problem and not (isinstance(held, Mapping) and set(held) == set(_COLUMNS)):
            problem = f"expected an object with {', '.join(_COLUMNS)}"
        problem = problem or _fault(held)
        if problem:
            raise CacheError(f"answers to import: {path}, line {number}; {problem}. Nothing was imported", file=path)
        yield Row(**held)


def _fault(held: Mapping[str, Any]) -> str:
    """What is wrong with one line; a request that does not give its key was changed by hand."""
    for name in _COLUMNS:
        value = held[name]
        if name in _NUMBERS:
            kinds = (int, float) if name == "latency_ms" else int
            if not isinstance(value, kinds) or isinstance(value, bool) or not 0 <= value < 2**63:
                return f"{name} is {short(value)}; expected a number of at least 0"
        elif not isinstance(value, str) or not value.isascii():
            return f"{name} is {short(value)}; expected a text in ASCII"
    if held["status"] not in STATUSES:
        return f"status is {short(held['status'])}; expected one of {STATUSES}"
    try:
        if canonical(parse_json(held["request"])) != held["request"] or key_of(held["request"]) != held["key"]:
            return "its key does not belong to its request"
        if not isinstance(parse_json(held["response"]), Mapping):
            return "its response is not a JSON object"
    except ValueError as error:
        return f"its request or response is not JSON ({error})"
    return ""
