"""Small data sets for tests."""

import numpy as np
from gymnasium import spaces
from palaestra.experiments.datasets.about import About
from palaestra.experiments.datasets.episodes import Episode

ID = "palaestra/Test-v0/random-v0"
ABOUT = About(
    spaces.Box(-np.inf, np.inf, (3,), np.float64),
    spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 4.0], np.float32)),
    ref_min_score=-1.0,
    ref_max_score=9.0,
    seed=7,
)
GOAL = spaces.Dict(
    achieved_goal=spaces.Box(-1, 1, (2,), np.float64),
    desired_goal=spaces.Box(-1, 1, (2,), np.float64),
    observation=spaces.Box(-9, 9, (4,), np.float64),
)


def sample(space, rng, rows):
    """Rows of a space, as trees of arrays."""
    if isinstance(space, spaces.Dict):
        return {name: sample(sub, rng, rows) for name, sub in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(sample(sub, rng, rows) for sub in space.spaces)
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.start, space.start + space.n, rows)
    if isinstance(space, spaces.MultiDiscrete):
        return rng.integers(0, space.nvec, (rows, *space.shape))
    if isinstance(space, spaces.MultiBinary):
        return rng.integers(0, 2, (rows, *space.shape)).astype(np.int8)
    low, high = (np.clip(bound, -3, 3) for bound in (space.low, space.high))
    return rng.uniform(low, high, (rows, *space.shape)).astype(space.dtype)


def episodes(lengths=(5, 1, 4), about=ABOUT, **fields):
    """Episodes that are terminated, truncated, terminated, ..."""
    rng = np.random.default_rng(0)
    for index, length in enumerate(lengths):
        given = {
            "observations": sample(about.observation_space, rng, length + 1),
            "actions": sample(about.action_space, rng, length),
            "rewards": rng.normal(size=length),
            "terminated": index % 2 == 0,
            "truncated": index % 2 == 1,
            "seed": 100 + index,
        }
        yield Episode(**given | fields)
