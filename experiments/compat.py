"""Repairs of other packages for versions they were not made for. Nothing here happens by importing it."""

import types
from typing import Any

from ..envs.errors import missing_extra


def patch_robotics() -> None:
    """Lets gymnasium-robotics 1.4 work with MuJoCo 4, in this process; a second call changes nothing.

    Its helpers compare whole numbers from a model with MuJoCo's enumerations, which are no whole numbers any more, so
    that FrankaKitchen, Fetch and the Shadow hands stop at an assertion or go on wrongly. Here these helpers, and they
    alone, get the enumerations' members as whole numbers, which earlier versions of MuJoCo compare likewise.

    Raises:
      MissingExtraError: gymnasium-robotics is not installed.
    """
    try:
        from gymnasium_robotics.utils import mujoco_utils
    except ImportError as error:
        raise missing_extra("gymnasium_robotics", "robotics", "patch_robotics") from error
    if not isinstance(mujoco_utils.mujoco, _WholeNumbers):
        mujoco_utils.mujoco = _WholeNumbers(mujoco_utils.mujoco)


class _WholeNumbers(types.ModuleType):
    """A module whose enumerations hold whole numbers and which is otherwise that module."""

    def __init__(self, module: types.ModuleType):
        super().__init__(module.__name__, module.__doc__)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        members = getattr(found, "__members__", None)
        if members is None:
            return found
        return types.SimpleNamespace(**{key: int(getattr(member, "value", member)) for key, member in members.items()})
