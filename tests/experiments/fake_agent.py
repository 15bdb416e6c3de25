"""A learner small enough to compile in a second: keys, parameters, episodes and a tripwire, no learning.

It keeps the agent contract, so everything on the experiments floor can be tested with it. `python fake_agent.py ARGS`
is the command line with this agent in the catalogue as `fake`.
"""

import dataclasses
import sys
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from palaestra.envs.tasks import Outcome

TRACES: list[str] = []  # one entry per trace of `train_step`


@struct.dataclass
class Hyper:
    """Numbers."""

    learning_rate: float = 0.1
    bad_from: float = jnp.inf  # iteration from which the loss is NaN
    bad_luck: float = 0.0  # chance that an iteration's loss is NaN


@dataclasses.dataclass(frozen=True)
class Config:
    """Static settings."""

    num_envs: int = 4
    rollout_length: int = 4
    width: int = 3
    hidden: tuple[int, ...] = (8, 8)
    work: int = 1  # repetitions of the arithmetic, to make an iteration last
    hyper: Hyper = dataclasses.field(default_factory=Hyper, hash=False)

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise ValueError(f"num_envs={self.num_envs}; expected at least 1")


@struct.dataclass
class State:
    """Arrays only."""

    params: Any
    hyper: Hyper
    key: jax.Array
    lane_keys: jax.Array
    iterations: jax.Array
    buffer: jax.Array


@dataclasses.dataclass(frozen=True)
class FakeAgent:
    """Parameters walk at random."""

    env: Any
    teacher: Any = None
    config: Config = dataclasses.field(default_factory=Config)

    @property
    def steps_per_iteration(self) -> int:
        return self.config.num_envs * self.config.rollout_length

    def init(self, key: jax.Array) -> State:
        key_params, key_lanes, key = jax.random.split(key, 3)
        if self.teacher is not None:
            self.teacher.init(key, self.env.task_space)
        size = int(self.env.observation_space.shape[0])
        return State(
            params={"w": jax.random.normal(key_params, (size, self.config.width)), "b": jnp.zeros((0, 2))},
            hyper=jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), self.config.hyper),
            key=key,
            lane_keys=jax.random.split(key_lanes, self.config.num_envs),
            iterations=jnp.zeros((), jnp.int32),
            buffer=jnp.zeros((16,), jnp.bfloat16),
        )

    def act(self, key: jax.Array, state: State, obs: jax.Array, deterministic: bool = False) -> jax.Array:
        del key, deterministic
        return (jnp.sum(obs @ state.params["w"], -1) > 0).astype(jnp.int32)

    def train_step(self, state: State) -> tuple[State, dict[str, Any]]:
        TRACES.append("train_step")
        key_walk, key_luck, key_task, key = jax.random.split(state.key, 4)
        step = jax.random.normal(key_walk, state.params["w"].shape)
        for _ in range(self.config.work):
            step = jnp.tanh(step @ step.T @ step)
        w = state.params["w"] + state.hyper.learning_rate * step
        bad = (state.iterations.astype(jnp.float32) >= state.hyper.bad_from) | (
            jax.random.uniform(key_luck) < state.hyper.bad_luck
        )
        after = state.replace(
            params=state.params | {"w": w},
            key=key,
            lane_keys=jax.vmap(lambda k: jax.random.fold_in(k, 1))(state.lane_keys),
            iterations=state.iterations + 1,
        )
        rows = self.config.num_envs
        valid = jnp.arange(rows) < 1 + state.iterations % 2
        returns = jnp.abs(w).sum() * jnp.ones(rows)
        dim = getattr(self.env.task_space, "dim", 1)
        episodes = Outcome(
            task=jax.random.uniform(key_task, (rows, dim)),
            return_=returns,
            length=jnp.full(rows, 7, jnp.int32),
            success=jnp.zeros(rows),
            valid=valid,
        )
        count = jnp.sum(valid.astype(jnp.float32))
        metrics = {
            "train/loss": jnp.where(bad, jnp.nan, jnp.mean(w**2)),
            "train/undefined": jnp.asarray(jnp.nan),
            "rollout/episodes": count,
            "rollout/return_sum": jnp.sum(jnp.where(valid, returns, 0.0)),
            "rollout/length_sum": 7.0 * count,
            "rollout/success_sum": 0.0 * count,
            "teacher/episodes": (state.iterations + 1).astype(jnp.float32),
            "episodes": episodes,
        }
        return after, metrics

    def update(self, key: jax.Array, state: State, batch: Any) -> tuple[State, dict[str, jax.Array]]:
        del key, batch
        return state, {}

    def curriculum(self, state: State) -> dict[str, jax.Array]:
        return {"mean": state.params["w"].mean(0)}


def register() -> None:
    """Adds this agent to the catalogue under the name `fake`."""
    from palaestra.experiments import catalog

    catalog.AGENTS["fake"] = catalog.Entry("fake", f"{__name__}:FakeAgent", f"{__name__}:Config", "for tests")


if __name__ == "__main__":
    sys.modules["fake_agent"] = sys.modules["__main__"]
    from palaestra.experiments.cli import main

    register()
    sys.exit(main())
