"""Data of point mazes, ours and gymnasium-robotics', under a controller that knows the way.

expert         hardly any noise
play           noise of sd 0.5 on every action; an episode ends where it reaches its goal, cut off there if the
               environment's own would go on
medium         so much noise that it scores about 45, found for the maze at hand by trying it out
random         actions drawn evenly
medium-expert  half of the transitions each
mixed          40 % random, 40 % medium, 20 % expert, by transitions

The references of scores are the mean returns of random actions and of the expert, 1000 episodes each. They and the
noise of `medium` are measured on our environment, also for gymnasium-robotics', whose physics it shares.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ...envs.maze.env import PointMaze
from ...envs.maze.waypoints import Plan, WaypointController
from ..errors import UsageError, problem
from ..foreign import ForeignEnv
from .acting import episodes_under, returns_under
from .behaviours import Behaviour
from .device_episodes import Tasks
from .episodes import Episode
from .mixtures import mixture, shares_of
from .requests import Recipe, Request
from .uniform_actions import ALGORITHM, Uniform

EXPERT, PLAY = 0.1, 0.5  # sd of the noise
REFERENCE_EPISODES = 1000
LEAST, MOST = 1.0, 64.0  # sd of the noise of `medium`
AIM, BAND = 45.0, (30.0, 60.0)  # its score
CLOSE = 4.0  # scores this near to the aim are good enough
TRIALS, TRIAL_EPISODES, CHECK_EPISODES = 8, 256, 1000
TRIAL_SEED, CHECK_SEED = 40_013, 40_014


class Waypoints(struct.PyTreeNode):
    """The controller as a behaviour; its noise is an array, so that every noise runs the same program."""

    noise: Any  # ()
    maze: str = struct.field(pytree_node=False)

    def start(self, key: jax.Array) -> Plan:
        """No plan yet: its goal is nowhere, so that the first step plans anew."""
        return Plan(cell=jnp.zeros((), jnp.int32), waypoint=jnp.zeros(2), goal=jnp.full(2, jnp.inf))

    def act(self, key: jax.Array, memory: Plan, obs: Any) -> tuple[Plan, jax.Array]:
        return WaypointController(self.maze, self.noise).act(key, memory, obs)


@dataclasses.dataclass(frozen=True)
class Scale:
    """What a maze's returns are measured by.

    Attributes:
      low, high: mean returns of random actions and of the expert.
    """

    env: PointMaze
    tasks: Tasks
    low: float
    high: float

    @classmethod
    def of(cls, env: PointMaze, tasks: Tasks) -> "Scale":
        low, high = (
            returns_under(env, behaviour(env, noise), REFERENCE_EPISODES, tasks).mean for noise in (None, EXPERT)
        )
        return cls(env, tasks, low, high)

    def score(self, noise: float, episodes: int, seed: int) -> float:
        """Of the controller with this noise; 0 is random, 100 the expert."""
        found = returns_under(self.env, behaviour(self.env, noise), episodes, self.tasks, seed=seed)
        return 100 * (found.mean - self.low) / (self.high - self.low)


def generate(request: Request) -> Recipe:
    """Episodes of a point maze."""
    twin = request.env if request.is_ours else twin_of(request.env)
    scale = Scale.of(twin, request.tasks)
    shares = shares_of(request.quality)
    noises: dict[str, float | None] = {"random": None, "expert": EXPERT, "play": PLAY}
    details: dict[str, Any] = {"shares": shares, "reference_episodes": REFERENCE_EPISODES}
    if "medium" in shares:
        noises["medium"], details["medium_score"] = medium_noise(scale)
        details["medium_found"] = f"by halving noises from {LEAST:g} to {MOST:g}, aim {AIM:g}"
    details["noise"] = {name: noises[name] for name in shares}
    about = request.about(
        algorithm_name="; ".join(f"{share:.0%} {_name(noises[name])}" for name, share in shares.items()),
        description=f"Episodes of {request.env_id}, {request.quality}.",
        ref_min_score=scale.low if scale.low < scale.high else None,
        ref_max_score=scale.high if scale.low < scale.high else None,
        details=details,
    )

    def episodes(quality: str, seed: int) -> Iterator[Episode]:
        acting = behaviour(twin, noises[quality])
        return _episodes(request, acting, seed, ends_at_goal=quality == "play")

    return Recipe(about, mixture(shares, request.steps, request.seed, episodes))


def behaviour(env: PointMaze, noise: float | None) -> Behaviour:
    """The controller with noise of this sd; None for random actions."""
    if noise is None:
        return Uniform.of(env.action_space, "point maze")
    return Waypoints(np.float32(noise), env.maze)


def medium_noise(scale: Scale) -> tuple[float, float]:
    """(sd, score) of the noise with which the controller scores about 45.

    More noise scores less, so that the range it must lie in is halved, on a logarithmic scale and with the same starts
    each time. Other starts tell the score in the end.

    Raises:
      UsageError: there is none that scores between 30 and 60.
    """
    if not scale.low < scale.high:
        raise _no_medium(scale, f"a random return of {scale.low:.4g} and an expert's of {scale.high:.4g}")
    low, high = math.log(LEAST), math.log(MOST)
    for _ in range(TRIALS):
        noise = round(math.exp(0.5 * (low + high)), 3)
        found = scale.score(noise, TRIAL_EPISODES, TRIAL_SEED)
        if abs(found - AIM) <= CLOSE:
            break
        low, high = (math.log(noise), high) if found > AIM else (low, math.log(noise))
    found = scale.score(noise, CHECK_EPISODES, CHECK_SEED)
    if not BAND[0] <= found <= BAND[1]:
        raise _no_medium(scale, f"a score of {found:.3g} with noise {noise:g}")
    return noise, found


def twin_of(env: ForeignEnv) -> PointMaze:
    """Our environment of the same maze, rules and time limit as one of gymnasium-robotics.

    Raises:
      UsageError: an argument that changes what ours does not have.
    """
    given = dict(gymnasium.spec(env.id).kwargs) | dict(env.arguments)
    rows = given.pop("maze_map")
    names = {"position_noise_range": "noise"}
    known = {"reward_type", "continuing_task", "reset_target", *names}
    settings = {names.get(name, name): value for name, value in given.items() if name in known}
    others = given.keys() - known - {"render_mode", "max_episode_steps"}
    if others:
        name = sorted(others)[0]
        expected = f"one of {sorted(known | {'maze_map', 'max_episode_steps'})}"
        raise UsageError(problem("argument that changes a maze unforeseen", name, given[name], expected), key=name)
    return PointMaze(maze="/".join("".join(map(str, row)) for row in rows), horizon=env.horizon, **settings)


def _episodes(request: Request, acting: Behaviour, seed: int, ends_at_goal: bool) -> Iterator[Episode]:
    """Where an episode ends at its goal, an environment that terminates there makes it; it does nothing else anew."""
    env, is_cut = request.env, False
    if ends_at_goal:
        is_cut = _goes_on(env)
        env = _that_terminates(env)
    for episode in episodes_under(env, acting, seed, request.tasks):
        if not request.is_ours and episode.infos is not None:
            # What theirs calls success is being there now; ours, and the report, count having been there.
            reached = np.logical_or.accumulate(episode.infos["success"])
            episode = dataclasses.replace(episode, infos={**episode.infos, "success": reached})
        yield dataclasses.replace(episode, terminated=False, truncated=True) if is_cut else episode


def _goes_on(env: Any) -> bool:
    """Whether episodes go on after the goal."""
    return bool((twin_of(env) if isinstance(env, ForeignEnv) else env).continuing_task)


def _that_terminates(env: Any) -> Any:
    if isinstance(env, ForeignEnv):
        arguments = dict(env.arguments) | {"continuing_task": False}
        return dataclasses.replace(env, arguments=tuple(sorted(arguments.items())))
    return dataclasses.replace(env, continuing_task=False)


def _name(noise: float | None) -> str:
    return ALGORITHM if noise is None else f"waypoint controller, noise of sd {noise:g}"


def _no_medium(scale: Scale, got: str) -> UsageError:
    expected = f"a noise with which the controller scores {BAND[0]:g} to {BAND[1]:g}"
    return UsageError(problem("no medium data of this maze", scale.env.maze, got, expected), key="--quality")
