"""Who makes data of which environment and quality. Entries are strings, so that listing imports nothing.

To add one, write a function `generate(request: Request) -> Recipe` and an entry before those that are more general.
"""

import contextlib
import dataclasses
import fnmatch
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium

from ...envs import registration
from ..errors import UsageError, unknown
from .names import id_for
from .store import Format, check_format, check_free, write_dataset


@dataclasses.dataclass(frozen=True)
class Generator:
    """One way to make data.

    Attributes:
      pattern: shell pattern of environment ids.
      qualities: what it can make.
      function: "module:function", the module relative to this package.
      summary: one line.
    """

    pattern: str
    qualities: tuple[str, ...]
    function: str
    summary: str

    def load(self) -> Callable[[Any], Any]:
        module, name = self.function.split(":")
        found: Callable[[Any], Any] = getattr(importlib.import_module(module, __package__), name)
        return found

    @property
    def code(self) -> str:
        """Where to read how it is done."""
        from ... import __version__

        return f"palaestra {__version__}, experiments/datasets/{self.function.split(':')[0].strip('.')}.py"


GENERATORS: tuple[Generator, ...] = (
    Generator(
        "palaestra/Motor-Cont-*",
        ("random", "medium", "expert", "medium-expert", "mixed"),
        ".motor_controllers:generate",
        "drives under classical controllers, exact ones and ones whose gains are off",
    ),
    Generator("*", ("random",), ".uniform_actions:generate", "any environment under random actions"),
)


def find(env_id: str, quality: str) -> Generator:
    """The first generator for an environment and quality.

    Raises:
      UsageError: a quality that nobody can make of it; names those that can be made.
    """
    fitting = [entry for entry in GENERATORS if fnmatch.fnmatchcase(env_id, entry.pattern)]
    for entry in fitting:
        if quality in entry.qualities:
            return entry
    raise unknown("quality", quality, {name for entry in fitting for name in entry.qualities})


def full_id(env_id: str) -> str:
    """The id of ours or of Gymnasium's; the namespace of ours may be left out.

    Raises:
      UsageError: no such id; names the three nearest.
    """
    ours = [entry.id for entry in registration.ENVIRONMENTS]
    if f"palaestra/{env_id}" in ours:
        return f"palaestra/{env_id}"
    with contextlib.suppress(gymnasium.error.Error):
        return gymnasium.spec(env_id).id
    raise unknown("environment", env_id, [*ours, *gymnasium.registry])


def make(
    env_id: str,
    quality: str,
    steps: int,
    seed: int = 0,
    tasks: Any = "default",
    *,
    format: Format = "hdf5",
    overwrite: bool = False,
) -> Path:
    """Makes the data set `palaestra/<env>/<quality>-v0` and returns its folder.

    Args:
      env_id: any id for "random", else one that a generator knows.
      steps: transitions in all; the last episode is cut where they are reached.
      seed: equal arguments give equal arrays on one platform.
      tasks: "default", or "space" for a task per episode, drawn evenly from the task space of an environment of ours.
      format, overwrite: of `write_dataset`.

    Raises:
      UsageError, RunFolderError, ResourceError: as `find` and `write_dataset`.
    """
    from .episodes import take_steps
    from .requests import Request

    env_id = full_id(env_id)
    generator = find(env_id, quality)
    id = id_for(env_id, quality)
    check_format(format)
    check_free(id, overwrite)
    request = Request(env_id, quality, steps, seed, tasks)
    try:
        recipe = generator.load()(request)
    except gymnasium.error.Error as error:
        raise UsageError(f"environment {env_id}: {error}", hint="Install what it needs.", key="--env") from error
    about = dataclasses.replace(
        recipe.about,
        seed=seed,
        code_permalink=recipe.about.code_permalink or generator.code,
        details={**recipe.about.details, "quality_name": quality, "tasks": tasks},
    )
    return write_dataset(id, take_steps(recipe.episodes, steps), about, format, overwrite)
