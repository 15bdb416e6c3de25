"""A ring of transitions on the device, and batches from it, from a data set, or from both.

Letters: C capacity, K transitions added together, N drawn, H most steps of an episode.
"""

import jax
import jax.numpy as jnp
from flax import struct

from ..optimizer import Scalar
from .transitions import Transitions, is_failure


class Replay(struct.PyTreeNode):
    """The newest transitions; rows from `size` on are vacant."""

    rows: Transitions  # (C, ...)
    next: jax.Array  # () int32, the row to write next
    size: jax.Array  # () int32
    open: jax.Array  # () int32, newest rows whose episode goes on; counted where returns are kept, else 0

    @property
    def capacity(self) -> int:
        return int(self.rows.reward.shape[0])

    @property
    def usable(self) -> jax.Array:
        """() int32: rows that may be drawn."""
        return self.size - self.open


def init_replay(capacity: int, obs_size: int, action_size: int, with_returns: bool = False) -> Replay:
    """A vacant ring of C rows."""
    zeros = jnp.zeros((capacity,))
    rows = Transitions(
        obs=jnp.zeros((capacity, obs_size)),
        action=jnp.zeros((capacity, action_size)),
        reward=zeros,
        next_obs=jnp.zeros((capacity, obs_size)),
        mask=zeros,
        ended=jnp.zeros((capacity,), bool),
        return_to_go=zeros if with_returns else None,
    )
    nothing = jnp.zeros((), jnp.int32)
    return Replay(rows=rows, next=nothing, size=nothing, open=nothing)


def add(replay: Replay, new: Transitions) -> Replay:
    """Writes K <= C transitions, without returns, over the oldest ones."""
    count = new.reward.shape[0]
    at = (replay.next + jnp.arange(count, dtype=jnp.int32)) % replay.capacity
    known = replay.rows.replace(return_to_go=None)
    rows = jax.tree.map(lambda ring, rows: ring.at[at].set(rows), known, new)
    return replay.replace(
        rows=rows.replace(return_to_go=replay.rows.return_to_go),
        next=(replay.next + count) % replay.capacity,
        size=jnp.minimum(replay.size + count, replay.capacity),
    )


def add_with_return(
    replay: Replay, new: Transitions, horizon: int, discount: Scalar, failure_reward: float | None
) -> Replay:
    """Writes one transition (K = 1) and lets every earlier one of its episode know the reward.

    Returns are complete, and rows usable, when their episode has ended.

    Args:
      horizon: H <= C.
      failure_reward: see `returns_to_go`.
    """
    reward, ended = new.reward[0], new.ended[0]
    age = replay.open - jnp.arange(horizon, dtype=jnp.int32)  # of the episode's rows, first to last; 0 is the new one
    at = (replay.next - age) % replay.capacity
    inside = age >= 0
    replay = add(replay, new)
    before = jnp.where(age > 0, replay.rows.return_to_go[at], 0.0)
    known = before + reward * discount ** age.astype(jnp.float32)
    if failure_reward is not None:
        failed = jnp.all(is_failure(replay.rows.reward[at], failure_reward) | ~inside)
        known = jnp.where(failed & ended, failure_reward / (1.0 - discount), known)
    # Rows that are not the episode's are sent out of range, where a scatter drops them.
    column = replay.rows.return_to_go.at[jnp.where(inside, at, replay.capacity)].set(known, mode="drop")
    rows = replay.rows.replace(return_to_go=column)
    return replay.replace(rows=rows, open=jnp.where(ended, 0, replay.open + 1))


def draw(key: jax.Array, replay: Replay, count: int) -> Transitions:
    """N usable transitions, evenly and with replacement, of a ring that has some. `key` is consumed."""
    chosen = jax.random.randint(key, (count,), 0, jnp.maximum(replay.usable, 1))
    return take(replay.rows, (replay.next - replay.size + chosen) % replay.capacity)


def draw_rows(key: jax.Array, data: Transitions, count: int) -> Transitions:
    """N transitions of a data set, evenly and with replacement. `key` is consumed."""
    return take(data, jax.random.randint(key, (count,), 0, data.reward.shape[0]))


def draw_appended(key: jax.Array, replay: Replay, data: Transitions, count: int) -> Transitions:
    """N transitions, evenly from a data set and a ring together. `key` is consumed."""
    total, known = data.reward.shape[0], replay.usable
    chosen = jax.random.randint(key, (count,), 0, total + known)
    old = take(data, jnp.minimum(chosen, total - 1))
    new = take(replay.rows, (replay.next - replay.size + jnp.maximum(chosen - total, 0)) % replay.capacity)
    is_old = chosen < total

    def select(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(is_old.reshape(count, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(select, old, new)


def draw_mixed(key: jax.Array, replay: Replay, data: Transitions, batches: int, size: int, old: int) -> Transitions:
    """Batches one after another, N = batches * size, each with `old` transitions of a data set. `key` is consumed."""
    key_old, key_new = jax.random.split(key)
    parts = (
        (draw_rows(key_old, data, batches * old), old),
        (draw(key_new, replay, batches * (size - old)), size - old),
    )
    shaped = [jax.tree.map(lambda x, n=n: x.reshape(batches, n, *x.shape[1:]), rows) for rows, n in parts]
    joined = jax.tree.map(lambda *x: jnp.concatenate(x, 1), *shaped)
    mixed: Transitions = jax.tree.map(lambda x: x.reshape(batches * size, *x.shape[2:]), joined)
    return mixed


def take(rows: Transitions, at: jax.Array) -> Transitions:
    """The rows with these indices."""
    taken: Transitions = jax.tree.map(lambda x: x[at], rows)
    return taken
