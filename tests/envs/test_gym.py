"""The Gymnasium doors keep Gymnasium's promises, for every registered id."""

import copy
import dataclasses
import pickle
import warnings

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from palaestra.envs.errors import InvalidActionError
from palaestra.envs.exchange import check_action, check_task
from palaestra.envs.gym import SingleEnv
from palaestra.envs.gym_vector import VectorEnv
from palaestra.envs.tasks import TaskError, TaskSpace

HORIZON = 4


@pytest.fixture
def short(functional):
    """The environment with episodes so short that a few steps see them end."""
    return dataclasses.replace(functional, horizon=HORIZON)


def actions_of(space, count, seed=0):
    space = copy.deepcopy(space)
    space.seed(seed)
    return [space.sample() for _ in range(count)]


def run(env, steps, seed=None, options=None):
    """Everything an environment says over some steps, resetting where needed."""
    said = [env.reset(seed=seed, options=options)]
    for action in actions_of(env.action_space, steps):
        said.append(env.step(action))
        if said[-1][2] or said[-1][3]:
            said.append(env.reset())
    return said


def sample_tasks(functional, count):
    keys = jax.random.split(jax.random.key(5), count)
    return jax.device_get(jax.jit(jax.vmap(functional.task_space.sample))(keys))


def assert_same(a, b, exact=True):
    assert data_equivalence(a, b, exact), f"{a}\n  differs from\n{b}"


def test_check_env_passes_without_a_warning(env_id, env_kwargs, functional):
    env = gymnasium.make(env_id, **env_kwargs, horizon=HORIZON)  # a program that other tests need, too
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_same_seed_same_bits_and_a_later_reset_continues_the_stream(short):
    first = run(SingleEnv(short), 10, seed=3)
    assert_same(run(SingleEnv(short), 10, seed=3), first)
    other = run(SingleEnv(short), 10, seed=4)
    assert not data_equivalence(other, first)
    starts = [first[0][0], *[said[0] for said in first[1:] if len(said) == 2]]
    assert len(starts) > 2 and not data_equivalence(starts[0], starts[1])


def test_the_horizon_truncates_once_and_the_spec_tells_it(env_id, env_kwargs, functional):
    assert gymnasium.make(env_id, **env_kwargs).spec.max_episode_steps == functional.horizon
    env = gymnasium.make(env_id, **env_kwargs, horizon=HORIZON)
    assert env.spec.max_episode_steps == env.unwrapped.spec.max_episode_steps == HORIZON
    for made in (env, gymnasium.make(env.spec)):
        made.reset(seed=0)
        flags = []
        while not (flags and any(flags[-1])):
            flags.append(made.step(made.action_space.sample())[2:4])
        assert len(flags) == HORIZON or flags[-1][0]
        assert not any(truncated for _, truncated in flags[: HORIZON - 1])


def test_info_tells_the_task_at_both_ends_of_an_episode(short):
    task = jax.tree.map(lambda x: x[0], sample_tasks(short, 1))
    env = SingleEnv(short)
    said = run(env, HORIZON, seed=0, options={"task": task})
    last = next(s[-1] for s in said[1:] if len(s) == 5 and (s[2] or s[3]))
    assert isinstance(last["success"], bool)
    assert_same(said[0][1]["task"], last["task"])
    if isinstance(short.task_space, TaskSpace):
        np.testing.assert_allclose(last["task"], task, rtol=1e-6)
    default = SingleEnv(short).reset(seed=0)[1]["task"]
    assert not data_equivalence(default, last["task"])


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_batch_says_what_gymnasium_would(short, mode):
    """Observations, rewards, flags and the whole info convention, against Gymnasium's own vector environment."""
    ours = VectorEnv(short, 3, mode)
    reference = SyncVectorEnv([lambda i=i: SingleEnv(short, index=i) for i in range(3)], autoreset_mode=mode)
    assert ours.observation_space == reference.observation_space
    assert ours.action_space == reference.action_space
    assert ours.metadata["autoreset_mode"] == reference.metadata["autoreset_mode"]
    said = ours.reset(seed=7)
    assert_alike(said, reference.reset(seed=[7] * 3))
    for actions in actions_of(ours.action_space, 3 * HORIZON):
        assert said[0] in ours.observation_space
        said, expected = ours.step(actions), reference.step(actions)
        assert_alike(said, expected)
        if mode is AutoresetMode.DISABLED and (said[2] | said[3]).any():
            options = {"reset_mask": said[2] | said[3]}
            assert_alike(ours.reset(options=dict(options)), reference.reset(options=dict(options)))


def assert_alike(ours, reference):
    """Equal structure, and numbers equal up to what batching does to rounding."""
    if isinstance(ours, dict):
        assert ours.keys() == reference.keys()
        for name in ours:
            assert_alike(ours[name], reference[name])
    elif isinstance(ours, tuple | list):
        assert len(ours) == len(reference)
        for a, b in zip(ours, reference, strict=True):
            assert_alike(a, b)
    elif ours is None or reference is None:
        assert ours is reference
    elif isinstance(ours, str):
        assert ours == reference
    elif ours.dtype == object:
        assert_alike(list(ours), list(reference))
    else:
        assert ours.shape == reference.shape and ours.dtype.kind == reference.dtype.kind
        np.testing.assert_allclose(ours, reference, atol=1e-4)


def test_every_environment_of_a_batch_has_its_own_task_from_its_next_reset_on(short):
    tasks = sample_tasks(short, 6)
    first, second = (jax.tree.map(lambda x, s=s: x[s], tasks) for s in (slice(3), slice(3, 6)))
    envs = VectorEnv(short, 3, task=first)
    _, infos = envs.reset(seed=0)
    given = infos["task"]
    assert_same(given, VectorEnv(short, 3).reset(seed=1, options={"task": first})[1]["task"])
    envs.set_tasks(second)
    seen = np.zeros(3, bool)
    for actions in actions_of(envs.action_space, HORIZON + 1):
        *_, terminated, truncated, infos = envs.step(actions)
        ended = terminated | truncated
        if "task" in infos:
            for i in np.flatnonzero(infos["_task"]):
                row = jax.tree.map(lambda x, i=i: x[i], infos["task"])
                wanted = jax.tree.map(lambda x, i=i: x[i], given)
                assert data_equivalence(row, wanted) is bool(ended[i] and not seen[i])
        seen |= ended
    assert seen.all()


def test_copies_continue_where_the_original_stands(short):
    env, envs = SingleEnv(short), VectorEnv(short, 3)
    env.reset(seed=0)
    envs.reset(seed=0)
    actions = actions_of(envs.action_space, HORIZON + 3)
    env.step(jax.tree.map(lambda x: x[0], actions[0]))
    envs.step(actions[0])
    for duplicate in (copy.deepcopy((env, envs)), pickle.loads(pickle.dumps((env, envs)))):
        original = pickle.loads(pickle.dumps((env, envs)))
        for action in actions[1:]:
            assert_same(duplicate[1].step(action), original[1].step(action))
        one = jax.tree.map(lambda x: x[0], actions[1])
        assert_same(duplicate[0].step(one), original[0].step(one))
        assert_same(duplicate[0].reset(), original[0].reset())


def test_bad_actions_are_refused_and_the_message_says_what_is_expected(short):
    env, envs = SingleEnv(short), VectorEnv(short, 3)
    env.reset(seed=0)
    envs.reset(seed=0)
    for bad in ("up", None, 1j, object(), [[1, 2], [3]], {"a": 1}, np.nan, np.full(17, np.inf), 10**400):
        for door in (env, envs):
            with pytest.raises(InvalidActionError, match=r"got .*expected .*action space"):
                door.step(bad)
    assert env.step(env.action_space.sample())[0] in env.observation_space  # a refused action changes nothing


numbers = st.floats(width=32) | st.integers(-(10**9), 10**9) | st.booleans()
values = numbers | st.complex_numbers() | st.text(max_size=3) | st.none() | st.sampled_from([1e300, -1e300, 10**30])
anything = st.recursive(values, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner), max_leaves=6)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(action=anything)
def test_any_action_is_either_refused_or_made_part_of_the_space(functional, action):
    space = functional.action_space
    try:
        checked = check_action(space, action)
    except InvalidActionError as error:
        assert len(str(error)) < 500
        return
    for leaf in jax.tree.leaves(checked):
        assert np.isfinite(leaf).all()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(task=anything | st.dictionaries(st.sampled_from(["gravity", "x", ""]), values, max_size=2))
def test_any_task_is_either_refused_or_made_part_of_the_space(functional, task):
    try:
        checked = check_task(functional.task_space, task)
    except TaskError as error:
        assert len(str(error)) < 1000
        return
    if isinstance(functional.task_space, TaskSpace):
        assert checked in functional.task_space.gymnasium_space()


def test_pictures_come_from_single_and_vector_environments(short):
    if not SingleEnv(short).metadata["render_modes"]:
        pytest.skip("no pictures")
    env = SingleEnv(short, render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert frame.dtype == np.uint8 and frame.ndim == 3
    envs = VectorEnv(short, 3, render_mode="rgb_array")
    envs.reset(seed=0)
    frames = envs.render()
    assert [image.shape for image in frames] == [frame.shape] * 3
    np.testing.assert_array_equal(frames[0], frame)
