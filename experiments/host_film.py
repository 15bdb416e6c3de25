"""Pictures of a policy at work in a Gymnasium environment."""

from typing import Any

import jax
import numpy as np

from .errors import UsageError, problem
from .foreign import ForeignEnv
from .worlds import stack


def film_outside(
    agent: Any, learner: Any, seed: int, max_steps: int | None = None, deterministic: bool = True
) -> tuple[list[np.ndarray], float]:
    """Frames of one episode, and its return.

    Args:
      agent: with an `env` that is a `ForeignEnv`, and `act`.
      learner: the state of one learner (no seed axis).
      seed: of the episode and of drawn actions.
      max_steps: stop after this many steps; None: when the episode has ended.
      deterministic: whether the policy takes its likeliest action, else one it draws.

    Raises:
      UsageError: an environment without pictures.
    """
    foreign: ForeignEnv = agent.env
    env = foreign.make(render_mode="rgb_array")
    act = jax.jit(lambda key, obs: agent.act(key, learner, obs, deterministic=deterministic))
    key, (obs, _) = jax.random.key(seed), env.reset(seed=seed)
    frames, total, ended = [_picture(env, foreign.id)], 0.0, False
    while not ended and (max_steps is None or len(frames) <= max_steps):
        key, key_act = jax.random.split(key)
        action = np.asarray(act(key_act, stack([obs])))[0].astype(foreign.action_space.dtype)
        obs, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), bool(terminated or truncated)
        frames.append(_picture(env, foreign.id))
    env.close()
    return frames, total


def _picture(env: Any, id: str) -> np.ndarray:
    picture = env.render()
    if not isinstance(picture, np.ndarray):
        raise UsageError(problem("no pictures", f"environment {id}", picture, "an image (height, width, 3)"), key="env")
    return picture
