"""What PPO asks of its networks, and the two kinds there are.

Letters: O flat observation, A outputs of the action head, V values of an observation.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnasium import Space, spaces

from ..envs.errors import OptionError, short
from .networks import MLP, GridTorso, orthogonal
from .spaces import observation_size, offset, parts

FILTERS = (32, 32, 32)  # of the published MiniGrid agent


class ActorCritic(Protocol):
    """Networks as pure functions of a params tree; observations are flat, with any leading axes."""

    @property
    def view(self) -> Space:
        """The part of the observation space that is looked at: what is to be flattened."""

    def init(self, key_actor: jax.Array, key_critic: jax.Array) -> dict[str, Any]:
        """Fresh parameters. Both keys are consumed."""

    def output(self, params: dict[str, Any], flat: jax.Array) -> jax.Array:
        """(..., O) to the action head's (..., A)."""

    def value(self, params: dict[str, Any], flat: jax.Array) -> jax.Array:
        """(..., O) to (..., V)."""

    def both(self, params: dict[str, Any], flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`output` and `value`; what they share is computed once."""


@dataclasses.dataclass(frozen=True)
class Apart:
    """Actor and critic as two MLPs of the whole flat observation.

    Attributes:
      view: the observation space.
      hidden: widths of the hidden layers, of each.
      num_outputs: A.
      num_values: V.
    """

    view: Space
    hidden: tuple[int, ...]
    num_outputs: int
    num_values: int

    @property
    def actor(self) -> MLP:
        return MLP(self.hidden, self.num_outputs, out_scale=0.01)

    @property
    def critic(self) -> MLP:
        return MLP(self.hidden, self.num_values)

    def init(self, key_actor: jax.Array, key_critic: jax.Array) -> dict[str, Any]:
        blank = jnp.zeros((observation_size(self.view),))
        return {"actor": self.actor.init(key_actor, blank), "critic": self.critic.init(key_critic, blank)}

    def output(self, params: dict[str, Any], flat: jax.Array) -> jax.Array:
        output: Any = self.actor.apply(params["actor"], flat)
        return output

    def value(self, params: dict[str, Any], flat: jax.Array) -> jax.Array:
        value: Any = self.critic.apply(params["critic"], flat)
        return value

    def both(self, params: dict[str, Any], flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.output(params, flat), self.value(params, flat)


@dataclasses.dataclass(frozen=True)
class Grid:
    """Convolutions and dense layers that actor and critic share, and a linear head for each.

    Attributes:
      view: the image and what else is looked at.
      hidden: widths of the shared dense layers.
      num_outputs: A.
      num_values: V.
    """

    view: spaces.Dict
    hidden: tuple[int, ...]
    num_outputs: int
    num_values: int

    @property
    def torso(self) -> GridTorso:
        image = self.view["image"].shape or ()
        return GridTorso((image[0], image[1], image[2]), offset(self.view, "image"), FILTERS, self.hidden)

    def init(self, key_actor: jax.Array, key_critic: jax.Array) -> dict[str, Any]:
        key_torso, key_actor = jax.random.split(key_actor)
        blank = jnp.zeros((observation_size(self.view),))
        torso = self.torso.init(key_torso, blank)
        features = self.torso.apply(torso, blank)
        return {
            "torso": torso,
            "actor": self._head(self.num_outputs).init(key_actor, features),
            "critic": self._head(self.num_values).init(key_critic, features),
        }

    def output(self, params: dict[str, Any], flat: jax.Array) -> jax.Array:
        return self.both(params, flat)[0]

    def value(self, params: dict[str, Any], flat: jax.Array) -> jax.Array:
        return self.both(params, flat)[1]

    def both(self, params: dict[str, Any], flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = self.torso.apply(params["torso"], flat)
        output: Any = self._head(self.num_outputs).apply(params["actor"], features)
        value: Any = self._head(self.num_values).apply(params["critic"], features)
        return output, value

    def _head(self, width: int) -> nn.Dense:
        return nn.Dense(width, kernel_init=orthogonal(1.0))


def apart(space: Space, hidden: tuple[int, ...], beside_image: tuple[str, ...] | None, *sizes: int) -> Apart:
    """The networks "mlp".

    Raises:
      OptionError: `beside_image` is given, which these networks do not take.
    """
    if beside_image is not None:
        raise OptionError(
            f"beside_image={beside_image} with network='mlp', which sees every part; expected None", key="beside_image"
        )
    return Apart(space, hidden, *sizes)


def grid(space: Space, hidden: tuple[int, ...], beside_image: tuple[str, ...] | None, *sizes: int) -> Grid:
    """The networks "grid".

    Raises:
      OptionError: an observation without an image of three axes, or without a part named in `beside_image`.
    """
    shown = space.spaces if isinstance(space, spaces.Dict) else {}
    image = shown.get("image")
    if not isinstance(image, spaces.Box) or len(image.shape) != 3:
        raise OptionError(
            f"network='grid': got the observation space {short(space)}; expected a Dict with a Box 'image' (H, W, C)",
            key="network",
        )
    if beside_image is None:
        beside_image = ("subgoal",) if "subgoal" in shown else ()
    return Grid(parts(space, ("image", *beside_image)), hidden, *sizes)


NETWORKS: dict[str, Callable[..., ActorCritic]] = {"mlp": apart, "grid": grid}
