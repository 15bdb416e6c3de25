"""The registry: every id, the environment behind it, and its entry in Gymnasium.

Entries are strings, so importing `palaestra` imports no family. `ENVIRONMENTS` is what the contract tests, the
documentation and the command line run over: a family is tested, documented and listed by being in it.
"""

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.envs.registration import registry

from .maze.maps import MAZES
from .minigrid.ids import FAMILIES as MINIGRID_FAMILIES
from .minigrid.ids import WITH_SUBGOALS, subgoals_name


@dataclasses.dataclass(frozen=True)
class Entry:
    """One registered id.

    Attributes:
      id: what `gym.make` takes.
      factory: "module:callable" that returns the TaskEnv, the module relative to this package.
      kwargs: the factory's arguments for this id; a user's own override them.
      summary: one line for `palaestra list`.
      reward_threshold: the return at which the task counts as solved, where the original states one.
      page: name of the documentation page, where several ids share one.
    """

    id: str
    factory: str
    kwargs: tuple[tuple[str, Any], ...] = ()
    summary: str = ""
    reward_threshold: float | None = None
    page: str = ""


MOTOR_FAMILIES = {
    "PermExDc": "Permanently excited DC machine",
    "ExtExDc": "Externally excited DC machine",
    "SeriesDc": "Series DC machine",
    "ShuntDc": "Shunt DC machine",
    "PMSM": "Permanent magnet synchronous machine",
    "EESM": "Externally excited synchronous machine",
    "SynRM": "Synchronous reluctance machine",
    "SCIM": "Squirrel cage induction machine",
    "DFIM": "Doubly fed induction machine",
    "SIXPMSM": "Six-phase permanent magnet synchronous machine",
}
MOTOR_ACTIONS = {"Cont": "averaged converter", "Finite": "switching states"}
MOTOR_TASKS = {"CC": "current control", "TC": "torque control", "SC": "speed control"}


def _motors() -> tuple[Entry, ...]:
    """The sixty standard drives."""
    return tuple(
        Entry(
            f"palaestra/Motor-{action}-{task}-{family}-v0",
            ".motors.build:make_motor",
            (("family", family), ("action", action), ("task", task)),
            summary=f"{title}: {aim}, {kind}.",
            page=f"motor-{family.lower()}",
        )
        for family, title in MOTOR_FAMILIES.items()
        for action, kind in MOTOR_ACTIONS.items()
        for task, aim in MOTOR_TASKS.items()
    )


def _mazes() -> tuple[Entry, ...]:
    """The PointMaze ids of gymnasium-robotics."""
    return tuple(
        Entry(
            f"palaestra/PointMaze_{name}{suffix}-v0",
            ".maze.env:PointMaze",
            (("maze", name), ("horizon", horizon), ("reward_type", suffix.lower() or "sparse")),
            summary=f"Push a ball through the maze {name} to a goal, {suffix.lower() or 'sparse'} reward.",
            page="pointmaze",
        )
        for name, (_, horizon) in MAZES.items()
        for suffix in ("", "Dense")
    )


def _minigrid() -> tuple[Entry, ...]:
    """Every id of the minigrid package."""
    return tuple(
        Entry(
            f"palaestra/{name}",
            ".minigrid.build:make_minigrid",
            (("name", name),),
            summary=family.summary,
            page=family.page,
        )
        for family in MINIGRID_FAMILIES
        for name in family.names
    )


def _subgoals() -> tuple[Entry, ...]:
    """The ids of the minigrid package whose levels come apart into subgoals."""
    return tuple(
        Entry(
            f"palaestra/{subgoals_name(name)}",
            ".minigrid.subgoals.build:make_subgoals",
            (("name", name),),
            summary=f"{name} with a teacher that shows and rewards subgoals.",
            page="minigrid-subgoals",
        )
        for name in WITH_SUBGOALS
    )


ENVIRONMENTS: tuple[Entry, ...] = (
    Entry(
        "palaestra/CartPole-v0",
        ".classic.cartpole:CartPole",
        summary="Balance a pole on a cart; gravity, masses, length and force are the task.",
        reward_threshold=475.0,
    ),
    Entry(
        "palaestra/Pendulum-v0",
        ".classic.pendulum:Pendulum",
        summary="Swing a pendulum up; gravity, mass, length and torque are the task.",
    ),
    Entry(
        "palaestra/BipedalWalker-v0",
        ".walker.env:BipedalWalker",
        summary="Gymnasium's BipedalWalker-v3 in JAX; gravity, friction, torque and leg length are the task.",
        reward_threshold=300.0,
    ),
    Entry(
        "palaestra/BipedalWalkerHardcore-v0",
        ".walker.env:BipedalWalker",
        (("hardcore", True), ("horizon", 2000)),
        summary="BipedalWalkerHardcore-v3 in JAX: stumps, stairs and pits.",
        reward_threshold=300.0,
    ),
    Entry(
        "palaestra/StumpTracks-v0",
        ".walker.env:StumpTracks",
        summary="BipedalWalker over stumps; their height and distance are the task.",
    ),
    *_mazes(),
    *_motors(),
    *_minigrid(),
    *_subgoals(),
)


def entry(id: str) -> Entry:
    """The registry entry of an id.

    Raises:
      KeyError: no such id.
    """
    for candidate in ENVIRONMENTS:
        if candidate.id == id:
            return candidate
    raise KeyError(id)


def factory(id: str) -> Callable[..., Any]:
    """The callable that makes the `TaskEnv` of an id."""
    module, name = entry(id).factory.split(":")
    made: Callable[..., Any] = getattr(importlib.import_module(module, __package__), name)
    return made


def arguments(id: str) -> dict[str, tuple[Any, Any]]:
    """{name: (type, default)} of what `make_functional` takes for an id."""
    maker, given = factory(id), dict(entry(id).kwargs)
    hints = typing.get_type_hints(vars(maker)["__init__"] if isinstance(maker, type) else maker)
    parameters = inspect.signature(maker).parameters
    return {name: (hints.get(name, Any), given.get(name, p.default)) for name, p in parameters.items()}


def make_functional(id: str, **kwargs: Any) -> Any:
    """The pure `TaskEnv` behind an id, for use inside `jit`; `kwargs` go to the family's class or function.

    Lists become tuples: a spec that was kept as JSON has no others, and environments must be hashable.
    """
    return factory(id)(**(dict(entry(id).kwargs) | {name: _hashable(value) for name, value in kwargs.items()}))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def register_all() -> None:
    """Registers every id with Gymnasium, skipping those already there."""
    for item in ENVIRONMENTS:
        if item.id in registry:
            continue
        gymnasium.register(
            id=item.id,
            entry_point="palaestra.envs.gym:make_env",
            vector_entry_point="palaestra.envs.gym:make_vector_env",
            reward_threshold=item.reward_threshold,
            disable_env_checker=True,
            order_enforce=True,
            kwargs={"env_id": item.id},
        )
