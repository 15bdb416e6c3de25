"""The manifest of a checkpoint: what must be on disk, byte for byte, before any of it is used.

An Orbax restore notices neither changed bits in array data nor a missing neighbour; this file does. It also covers
itself: its text must be exactly what `render` makes of its content, and the content carries its own SHA-256.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputFileError
from .files import sha256

NAME = "MANIFEST.json"
SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One array of the saved state."""

    shape: tuple[int, ...]
    dtype: str
    key: str = ""  # the random-number implementation when the array is a typed PRNG key's data
    finite: bool = True


def describe(array: np.ndarray, key: str = "") -> Tensor:
    """The table entry of an array."""
    name = array.dtype.name
    small = name == "bfloat16" or name.startswith("float8")  # NumPy does not know these as floats
    numbers = array.astype(np.float32) if small else array
    finite = bool(np.isfinite(numbers).all()) if small or numbers.dtype.kind in "fc" else True
    return Tensor(shape=tuple(array.shape), dtype=name, key=key, finite=finite)


def compose(folder: Path, step: int, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of everything now under `folder`."""
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in _list(folder)}
    table = {name: dataclasses.asdict(t) | {"shape": list(t.shape)} for name, t in tensors.items()}
    return {"schema": SCHEMA, "step": step, "files": files, "tensors": table, **extra}


def render(content: Mapping[str, Any]) -> str:
    """The manifest as text, with the digest of its content."""
    body = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(body.encode("utf-8")).hexdigest()
    return json.dumps({"content": content, "sha256": digest}, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_verified(folder: Path) -> dict[str, Any]:
    """The manifest of `folder`, after every file it names has been checked.

    Raises:
      InputFileError: naming the first file that is missing, surplus, of another length or of other content.
    """
    path = folder / NAME
    content = _read(path)
    present, expected = set(_list(folder)), set(content["files"])
    for name in sorted(expected - present):
        raise InputFileError(f"checkpoint file missing: {folder / name}", file=folder / name)
    for name in sorted(present - expected):
        raise InputFileError(f"checkpoint has a file its manifest does not name: {folder / name}", file=folder / name)
    for name, entry in content["files"].items():
        file = folder / name
        if file.stat().st_size != entry["bytes"]:
            raise InputFileError(f"checkpoint file changed: {file}; expected {entry['bytes']} bytes", file=file)
        if sha256(file) != entry["sha256"]:
            raise InputFileError(f"checkpoint file changed: {file}; its SHA-256 differs from the manifest", file=file)
    return content


def tensor_table(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """{name: Tensor} of a manifest."""
    return {name: Tensor(**(entry | {"shape": tuple(entry["shape"])})) for name, entry in content["tensors"].items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
        content = json.loads(text)["content"]
        intact = render(content) == text
    except OSError as error:
        raise InputFileError(f"checkpoint manifest missing: {path}; {error.strerror}", file=path) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        intact, content = False, {}
    if not intact:
        raise InputFileError(f"checkpoint manifest damaged: {path}", file=path)
    if content["schema"] > SCHEMA:
        raise InputFileError(
            f"checkpoint of a newer version: {path}; got schema {content['schema']}; expected at most {SCHEMA}",
            hint="Update palaestra.",
            file=path,
        )
    return content


def _list(folder: Path) -> list[str]:
    """Every file under `folder` but the manifest, as sorted relative names; links and devices count as files."""
    names = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()]
    return sorted(name for name in names if name != NAME)
