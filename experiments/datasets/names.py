"""Names of data sets and where they are: Minari's folder, so that everything that reads Minari finds them."""

import os
import re
from pathlib import Path

from ..errors import UsageError, problem

PATTERN = re.compile(r"(?P<namespace>[-_\w][-_\w/]*/)?(?P<name>[-_\w]+?)-v(?P<version>\d+)")  # Minari's own grammar
NAMESPACE = "palaestra"


def root() -> Path:
    """The folder of local data sets: MINARI_DATASETS_PATH, or `.minari/datasets` at home."""
    given = os.environ.get("MINARI_DATASETS_PATH")
    return Path(given) if given else Path.home() / ".minari" / "datasets"


def check_id(id: str) -> str:
    """An id that Minari can read and that stays within its folder.

    Raises:
      UsageError: it is none.
    """
    if not PATTERN.fullmatch(id) or "//" in id or len(id) > 240:
        raise UsageError(
            problem("bad data set id", "id", id, "namespace/name-v0, of letters, digits, - and _"),
            hint="Change the id.",
            key="id",
        )
    return id


def id_for(env_id: str, quality: str, version: int = 0) -> str:
    """`palaestra/<env>/<quality>-v<version>`; an environment's own namespace is kept unless it is ours."""
    env = re.sub(r"[^-_\w/]+", "-", env_id.removeprefix(f"{NAMESPACE}/"))
    return check_id(f"{NAMESPACE}/{env}/{quality}-v{version}")


def folder_of(id: str) -> Path:
    """Where the data set of an id is, or would be."""
    return root() / check_id(id)
