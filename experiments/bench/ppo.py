"""PPO beside Stable-Baselines3's: what it learns, in how many environment steps, and how fast.

Both train on the same problem (Gymnasium's environment there, its counterpart with parity tests here) with the same
hyper-parameters, those of RL Baselines3 Zoo, for the same number of steps, and are examined at the same steps with 20
episodes of the deterministic policy. Differs from the zoo: Pendulum without state-dependent exploration, which this
PPO does not have, and with actions scaled to [-1, 1] on either side.

Stable-Baselines3 trains its seeds one after the other, one process and one thread each; ours trains all seeds as one
program. Seconds are of training alone: neither evaluation nor compilation, which has its own row.

Needs the extra `sb3`. All seeds take some five minutes: `palaestra bench ppo --budget 600`. With less, ours still
trains all seeds, Stable-Baselines3 as many as the budget admits, at least one.

Letters: S seeds, K episodes of an evaluation.
"""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...agents.ppo import PPO, Config, Hyper, State
from ...curricula.fixed import Fixed
from ...envs.compilation import compile_for
from ...envs.registration import make_functional
from ..evaluation import draw_test_tasks, evaluate
from ..statistics import Estimate, estimate, estimate_difference
from ._cases import EPISODES, EVALUATION_SEED, FINAL_ROUNDS, Case, Learned

PEER = "stable-baselines3"
SEEDS = 5


CASES = (
    Case(
        name="CartPole",
        ours="palaestra/CartPole-v0",
        theirs="CartPole-v1",
        threshold=475.0,
        num_envs=8,
        rollout_length=32,
        batch_size=256,
        epochs=20,
        discount=0.98,
        lam=0.8,
        learning_rate=1e-3,
        clip=0.2,
        anneal=True,
        iterations=391,
        evaluate_every=20,
    ),
    Case(
        name="Pendulum",
        ours="palaestra/Pendulum-v0",
        theirs="Pendulum-v1",
        threshold=-200.0,
        num_envs=4,
        rollout_length=1024,
        batch_size=64,
        epochs=10,
        discount=0.9,
        lam=0.95,
        learning_rate=1e-3,
        clip=0.2,
        anneal=False,
        iterations=25,
        evaluate_every=1,
    ),
)


class FallingClip(PPO):
    """PPO whose clip falls to 0 together with the learning rate, as with the zoo's linear schedules."""

    def train_step(self, state: State) -> tuple[State, dict[str, Any]]:
        hyper = state.hyper
        remaining = jnp.maximum(0.0, 1.0 - (state.steps + float(self.steps_per_iteration)) / hyper.decay_steps)
        state, metrics = super().train_step(state.replace(hyper=hyper.replace(clip=remaining * hyper.clip)))
        return state.replace(hyper=hyper), metrics


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio} and intervals where they have a meaning.

    Args:
      budget: seconds, shared evenly by the cases; what ours needs counts, too.

    Raises:
      MissingExtraError: Stable-Baselines3 is not installed.
    """
    rows = []
    for case in CASES:
        begin = time.perf_counter()
        require_peer()
        ours, alone = train(case, SEEDS), train(case, 1)
        left = budget / len(CASES) - (time.perf_counter() - begin)
        rows += compare(case, ours, alone, train_peer(case, left))
    return rows


def require_peer() -> None:
    """Raises MissingExtraError if Stable-Baselines3 is not installed."""
    from . import _sb3  # noqa: F401


def train_peer(case: Case, seconds: float) -> Learned:
    """Seeds 0, 1, ... of Stable-Baselines3, one after the other: at most `SEEDS`, at least one, within `seconds`."""
    from . import _sb3

    begin = time.perf_counter()
    peers = [_sb3.train(case, 0)]
    while len(peers) < SEEDS and _is_time_for_another(time.perf_counter() - begin, peers, seconds):
        peers.append(_sb3.train(case, len(peers)))
    return join(peers)


def _is_time_for_another(spent: float, peers: list[Learned], share: float) -> bool:
    return spent + float(np.mean([peer.seconds for peer in peers])) < share


def make_agent(case: Case) -> PPO:
    """Our PPO with the numbers of a case."""
    steps_of_batch, rest = divmod(case.batch_size, case.num_envs)
    if rest:
        raise ValueError(f"batch_size={case.batch_size} must be a multiple of num_envs={case.num_envs}")
    config = Config(
        num_envs=case.num_envs,
        rollout_length=case.rollout_length,
        epochs=case.epochs,
        num_minibatches=case.rollout_length // steps_of_batch,
        normalize_observations=case.normalize,
        normalize_rewards=case.normalize,
        hyper=Hyper(
            learning_rate=case.learning_rate,
            discount=case.discount,
            lam=case.lam,
            clip=case.clip,
            decay_steps=float(case.total_steps) if case.anneal else math.inf,
        ),
    )
    return (FallingClip if case.anneal else PPO)(make_functional(case.ours), Fixed(), config)


def train(case: Case, num_seeds: int) -> Learned:
    """Seeds 0 .. S-1 of our PPO as one program on one device."""
    agent = make_agent(case)
    tasks = draw_test_tasks(agent.env, EPISODES, "default")
    keys = jnp.stack([jax.random.key(seed) for seed in range(num_seeds)])
    exam_keys = jnp.stack([jax.random.key(EVALUATION_SEED + seed) for seed in range(num_seeds)])

    def advance(states: State, count: jax.Array) -> State:
        return jax.lax.fori_loop(0, count, lambda _, now: jax.vmap(agent.train_step)(now)[0], states)

    def scores(state: State, key: jax.Array, number: jax.Array) -> jax.Array:
        """(K,) returns of one learner, from starts of its own."""
        one = jax.tree.map(lambda x: x[None], state)
        return evaluate(agent.env, agent.act, one, tasks, jax.random.fold_in(key, number)).return_[0]

    begin = time.perf_counter()
    start = compile_for(agent.env, jax.vmap(agent.init)).lower(keys).compile()
    states = start(keys)
    forward = compile_for(agent.env, advance, donate_argnums=0).lower(states, np.int32(0)).compile()
    examine = compile_for(agent.env, jax.vmap(scores, (0, 0, None)))
    examine = examine.lower(states, exam_keys, np.int32(0)).compile()
    compile_seconds = time.perf_counter() - begin

    seconds, steps, returns = 0.0, [], []
    for first in range(0, case.iterations, case.evaluate_every):
        done = min(first + case.evaluate_every, case.iterations)
        begin = time.perf_counter()
        states = jax.block_until_ready(forward(states, np.int32(done - first)))
        seconds += time.perf_counter() - begin
        steps.append(done * agent.steps_per_iteration)
        returns.append(np.asarray(examine(states, exam_keys, np.int32(done))))
    final = [np.asarray(examine(states, exam_keys, np.int32(case.iterations + i))) for i in range(1, 1 + FINAL_ROUNDS)]
    return Learned(
        steps=np.array(steps),
        returns=np.stack(returns, 1),
        final_returns=np.concatenate(final, 1),
        seconds=np.full(num_seeds, seconds / num_seeds),
        compile_seconds=compile_seconds,
        states=states,
    )


def join(learners: list[Learned]) -> Learned:
    """Learners of the same case as one."""
    return Learned(
        learners[0].steps,
        np.concatenate([learner.returns for learner in learners]),
        np.concatenate([learner.final_returns for learner in learners]),
        np.concatenate([learner.seconds for learner in learners]),
    )


def compare(case: Case, ours: Learned, alone: Learned | None, theirs: Learned) -> list[dict[str, Any]]:
    """The rows of a case.

    Args:
      ours: all seeds side by side.
      alone: one seed of ours on its own, for its time; None if it was not trained.
    """
    own, peer = estimate(ours.final), estimate(theirs.final)
    own_steps, peer_steps = ours.steps_to(case.threshold), theirs.steps_to(case.threshold)
    rows = [
        _row(case, "final return, IQM", own.value, peer.value, "")
        | {"ratio": None}  # of returns, which may be negative, says nothing
        | _interval("ours", own)
        | _interval("theirs", peer)
        | _interval("difference", estimate_difference(ours.final, theirs.final))
        | _seeds(ours.final, theirs.final),
        _row(case, f"first evaluation of {case.threshold:g}, median", _median(own_steps), _median(peer_steps), "steps")
        | _seeds(own_steps, peer_steps),
        _row(case, f"reached {case.threshold:g}", _reached(own_steps), _reached(peer_steps), "% of seeds"),
    ]
    for label, learned in ((f"1 of {len(own_steps)} side by side", ours), ("1 alone", alone)):
        if learned is None:
            continue
        seconds, peer_seconds = _median(learned.seconds), _median(theirs.seconds)
        steps = case.total_steps
        rows += [
            _row(case, f"training, {label}", seconds, peer_seconds, "s") | _seeds(learned.seconds, theirs.seconds),
            _row(case, f"training, {label}", steps / seconds, steps / peer_seconds, "steps/s"),
            _row(case, f"compilation, {label}", learned.compile_seconds, None, "s"),
        ]
    return rows


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


def _reached(steps: np.ndarray) -> float:
    return 100 * float(np.mean(np.isfinite(steps)))


def _interval(name: str, found: Estimate) -> dict[str, Any]:
    return {f"{name}_low": found.low, f"{name}_high": found.high}


def _seeds(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    return {"ours_seeds": ours.tolist(), "theirs_seeds": theirs.tolist()}


def _row(case: Case, label: str, ours: float, theirs: float | None, unit: str) -> dict[str, Any]:
    return {
        "case": f"{case.name}, {label}",
        "peer": "-" if theirs is None else PEER,
        "ours": ours,
        "theirs": theirs,
        "unit": unit,
        "ratio": ours / theirs if theirs and math.isfinite(theirs) else None,
    }
