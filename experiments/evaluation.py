"""Evaluation: one episode on each of K fixed test tasks, by likeliest or drawn actions, learning nothing.

On several devices each takes whole seeds or else some of the test tasks, and stops when its own episodes have ended.

Letters: S seeds (learners), K test tasks, L = S * K lanes.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import PartitionSpec

from ..envs.contract import TaskEnv
from ..envs.stepping import begin, step
from ..envs.tasks import TaskError, TaskSpace
from .parallel import AXIS, Layout

TEST_SEED = 20_011  # draws the test tasks: the same for every run, agent and teacher of an environment


class Scores(struct.PyTreeNode):
    """One episode per learner and task, each (S, K)."""

    return_: jax.Array  # float32
    length: jax.Array  # int32
    success: jax.Array  # float32 in {0, 1}


class _Tests(struct.PyTreeNode):
    """What is asked of every learner: K tasks with the keys of their episodes."""

    task: Any
    key_begin: jax.Array  # (K,)
    key_step: jax.Array  # (K,)
    key_act: jax.Array  # (K,)


class _Lanes(struct.PyTreeNode):
    """L lanes under way; the scores of a lane are frozen when its first episode ends."""

    episode: Any
    obs: Any
    key: jax.Array  # (L,)
    key_act: jax.Array  # (L,), stays as it is
    running: jax.Array  # (L,) bool
    success: jax.Array  # (L,) bool
    return_: jax.Array  # (L,)
    length: jax.Array  # (L,)


def draw_test_tasks(env: TaskEnv, count: int, kind: Literal["space", "default"] | Mapping[str, float]) -> Any:
    """K test tasks with leading axis K: drawn evenly from the task space, or one task each time.

    Args:
      kind: "space"; "default" for the default task; {name: value} for the default with these parameters changed.

    Raises:
      TaskError: a parameter that the space does not have, or a value outside of it.
    """
    if isinstance(kind, Mapping):
        if not isinstance(env.task_space, TaskSpace):
            raise TaskError(f"test tasks: got {dict(kind)}; expected 'space' or 'default' where tasks are levels")
        return jnp.tile(jnp.asarray(env.task_space.from_dict(kind)), (count, 1))
    if kind == "default":
        default = jax.tree.map(jnp.asarray, env.task_space.default)
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), default)
    if isinstance(env.task_space, TaskSpace):
        # A stratified draw in every dimension (Latin hypercube): fewer tasks cover the space as well.
        return env.task_space.from_unit(_latin_hypercube(count, env.task_space.unit_dim))
    return jax.vmap(env.task_space.sample)(jax.random.split(jax.random.key(TEST_SEED), count))


def evaluate(
    env: TaskEnv,
    act: Any,
    states: Any,
    tasks: Any,
    key: jax.Array,
    layout: Layout | None = None,
    deterministic: bool = True,
) -> Scores:
    """Runs every learner on every task until all episodes have ended. Pure; wrap it with `compile_for`.

    Args:
      act: an agent's `act`.
      states: agent states with leading axis S.
      tasks: leading axis K.
      key: consumed; all learners meet the same starts.
      layout: devices to divide the work among; the scores do not depend on it.
      deterministic: whether policies take their likeliest action, else one they draw.
    """
    count, seeds = _rows(tasks), _rows(states)
    key_begin, key_step, key_act = jax.random.split(key, 3)
    tests = _Tests(tasks, *(jax.random.split(k, count) for k in (key_begin, key_step, key_act)))
    run = functools.partial(_run_lanes, env, functools.partial(act, deterministic=deterministic))
    learners = jnp.arange(seeds)
    if layout is None or layout.shared is None:
        return run(states, learners, tests)
    if layout.shared == "lanes":  # devices take equally many tests: some are run twice, the surplus is dropped
        padded = np.arange(count + -count % len(layout.devices)) % count
        tests = jax.tree.map(lambda x: x[padded], tests)
    scores = _divide(run, layout)(states, learners, tests)
    return jax.tree.map(lambda x: x[:, :count], scores)


def _divide(run: Callable[..., Scores], layout: Layout) -> Callable[..., Scores]:
    """`run` with its learners or its tests divided among the devices, as the layout has it."""
    mine, all_ = PartitionSpec(AXIS), PartitionSpec()
    by_seeds = layout.shared == "seeds"
    return jax.shard_map(
        run,
        mesh=layout.mesh,
        in_specs=(mine, mine, all_) if by_seeds else (all_, all_, mine),
        out_specs=mine if by_seeds else PartitionSpec(None, AXIS),
        check_vma=False,
    )


def _run_lanes(env: TaskEnv, act: Any, states: Any, learners: jax.Array, tests: _Tests) -> Scores:
    """Scores of the learners with these numbers (S,), by which they draw actions of their own."""
    count, seeds = _rows(tests), _rows(states)
    starts = jax.vmap(lambda k, task: begin(env, k, task))(tests.key_begin, tests.task)
    tile = lambda tree: jax.tree.map(lambda x: jnp.tile(x, (seeds,) + (1,) * (x.ndim - 1)), tree)  # noqa: E731
    lanes = _Lanes(
        episode=tile(starts.episode),
        obs=tile(starts.obs),
        key=tile(tests.key_step),
        key_act=jax.vmap(lambda i: jax.vmap(jax.random.fold_in, (0, None))(tests.key_act, i))(learners).reshape(-1),
        running=jnp.ones(seeds * count, bool),
        success=jnp.zeros(seeds * count, bool),
        return_=jnp.zeros(seeds * count, jnp.float32),
        length=jnp.zeros(seeds * count, jnp.int32),
    )
    params = tile(starts.params)

    def forward(now: _Lanes) -> _Lanes:
        return _step_lanes(env, act, states, params, now)

    done = jax.lax.while_loop(lambda now: jnp.any(now.running), forward, lanes)
    split = lambda x: x.reshape(seeds, count)  # noqa: E731
    return Scores(split(done.return_), split(done.length), split(done.success).astype(jnp.float32))


def _rows(tree: Any) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


def summarize_scores(scores: Scores) -> list[dict[str, float]]:
    """One row of `eval/…` numbers per learner."""
    rows = []
    columns = (np.asarray(column, np.float64) for column in (scores.return_, scores.length, scores.success))
    for return_, length, success in zip(*columns, strict=True):
        rows.append(
            {
                "eval/mean_reward": float(return_.mean()),
                "eval/std_reward": float(return_.std()),
                "eval/mean_ep_length": float(length.mean()),
                "eval/success_rate": float(success.mean()),
            }
        )
    return rows


def _step_lanes(env: TaskEnv, act: Any, states: Any, params: Any, now: _Lanes) -> _Lanes:
    key, key_step = jnp.moveaxis(jax.vmap(jax.random.split)(now.key), 1, 0)
    key_act = jax.vmap(jax.random.fold_in)(now.key_act, now.episode.steps)
    by_learner = lambda x: x.reshape(_rows(states), -1, *x.shape[1:])  # noqa: E731
    one = lambda k, s, o: jax.tree.map(lambda x: x[0], act(k, s, jax.tree.map(lambda x: x[None], o)))  # noqa: E731
    # A key for each lane: what is drawn depends on the test, not on the device that runs it.
    acts = jax.vmap(jax.vmap(one, in_axes=(0, None, 0)))
    actions = acts(by_learner(key_act), states, jax.tree.map(by_learner, now.obs))
    actions = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), actions)
    episode, timestep = jax.vmap(lambda k, e, a, p: step(env, k, e, a, p))(key_step, now.episode, actions, params)
    return now.replace(
        episode=episode,
        obs=timestep.obs,
        key=key,
        running=now.running & ~timestep.ended,
        success=jnp.where(now.running, timestep.success, now.success),
        return_=jnp.where(now.running, episode.return_, now.return_),
        length=jnp.where(now.running, episode.steps, now.length),
    )


def _latin_hypercube(count: int, dim: int) -> jax.Array:
    """(count, dim) in [0, 1]: every dimension has one point in each of `count` equal parts."""
    draw = np.random.default_rng(TEST_SEED)
    cells = np.stack([draw.permutation(count) for _ in range(dim)], -1) if dim else np.zeros((count, 0))
    return jnp.asarray((cells + draw.random((count, dim))) / count, jnp.float32)
