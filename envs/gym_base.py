"""What the single and the vector door have in common: spec, seeds, pictures, pickling."""

import dataclasses
from typing import Any

import jax
import numpy as np
from gymnasium.envs.registration import EnvSpec

from .contract import TaskEnv
from .errors import OptionError, short


class Door:
    """Mix-in beside Gymnasium's base class; `functional` is the environment behind the door."""

    functional: TaskEnv
    _spec: EnvSpec | None = None
    _window: Any = None
    _drawing: Any = None

    @property
    def spec(self) -> EnvSpec | None:
        """The registered spec with the horizon in it, which Gymnasium takes from its own time limit only."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec = dataclasses.replace(spec, max_episode_steps=self.functional.horizon)
        self._spec = spec

    def __getstate__(self) -> dict[str, Any]:
        """Everything but compiled programs and windows, so that a copy continues where this one stands."""
        dropped = ("_programs", "_window", "_drawing")
        return {name: value for name, value in self.__dict__.items() if name not in dropped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compile()

    def _compile(self) -> None:
        raise NotImplementedError

    def _render_modes(self, *modes: str) -> list[str]:
        has_pictures = type(self.functional).render_image is not TaskEnv.render_image
        return list(modes) if has_pictures else []

    def _check_render_mode(self, mode: str | None, modes: tuple[str, ...]) -> str | None:
        expected = self._render_modes(*modes)
        if mode is not None and mode not in expected:
            raise OptionError(
                f"unknown render mode: render_mode; got {short(mode)}; expected one of {[None, *expected]}",
                key="render_mode",
            )
        return mode

    def _refuse_unknown(self, options: dict[str, Any], known: tuple[str, ...]) -> None:
        if options:
            raise OptionError(
                f"unknown reset option: options; got {short(sorted(map(str, options)))}; expected {list(known)}",
                key="options",
            )

    def _draw(self, setting: Any, episode: Any) -> np.ndarray:
        """The picture of one environment."""
        params, state = jax.device_get((setting.params, episode.env))
        self._drawing, image = self.functional.render_image(state, self._drawing, params)
        return np.array(image, np.uint8)


def seed_of(env: Any) -> int:
    """The seed behind an environment's `np_random`, or a draw from a generator that was put there by hand."""
    seed = env.np_random_seed
    return int(env.np_random.integers(2**63)) if seed is None or seed < 0 else seed
