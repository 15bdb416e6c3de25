"""Who makes data of which environment and quality. Entries are strings, so that listing imports nothing.

To add one, write a function `generate(request: Request) -> Recipe` and an entry before those that are more general.
"""

import contextlib
import dataclasses
import fnmatch
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium

from ...envs import registration
from ..assemble import typed_arguments
from ..errors import UsageError, problem, unknown
from ..foreign import register_robotics
from .names import check_id, id_for
from .store import Format, check_format, check_free, write_dataset


@dataclasses.dataclass(frozen=True)
class Generator:
    """One way to make data.

    Attributes:
      pattern: shell pattern of environment ids.
      qualities: what it can make.
      function: "module:function", the module relative to this package.
      summary: one line.
      options: what it listens to of a request besides the common: "run", "train_steps".
    """

    pattern: str
    qualities: tuple[str, ...]
    function: str
    summary: str
    options: tuple[str, ...] = ()

    def load(self) -> Callable[[Any], Any]:
        module, name = self.function.split(":")
        found: Callable[[Any], Any] = getattr(importlib.import_module(module, __package__), name)
        return found

    @property
    def code(self) -> str:
        """Where to read how it is done."""
        from ... import __version__

        return f"palaestra {__version__}, experiments/datasets/{self.function.split(':')[0].strip('.')}.py"


MAZE_QUALITIES = ("random", "play", "medium", "expert", "medium-expert", "mixed")
GENERATORS: tuple[Generator, ...] = (
    Generator(
        "palaestra/Motor-Cont-*",
        ("random", "medium", "expert", "medium-expert", "mixed"),
        ".motor_controllers:generate",
        "drives under classical controllers, exact ones and ones whose gains are off",
    ),
    Generator(
        "palaestra/PointMaze_*",
        MAZE_QUALITIES,
        ".mazes:generate",
        "point mazes under a controller that knows the way, with little or much noise",
    ),
    Generator(
        "PointMaze_*-v3",
        MAZE_QUALITIES,
        ".mazes:generate",
        "gymnasium-robotics' point mazes under the same controller",
    ),
    Generator(
        "*",
        ("medium", "medium-replay", "expert", "medium-expert", "mixed"),
        ".policies:generate",
        "any environment with bounded continuous actions under trained policies",
        options=("run", "train_steps"),
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
    if register_robotics():
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
    env_kwargs: Mapping[str, Any] | None = None,
    id: str | None = None,
    run: Path | str | None = None,
    train_steps: int | None = None,
    format: Format = "hdf5",
    overwrite: bool = False,
) -> Path:
    """Makes a data set and returns its folder.

    Args:
      env_id: any id for "random", else one that a generator knows.
      steps: transitions in all; the last episode is cut where they are reached.
      seed: equal arguments give equal arrays on one platform.
      tasks: "default", or "space" for a task per episode, drawn evenly from the task space of an environment of ours.
      env_kwargs: arguments of the environment; the metadata's spec keeps them. They need an `id`.
      id: of the data set; None for `palaestra/<env>/<quality>-v0`, which is of the environment as it is by default.
      run: folder of a training run whose policies act, for generators that take one; None for one that is made.
      train_steps: how long that trains; None for 200,000 steps.
      format, overwrite: of `write_dataset`.

    Raises:
      UsageError, InputFileError, RunFolderError, ResourceError: as `find`, `write_dataset` and training.
    """
    from .acting import check_tasks
    from .episodes import take_steps
    from .requests import Request

    env_id = full_id(env_id)
    generator = find(env_id, quality)
    env_kwargs = typed_arguments(env_id, env_kwargs or {})
    id = _own_id(env_id, quality, env_kwargs) if id is None else check_id(id)
    check_format(format)
    check_free(id, overwrite)
    request = Request(env_id, quality, steps, seed, tasks, env_kwargs, None if run is None else Path(run), train_steps)
    _refuse_unused(generator, request)
    _ = request.env.action_space  # made once, so that whatever is wrong with it is known
    check_tasks(request.env, tasks)
    recipe = generator.load()(request)
    about = dataclasses.replace(
        recipe.about,
        seed=seed,
        code_permalink=recipe.about.code_permalink or generator.code,
        details={**recipe.about.details, "quality_name": quality, "tasks": tasks},
    )
    return write_dataset(id, take_steps(recipe.episodes, steps), about, format, overwrite)


def _own_id(env_id: str, quality: str, env_kwargs: Mapping[str, Any]) -> str:
    """The id of data of an environment as it is by default."""
    id = id_for(env_id, quality)
    if env_kwargs:
        expected = f"one of your own, such as {id.removesuffix('-v0')}-mine-v0: {id} is of the environment without"
        raise UsageError(
            problem("no id for data of an environment with arguments", "--id", None, expected),
            hint="Write --id NAMESPACE/NAME-v0.",
            key="--id",
        )
    return id


def _refuse_unused(generator: Generator, request: Any) -> None:
    for name in ("run", "train_steps"):
        value = getattr(request, name)
        if value is not None and name not in generator.options:
            flag = f"--{name.replace('_', '-')}"
            expected = f"none: {generator.summary}, without training"
            raise UsageError(problem("argument without a use", flag, value, expected), key=flag)
