"""Images and pictures, beside the package's wrappers and its own renderer, pixel for pixel."""

import gymnasium
import numpy as np
import pytest
from palaestra.envs.gym import SingleEnv
from palaestra.envs.minigrid import reference
from palaestra.envs.minigrid.build import make_minigrid

WRAPPERS = {
    "partial": None,
    "one_hot": "OneHotPartialObsWrapper",
    "rgb_partial": "RGBImgPartialObsWrapper",
    "full": "FullyObsWrapper",
    "symbolic": "SymbolicObsWrapper",
    "rgb": "RGBImgObsWrapper",
}
SEED, STEPS = 3, 25
ACTIONS = (0, 1, 2, 2, 2, 3, 4, 5)


def wrapped(name, view):
    from minigrid import wrappers

    env = gymnasium.make(name, render_mode="rgb_array", disable_env_checker=True)
    return env if WRAPPERS[view] is None else getattr(wrappers, WRAPPERS[view])(env)


def both(name, view, **options):
    """The package's and our environment on one level, and what they say at the start."""
    theirs = wrapped(name, view)
    first, _ = reference.reset(theirs, SEED)
    ours = SingleEnv(make_minigrid(name, levels=[SEED], view=view, **options), "rgb_array")
    return theirs, ours, first, ours.reset(seed=0)[0]


@pytest.mark.parametrize("view", WRAPPERS)
def test_every_view_is_the_wrappers(view):
    name = "BabyAI-MiniBossLevel-v0"
    theirs, ours, expected, obs = both(name, view)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        np.testing.assert_array_equal(obs["image"], expected["image"])
        assert obs["mission"] == expected["mission"] and obs["direction"] == expected["direction"]
        assert ours.observation_space.contains(obs)
        action = int(rng.choice(ACTIONS))
        expected, _, terminated, truncated, _ = theirs.step(action)
        obs = ours.step(action)[0]
        if terminated or truncated:
            break
    np.testing.assert_array_equal(obs["image"], expected["image"])


@pytest.mark.parametrize("name", ["MiniGrid-KeyCorridorS3R3-v0", "MiniGrid-LavaGapS7-v0", "MiniGrid-Fetch-8x8-N3-v0"])
def test_pictures_are_the_packages(name):
    theirs, ours, *_ = both(name, "partial")
    rng = np.random.default_rng(1)
    for _ in range(8):
        np.testing.assert_array_equal(ours.render(), theirs.render())
        action = int(rng.choice(ACTIONS))
        _, _, terminated, truncated, _ = theirs.step(action)
        ours.step(action)
        if terminated or truncated:
            break


def test_wrappers_that_read_observations_work_on_ours():
    from minigrid.wrappers import DictObservationSpaceWrapper, FlatObsWrapper, ImgObsWrapper

    name = "MiniGrid-DoorKey-5x5-v0"
    for wrapper in (ImgObsWrapper, FlatObsWrapper, DictObservationSpaceWrapper):
        expected, _ = wrapper(gymnasium.make(name, disable_env_checker=True)).reset(seed=SEED)
        obs, _ = wrapper(gymnasium.make(f"palaestra/{name}", levels=[SEED])).reset(seed=0)
        if isinstance(obs, dict):
            assert obs["mission"] == expected["mission"]
        else:
            np.testing.assert_array_equal(obs, expected)


def test_sizes_of_windows_and_tiles_are_options():
    from minigrid.wrappers import RGBImgPartialObsWrapper, ViewSizeWrapper

    name = "MiniGrid-KeyCorridorS3R3-v0"
    small = ViewSizeWrapper(gymnasium.make(name, disable_env_checker=True), agent_view_size=5)
    expected, _ = small.reset(seed=SEED)
    obs, _ = SingleEnv(make_minigrid(name, levels=[SEED], view_size=5)).reset(seed=0)
    np.testing.assert_array_equal(obs["image"], expected["image"])
    fine = RGBImgPartialObsWrapper(gymnasium.make(name, disable_env_checker=True), tile_size=12)
    expected, _ = fine.reset(seed=SEED)
    obs, _ = SingleEnv(make_minigrid(name, levels=[SEED], view="rgb_partial", tile_size=12)).reset(seed=0)
    np.testing.assert_array_equal(obs["image"], expected["image"])
