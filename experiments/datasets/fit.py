"""Whether a data set and an environment belong together."""

from typing import Any

import numpy as np
from gymnasium import Space, spaces

from ...agents.spaces import learner_view
from ...envs.errors import short
from ..errors import InputFileError, problem
from .load import Loaded


def check_fits(loaded: Loaded, observation_space: Space, action_space: Space) -> None:
    """Whether what was learned from the data can act in an environment of these spaces.

    Observations must have the same parts, in the same order and shapes; bounds and dtypes may differ. Actions must have
    the same bounds, because they are stored in units of them.

    Raises:
      InputFileError: they differ, naming the space.
    """
    seen = (loaded.view, learner_view(observation_space))
    for name, (ours, theirs), same in (
        ("observation_space", seen, _layout(seen[0]) == _layout(seen[1])),
        ("action_space", (loaded.action_space, action_space), _same_actions(loaded.action_space, action_space)),
    ):
        if not same:
            raise InputFileError(
                problem("data of another environment", f"{loaded.path}, {name}", ours, f"{short(theirs)}"),
                hint="Choose the data set of the environment.",
                file=loaded.path,
                key=name,
            )


def _layout(space: Space) -> Any:
    """What decides about the meaning of a flat observation's numbers."""
    if isinstance(space, spaces.Dict):
        return [(name, _layout(sub)) for name, sub in space.spaces.items()]
    if isinstance(space, spaces.Tuple):
        return [_layout(sub) for sub in space.spaces]
    if isinstance(space, spaces.Discrete):
        return ("Discrete", int(space.n), int(space.start))
    return (type(space).__name__, space.shape)


def _same_actions(ours: Space, theirs: Space) -> bool:
    if isinstance(ours, spaces.Box) and isinstance(theirs, spaces.Box):
        same_shape = ours.shape == theirs.shape
        return same_shape and np.allclose(ours.low, theirs.low) and np.allclose(ours.high, theirs.high)
    return bool(ours == theirs)
