"""What a trained walker is worth in the original: its policy in Gymnasium's Box2D walker and in ours.

    PALAESTRA_RUN=RUN palaestra bench transfer --budget 300

plays the newest checkpoint of a run folder, learner by learner, in Gymnasium's BipedalWalker-v3 and in the exact
`palaestra/BipedalWalker-v0`, equally many deterministic episodes in each, and trains nothing. From Python:
`transfer(run_dir, episodes)`. The run may have used another walker, or the fast solver, as long as observations and
actions are the same.

Gymnasium plays on one core until its share of the budget is spent; Box2D comes with the extra `box2d`. Intervals are
over episodes: they say how well this policy's mean is known, not how other seeds of the training would fare.

Letters: S learners, N episodes.
"""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ...envs.compilation import compile_for
from ...envs.errors import missing_extra
from ...envs.registration import make_functional
from ..errors import UsageError, problem
from ..evaluation import draw_test_tasks, evaluate
from ..policy import Policy, load_policy
from ..statistics import estimate, mean

RUN_VARIABLE = "PALAESTRA_RUN"
PEER = "BipedalWalker-v3"
OURS = "palaestra/BipedalWalker-v0"
EPISODES = 100  # at most, with a budget
LEAST = 2  # with fewer there is no interval
SEED = 0  # of the first episode
SOLVED = 300.0  # Gymnasium's threshold


def run(budget: float) -> list[dict[str, Any]]:
    """Rows of the run folder that the environment variable names.

    Args:
      budget: seconds; three quarters go to Gymnasium's walker, ours takes what it takes.

    Raises:
      UsageError: no run is named.
    """
    run_dir = os.environ.get(RUN_VARIABLE)
    if not run_dir:
        raise UsageError(
            f"no run named: {RUN_VARIABLE}", hint=f"Run: {RUN_VARIABLE}=RUN palaestra bench transfer", key=RUN_VARIABLE
        )
    return transfer(Path(run_dir), EPISODES, 0.75 * budget)


def transfer(run_dir: Path, episodes: int = EPISODES, seconds: float = math.inf) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio} with `ours_low`, `ours_high`, `theirs_low`, `theirs_high`.

    Args:
      run_dir: a run folder.
      episodes: N, of every learner in every walker.
      seconds: for Gymnasium's walker; when they are spent, N becomes what every learner has played, at least 2.

    Raises:
      InputFileError: no run, or no sound checkpoint.
      MissingExtraError: Box2D is not installed.
      UsageError: a policy for other observations or actions, or fewer than 2 episodes.
    """
    if episodes < LEAST:
        raise UsageError(problem("bad value", "episodes", episodes, f"at least {LEAST}"), key="episodes")
    policy = load_policy(run_dir)
    env = make_functional(OURS)
    for name in ("observation_space", "action_space"):
        found, expected = getattr(policy.agent.env, name), getattr(env, name)
        if found.shape != expected.shape:
            raise UsageError(
                problem(f"run of another kind: {run_dir}", name, found.shape, f"{expected.shape}"), key=name
            )
    learners = [policy.learner(i) for i in range(policy.setup.run.num_seeds)]
    share = seconds / len(learners)
    played = [play_gymnasium(acting(policy.agent, learner), episodes, share) for learner in learners]
    count = min(theirs.shape[1] for theirs in played)
    ours = play_ours(policy, env, count)
    rows = []
    for i, theirs in enumerate(played):
        rows += compare(f"seed {policy.setup.run.seed + i}, {count} episodes", PEER, ours[i], theirs[:, :count])
    return rows


def acting(agent: Any, learner: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The deterministic policy of one learner, for one observation at a time."""
    act = jax.jit(lambda obs: agent.act(jax.random.key(0), learner, obs, deterministic=True))
    return lambda obs: np.asarray(act(obs))


def play_gymnasium(act: Callable[[np.ndarray], np.ndarray], episodes: int, seconds: float = math.inf) -> np.ndarray:
    """(2, N) returns and lengths of a policy, (O,) to (A,), in Gymnasium's walker.

    Raises:
      MissingExtraError: Box2D is not installed.
    """
    try:
        import Box2D  # noqa: F401
    except ImportError as error:
        raise missing_extra("Box2D", "box2d", "palaestra bench transfer") from error
    import gymnasium

    env = gymnasium.make(PEER)
    played: list[tuple[float, int]] = []
    begin = time.perf_counter()
    while len(played) < episodes and (len(played) < LEAST or time.perf_counter() - begin < seconds):
        played.append(_episode(env, act, SEED + len(played)))
    env.close()
    return np.array(played).T


def _episode(env: Any, act: Callable[[np.ndarray], np.ndarray], seed: int) -> tuple[float, int]:
    obs, _ = env.reset(seed=seed)
    return_, length, ended = 0.0, 0, False
    while not ended:
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        return_, length, ended = return_ + float(reward), length + 1, terminated or truncated
    return return_, length


def play_ours(policy: Policy, env: Any, episodes: int) -> np.ndarray:
    """(S, 2, N) returns and lengths in our walker."""
    tasks = draw_test_tasks(env, episodes, "default")
    states = policy.state if policy.setup.run.num_seeds > 1 else jax.tree.map(lambda x: x[None], policy.state)
    examine = compile_for(env, lambda states, key: evaluate(env, policy.agent.act, states, tasks, key))
    scores = examine(states, jax.random.key(SEED))
    return np.stack([np.asarray(scores.return_, np.float64), np.asarray(scores.length)], 1)


def compare(label: str, peer: str, ours: np.ndarray, theirs: np.ndarray) -> list[dict[str, Any]]:
    """Rows of one learner from (2, N) returns and lengths on either side."""
    quantities = [
        ("mean return", "", ours[0], theirs[0]),
        ("mean length", "steps", ours[1], theirs[1]),
        (f"return of {SOLVED:g}", "% of episodes", 100 * (ours[0] >= SOLVED), 100 * (theirs[0] >= SOLVED)),
    ]
    return [row(f"{label}, {name}", peer, unit, own, other) for name, unit, own, other in quantities]


def row(case: str, peer: str, unit: str, ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Means over episodes with their intervals."""
    own, other = estimate(ours, mean), estimate(theirs, mean)
    is_comparable = unit == "steps"  # a ratio of returns, which may be negative, says nothing
    return {
        "case": case,
        "peer": peer,
        "ours": own.value,
        "theirs": other.value,
        "unit": unit,
        "ratio": own.value / other.value if is_comparable else None,
        "ours_low": own.low,
        "ours_high": own.high,
        "theirs_low": other.low,
        "theirs_high": other.high,
    }
