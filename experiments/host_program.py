"""The compiled side of a run in Gymnasium's environments: the host steps them, one compiled call for every step.

Letters: S seeds, B environments of each, W = S * B, K test episodes, n iterations of a chunk, L steps of an iteration.
"""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..agents.off_policy.learning import over_updates
from ..agents.off_policy.outside import Outside, Tape
from ..envs.stepping import Ended
from .evaluation import TEST_SEED, Scores
from .foreign import ForeignEnv, succeeded
from .parallel import Layout
from .program import Chunk, Program, is_finite, keep_learner
from .worlds import Finished, Worlds, stack, worlds_of


class HostProgram(Program):
    """`Program` for an agent whose `env` is a `ForeignEnv`: the same calls, the same records.

    What the environments are in the middle of is told by the state alone: `place` forgets those at hand, and the next
    `advance` brings fresh ones to where the state is.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._worlds: Worlds | None = None
        self._tests: list[Any] = []
        self._metrics: dict[str, Any] | None = None

    def _choose_layout(self, num_devices: int | None) -> Layout:
        """One device: the environments are in one place, too."""
        return Layout(self.num_seeds, tuple(jax.local_devices()[:1]), None)

    @property
    def env(self) -> ForeignEnv:
        env: ForeignEnv = self.agent.env
        return env

    def place(self, state: Any) -> Any:
        if self._worlds is not None:
            self._worlds.close()
        self._worlds = None
        return state

    def compile_ahead(self, tasks: Any) -> None:
        """Only a program that needs no environments."""
        if not isinstance(self.agent, Outside):
            super().compile_ahead(None)

    def advance(self, state: Any, count: int) -> tuple[Any, Chunk]:
        """Trains for `count` <= n iterations. Consumes `state`: its buffers are reused."""
        if not isinstance(self.agent, Outside):
            return super().advance(state, count)
        if self._worlds is None:
            state = self._enter(state)
        records = []
        for _ in range(count):
            state, record = self._iterate(state)
            records.append(record)
        chunk = jax.tree.map(lambda *rows: np.stack([np.asarray(row) for row in rows]), *records)
        return state, Chunk(*chunk)

    def evaluate(self, state: Any, tasks: Any, seed: int) -> Scores:
        """Scores (S, K) of one episode each, which all learners begin alike."""
        count = len(tasks)
        while len(self._tests) < self.num_seeds * count:
            self._tests.append(self.env.make())
        tests = self._tests[: self.num_seeds * count]
        obs = [test.reset(seed=TEST_SEED + i % count)[0] for i, test in enumerate(tests)]
        returns, lengths, success = (np.zeros(len(tests)) for _ in range(3))
        running, key = np.ones(len(tests), bool), jax.random.key(seed)
        while running.any():
            key, key_act = jax.random.split(key)
            rows = jax.tree.map(lambda x: x.reshape(self.num_seeds, count, *x.shape[1:]), stack(obs))
            actions = np.asarray(self._call("act", self._act, (state, rows, key_act)))
            actions = actions.reshape(len(tests), *actions.shape[2:])
            for i in np.flatnonzero(running):
                obs[i], reward, terminated, truncated, info = tests[i].step(actions[i].astype(self._dtype))
                returns[i] += float(reward)
                lengths[i] += 1
                running[i], success[i] = not (terminated or truncated), succeeded(info)
        split = lambda x, dtype: x.reshape(self.num_seeds, count).astype(dtype)  # noqa: E731
        return Scores(split(returns, np.float32), split(lengths, np.int32), split(success, np.float32))

    def draw_test_tasks(self, count: int, kind: Any) -> np.ndarray:
        """Nobody chooses tasks here: `count` rows of nothing."""
        return np.zeros((count, 0), np.float32)

    @property
    def _dtype(self) -> Any:
        return self.env.action_space.dtype

    def _enter(self, state: Any) -> Any:
        """Makes environments that are where `state` is, and decides where nothing has been decided yet."""
        tape = self._flat(state.tape)
        self._worlds, lost = worlds_of(self.env, tape)
        view, seen = self.agent.interface, self._flat(state.obs)
        there = np.all(np.isclose(np.asarray(view.flat(stack(self._worlds.obs))), np.asarray(seen)), -1)
        begun = np.asarray(tape.length) > 0
        for i in np.flatnonzero(begun & ~there):
            if i not in lost:
                self._worlds.skip(int(i))
                lost.append(int(i))
        if lost:
            warnings.warn(
                f"environment {self.env.id} does not repeat its episodes: "
                f"{len(lost)} of {len(self._worlds)} go on with their next",
                stacklevel=2,
            )
            state = state.replace(tape=self._by_seed(_without(tape, lost)))
        if lost or not begun.all():
            return self._call("decide", self._decide, (state, self._by_seed(stack(self._worlds.obs))))
        return state

    def _iterate(self, state: Any) -> tuple[Any, tuple[dict[str, Any], Any, Any]]:
        """One iteration: L steps of every environment, with its metrics, its episodes and its verdict."""
        assert self._worlds is not None
        before = jax.tree.map(jnp.copy, state.learned) if self._skip else None
        finished: list[Finished] = []
        tally: Any = None
        for i in range(self.agent.config.start_every):
            seen, ended = self._worlds.step(np.asarray(self._flat(state.action)))
            finished, seen = finished + ended, self._by_seed(seen)
            tally = self._blank_tally(state, seen) if tally is None else tally
            arguments = (state, tally, np.int32(i), seen, *self._data)
            state, tally = self._call("train_step", self._forward, arguments, donate_argnums=(0, 1))
        metrics, finite = self._call("verdict", self._verdict, (state, tally))
        if before is not None:
            old, new = state.replace(learned=before), state
            state = self._call("keep", self._keep, (finite, old, new))
        return state, (metrics | self._counts(finished), self._records(finished), finite)

    def _forward(self, state: Any, tally: Any, at: jax.Array, seen: Any, *data: Any) -> tuple[Any, Any]:
        def one(state: Any, tally: Any, seen: Any) -> tuple[Any, Any]:
            state, metrics = self.agent.forward(state, seen, *data)
            return state, jax.tree.map(lambda all_, now: all_.at[at].set(now), tally, metrics)

        return self._each(one)(state, tally, seen)

    def _decide(self, state: Any, obs: Any) -> Any:
        return self._each(self.agent.decide)(state, obs)

    def _verdict(self, state: Any, tally: Any) -> tuple[dict[str, jax.Array], jax.Array]:
        """Metrics and whether all is finite, both (S,)."""
        metrics = self._each(over_updates)(tally)
        finite = self._each(is_finite)(state, metrics)
        return jax.tree.map(lambda x: x.reshape(self.num_seeds), (metrics, finite))

    def _keep(self, finite: jax.Array, before: Any, after: Any) -> Any:
        verdict = finite if self.num_seeds > 1 else finite[0]
        return self._each(keep_learner)(verdict, before, after)

    def _act(self, state: Any, obs: Any, key: jax.Array) -> jax.Array:
        """(S, K, ...)."""
        act = functools.partial(self.agent.act, deterministic=self._deterministic)
        keys = jax.random.split(key, self.num_seeds)
        actions: jax.Array = jax.vmap(act)(keys, self._with_seed_axis(state), obs)
        return actions

    def _blank_tally(self, state: Any, seen: Any) -> dict[str, jax.Array]:
        """Room for the metrics of L steps."""
        if self._metrics is None:
            self._metrics = jax.eval_shape(self._each(self.agent.forward), state, seen, *self._data)[1]
        return {name: jnp.zeros((*x.shape, self.agent.config.start_every)) for name, x in self._metrics.items()}

    def _each(self, function: Any) -> Any:
        """`function` of one learner as one of all of them."""
        return function if self.num_seeds == 1 else jax.vmap(function)

    @property
    def _lead(self) -> tuple[int, ...]:
        return () if self.num_seeds == 1 else (self.num_seeds,)

    def _flat(self, tree: Any) -> Any:
        """Leaves ([S,] B, ...) as (W, ...)."""
        return tree if self.num_seeds == 1 else jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)

    def _by_seed(self, tree: Any) -> Any:
        """Leaves (W, ...) as ([S,] B, ...)."""
        return jax.tree.map(lambda x: x.reshape(*self._lead, self.agent.config.num_envs, *x.shape[1:]), tree)

    def _counts(self, finished: list[Finished]) -> dict[str, np.ndarray]:
        """Sums over finished episodes, each (S,)."""
        names = ("episodes", "return_sum", "length_sum", "success_sum")
        sums = np.zeros((len(names), self.num_seeds), np.float32)
        for episode in finished:
            seed = episode.world // self.agent.config.num_envs
            sums[:, seed] += (1.0, episode.return_, episode.length, episode.success)
        return {f"rollout/{name}": row for name, row in zip(names, sums, strict=True)}

    def _records(self, finished: list[Finished]) -> Ended:
        """The first finished episodes of each seed, rows (S, capacity)."""
        shape = (self.num_seeds, self.agent.config.episode_log)
        columns: dict[str, Any] = {"return_": np.zeros(shape, np.float32), "length": np.zeros(shape, np.int32)}
        columns |= {name: np.zeros(shape, bool) for name in ("success", "valid")}
        used = [0] * self.num_seeds
        for episode in finished:
            seed = episode.world // self.agent.config.num_envs
            row = {"return_": episode.return_, "length": episode.length, "success": episode.success, "valid": True}
            if used[seed] < shape[1]:
                for name, value in row.items():
                    columns[name][seed, used[seed]] = value
                used[seed] += 1
        return Ended(task=np.zeros((*shape, 0), np.float32), meta=(), **columns)


def _without(tape: Tape, lost: list[int]) -> Tape:
    """The tape (W, ...) with these episodes given up for their next."""
    episode, length = np.array(tape.episode), np.array(tape.length)
    episode[lost] += 1
    length[lost] = 0
    return tape.replace(episode=jnp.asarray(episode), length=jnp.asarray(length))
