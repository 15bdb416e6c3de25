"""Draws `_static/pointmaze.gif`: the controller that knows the way, in the maze Large.

python docs/maze_pictures.py
"""

import pathlib

import gymnasium as gym
import jax
import palaestra  # noqa: F401  # registers the ids
from palaestra.envs.maze.waypoints import WaypointController
from palaestra.experiments.film import half_size
from palaestra.experiments.movie import write_movie

PATH = pathlib.Path(__file__).parent / "_static" / "pointmaze.gif"
EPISODES, STEPS_PER_FRAME, FPS = 2, 5, 20


def frames():
    """Pictures of some episodes, each until its goal is reached."""
    env = gym.make("palaestra/PointMaze_Large-v0", continuing_task=False, render_mode="rgb_array")
    controller, key = WaypointController("Large"), jax.random.key(0)
    act = jax.jit(controller.act)
    for seed in range(EPISODES):
        obs, _ = env.reset(seed=seed)
        key, key_plan = jax.random.split(key)
        plan, step, ended = controller.init(key_plan, obs), 0, False
        while not ended:
            if step % STEPS_PER_FRAME == 0:
                yield env.render()
            key, key_act = jax.random.split(key)
            plan, action = act(key_act, plan, obs)
            obs, _, terminated, truncated, _ = env.step(action)
            step, ended = step + 1, terminated or truncated
        yield env.render()


if __name__ == "__main__":
    print(write_movie(PATH, half_size(frames()), FPS))
