"""What a run learns from besides its environment: a data set, and the learners of an earlier run.

Both are read when a run begins to need them, so that one which goes on without them does not miss them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .config import merge
from .errors import InputFileError, UsageError, problem

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


def load_data(dataset: str, agent_config: Any, env: Any) -> Any:
    """The transitions of a data set as this agent learns from them.

    Raises:
      InputFileError: a data set that cannot be used, or is of another environment.
    """
    from .datasets.fit import check_fits
    from .datasets.load import load

    learner, rewards = agent_config.learner, agent_config.rewards
    discount = float(learner.hyper.discount) if learner.needs_returns else None
    loaded = load(
        dataset,
        reward_scale=rewards.scale,
        reward_bias=rewards.bias,
        discount=discount,
        failure_reward=rewards.seen_failure,
    )
    check_fits(loaded, env.observation_space, env.action_space)
    return loaded.transitions


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
    from .assemble import read_setup

    setup = read_setup(path.parent)
    learner = setup.agent_config.get("learner", {})
    networks = {name: learner[name] for name in INHERITED if name in learner}
    given: dict[str, Any] = {"env": setup.env, "env_kwargs": setup.env_kwargs}
    agent: dict[str, Any] = {"rewards": setup.agent_config.get("rewards", {})}
    return given | {"agent_config": merge(agent, {"learner": networks})}


def learners_of(start_from: str, num_seeds: int) -> Callable[[], Any]:
    """A function that reads what the learners of a run have learned, leading seed axis if there are several seeds.

    Raises (when called):
      InputFileError: no run, no checkpoint, or learners that these cannot begin from.
    """

    def read() -> Any:
        from .policy import load_policy

        policy = load_policy(Path(start_from))
        learned, count = getattr(policy.state, "learned", None), policy.setup.run.num_seeds
        if learned is None:
            raise InputFileError(
                problem("run of another kind of agent", start_from, policy.setup.agent, "an off-policy one"),
                hint="Choose a run of bc, iql, cql, calql, sac or the like.",
                file=start_from,
            )
        if count != num_seeds:
            raise InputFileError(
                problem(
                    "run of other seeds", start_from, f"{count} learners", f"{num_seeds}, one for each to begin as"
                ),
                hint=f"Set --num-seeds {count}.",
                file=start_from,
            )
        return learned

    return read
