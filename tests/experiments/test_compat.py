"""Repairs of other packages: they work when asked for, and nothing happens before."""

import gymnasium
import numpy as np
import pytest
from palaestra.experiments.compat import patch_robotics

robotics = pytest.importorskip("gymnasium_robotics", reason="needs the extra robotics")


@pytest.fixture
def helpers(monkeypatch):
    """gymnasium-robotics' helpers, which are as before after the test."""
    from gymnasium_robotics.utils import mujoco_utils

    gymnasium.register_envs(robotics)
    monkeypatch.setattr(mujoco_utils, "mujoco", mujoco_utils.mujoco)
    return mujoco_utils


@pytest.mark.parametrize("id", ["FrankaKitchen-v1", "FetchReach-v4", "HandReach-v3"])
def test_environments_reset_and_step(id, helpers):
    patch_robotics()
    env = gymnasium.make(id)
    obs, _ = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(10):
        obs, reward, *_ = env.step(env.action_space.sample())
    assert np.isfinite(obs["observation"]).all() and np.isfinite(reward)
    env.close()


def test_only_the_helpers_are_changed_and_only_once(helpers):
    import mujoco

    assert helpers.mujoco is mujoco, "importing changes nothing"
    patch_robotics()
    patched = helpers.mujoco
    patch_robotics()
    assert helpers.mujoco is patched and patched.mj_forward is mujoco.mj_forward
    assert patched.mjtJoint.mjJNT_HINGE == 3 and isinstance(mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint)
