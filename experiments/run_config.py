"""The configuration a run folder holds, and whether another one is the same run."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..envs.errors import short
from .config import flatten
from .config_files import dump_yaml, read_config_file
from .errors import RunFolderError, problem

CHANGEABLE = ("save_seconds", "keep", "max_seconds", "nan_policy")  # settings that decide no number of a sound run


def config_digest(config: Mapping[str, Any]) -> str:
    """Changes whenever a setting does that decides a number."""
    return hashlib.sha256(dump_yaml(_lasting(config)).encode("utf-8")).hexdigest()


def check_same_config(run_dir: Path, config: Mapping[str, Any]) -> None:
    """A run goes on as it began: with other settings its records would describe neither.

    Raises:
      RunFolderError: naming the first setting that differs from the folder's `config.yaml`.
    """
    path = run_dir / "config.yaml"
    if not path.exists():
        return
    before, after = flatten(_lasting(read_config_file(path))), flatten(_lasting(config))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            raise RunFolderError(
                problem("run has another configuration", f"{path}, {key}", after.get(key), short(before.get(key))),
                hint="Use `palaestra resume`, --overwrite or another --run-dir.",
                file=path,
                key=key,
            )


def _lasting(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what may change from one process of a run to the next."""
    run = {key: value for key, value in config.get("run", {}).items() if key not in CHANGEABLE}
    return dict(config) | {"run": run}
