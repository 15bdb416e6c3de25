"""From names and settings to objects: the environment, the teacher and the agent of a run, and back from its folder."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..envs import registration
from . import catalog, config
from .config_files import dump_yaml, read_config_file
from .errors import InputFileError, UsageError, problem, unknown
from .flags import given_settings, whole_number
from .foreign import ForeignEnv, foreign, is_foreign
from .learning_data import env_of_data, inherited, require_data
from .run_folder import read_run
from .settings import NAMES, RunConfig, RunSettings, layer_file, layer_sets

DEFAULTS = {"agent": "ppo", "teacher": "fixed"}


def from_flags(flags: argparse.Namespace) -> tuple[RunConfig, str]:
    """The configuration a `train` command line asks for, and the same as it was given, for `config.input.yaml`."""
    layers = layer_file({})
    text = ""
    if flags.config is not None:
        path = Path(flags.config)
        layers = layer_file(read_config_file(path), path)
        text = path.read_text("utf-8")
    named = {name: getattr(flags, name) for name in NAMES if getattr(flags, name) is not None}
    by_set = layer_sets(flags.set, *_known_keys(DEFAULTS | layers | named))
    by_flag: dict[str, Any] = {**named, "run": given_settings(flags)}
    if flags.num_envs is not None:
        by_flag["agent_config"] = {"num_envs": whole_number(flags.num_envs, "--num-envs")}
    if flags.env_kwargs:
        assignments = dict(config.parse_assignment(text, "--env-kwargs") for text in flags.env_kwargs)
        by_flag["env_kwargs"] = config.nest(assignments)
    given = config.merge(config.merge(layers, by_set), by_flag)
    return complete(given), text or dump_yaml(config.to_plain(given))


def complete(given: Mapping[str, Any]) -> RunConfig:
    """Fills in defaults and checks every key and value.

    Raises:
      UsageError: naming the key.
    """
    start_from, dataset = _text(given, "start_from"), _text(given, "dataset")
    given = config.merge(inherited(start_from), given)
    if dataset is not None and not given.get("env"):
        given = config.merge(env_of_data(dataset), given)
    if not given.get("env"):
        raise UsageError("no environment given: --env", hint="See `palaestra list envs`.", key="--env")
    env = known_env(str(given["env"]))
    agent, teacher = str(given.get("agent", DEFAULTS["agent"])), str(given.get("teacher", DEFAULTS["teacher"]))
    agent_config = config.build(_agent(agent).load_config(), given.get("agent_config", {}), "agent_config")
    teacher_object = config.build(_teacher(teacher).load(), given.get("teacher_config", {}), "teacher_config")
    require_data(agent, agent_config, dataset)
    run = dict(given.get("run", {}))
    if start_from is not None:
        _require_start(agent, agent_config)
        run.setdefault("eval_first", True)  # at the switch from one run to the other
    if teacher == "fixed":  # what is trained on one task is judged by that task
        run.setdefault("eval_tasks", "default")
    env_kwargs = dict(given.get("env_kwargs", {}))
    if isinstance(make_env(env, env_kwargs), ForeignEnv):
        _require_outside(agent, teacher, env)
    return RunConfig(
        env=env,
        agent=agent,
        teacher=teacher,
        env_kwargs=env_kwargs,
        agent_config=config.to_plain(agent_config),
        teacher_config=config.to_plain(teacher_object),
        run=config.build(RunSettings, run, "run").resolved(),
        dataset=dataset,
        start_from=start_from,
    )


def build(setup: RunConfig) -> Any:
    """The agent of a configuration, with its environment and teacher: to act, or to learn from these alone.

    See `to_learn.build` for what else it may learn from.
    """
    env, entry = make_env(setup.env, setup.env_kwargs), _agent(setup.agent)
    teacher = config.build(_teacher(setup.teacher).load(), setup.teacher_config, "teacher_config")
    agent_config = config.build(entry.load_config(), setup.agent_config, "agent_config")
    factory = catalog.resolve(entry.outside) if isinstance(env, ForeignEnv) else entry.load()
    return factory(env=env, teacher=teacher, config=agent_config)


def read_setup(run_dir: Path) -> RunConfig:
    """The configuration a run folder was made with.

    Raises:
      InputFileError: no run, or one whose configuration cannot be read.
    """
    read_run(run_dir)
    path = run_dir / "config.yaml"
    try:
        return complete(layer_file(read_config_file(path), path))
    except UsageError as error:
        raise InputFileError(
            f"run configuration unusable: {path}; {error.message}",
            hint=error.hint or "Runs made from Python continue with `train(..., resume='must')`.",
            file=path,
            key=error.key,
        ) from error


def make_env(id: str, kwargs: Mapping[str, Any]) -> Any:
    """The functional environment of an id; every argument is checked against what the family takes."""
    typed = typed_arguments(id, kwargs)
    if is_foreign(id):
        return foreign(id, typed)
    try:
        return registration.make_functional(id, **typed)
    except (ValueError, TypeError) as error:
        raise UsageError(f"environment {id}: {error}", hint="Change the value.", key="env_kwargs") from error


def typed_arguments(id: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an environment in the types that its family takes; those of others as they are.

    Raises:
      UsageError: one that the family does not have, or of another type.
    """
    if is_foreign(id):
        return dict(kwargs)
    known = registration.arguments(id)
    typed = {}
    for name, value in kwargs.items():
        if name not in known:
            raise unknown("key", f"env.{name}", [f"env.{argument}" for argument in known])
        typed[name] = config.convert(config.known_type(*known[name]), value, f"env.{name}")
    return typed


def known_env(id: str) -> str:
    """The full id of an environment: one of ours, whose namespace may be left out, or else one of Gymnasium's.

    Raises:
      UsageError: no such id; names the three nearest.
    """
    ids = [entry.id for entry in registration.ENVIRONMENTS]
    for candidate in (id, f"palaestra/{id}"):
        if candidate in ids:
            return candidate
    if is_foreign(id):
        return id
    raise unknown("environment", id, ids)


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    return None if value is None else str(value)


def _require_outside(agent: str, teacher: str, env: str) -> None:
    """Refuses agents and teachers that need an environment of ours."""
    for flag, name, works in (
        ("--agent", agent, bool(_agent(agent).outside)),
        ("--teacher", teacher, teacher == "fixed"),
    ):
        if not works:
            expected = "an off-policy agent, such as sac" if flag == "--agent" else "fixed"
            raise UsageError(problem(f"environment {env} is not ours", flag, name, expected), key=flag)


def _require_start(agent: str, agent_config: Any) -> None:
    if not getattr(agent_config, "takes_start", False):
        raise UsageError(
            problem("nothing to begin from", "--start-from", agent, "an off-policy agent that acts, such as wsrl"),
            hint="Leave --start-from out.",
            key="--start-from",
        )


def _known_keys(names: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The dotted keys the chosen agent's and teacher's configurations take."""
    agent, teacher = _agent(str(names["agent"])), _teacher(str(names["teacher"]))
    return config.key_names(agent.load_config()), config.key_names(teacher.load())


def _agent(name: str) -> catalog.Entry:
    return catalog.find("agent", name, catalog.AGENTS)


def _teacher(name: str) -> catalog.Entry:
    return catalog.find("teacher", name, catalog.TEACHERS)
