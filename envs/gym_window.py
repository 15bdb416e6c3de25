"""The window of render_mode="human"."""

from types import ModuleType
from typing import Any

import numpy as np

from .errors import missing_extra


def require_pygame() -> ModuleType:
    """Imports pygame.

    Raises:
      MissingExtraError: naming the command that installs it.
    """
    try:
        import pygame
    except ImportError as error:
        raise missing_extra("pygame-ce", "human", 'render_mode="human"') from error
    return pygame


class Window:
    """Shows pictures in real time; opens with the first one."""

    def __init__(self, title: str, fps: float):
        self._pygame = require_pygame()
        self._title = title
        self._fps = fps
        self._clock = self._pygame.time.Clock()
        self._surface: Any = None

    def show(self, image: np.ndarray) -> None:
        """Shows uint8 (height, width, 3) and waits for the next frame."""
        pygame = self._pygame
        height, width = image.shape[:2]
        if self._surface is None or self._surface.get_size() != (width, height):
            pygame.display.init()
            pygame.display.set_caption(self._title)
            self._surface = pygame.display.set_mode((width, height))
        self._surface.blit(pygame.surfarray.make_surface(image.swapaxes(0, 1)), (0, 0))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Closes the window; another `show` opens it again."""
        if self._surface is not None:
            self._pygame.display.quit()
            self._surface = None
