"""What a run's configuration takes from what it learns from: a data set, and an earlier run."""

from pathlib import Path
from typing import Any

from .config_files import read_config_file
from .errors import UsageError, problem
from .settings import layer_file

INHERITED = ("nets", "num_critics")  # of a learner: what gives its networks their shapes


def uses_data(agent_config: Any) -> bool:
    """Whether an agent of this configuration learns from a data set."""
    return bool(getattr(agent_config, "uses_data", False))


def require_data(agent: str, agent_config: Any, dataset: str | None) -> None:
    """Refuses a data set that nobody would learn from, and a learner without the one that it needs.

    Raises:
      UsageError: either of them.
    """
    if uses_data(agent_config) and dataset is None:
        raise UsageError(
            problem("no data set given", "--dataset", None, f"one for the agent {agent!r} to learn from"),
            hint="See `palaestra dataset list`.",
            key="--dataset",
        )
    if dataset is not None and not uses_data(agent_config):
        can = hasattr(agent_config, "retain")
        hint = "Set retain to mixed or append, or leave the data set out." if can else "Leave it out."
        raise UsageError(
            problem("data set without a use", "--dataset", dataset, f"none for the agent {agent!r}"),
            hint=hint,
            key="--dataset",
        )


def env_of_data(dataset: str) -> dict[str, Any]:
    """The environment that a data set was made in, as a configuration states it; nothing if the set does not say.

    Raises:
      InputFileError: a data set that cannot be read.
    """
    from .datasets.reading import open_dataset

    spec = open_dataset(dataset).env_spec
    if spec is None:
        return {}
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "env_id"}  # the doors' own argument
    return {"env": spec.id, "env_kwargs": kwargs}


def inherited(start_from: str | None) -> dict[str, Any]:
    """What a run takes over from the one that it begins from, unless it says otherwise: environment and networks.

    Nothing where that run is gone: a run that has begun does not need it any more.
    """
    path = None if start_from is None else Path(start_from) / "config.yaml"
    if path is None or not path.is_file():
        return {}
    before = layer_file(read_config_file(path), path)
    agent = before.get("agent_config", {})
    learner = agent.get("learner", {})
    networks = {name: learner[name] for name in INHERITED if name in learner}
    taken = {name: before[name] for name in ("env", "env_kwargs") if name in before}
    return taken | {"agent_config": {"rewards": agent.get("rewards", {}), "learner": networks}}
