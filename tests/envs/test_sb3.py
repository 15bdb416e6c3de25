"""The Stable-Baselines3 door; skipped where SB3 is not installed, but for what then must happen."""

import importlib
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from palaestra.envs.errors import MissingExtraError, OptionError
from palaestra.envs.gym import make_vector_env

try:
    import stable_baselines3
except ImportError:
    stable_baselines3 = None

needs_sb3 = pytest.mark.skipif(stable_baselines3 is None, reason="needs the extra sb3")


@pytest.fixture
def VecEnv():
    from palaestra.envs.sb3 import VecEnv

    return VecEnv


def test_without_sb3_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    for name in [name for name in sys.modules if name.startswith("stable_baselines3.") or name.endswith("envs.sb3")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r'pip install "palaestra\[sb3\]"'):
        importlib.import_module("palaestra.envs.sb3")


@needs_sb3
def test_sb3s_checker_passes_without_a_warning(env_id, env_kwargs):
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Windows of 7 x 7 cells are images by their space; which policy fits them is the user's choice.
        warnings.filterwarnings("ignore", "The minimal resolution for an image is 36x36")
        check_env(gymnasium.make(env_id, decode=False, **env_kwargs))


@needs_sb3
def test_an_ended_episode_tells_what_sb3_needs(VecEnv):
    env = VecEnv("palaestra/Pendulum-v0", 3, horizon=4)
    reference = make_vector_env("palaestra/Pendulum-v0", 3, "SameStep", horizon=4)
    env.seed(5)
    np.testing.assert_array_equal(env.reset(), reference.reset(seed=5)[0])
    returns = np.zeros(3)
    for t in range(4):
        actions = np.full((3, 1), 0.1 * t, np.float32)
        obs, reward, ended, infos = env.step(actions)
        expected = reference.step(actions)
        np.testing.assert_array_equal(obs, expected[0])
        assert reward.dtype == np.float32
        returns += expected[1]
        assert ended.all() == (t == 3)
    for i, info in enumerate(infos):
        np.testing.assert_array_equal(info["terminal_observation"], expected[4]["final_obs"][i])
        assert info["TimeLimit.truncated"] is True
        assert info["is_success"] is bool(expected[4]["final_info"]["success"][i])
        assert info["episode"]["r"] == pytest.approx(returns[i], rel=1e-5)
        assert info["episode"]["l"] == 4
        np.testing.assert_array_equal(info["task"], env.vector.task_space.default)


@needs_sb3
def test_a_terminated_episode_is_not_truncated(VecEnv):
    env = VecEnv("palaestra/CartPole-v0", 2)
    env.reset()
    ended = np.zeros(2, bool)
    while not ended.any():
        _, _, ended, infos = env.step(np.array([0, 0]))
    assert infos[np.argmax(ended)]["TimeLimit.truncated"] is False


@needs_sb3
def test_tasks_reach_the_environments_they_are_meant_for(VecEnv):
    env = VecEnv("palaestra/Pendulum-v0", 3, horizon=2)
    env.set_options({"task": {"length": 0.5}})
    env.reset()
    assert [info["task"][2] for info in env.reset_infos] == [0.5] * 3
    env.env_method("set_task", {"length": 2.0}, indices=[1])
    for _ in range(2):
        _, _, _, infos = env.step(np.zeros((3, 1), np.float32))
    assert [info["task"][2] for info in infos] == [0.5] * 3
    assert [info["task"][2] for info in env.reset_infos] == [0.5, 2.0, 0.5]
    env.set_options([{"task": {"length": x}} for x in (0.4, 0.6, 0.8)])
    env.reset()
    np.testing.assert_allclose([info["task"][2] for info in env.reset_infos], [0.4, 0.6, 0.8])
    env.set_options([{"task": {}}, {}, {}])
    with pytest.raises(OptionError, match="for every environment"):
        env.reset()


@needs_sb3
def test_only_same_step_environments_are_taken(VecEnv):
    with pytest.raises(OptionError, match="autoreset_mode"):
        VecEnv(make_vector_env("palaestra/CartPole-v0", 2))
    with pytest.raises(OptionError, match="belong to an id"):
        VecEnv(make_vector_env("palaestra/CartPole-v0", 2, "SameStep"), 4)
    assert VecEnv(make_vector_env("palaestra/CartPole-v0", 2, "SameStep")).num_envs == 2


@needs_sb3
def test_environments_that_hand_out_sentences_are_refused(VecEnv):
    """SB3 would fail on them much later, and without saying why."""
    make = lambda decode: make_vector_env("palaestra/MiniGrid-Empty-5x5-v0", 2, "SameStep", decode=decode)  # noqa: E731
    with pytest.raises(OptionError, match="decode; got True; expected False") as caught:
        VecEnv(make(True))
    assert caught.value.key == "decode"
    assert VecEnv(make(False)).reset()["mission"].shape[0] == 2


@needs_sb3
def test_attributes_wrappers_and_pictures(VecEnv):
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import VecNormalize

    env = VecEnv("palaestra/CartPole-v0", 2, render_mode="rgb_array")
    VecNormalize(env).reset()
    assert env.get_attr("task_space") == [env.vector.task_space] * 2
    assert env.has_attr("functional") and not env.has_attr("nothing")
    assert env.env_is_wrapped(Monitor) == [True, True]
    assert env.env_is_wrapped(gymnasium.wrappers.TimeLimit, [0]) == [False]
    assert env.render().shape == (400, 1200, 3) or env.render().shape == (800, 600, 3)
    with pytest.raises(AttributeError, match="'set_task' or 'render'"):
        env.env_method("fly")
    env.close()


@needs_sb3
@pytest.mark.parametrize("env_id_and_learner", [("palaestra/CartPole-v0", "PPO"), ("palaestra/Pendulum-v0", "SAC")])
def test_sb3_learners_run(VecEnv, env_id_and_learner):
    from stable_baselines3.common.evaluation import evaluate_policy

    name, learner = env_id_and_learner
    settings = {"PPO": {"n_steps": 32, "batch_size": 64}, "SAC": {"learning_starts": 100, "batch_size": 32}}[learner]
    env = VecEnv(name, 4)
    model = getattr(stable_baselines3, learner)("MlpPolicy", env, seed=0, device="cpu", **settings).learn(256)
    assert len(model.ep_info_buffer) > 0 or learner == "SAC"
    assert np.isfinite(evaluate_policy(model, env, n_eval_episodes=4)[0])


@needs_sb3
@pytest.mark.slow
def test_ppo_learns_cartpole(VecEnv):
    from stable_baselines3.common.evaluation import evaluate_policy

    env = VecEnv("palaestra/CartPole-v0", 8)
    model = stable_baselines3.PPO("MlpPolicy", env, n_steps=256, batch_size=256, seed=0, device="cpu").learn(60_000)
    assert evaluate_policy(model, env, n_eval_episodes=10)[0] > 400
