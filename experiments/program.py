"""The compiled side of a run: start, a chunk of training, evaluation; each compiled exactly once.

A chunk is `count` iterations of `train_step` in one XLA program with donated state. `count` is an argument, not a
shape: log, evaluation and checkpoint intervals may leave chunks of any length up to `chunk_length` without compiling
anew, and an iteration gives the same bits in whichever chunk it falls.

What an agent learns from without changing it (`data`, a data set) is an argument of the program, neither part of the
state nor a constant compiled into it; so is what its `start()` gives it to begin from.

Where JAX has several devices, seeds or lanes (`lane_axes`) are spread over them: see `parallel.py`.

Letters: S seeds, n = chunk_length iterations, K episodes an iteration can end.
"""

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import PartitionSpec

from ..envs.compilation import compile_for
from .evaluation import Scores, draw_test_tasks, evaluate
from .parallel import AXIS, Layout, choose_layout, laid_out, partition, place, placed_shapes

EVAL = 5  # what evaluation folds into the run's key, so that it draws apart from training
# What nan_policy="skip" keeps from before the update: all that is learned, rewards for exploring included.
LEARNER_FIELDS = ("params", "target_params", "opt_state", "bonus", "goals", "learned")
_GUARDED = ("params", "bonus", "goals", "learned")


class Chunk(struct.PyTreeNode):
    """What `count` iterations reported; rows from `count` on are meaningless."""

    metrics: dict[str, jax.Array]  # (n, S)
    episodes: Any  # Ended with leading axes (n, S, K), or None
    finite: jax.Array  # (n, S) bool


class Program:
    """Compiled functions for one agent and S seeds.

    The state they pass around has a leading seed axis when S > 1 and none when S = 1.

    Args:
      agent: an `OnlineAgent` with a field `env`.
      num_seeds: S.
      chunk_length: most iterations in one call of `advance`.
      skip_bad_updates: keep a learner's parameters from before an update that is not finite.
      busy: context around each compilation, given what is being compiled.
      num_devices: most devices to spread over; None for all local ones.
      draws_actions: whether evaluated policies draw their actions instead of taking the likeliest.

    Attributes:
      layout: how the state is spread over devices.
      compiled: what has been compiled so far, by name.
    """

    def __init__(
        self,
        agent: Any,
        num_seeds: int,
        chunk_length: int,
        skip_bad_updates: bool = False,
        busy: Callable[[str], AbstractContextManager[Any]] = nullcontext,
        num_devices: int | None = None,
        draws_actions: bool = False,
    ):
        self.agent, self.num_seeds, self.chunk_length = agent, num_seeds, chunk_length
        self._deterministic = not draws_actions
        data, self._begin_from = getattr(agent, "data", None), getattr(agent, "start", None)
        self._data = () if data is None else (jax.tree.map(jnp.asarray, data),)
        self._skip, self._busy = skip_bad_updates, busy
        self.compiled: dict[str, Any] = {}
        self._ahead: dict[str, Future[Any]] = {}
        self.layout = self._choose_layout(num_devices)
        spread = agent if self.layout.shared is None else laid_out(agent, self.layout)
        # Tracing can take seconds; an inner jit keeps the trace for all who ask.
        self._step = jax.jit(spread.train_step) if hasattr(spread, "train_step") else None
        self._start = jax.jit(agent.init)

    def template(self) -> Any:
        """Shapes and dtypes of the state, without computing it."""
        return jax.eval_shape(self._init, seed_keys(0, self.num_seeds))

    def init(self, seed: int, retry: int = 0) -> Any:
        """Fresh learners of seeds seed, seed + 1, …; `retry` draws other ones after a failed start."""
        keys = seed_keys(seed, self.num_seeds)
        keys = jax.vmap(lambda k: jax.random.fold_in(k, retry))(keys) if retry else keys
        state = self._call("init", self._init, (keys,))
        if self._begin_from is not None:
            state = self._call("start", self._begin, (state, self._begin_from()), donate_argnums=0)
        return self.place(state)

    def place(self, state: Any) -> Any:
        """Puts a state, fresh or restored, where training expects it."""
        return state if self.layout.shared is None else place(self.agent, self.layout, state)

    def advance(self, state: Any, count: int) -> tuple[Any, Chunk]:
        """Trains for `count` <= n iterations. Consumes `state`: its buffers are reused."""
        arguments = (state, np.int32(count), *self._data)
        state, chunk = self._call("train_step", self._advance, arguments, donate_argnums=0)
        return self.place(state), chunk  # XLA forgets how arrays without elements are spread

    def evaluate(self, state: Any, tasks: Any, seed: int) -> Scores:
        """Scores (S, K) on test tasks; K must stay the same from call to call."""
        key = jax.random.fold_in(jax.random.key(seed), EVAL)
        return self._call("evaluation", self._evaluate, (self.place(state), tasks, key))

    def draw_test_tasks(self, count: int, kind: Any) -> Any:
        return draw_test_tasks(self.agent.env, count, kind)

    def snapshot(self, state: Any) -> dict[str, np.ndarray] | None:
        """The teacher's snapshot with leading axis S; None for an agent that offers none."""
        if not hasattr(self.agent, "curriculum"):
            return None
        arrays = self._call("snapshot", self._snapshot, (state,))
        return {name: np.asarray(value) for name, value in arrays.items()}

    def reseed(self, state: Any, number: int) -> Any:
        """`state` with every random key folded with `number`, so that a repeated stretch takes another course."""

        def fold(leaf: jax.Array) -> jax.Array:
            if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                return leaf
            flat = jax.vmap(lambda key: jax.random.fold_in(key, number))(leaf.reshape(-1))
            return flat.reshape(leaf.shape)

        return self.place(jax.tree.map(fold, state))

    def _choose_layout(self, num_devices: int | None) -> Layout:
        return _layout(self.agent, self.num_seeds, num_devices)

    def _spread(self, advance: Callable[..., Any]) -> Callable[..., Any]:
        """`advance` on all devices of the layout."""
        if self.layout.shared is None:
            return advance
        specs = partition(self.agent, self.layout, self.template())
        chunk = PartitionSpec(None, AXIS) if self.layout.shared == "seeds" else PartitionSpec()
        return jax.shard_map(
            advance,
            mesh=self.layout.mesh,
            in_specs=(specs, PartitionSpec(), *(PartitionSpec() for _ in self._data)),
            out_specs=(specs, chunk),
            check_vma=False,
        )

    def compile_ahead(self, tasks: Any) -> None:
        """Begins to compile training and, with test tasks, evaluation in threads.

        XLA keeps about one core busy with one program, and this thread is about to compile `init`.
        """
        if self._ahead:
            return
        state, pool = self.template(), ThreadPoolExecutor(2)
        if self.layout.shared is not None:
            state = placed_shapes(self.agent, self.layout, state)
        arguments = (state, np.int32(0), *self._data)
        self._ahead["train_step"] = pool.submit(self._compile, "train_step", self._advance, arguments, donate_argnums=0)
        if tasks is not None:
            asked = (state, tasks, jax.random.key(0))
            self._ahead["evaluation"] = pool.submit(self._compile, "evaluation", self._evaluate, asked)
        pool.shutdown(wait=False)

    def _call(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], **options: Any) -> Any:
        """Calls `function` compiled; it is compiled once, ahead of time, so that shapes cannot drift."""
        if name not in self.compiled:
            with self._busy(f"compiling {name}"):
                ahead = self._ahead.get(name)
                self.compiled[name] = ahead.result() if ahead else self._compile(name, function, arguments, **options)
        return self.compiled[name](*arguments)

    def _compile(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], **options: Any) -> Any:
        spread = self._spread(function) if name == "train_step" else function
        return compile_for(self.agent.env, spread, **options).lower(*arguments).compile()

    def _init(self, keys: jax.Array) -> Any:
        if self.num_seeds == 1:
            return _strong(self._start(keys[0]))
        return _strong(jax.vmap(self._start)(keys))

    def _begin(self, state: Any, start: Any) -> Any:
        """Fresh learners with what earlier ones have learned."""
        one = self.agent.begin_from
        return _strong(one(state, start) if self.num_seeds == 1 else jax.vmap(one)(state, start))

    def _seed_step(self, state: Any, *data: Any) -> tuple[Any, tuple[dict[str, jax.Array], Any, jax.Array]]:
        """One iteration of one learner, with its verdict."""
        assert self._step is not None
        after, metrics = self._step(state, *data)
        metrics = dict(metrics)
        episodes = metrics.pop("episodes", None)
        if hasattr(episodes, "meta"):
            episodes = episodes.replace(meta=())  # for teachers; no log wants it
        finite = is_finite(after, metrics)
        if self._skip:
            after = keep_learner(finite, state, after)
        return after, (metrics, episodes, finite)

    def _advance(self, state: Any, count: jax.Array, *data: Any) -> tuple[Any, Chunk]:
        one = lambda state: self._seed_step(state, *data)  # noqa: E731
        one = one if self.num_seeds == 1 else jax.vmap(one)
        shapes = jax.eval_shape(one, state)[1]
        records = jax.tree.map(lambda s: jnp.zeros((self.chunk_length, *s.shape), s.dtype), shapes)

        def body(i: jax.Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            state, records = carry
            state, record = one(state)
            return state, jax.tree.map(lambda all_, now: all_.at[i].set(now), records, record)

        state, (metrics, episodes, finite) = jax.lax.fori_loop(0, count, body, (state, records))
        if self.num_seeds == 1:
            metrics, episodes, finite = jax.tree.map(lambda x: x[:, None], (metrics, episodes, finite))
        return state, Chunk(metrics, episodes, finite)

    def _evaluate(self, state: Any, tasks: Any, key: jax.Array) -> Scores:
        agent, states = self.agent, self._with_seed_axis(state)
        return evaluate(agent.env, agent.act, states, tasks, key, self.layout, self._deterministic)

    def _snapshot(self, state: Any) -> dict[str, jax.Array]:
        return jax.vmap(self.agent.curriculum)(self._with_seed_axis(state))

    def _with_seed_axis(self, state: Any) -> Any:
        return state if self.num_seeds > 1 else jax.tree.map(lambda x: x[None], state)


def _layout(agent: Any, num_seeds: int, num_devices: int | None) -> Layout:
    """As many local devices as allowed; an agent without `lane_axes` is spread by its seeds alone."""
    if num_devices is not None and num_devices < 1:
        raise ValueError(f"num_devices={num_devices}; expected at least 1")
    devices = jax.local_devices()[:num_devices]
    return choose_layout(num_seeds, agent.config.num_envs if hasattr(agent, "lane_axes") else 1, devices)


def seed_keys(seed: int, count: int) -> jax.Array:
    """Keys (S,) of learners seed, seed + 1, …: each is the same alone as in company."""
    return jnp.stack([jax.random.key(seed + i) for i in range(count)])


def is_guarded(name: str) -> bool:
    """Whether a metric must be finite; others may be undefined, as an explained variance of constants is."""
    leaf = name.rsplit("/", 1)[-1]
    return "loss" in name or leaf in ("grad_norm", "all_finite") or name.startswith("rollout/")


def is_finite(state: Any, metrics: dict[str, jax.Array]) -> jax.Array:
    """() bool: whether what is learned, losses, gradient norm and rewards are all finite."""
    learned = [getattr(state, name, None) for name in _GUARDED]
    leaves = [v for k, v in metrics.items() if is_guarded(k)] + jax.tree.leaves(learned)
    floating = [x for x in leaves if jnp.issubdtype(x.dtype, jnp.inexact)]
    verdicts = [jnp.all(jnp.isfinite(x)) for x in floating]
    verdicts += [jnp.all(v != 0) for k, v in metrics.items() if k.rsplit("/", 1)[-1] == "all_finite"]
    return functools.reduce(jnp.logical_and, verdicts, jnp.asarray(True))


def keep_learner(finite: jax.Array, before: Any, after: Any) -> Any:
    """`after` with all that is learned as it was `before`, unless that is finite."""
    kept = {
        name: jax.tree.map(lambda old, new: jnp.where(finite, new, old), getattr(before, name), getattr(after, name))
        for name in LEARNER_FIELDS
        if hasattr(after, name)
    }
    return after.replace(**kept)


def _strong(tree: Any) -> Any:
    """Arrays without weak types, which would make the first step's input differ from the second's."""

    def strengthen(leaf: jax.Array) -> jax.Array:
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return leaf if is_key else jax.lax.convert_element_type(leaf, leaf.dtype)

    return jax.tree.map(strengthen, tree)
