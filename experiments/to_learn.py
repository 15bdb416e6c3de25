"""Agents with what they learn from: a data set, and the learners of an earlier run.

Both are read when a run begins to need them, so that one which goes on without them does not miss them.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import assemble
from .errors import InputFileError, problem
from .policy import load_policy
from .settings import RunConfig


def build(setup: RunConfig) -> Any:
    """The agent of a configuration, ready to be trained.

    Raises:
      InputFileError: a data set that cannot be used.
    """
    agent = assemble.build(setup)
    if setup.dataset is not None:
        agent = dataclasses.replace(agent, data=load_data(setup.dataset, agent.config, agent.env))
    if setup.start_from is not None:
        agent = dataclasses.replace(agent, start=learners_of(setup.start_from, setup.run.num_seeds))
    return agent


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


def learners_of(start_from: str, num_seeds: int) -> Callable[[], Any]:
    """A function that reads what the learners of a run have learned, leading seed axis if there are several seeds.

    Raises (when called):
      InputFileError: no run, no checkpoint, or learners that these cannot begin from.
    """

    def read() -> Any:
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
