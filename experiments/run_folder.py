"""The folder of one run: its names, its lock, and its status file.

runs/<env>/<agent>[+teacher]/<UTC yyyymmdd-HHMMSS>-<name>-s<seed>-<6 hex>/
  run.json           status, process, versions, device, command line, last good step, error
  config.yaml        fully resolved; config.input.yaml as it was given
  metrics.jsonl      one flat object per seed and chunk; evals.jsonl likewise per evaluation
  events.log         one line per notable event
  tb/                TensorBoard
  episodes/ curriculum/   step_….npz, see `records.py`
  checkpoints/       step_…/, best/, final/, see `checkpoint.py`
  videos/ plots/ report.html
  .lock              held with an OS advisory lock while a process writes here
"""

import contextlib
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from .errors import InputFileError, ResourceError, RunFolderError, UsageError, problem
from .files import TEMPORARY, write_json
from .redaction import redact, redact_arguments

ROOT_VARIABLE = "PALAESTRA_RUNS"
SCHEMA = 1
RUN_FILE = "run.json"
NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,80}")
# What a run writes, and all that `--overwrite` deletes.
ENTRIES = (
    *("run.json", "config.yaml", "config.input.yaml", "metrics.jsonl", "evals.jsonl", "events.log"),
    *("tb", "episodes", "curriculum", "evals", "checkpoints", "videos", "plots", "report.html"),
)

Status = Literal["created", "running", "finished", "failed", "interrupted"]


def check_name(name: str, flag: str = "--name") -> str:
    """A name that is safe as part of a path.

    Raises:
      UsageError: it is not.
    """
    if not NAME_PATTERN.fullmatch(name) or name in (".", ".."):
        raise UsageError(problem("bad name", flag, name, "1-80 characters of A-Z a-z 0-9 . _ -"), key=flag)
    return name


def runs_root() -> Path:
    """Where runs go that are not told where: PALAESTRA_RUNS, or `runs` here."""
    return Path(os.environ.get(ROOT_VARIABLE, "runs"))


def new_path(root: Path, env: str, agent: str, teacher: str | None, name: str, seed: int) -> Path:
    """Where a new run goes; nothing is made yet."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    learner = f"{agent}+{teacher}" if teacher else agent
    leaf = f"{stamp}-{check_name(name)}-s{seed}-{uuid.uuid4().hex[:6]}"
    return root / re.sub(r"[^A-Za-z0-9._-]+", "-", env.rsplit("/", 1)[-1]) / learner / leaf


def is_run(path: Path) -> bool:
    return (path / RUN_FILE).is_file()


def read_run(path: Path) -> dict[str, Any]:
    """`run.json` of a run.

    Raises:
      InputFileError: no run there, an unreadable one, or one of a newer version.
    """
    file = path / RUN_FILE
    try:
        run = json.loads(file.read_text("utf-8"))
        schema = int(run["schema"])
    except OSError as error:
        raise InputFileError(
            f"not a run folder: {path}; {RUN_FILE}: {error.strerror}", hint="Give the path of a run.", file=path
        ) from None
    except (ValueError, TypeError, KeyError):
        raise InputFileError(f"run file damaged: {file}", hint="Restore it from a backup.", file=file) from None
    if schema > SCHEMA:
        raise InputFileError(
            f"run of a newer version: {file}; got schema {schema}; expected at most {SCHEMA}",
            hint="Update palaestra.",
            file=file,
        )
    return run


class RunFolder:
    """An opened run: this process alone may write in it until `close`."""

    def __init__(self, path: Path, lock: int, run: dict[str, Any]):
        self.path, self._lock, self.run = path, lock, run

    def update(self, **fields: Any) -> None:
        """Changes fields of `run.json`."""
        self.run = self.run | fields
        write_json(self.path / RUN_FILE, self.run)

    def event(self, level: Literal["info", "warning", "error"], text: str, **details: Any) -> None:
        """Appends a line to `events.log`."""
        line = f"{now()} {level} {text}" + (f" {json.dumps(details, default=str)}" if details else "")
        with open(self.path / "events.log", "a", encoding="utf-8") as file:
            file.write(redact(line.replace("\n", " ")) + "\n")

    def close(self) -> None:
        """Lets go of the lock."""
        os.close(self._lock)


@contextlib.contextmanager
def open_run(path: Path, *, resume: Literal["auto", "never", "must"], overwrite: bool = False) -> Iterator[RunFolder]:
    """Makes or opens the folder at `path` and holds its lock.

    Args:
      resume: "never" refuses a folder that has a run, "must" refuses one that has none, "auto" takes either.
      overwrite: deletes the run that is there first.

    Raises:
      RunFolderError: another process holds it, or there is something the arguments do not allow to touch.
      InputFileError: resume="must" and there is no run.
      ResourceError: the folder cannot be written.
    """
    if resume == "must" and not is_run(path):
        read_run(path)
    lock = _lock(path)
    folder = RunFolder(path, lock, {})
    try:
        if overwrite and is_run(path):
            _delete_run(path)
        else:
            _check_contents(path, resume)
        for stale in path.glob(f"{TEMPORARY}*"):
            stale.unlink(missing_ok=True)
        folder.run = read_run(path) if is_run(path) else _new_run()
        yield folder
    finally:
        folder.close()


def now() -> str:
    """UTC, as ISO 8601 with seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    found = {"python": platform.python_version()}
    for name in ("palaestra", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "gymnasium", "mujoco"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _lock(path: Path) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (FileExistsError, NotADirectoryError):
        raise RunFolderError(f"not a folder: {path}", hint="Choose another --run-dir.", file=path) from None
    except OSError as error:
        raise ResourceError(
            f"run folder cannot be written: {path}; {error.strerror}", hint="Choose another --run-dir.", file=path
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise RunFolderError(
            f"run folder busy: {path}; another process is writing to it",
            hint="Wait for it to end or choose another folder.",
            file=path,
        ) from None
    return descriptor


def _check_contents(path: Path, resume: str) -> None:
    if is_run(path):
        if resume == "never":
            raise RunFolderError(
                f"run folder exists: {path}",
                hint="Use `palaestra resume`, --resume auto, --overwrite or another --run-dir.",
                file=path,
            )
        return
    foreign = [p.name for p in path.iterdir() if p.name != ".lock" and not p.name.startswith(TEMPORARY)]
    if foreign:
        raise RunFolderError(
            problem("folder is not a run", str(path), sorted(foreign)[:3], "an empty or new folder"),
            hint="Choose another --run-dir.",
            file=path,
        )


def _delete_run(path: Path) -> None:
    """Deletes what a run writes; whatever else its owner put there stays."""
    for name in ENTRIES:
        target = path / name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _new_run() -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "status": "created",
        "pid": os.getpid(),
        "host": platform.node(),
        "start": now(),
        "end": None,
        "git_commit": _git_commit(),
        "versions": versions(),
        "device": None,
        "command": redact_arguments(sys.argv),
        "last_good_step": None,
        "error": None,
    }


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
