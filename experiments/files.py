"""Writing files so that a reader, or a power cut, never meets half of one."""

import contextlib
import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp-"  # prefix of everything that is not finished; safe to delete while nobody holds the run's lock


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replaces `path` with `data`: temporary file, fsync, rename, fsync of the folder."""
    if isinstance(data, str):
        data = data.encode("utf-8")
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` of a JSON object."""
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def sync_file(path: Path) -> None:
    """Forces a file's contents to the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Forces a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Forces everything under `root`, and `root` itself, to the disk."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            sync_file(Path(folder, name))
        sync_directory(Path(folder))


def sha256(path: Path) -> str:
    """Hex digest of a file's contents."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
