"""Pictures of a policy at work: one episode on each of a few tasks, side by side in time.

Letters: K tasks.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from ..envs.compilation import compile_for
from ..envs.stepping import begin, step, take_row


def film(
    agent: Any,
    learner: Any,
    tasks: Any,
    seed: int,
    max_steps: int | None = None,
    every: int = 1,
    deterministic: bool = True,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames of one episode on each task, stacked from top to bottom; an episode that has ended stands still.

    Args:
      agent: with `env` and `act`.
      learner: the state of one learner (no seed axis).
      tasks: leading axis K.
      max_steps: stop after this many steps; None: when all episodes have ended.
      every: steps between frames.
      deterministic: whether the policy takes its likeliest action, else one it draws.

    Returns:
      (frames uint8 (K * height, width, 3), returns (K,)).
    """
    env = agent.env.for_rendering()
    count = jax.tree.leaves(tasks)[0].shape[0]
    key, key_begin = jax.random.split(jax.random.key(seed))
    lanes = compile_for(env, jax.vmap(functools.partial(begin, env)))(jax.random.split(key_begin, count), tasks)

    def forward(key: jax.Array, learner: Any, lanes: Any) -> Any:
        key_act, key_step = jax.random.split(key)
        actions = agent.act(key_act, learner, lanes.obs, deterministic=deterministic)
        keys = jax.random.split(key_step, count)
        episode, timestep = jax.vmap(functools.partial(step, env))(keys, lanes.episode, actions, lanes.params)
        return lanes.replace(episode=episode, obs=timestep.obs), timestep.ended

    forward = compile_for(env, forward)
    running, returns = np.ones(count, bool), np.zeros(count)
    drawing, pictures = None, []
    for lane in range(count):
        drawing, picture = _picture(env, lanes, lane, drawing)
        pictures.append(picture)
    frames, steps = [np.concatenate(pictures)], 0
    while running.any() and (max_steps is None or steps < max_steps):
        key, key_now = jax.random.split(key)
        lanes, ended = forward(key_now, learner, lanes)
        steps += 1
        returns = np.where(running, np.asarray(lanes.episode.return_), returns)
        ends_now = running & np.asarray(ended)
        if steps % every == 0 or ends_now.any():
            for i in np.flatnonzero(running):
                drawing, pictures[i] = _picture(env, lanes, int(i), drawing)
            frames.append(np.concatenate(pictures))
        running &= ~ends_now
    return frames, returns


def half_size(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames at half the width and height, each pixel the mean of four."""
    from PIL import Image

    for frame in frames:
        yield np.asarray(Image.fromarray(frame).reduce(2))


def _picture(env: Any, lanes: Any, lane: int, drawing: Any) -> tuple[Any, np.ndarray]:
    state, params = take_row((lanes.episode.env, lanes.params), lane)
    return env.render_image(state, drawing, params)
