"""What the Gymnasium doors do at their edges, shown on the two cheapest environments."""

import builtins
import functools
import gc
import pickle
import subprocess
import sys

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from palaestra.envs.classic.cartpole import CartPole
from palaestra.envs.classic.pendulum import Pendulum
from palaestra.envs.errors import InvalidActionError, MissingExtraError, OptionError
from palaestra.envs.gym import SingleEnv, make_env, make_vector_env
from palaestra.envs.gym_vector import VectorEnv, _batch_size
from palaestra.envs.seats import seed_key, single_programs, vector_programs
from palaestra.envs.tasks import TaskError

SHORT = Pendulum(horizon=4)


def test_ids_work_without_importing_the_package_first():
    code = (
        "import gymnasium as gym;"
        "e = gym.make('palaestra:palaestra/CartPole-v0'); e.reset(seed=0); e.step(0);"
        "v = gym.make_vec('palaestra/CartPole-v0', num_envs=2, vectorization_mode='vector_entry_point');"
        "v.reset(seed=0); v.step([0, 1]); print(v, v.functional)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert "VectorEnv(palaestra/CartPole-v0, num_envs=2) CartPole(horizon=500)" in done.stdout


def test_the_door_shows_the_functional_environment_and_its_task_space():
    env = gymnasium.make("palaestra/CartPole-v0")
    assert env.unwrapped.functional == CartPole()
    assert env.get_wrapper_attr("task_space").names[0] == "gravity"
    assert gymnasium.make_vec("palaestra/CartPole-v0", num_envs=2).functional == CartPole()


@pytest.mark.parametrize("context", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_gymnasiums_own_processes_can_run_our_environments(context):
    make = functools.partial(gymnasium.make, "palaestra:palaestra/CartPole-v0")
    envs = AsyncVectorEnv([make, make], context=context)
    try:
        obs, _ = envs.reset(seed=[4, 5], options={"task": {"half_length": 1.0}})
        expected, _ = make().reset(seed=5)
        np.testing.assert_array_equal(obs[1], expected)
        assert envs.step(np.array([0, 1]))[0] in envs.observation_space
    finally:
        envs.close()


@pytest.mark.parametrize("env", [CartPole(), Pendulum()])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_what_environment_i_does_does_not_depend_on_how_many_there_are(env, mode):
    space = gymnasium.vector.utils.batch_space(env.action_space, 64)
    space.seed(0)
    actions = [space.sample() for _ in range(60)]
    said = {}
    for count in (1, 4, 64):
        envs = VectorEnv(env, count, mode)
        said[count] = [envs.reset(seed=9)[0][:1]]
        said[count] += [np.concatenate([part[:1].ravel() for part in envs.step(a[:count])[:4]]) for a in actions]
    for a, b, c in zip(*said.values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_allclose(a, c, atol=1e-5)


def test_every_environment_of_a_batch_draws_its_own_episodes():
    obs, _ = VectorEnv(Pendulum(), 64).reset(seed=0)
    assert len(np.unique(obs[:, 2])) == 64


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_compilations_do_not_grow_with_steps_tasks_or_resets(mode):
    env = CartPole(horizon=30)  # a setting no other test has compiled
    programs = vector_programs(env)
    before = programs.move._cache_size(), programs.start._cache_size()
    envs = VectorEnv(env, 16, mode)
    envs.action_space.seed(0)
    for seed in range(3):
        envs.reset(seed=seed)
        for _ in range(80):
            envs.set_tasks(np.asarray(env.task_space.default) * np.float32(1 + 0.01 * seed))
            ended = np.logical_or(*envs.step(envs.action_space.sample())[2:4])
            if mode is AutoresetMode.DISABLED and ended.any():
                envs.reset(options={"reset_mask": ended})
    assert programs.move._cache_size() - before[0] <= 1
    assert programs.start._cache_size() - before[1] <= 3  # 1, 8 and 16 rows


def test_instances_with_equal_settings_share_their_programs():
    assert make_env("palaestra/CartPole-v0")._programs is single_programs(CartPole())
    envs = [make_vector_env("palaestra/CartPole-v0", n) for n in (1, 2)]
    assert envs[0]._programs is envs[1]._programs


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 8), (8, 8), (9, 64), (65, 100), (100, 100)])
def test_resets_are_made_in_few_sizes(count, size):
    assert _batch_size(count, 100) == size


def test_a_masked_reset_touches_only_the_masked_rows():
    envs = VectorEnv(Pendulum(), 9, AutoresetMode.DISABLED)
    envs.reset(seed=0)
    obs = envs.step(np.zeros((9, 1)))[0]
    mask = np.arange(9) % 4 == 0
    task = Pendulum().task_space.from_dict({"length": 0.5})
    after, infos = envs.reset(options={"reset_mask": mask, "task": task})
    assert np.array_equal(np.any(after != obs, axis=1), mask)
    np.testing.assert_array_equal(infos["_task"], mask)
    assert np.all(infos["task"][mask] == task)
    again, _ = envs.reset(seed=0, options={"reset_mask": mask})
    np.testing.assert_array_equal(again[mask], VectorEnv(Pendulum(), 9).reset(seed=0)[0][mask])
    np.testing.assert_array_equal(again[~mask], obs[~mask])


@pytest.mark.parametrize("mask", [[True, False], np.array([True]), np.array([1, 0]), np.zeros(2, bool)])
def test_a_bad_mask_is_refused(mask):
    envs = VectorEnv(Pendulum(), 2)
    envs.reset(seed=0)
    with pytest.raises(OptionError, match=r"reset_mask; got .*expected a bool array \(2,\)"):
        envs.reset(options={"reset_mask": mask})


def test_the_users_options_are_not_changed():
    envs, options = VectorEnv(Pendulum(), 2), {"task": {"length": 0.5}, "reset_mask": np.array([True, True])}
    envs.reset(seed=0, options=options)
    assert set(options) == {"task", "reset_mask"}


def test_ended_episodes_must_be_reset():
    env = SingleEnv(SHORT)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(1))
    env.reset(seed=0)
    for _ in range(4):
        env.step(np.zeros(1))
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(1))
    envs = VectorEnv(SHORT, 2, AutoresetMode.DISABLED)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros((2, 1)))
    envs.reset(seed=0)
    for _ in range(4):
        envs.step(np.zeros((2, 1)))
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"environments \[0, 1\]"):
        envs.step(np.zeros((2, 1)))


def test_a_next_step_reset_ignores_the_action_and_gives_no_reward():
    envs = VectorEnv(SHORT, 2)
    envs.reset(seed=0)
    for _ in range(4):
        *_, truncated, _ = envs.step(np.zeros((2, 1)))
    assert truncated.all()
    copies = [pickle.loads(pickle.dumps(envs)) for _ in range(2)]
    said = [door.step(np.full((2, 1), a)) for door, a in zip(copies, (-1.0, 1.0), strict=True)]
    np.testing.assert_array_equal(said[0][0], said[1][0])
    np.testing.assert_array_equal(said[0][1], [0.0, 0.0])
    assert not said[0][3].any()


def test_box_actions_out_of_range_are_clipped():
    doors = [SingleEnv(Pendulum()) for _ in range(2)]
    for door in doors:
        door.reset(seed=0)
    np.testing.assert_array_equal(doors[0].step(np.array([1e30]))[0], doors[1].step(np.array([1.0]))[0])
    batches = [VectorEnv(Pendulum(), 2) for _ in range(2)]
    for batch in batches:
        batch.reset(seed=0)
    said = [batch.step(a)[0] for batch, a in zip(batches, ([[9.0], [-9.0]], [[1.0], [-1.0]]), strict=True)]
    np.testing.assert_array_equal(*said)


def test_discrete_actions_out_of_range_are_refused_with_the_environment_that_got_them():
    envs = VectorEnv(CartPole(), 3)
    envs.reset(seed=0)
    with pytest.raises(InvalidActionError, match=r"actions\[1\]; got .*2.*; expected a whole number in \[0, 1\]"):
        envs.step(np.array([0, 2, 1]))
    with pytest.raises(gymnasium.error.InvalidAction):
        envs.step(np.array([0.0, 1.0, 1.0]))


def test_unknown_options_are_refused():
    with pytest.raises(OptionError, match="'tsak'"):
        SingleEnv(Pendulum()).reset(options={"tsak": 1})
    with pytest.raises(OptionError, match="'tasks'"):
        VectorEnv(Pendulum(), 2).reset(options={"tasks": 1})
    with pytest.raises(TypeError, match="horizont"):
        make_env("palaestra/Pendulum-v0", horizont=3)
    with pytest.raises(OptionError, match=r"'ansi'; expected one of \[None, 'human', 'rgb_array'\]"):
        SingleEnv(Pendulum(), render_mode="ansi")
    with pytest.raises(OptionError, match="num_envs; got 0"):
        VectorEnv(Pendulum(), 0)
    with pytest.raises(OptionError, match="'never'; expected one of"):
        VectorEnv(Pendulum(), 2, "never")
    with pytest.raises(TaskError, match="'lenght'"):
        SingleEnv(Pendulum(), task={"lenght": 1.0})
    with pytest.raises(OptionError, match="disagree"):
        make_vector_env("palaestra/Pendulum-v0", 2, max_episode_steps=3, horizon=4)


def test_a_refused_reset_leaves_the_environment_as_it_was():
    env = SingleEnv(Pendulum())
    env.reset(seed=0)
    with pytest.raises(TaskError):
        env.reset(options={"task": {"length": np.nan}})
    env.step(np.zeros(1))
    assert env.reset()[1]["task"][2] == 1.0


def test_max_episode_steps_of_make_vec_is_the_horizon():
    envs = gymnasium.make_vec("palaestra/Pendulum-v0", num_envs=2, max_episode_steps=7)
    assert envs.functional.horizon == envs.spec.max_episode_steps == 7
    assert gymnasium.make_vec(envs.spec).functional.horizon == 7


def test_gymnasiums_episode_statistics_agree_with_ours():
    envs = RecordEpisodeStatistics(VectorEnv(SHORT, 2, AutoresetMode.SAME_STEP))
    envs.reset(seed=0)
    rewards = np.zeros(2)
    for _ in range(4):
        *said, infos = envs.step(np.zeros((2, 1)))
        rewards += said[1]
    np.testing.assert_allclose(infos["episode"]["r"], rewards)
    np.testing.assert_array_equal(infos["episode"]["l"], [4, 4])


def test_seeds_of_any_size_are_streams_of_their_own():
    keys = [seed_key(s) for s in (0, 1, 2**32, 2**32 + 1, 2**100, 2**31)]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)
    assert jax.random.key_data(keys[1]).tolist() == jax.random.key_data(jax.random.key(1)).tolist()
    SingleEnv(Pendulum()).reset(seed=2**70)


def test_without_a_seed_episodes_differ_between_instances_and_follow_a_generator_set_by_hand():
    starts = [SingleEnv(Pendulum()).reset()[0] for _ in range(2)]
    assert not np.array_equal(*starts)
    doors = [SingleEnv(Pendulum()) for _ in range(2)]
    for door in doors:
        door.np_random = np.random.default_rng(3)
    np.testing.assert_array_equal(*[door.reset()[0] for door in doors])


def test_human_rendering_needs_pygame_and_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without_pygame(name, *args, **kwargs):
        if name.split(".")[0] == "pygame":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pygame)
    with pytest.raises(MissingExtraError, match=r'pip install "palaestra\[human\]"'):
        SingleEnv(Pendulum(), render_mode="human")


def test_a_human_window_opens_shows_and_closes_twice():
    env = gymnasium.make("palaestra/Pendulum-v0", render_mode="human")
    env.reset(seed=0)
    env.step(np.zeros(1, np.float32))
    assert env.render() is None
    env.close()
    env.close()


def test_frames_can_be_collected():
    env = gymnasium.make("palaestra/Pendulum-v0", render_mode="rgb_array_list")
    env.reset(seed=0)
    env.step(np.zeros(1, np.float32))
    assert [frame.shape for frame in env.render()] == [(400, 600, 3)] * 2


@pytest.mark.slow
def test_making_and_closing_environments_leaks_no_memory():
    import resource

    def cycle(count):
        for seed in range(count):
            env = gymnasium.make("palaestra/CartPole-v0", render_mode="rgb_array")
            env.reset(seed=seed)
            env.step(0)
            env.close()
        gc.collect()

    cycle(200)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cycle(2000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # KiB
