"""Data of trained policies, for any environment with bounded continuous actions.

expert         the last checkpoint of a run that has come to rest: it, and the last fifth of the checkpoints on average,
               score at least 90
medium         the first checkpoint that scores 45, which must not be beyond 60
medium-replay  all that the learner had seen by then
medium-expert  half of the transitions each
mixed          40 % random, 40 % medium, 20 % expert, by transitions

Policies act as they train: they draw their actions. Checkpoints are rated that way, too, by 20 episodes that begin
alike for all. A score of 0 is what random actions return, 100 what the best checkpoint does, or both are our table's.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import UsageError, problem
from ..output import jsonable
from .acting import Returns, episodes_under, returns_under
from .episodes import Episode
from .mixtures import mixture, shares_of
from .replays import check_replayable, replay_episodes
from .requests import Recipe, Request
from .scores import own_reference
from .training import TrainedRun, trained_run
from .uniform_actions import ALGORITHM, Uniform

REFERENCE_EPISODES, REFERENCE_STEPS = 1000, 200_000  # of random actions, whichever comes first
RATING_EPISODES = 20
EXPERT, AIM, BAND = 90.0, 45.0, (30.0, 60.0)  # scores
PLATEAU = 0.2  # of the checkpoints
FEWEST = 5  # checkpoints that say anything about a run
REPLAY = "medium-replay"


@dataclasses.dataclass(frozen=True)
class Ratings:
    """How good the checkpoints of a run are.

    Attributes:
      returns: {step: mean return}, in the order of training.
      low, high: returns that count as 0 and 100.
      random: what random actions return.
    """

    returns: Mapping[int, float]
    low: float
    high: float
    random: Returns

    @classmethod
    def of(cls, request: Request, run: TrainedRun) -> "Ratings":
        """Rates every checkpoint.

        Raises:
          UsageError: a run with too few, or one that learned nothing.
        """
        if len(run.steps) < FEWEST:
            raise _refused("too few checkpoints", run, len(run.steps), f"at least {FEWEST}, to tell good from better")
        env, tasks = request.env, request.tasks
        uniform = Uniform.of(env.action_space, request.env_id)
        random = returns_under(env, uniform, REFERENCE_EPISODES, tasks, REFERENCE_STEPS)
        rate = lambda step: returns_under(env, run.behaviour(step), RATING_EPISODES, tasks).mean  # noqa: E731
        returns = {step: rate(step) for step in run.steps}
        low, high = own_reference(request.env_id) or (random.mean, max(returns.values()))
        if not low < high:
            raise _refused("nothing learned", run, f"a best return of {high:.4g}", f"more than random's {low:.4g}")
        return cls(returns, low, high, random)

    def score(self, step: int) -> float:
        return 100 * (self.returns[step] - self.low) / (self.high - self.low)

    def plateau(self) -> float:
        """The mean score of the last fifth of the checkpoints."""
        count = max(1, round(PLATEAU * len(self.returns)))
        return float(np.mean([self.score(step) for step in list(self.returns)[-count:]]))

    def expert(self, run: TrainedRun) -> int:
        """The step of the expert.

        Raises:
          UsageError: the run has not come to rest up there.
        """
        last = list(self.returns)[-1]
        if min(self.score(last), self.plateau()) < EXPERT:
            got = f"{self.score(last):.3g} at the end and {self.plateau():.3g} through its last fifth"
            raise _refused("no expert", run, got, f"scores of at least {EXPERT:g}")
        return last

    def medium(self, run: TrainedRun) -> int:
        """The step of the medium policy: the first to score 45; should that be too good, the one nearest to 45.

        Raises:
          UsageError: none scores between 30 and 60.
        """
        found = [step for step in self.returns if self.score(step) >= AIM][:1]
        if not found or self.score(found[0]) > BAND[1]:
            inside = [step for step in self.returns if BAND[0] <= self.score(step) <= BAND[1]]
            found = sorted(inside, key=lambda step: abs(self.score(step) - AIM))[:1]
        if not found:
            raise _refused("no medium policy", run, self._jump(), f"one from {BAND[0]:g} to {BAND[1]:g}")
        return found[0]

    def _jump(self) -> str:
        """How scores got past 45, in words."""
        steps, scores = list(self.returns), [self.score(step) for step in self.returns]
        above = next((i for i, score in enumerate(scores) if score >= AIM), None)
        if above is None:
            return f"scores of at most {max(scores):.3g}"
        before = f"{scores[above - 1]:.3g} at step {steps[above - 1]} and then " if above else ""
        return f"scores of {before}{scores[above]:.3g} at step {steps[above]}"


def generate(request: Request) -> Recipe:
    """Episodes of trained policies."""
    Uniform.of(request.env.action_space, request.env_id)  # refuses other actions before anything is trained
    if request.quality == REPLAY:
        _check_replay(request)
    run = trained_run(request)
    if request.quality == REPLAY and not run.has_replay:
        raise _refused("agent without a replay", run, run.setup.agent, "an off-policy one that acts, such as sac")
    ratings = Ratings.of(request, run)
    shares = shares_of(request.quality)
    choose = {"expert": ratings.expert, "medium": ratings.medium, REPLAY: ratings.medium}
    steps = {name: choose[name](run) for name in shares if name in choose}
    about = request.about(
        algorithm_name="; ".join(f"{share:.0%} {_name(name, run, steps)}" for name, share in shares.items()),
        description=f"Episodes of {request.env_id} under trained policies, {request.quality}.",
        ref_min_score=ratings.low,
        ref_max_score=ratings.high,
        details={"shares": shares, "training": _training(run, ratings, steps)},
    )
    if request.quality == REPLAY:
        return Recipe(about, _replayed(run, steps[REPLAY]))

    def episodes(quality: str, seed: int) -> Iterator[Episode]:
        acting: Any = Uniform.of(request.env.action_space, request.env_id)
        if quality in steps:
            acting = run.behaviour(steps[quality])
        return episodes_under(request.env, acting, seed, request.tasks)

    return Recipe(about, mixture(shares, request.steps, request.seed, episodes))


def _check_replay(request: Request) -> None:
    """Whether a replay tells all that data should.

    Raises:
      UsageError: it does not.
    """
    check_replayable(request.env_id, request.env.observation_space)
    if request.tasks != "default":
        expected = f"default: a replay does not say of which task its episodes are, for {REPLAY}"
        raise UsageError(problem("bad value", "--tasks", request.tasks, expected), key="--tasks")


def _replayed(run: TrainedRun, step: int) -> Iterator[Episode]:
    yield from replay_episodes(run.agent, run.state(step))


def _training(run: TrainedRun, ratings: Ratings, steps: Mapping[str, int]) -> dict[str, Any]:
    """What the metadata say of the run."""
    return {
        "run": run.path.name,
        "agent": run.setup.agent,
        "agent_config": jsonable(run.setup.agent_config),
        "seed": run.setup.run.seed,
        "steps": run.setup.run.total_timesteps,
        "checkpoints": dict(steps),
        "checkpoint_scores": {name: ratings.score(step) for name, step in steps.items()},
        "returns": {str(step): value for step, value in ratings.returns.items()},
        "rating_episodes": RATING_EPISODES,
        "random_return": ratings.random.mean,
        "random_episodes": ratings.random.episodes,
    }


def _name(quality: str, run: TrainedRun, steps: Mapping[str, int]) -> str:
    if quality not in steps:
        return ALGORITHM
    return f"{run.setup.agent} {'until' if quality == REPLAY else 'at'} step {steps[quality]}"


def _refused(what: str, run: TrainedRun, got: Any, expected: str) -> UsageError:
    return UsageError(
        f"{what}: run {run.path}; got {got}; expected {expected}",
        hint="Train longer with --train-steps, or give another --run with more checkpoints (keep, save_every).",
        key="--quality",
    )
