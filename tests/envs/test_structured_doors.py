"""The doors for families with dict observations, mixed actions, structured tasks and keys in their state."""

import dataclasses
import pickle
import warnings
from typing import ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from palaestra.envs.contract import TaskEnv
from palaestra.envs.errors import InvalidActionError
from palaestra.envs.gym import SingleEnv
from palaestra.envs.gym_vector import VectorEnv
from palaestra.envs.tasks import TaskError


@struct.dataclass
class Level:
    """A row of cells to walk along."""

    walls: jax.Array  # (5,) uint8
    start: jax.Array  # () int32


class Levels:
    """All walls, any start."""

    default = Level(walls=np.zeros(5, np.uint8), start=np.int32(2))

    def sample(self, key):
        key_walls, key_start = jax.random.split(key)
        walls = jax.random.bernoulli(key_walls, 0.5, (5,)).astype(jnp.uint8)
        return Level(walls=walls, start=jax.random.randint(key_start, (), 0, 5))

    def mutate(self, key, level, num_edits):
        return level

    def validate(self, level):
        if not 0 <= level.start < 5:
            raise TaskError(f"level.start: got {level.start}; expected 0 to 4")


@struct.dataclass
class State:
    cell: jax.Array  # () int32
    walls: jax.Array  # (5,) uint8
    key: jax.Array  # () key, of the noise


@dataclasses.dataclass(frozen=True)
class Corridor(TaskEnv):
    """Walks along a corridor; leaves something of every kind of space to the doors."""

    horizon: int = 5
    task_space: ClassVar[Levels] = Levels()
    action_space: ClassVar[spaces.Dict] = spaces.Dict(
        {
            "move": spaces.Discrete(3, start=-1),
            "hands": spaces.MultiDiscrete([2, 3]),
            "push": spaces.Tuple((spaces.Box(-1, 1, (2,), np.float32), spaces.MultiBinary(2))),
        }
    )
    observation_space: ClassVar[spaces.Dict] = spaces.Dict(
        {
            "walls": spaces.Box(0, 1, (5,), np.uint8),
            "cell": spaces.Discrete(5),
            "words": spaces.MultiDiscrete([4, 4]),
            "noise": spaces.Tuple((spaces.Box(0, 1, (1,), np.float32), spaces.MultiBinary(2))),
        }
    )

    def task_params(self, task):
        return task

    def initial(self, rng, params=None):
        return State(cell=jnp.asarray(params.start, jnp.int32), walls=params.walls, key=rng)

    def transition(self, state, action, rng, params=None):
        _, key = jax.random.split(state.key)
        return state.replace(cell=jnp.clip(state.cell + action["move"], 0, 4), key=key)

    def observation(self, state, rng, params=None):
        noise = (jax.random.uniform(state.key, (1,)), jnp.ones(2, jnp.int8))
        return {"walls": state.walls, "cell": state.cell, "words": jnp.array([1, 3]), "noise": noise}

    def reward(self, state, action, next_state, rng, params=None):
        return jnp.sum(action["push"][0]) + state.walls[state.cell].astype(jnp.float32)

    def terminal(self, state, rng, params=None):
        return state.cell == 4

    def transition_info(self, state, action, next_state, params=None):
        return {"walked": next_state.cell - state.cell, "of": {"hands": action["hands"]}}

    def state_info(self, state, params=None):
        return {"begun": state.cell}


LEVEL = Level(walls=np.array([0, 1, 0, 1, 0], np.uint8), start=np.int32(1))


def test_the_single_door_passes_gymnasiums_checker():
    gymnasium.register("test/Corridor-v0", entry_point=lambda **kwargs: SingleEnv(Corridor(**kwargs)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("test/Corridor-v0").unwrapped, skip_render_check=True)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_batch_says_what_gymnasium_would(mode):
    ours = VectorEnv(Corridor(), 3, mode)
    reference = SyncVectorEnv([lambda i=i: SingleEnv(Corridor(), index=i) for i in range(3)], autoreset_mode=mode)
    assert ours.observation_space == reference.observation_space
    assert_alike(ours.reset(seed=1), reference.reset(seed=[1] * 3))
    ours.action_space.seed(0)
    for _ in range(12):
        actions = ours.action_space.sample()
        said, expected = ours.step(actions), reference.step(actions)
        assert_alike(said, expected)
        if mode is AutoresetMode.DISABLED and (said[2] | said[3]).any():
            mask = said[2] | said[3]
            both = [door.reset(options={"reset_mask": mask}) for door in (ours, reference)]
            assert_alike(*both)


def assert_alike(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_alike(a[name], b[name])
    elif isinstance(a, tuple | list):
        for x, y in zip(a, b, strict=True):
            assert_alike(x, y)
    elif a is None or b is None:
        assert a is b
    elif isinstance(a, str):
        assert a == b
    elif a.dtype == object:
        assert_alike(list(a), list(b))
    else:
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_levels_go_in_as_structs_or_dicts_and_come_out_as_dicts():
    env = SingleEnv(Corridor(), task=LEVEL)
    obs, info = env.reset(seed=0)
    assert obs["cell"] == 1 and isinstance(obs["cell"], np.int64)
    np.testing.assert_array_equal(obs["walls"], LEVEL.walls)
    assert data_equivalence(env.reset(options={"task": info["task"]})[1]["task"], info["task"], exact=True)
    levels = jax.device_get(jax.vmap(Levels().sample)(jax.random.split(jax.random.key(0), 3)))
    envs = VectorEnv(Corridor(), 3)
    obs, infos = envs.reset(seed=0, options={"task": levels})
    np.testing.assert_array_equal(obs["walls"], levels.walls)
    np.testing.assert_array_equal(infos["task"]["start"], levels.start)
    assert infos["task"]["_walls"].all() and infos["_task"].all()


@pytest.mark.parametrize(
    ("level", "message"),
    [
        (3, "expected a Level"),
        ({"walls": np.zeros(5)}, "got keys"),
        (LEVEL.replace(walls=np.zeros(4, np.uint8)), r"level.walls: got shape \(4,\)"),
        (LEVEL.replace(walls=np.zeros(5)), "level.walls: .*dtype float64; expected .*uint8"),
        (LEVEL.replace(walls=np.full(5, 300)), "level.walls: got .*values that fit uint8"),
        (LEVEL.replace(start="1"), "level.start"),
        (LEVEL.replace(start=None), "expected a Level"),
        (LEVEL.replace(start=np.int32(7)), "level.start: got 7"),
    ],
)
def test_a_bad_level_is_refused_by_field(level, message):
    with pytest.raises(TaskError, match=message):
        SingleEnv(Corridor()).reset(options={"task": level})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"move": 2}, r"action\['move'\].*whole number in \[-1, 1\]"),
        ({"hands": [1, 3]}, r"action\['hands'\]\[1\]; got .*3.*; expected a whole number in \[0, 2\]"),
        ({"push": ([0.0, np.inf], [0, 1])}, r"action\['push'\]\[0\]\[1\]; got .*inf"),
        ({"push": ([0.0, 0.0],)}, "a tuple of length 2"),
        ({"jump": 1}, "keys"),
    ],
)
def test_a_bad_part_of_an_action_is_named(change, message):
    env = SingleEnv(Corridor())
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match=message):
        env.step(env.action_space.sample() | change)


def test_a_state_with_keys_survives_pickling():
    env = SingleEnv(Corridor())
    env.reset(seed=0)
    action = env.action_space.sample() | {"move": 0}
    duplicate = pickle.loads(pickle.dumps(env))
    assert data_equivalence(env.step(action), duplicate.step(action), exact=True)
    envs = VectorEnv(Corridor(), 9)
    envs.reset(seed=0)
    duplicate = pickle.loads(pickle.dumps(envs))
    actions = envs.action_space.sample()
    for _ in range(7):
        assert data_equivalence(envs.step(actions), duplicate.step(actions), exact=True)
