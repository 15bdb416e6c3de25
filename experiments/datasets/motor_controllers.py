"""Data of electric drives under classical controllers, for the ids with continuous actions.

expert         the dead-beat controller, which knows the circuit: what the tuning of a PI comes to at best
medium         PI control by the data sheet's rule with every gain off by a factor in 1 +- 0.5, drawn per episode
random         actions drawn evenly
medium-expert  half of the transitions each
mixed          40 % random, 40 % medium, 20 % expert, by transitions

The references of scores are the mean returns of no action at all and of the expert, 100 episodes each. Where leaving a
limit ends an episode early, no action can return more than control that takes its time; then there is no scale.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from ...envs.motors.control.controller import Controller, make_controller
from ...envs.motors.control.detuned import Detuned, Off
from ...envs.motors.env import Motor
from .acting import episodes_under, returns_under
from .behaviours import Behaviour
from .episodes import Episode
from .mixtures import mixture, shares_of
from .requests import Recipe, Request
from .uniform_actions import ALGORITHM, Uniform

SPREAD = 0.5
REFERENCE_EPISODES = 100
NAMES = {"random": ALGORITHM, "medium": f"PI, every gain off by up to {SPREAD:.0%}", "expert": "dead-beat control"}


@dataclasses.dataclass(frozen=True)
class Controlled:
    """A controller as a behaviour."""

    controller: Controller

    def start(self, key: jax.Array) -> Any:
        return self.controller.init()

    def act(self, key: jax.Array, memory: Any, obs: Any) -> tuple[Any, jax.Array]:
        return self.controller.act(memory, obs)


@dataclasses.dataclass(frozen=True)
class ControlledBadly:
    """One whose gains are drawn anew for every episode."""

    detuned: Detuned

    def start(self, key: jax.Array) -> Off:
        return self.detuned.draw(key)

    def act(self, key: jax.Array, memory: Off, obs: Any) -> tuple[Off, jax.Array]:
        return self.detuned.act(memory, obs)


@dataclasses.dataclass(frozen=True)
class Still:
    """No action."""

    shape: tuple[int, ...]

    def start(self, key: jax.Array) -> tuple[()]:
        return ()

    def act(self, key: jax.Array, memory: tuple[()], obs: Any) -> tuple[tuple[()], jax.Array]:
        return memory, jnp.zeros(self.shape)


def generate(request: Request) -> Recipe:
    """Episodes of a drive with continuous actions."""
    env = request.env
    low, high = references(env)
    shares = shares_of(request.quality)
    about = request.about(
        algorithm_name="; ".join(f"{share:.0%} {NAMES[name]}" for name, share in shares.items()),
        description=f"Episodes of the drive {request.env_id} under {request.quality} control.",
        ref_min_score=low if low < high else None,
        ref_max_score=high if low < high else None,
        details={"return_of_no_action": low, "return_of_expert": high, "shares": shares},
    )

    def episodes(quality: str, seed: int) -> Iterator[Episode]:
        return episodes_under(env, behaviour(env, quality), seed, request.tasks)

    return Recipe(about, mixture(shares, request.steps, request.seed, episodes))


def behaviour(env: Motor, quality: str) -> Behaviour:
    """What acts in data of a quality that is no mixture."""
    if quality == "random":
        return Uniform.of(env.action_space, "motor")
    if quality == "expert":
        return Controlled(make_controller(env, "deadbeat"))
    return ControlledBadly(Detuned(make_controller(env, "pi"), SPREAD))


def references(env: Motor) -> tuple[float, float]:
    """Mean returns (of no action, of the expert) on the default task."""
    shape = env.action_space.shape or ()
    low, high = (returns_under(env, acting, REFERENCE_EPISODES) for acting in (Still(shape), behaviour(env, "expert")))
    return low.mean, high.mean
