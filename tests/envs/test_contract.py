"""What every registered environment promises, as pure functions of arrays.

The Gymnasium side of the contract is tested in `test_gym.py` and `test_sb3.py`, likewise over the registry. Programs
are compiled once per environment and shared by the tests, since compiling is most of the time they take.
"""

import copy
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs import stepping
from palaestra.envs.compilation import compile_for
from palaestra.envs.exchange import host_observation
from palaestra.envs.tasks import TaskSpace

STEPS = 30
LONGER = {"SubgoalGrid": 250}  # where what a task changes is rare under random actions
ROWS = 64  # episodes run together


def steps_of(functional):
    return LONGER.get(type(functional).__name__, STEPS)


@functools.cache
def reset_of(functional):
    """(key, params) -> (state, obs)."""
    return compile_for(functional, lambda key, params: strong(stepping.reset(functional, key, params)))


@functools.cache
def step_of(functional):
    """(key, state, action, params) -> (state, timestep)."""
    return compile_for(functional, lambda *inputs: strong(stepping.step(functional, *inputs)))


def rollout_of(functional, key, params, count=None):
    """One episode without resets: first (state, obs), then (state, timestep) over time (count, ...).

    A loop over programs that other tests need, too; the same episode as `rollouts_of` makes in one program.
    """
    count = count or steps_of(functional)
    key_reset, key_steps = jax.random.split(key)
    first = reset_of(functional)(key_reset, params)
    keys, actions = jax.random.split(key_steps, steps_of(functional)), sample_actions(functional, count)
    state, later = first[0], []
    for t in range(count):
        state, timestep = step_of(functional)(keys[t], state, take(actions, t), params)
        later.append(jax.device_get(plain((state, timestep))))
    return first, jax.tree.map(lambda *xs: np.stack(xs), *later)


@functools.cache
def rollouts_of(functional):
    """(keys (ROWS,), params (ROWS, ...)) -> rollouts with `sample_actions`, leading axis ROWS."""
    actions = sample_actions(functional, steps_of(functional))

    def rollout(key, params):
        key_reset, key_steps = jax.random.split(key)
        first = stepping.reset(functional, key_reset, params)

        def body(state, inputs):
            key, action = inputs
            state, timestep = stepping.step(functional, key, state, action, params)
            return state, (state, timestep)

        return first, jax.lax.scan(body, first[0], (jax.random.split(key_steps, steps_of(functional)), actions))[1]

    return compile_for(functional, jax.vmap(rollout))


def sample_actions(functional, count):
    """`count` random actions, stacked, whole numbers as int32."""
    space = copy.deepcopy(functional.action_space)
    space.seed(0)
    actions = jax.tree.map(lambda *xs: np.stack(xs), *[space.sample() for _ in range(count)])
    return jax.tree.map(lambda x: x.astype(np.int32) if x.dtype.kind in "iu" else x, actions)


def sample_tasks(functional, key, count):
    return jax.jit(jax.vmap(functional.task_space.sample))(jax.random.split(key, count))


def take(tree, index):
    return jax.tree.map(lambda x: x[index], tree)


def strong(tree):
    """Python numbers and weakly typed arrays as plain arrays."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), jax.tree.map(jnp.asarray, tree))


def plain(tree):
    """Typed keys as numbers, so that trees can be compared."""
    return jax.tree.map(
        lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x,
        jax.tree.map(jnp.asarray, tree),
    )


def assert_trees_close(actual, expected, atol=0.0):
    actual, expected = plain(actual), plain(expected)
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol, err_msg=jax.tree_util.keystr(path))


def differ(a, b):
    pairs = zip(jax.tree.leaves(plain(a)), jax.tree.leaves(plain(b)), strict=True)
    return any(not np.array_equal(x, y) for x, y in pairs)


def test_what_comes_out_is_in_the_spaces(functional, key):
    (_, first), (_, timesteps) = rollout_of(functional, key, strong(functional.default_params))
    space = functional.observation_space
    length = int(np.argmax(timesteps.ended)) + 1 if np.any(timesteps.ended) else steps_of(functional)
    for obs in [first] + [take(timesteps.obs, t) for t in range(length)]:
        value = host_observation(space, obs)
        assert space.contains(value), f"{value} is not in {space}"
        for leaf, like in zip(jax.tree.leaves(obs), jax.tree.leaves(value), strict=True):
            assert np.issubdtype(leaf.dtype, np.floating) == np.issubdtype(np.asarray(like).dtype, np.floating)
    assert np.isfinite(timesteps.reward[:length]).all()


def test_equal_settings_are_equal_and_hashable(functional):
    again = copy.copy(functional)
    assert functional == again and hash(functional) == hash(again)


def test_environments_survive_pickling(functional):
    assert pickle.loads(pickle.dumps(functional)) == functional


def test_same_key_same_episode_and_other_key_other_episode(functional, key):
    params = strong(functional.default_params)
    first = rollout_of(functional, key, params)
    assert_trees_close(rollout_of(functional, key, params), first)
    assert differ(rollout_of(functional, jax.random.key(1), params), first)


def test_vmap_equals_a_loop(functional, key):
    """Eight steps: short enough that rounding has not grown where dynamics are chaotic."""
    keys, tasks = jax.random.split(key, ROWS), sample_tasks(functional, key, ROWS)
    params = strong(jax.vmap(functional.task_params)(tasks))
    together = rollouts_of(functional)(keys, params)
    for i in range(3):
        first, later = rollout_of(functional, keys[i], take(params, i), count=8)
        first_in_batch, later_in_batch = take(together, i)
        assert_trees_close(first_in_batch, first, atol=1e-4)
        assert_trees_close(take(later_in_batch, slice(8)), later, atol=1e-3)


def test_jit_equals_eager(functional, key):
    """One step without `jit` around it; loops inside a step compile on their own."""
    params = strong(functional.default_params)
    state, _ = reset_of(functional)(key, params)
    action = take(sample_actions(functional, 1), 0)
    compiled = step_of(functional)(key, state, action, params)
    assert_trees_close(stepping.step(functional, key, state, action, params), compiled, atol=1e-4)


def test_shapes_and_dtypes_stay_through_a_step(functional, key):
    params, action = functional.default_params, take(sample_actions(functional, 1), 0)
    state, obs = jax.eval_shape(functools.partial(stepping.reset, functional), key, params)
    after, timestep = jax.eval_shape(functools.partial(stepping.step, functional), key, state, action, params)
    shapes = functools.partial(jax.tree.map, lambda x: (x.shape, x.dtype))
    assert shapes(after) == shapes(state)
    assert shapes(timestep.obs) == shapes(obs)
    assert isinstance(timestep.info, dict)
    for leaf in jax.tree.leaves((after, timestep)):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        assert is_key or leaf.dtype.itemsize <= 4, "64-bit numbers are never required"


def test_one_compilation_serves_all_tasks_actions_and_states(functional, key):
    tasks, actions = sample_tasks(functional, key, 4), sample_actions(functional, 8)
    state, _ = reset_of(functional)(key, strong(functional.default_params))
    step = step_of(functional)
    for t in range(8):
        state, _ = step(key, state, take(actions, t), strong(functional.task_params(take(tasks, t % 4))))
    assert step._cache_size() == 1


def test_a_step_tells_truncation_by_the_clock_alone(functional, key):
    params, action = strong(functional.default_params), take(sample_actions(functional, 1), 0)
    state, _ = reset_of(functional)(key, params)
    limit = int(functional.time_limit(state.env, params))
    assert limit <= functional.horizon
    for steps, truncated in ((limit - 2, False), (limit - 1, True)):
        late = state.replace(steps=jnp.asarray(steps, jnp.int32))
        after, timestep = step_of(functional)(key, late, action, params)
        assert bool(timestep.truncated) is truncated
        assert int(after.steps) == steps + 1


def test_default_task_gives_default_params(functional):
    space = functional.task_space
    assert_trees_close(functional.default_params, functional.task_params(space.default))
    assert_trees_close(functional.get_default_params(), functional.default_params)
    if isinstance(space, TaskSpace):
        np.testing.assert_array_equal(space.validate(space.default), space.default)


def test_task_params_is_pure_and_one_compilation_serves_a_hundred_tasks(functional, key):
    traces = []

    def task_params(task):
        traces.append(1)
        return functional.task_params(task)

    tasks = sample_tasks(functional, key, 100)
    batched = strong(jax.jit(jax.vmap(task_params))(tasks))
    assert len(traces) == 1
    single = jax.jit(task_params)
    for i in range(100):
        assert_trees_close(take(batched, i), single(take(tasks, i)), atol=1e-6)
    assert len(traces) == 2


def test_every_params_leaf_that_a_task_moves_changes_the_episode(functional, key):
    """Each free task parameter moves a leaf of Params, and each leaf so moved matters on one of four tasks."""
    space = functional.task_space
    if not isinstance(space, TaskSpace):
        pytest.skip("structured tasks: the family's own tests say what a level changes")
    claims, variants, bases = [], [], []
    for task in [space.default, *np.asarray(sample_tasks(functional, key, 3))]:
        original, base = strong(functional.task_params(task)), len(variants)
        rows = [(None, original)]
        for i in space.free:
            leaves = moved_leaves(functional, original, move_task(space, task, i))
            rows += [((space.names[i], path), params) for path, params in leaves]
        claims += [claim for claim, _ in rows]
        variants += [params for _, params in rows]
        bases += [base] * len(rows)
    episodes = outlines_of(functional, key, variants)
    effects = {}
    for row, (claim, base) in enumerate(zip(claims, bases, strict=True)):
        if claim is not None:
            effects[claim] = effects.get(claim, False) or differ(take(episodes, row), take(episodes, base))
    assert {name for name, _ in effects} == {space.names[i] for i in space.free}
    assert all(effects.values()), f"without effect: {[claim for claim, seen in effects.items() if not seen]}"


def move_task(space, task, i):
    """The task with parameter i at the bound that is farther away."""
    moved = np.array(task)
    moved[i] = space.high[i] if space.high[i] - task[i] > task[i] - space.low[i] else space.low[i]
    return moved


def moved_leaves(functional, original, task):
    """(path, params) for each leaf that differs under `task`: `original` with that leaf alone replaced."""
    paths, structure = jax.tree_util.tree_flatten_with_path(original)
    new = jax.tree.leaves(strong(functional.task_params(task)))
    for position, ((path, old), value) in enumerate(zip(paths, new, strict=True)):
        if not np.array_equal(old, value):
            leaves = [leaf for _, leaf in paths]
            leaves[position] = value
            yield jax.tree_util.keystr(path), jax.tree.unflatten(structure, leaves)


def outlines_of(functional, key, variants):
    """First state, last state, observations, rewards and ends of one episode per variant, in batches of ROWS."""
    parts = []
    for first in range(0, len(variants), ROWS):
        chosen = variants[first : first + ROWS]
        padded = chosen + chosen[:1] * (ROWS - len(chosen))
        params = jax.tree.map(lambda *xs: jnp.stack(xs), *padded)
        start, (states, timesteps) = rollouts_of(functional)(jnp.stack([key] * ROWS), params)
        outline = (start, take(states, (slice(None), -1)), timesteps.obs, timesteps.reward, timesteps.terminated)
        parts.append(jax.device_get(plain(outline)))
    return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
