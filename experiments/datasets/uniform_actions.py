"""Quality "random": actions drawn evenly from the action box, on the device for our environments, else on the host."""

import dataclasses
from typing import Any

import jax
import numpy as np
from gymnasium import spaces

from ..errors import UsageError, problem
from .acting import episodes_under
from .requests import Recipe, Request
from .scores import own_reference

ALGORITHM = "actions drawn evenly from the action space"


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A behaviour without memory or eyes."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, space: Any, env_id: str) -> "Uniform":
        """Of a bounded Box.

        Raises:
          UsageError: another space.
        """
        if not isinstance(space, spaces.Box) or not space.is_bounded() or space.dtype.kind != "f":
            raise UsageError(
                problem("environment without bounded continuous actions", env_id, space, "a bounded Box"), key="--env"
            )
        return cls(tuple(map(float, space.low.ravel())), tuple(map(float, space.high.ravel())), space.shape)

    def start(self, key: jax.Array) -> tuple[()]:
        return ()

    def act(self, key: jax.Array, memory: tuple[()], obs: Any) -> tuple[tuple[()], jax.Array]:
        low, high = (np.array(bound, np.float32).reshape(self.shape) for bound in (self.low, self.high))
        return memory, jax.random.uniform(key, self.shape, minval=low, maxval=high)


def generate(request: Request) -> Recipe:
    """Random episodes of any id."""
    refs = own_reference(request.env_id) or (None, None)
    about = request.about(
        algorithm_name=ALGORITHM,
        description=f"Episodes of {request.env_id} with random actions.",
        ref_min_score=refs[0],
        ref_max_score=refs[1],
    )
    uniform = Uniform.of(about.action_space, request.env_id)
    return Recipe(about, episodes_under(request.env, uniform, request.seed, request.tasks))
