"""A grid of a few cells that compiles at once: the agent walks along a corridor and sees the whole of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import spaces
from palaestra.envs.contract import TaskEnv
from palaestra.envs.tasks import Parameter, TaskSpace

WIDTH, HEIGHT, AGENT, GOAL = 4, 3, 10, 8


class State(struct.PyTreeNode):
    place: jax.Array
    turn: jax.Array


@dataclasses.dataclass(frozen=True)
class LittleGrid(TaskEnv):
    """Actions: 0 stay, 1 back, 2 on, 3 turn; reaching the last column pays 1 and ends the episode."""

    horizon: int = 6
    view: str = "partial"
    task_space = TaskSpace((Parameter("first", 0, 2, 0, kind="integer"),))
    action_space = spaces.Discrete(4)
    observation_space = spaces.Dict(
        {
            "image": spaces.Box(0, 255, (WIDTH, HEIGHT, 3), np.uint8),
            "direction": spaces.Discrete(4),
            "speed": spaces.Box(-1, 1, (2,), np.float32),
        }
    )

    def task_params(self, task):
        return task[0]

    def initial(self, rng, params=None):
        params = self.default_params if params is None else params
        return State(place=jnp.round(params).astype(jnp.int32), turn=jax.random.randint(rng, (), 0, 4))

    def transition(self, state, action, rng, params=None):
        step = jnp.array([0, -1, 1, 0])[action]
        turn = (state.turn + jnp.where(action == 3, 1, 0)) % 4
        return State(place=jnp.clip(state.place + step, 0, WIDTH - 1), turn=turn)

    def observation(self, state, rng, params=None):
        cell = jnp.stack([jnp.asarray(AGENT), jnp.asarray(0), state.turn]).astype(jnp.uint8)
        image = jnp.zeros((WIDTH, HEIGHT, 3), jnp.uint8).at[WIDTH - 1, 1, 0].set(GOAL).at[state.place, 1].set(cell)
        return {"image": image, "direction": state.turn, "speed": jnp.zeros((2,))}

    def reward(self, state, action, next_state, rng, params=None):
        return (next_state.place == WIDTH - 1).astype(jnp.float32)

    def terminal(self, state, rng, params=None):
        return state.place == WIDTH - 1

    def success(self, state, params=None):
        return state.place == WIDTH - 1
