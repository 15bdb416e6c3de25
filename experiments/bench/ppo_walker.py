"""PPO beside Stable-Baselines3's on BipedalWalker: theirs in Gymnasium's Box2D, ours in the exact solver.

The hyper-parameters are those of RL Baselines3 Zoo, which trains for 5 million steps; here training ends after 2
million, with which either side walks. See `ppo` for what is compared and how. Then each of our policies, which has
never seen it, plays Gymnasium's own walker.

Needs the extras `sb3` and `box2d`. All seeds take some three hours: `palaestra bench ppo_walker --budget 7200`. With
less, ours still trains all seeds, Stable-Baselines3 as many as the budget admits, at least one.
"""

import time
from typing import Any

from ...envs.stepping import take_row
from . import ppo, transfer
from ._cases import Case, Learned

WALKER = Case(
    name="BipedalWalker",
    ours=transfer.OURS,
    theirs=transfer.PEER,
    threshold=230.0,  # from which teachDeepRL calls a track mastered
    num_envs=32,
    rollout_length=2048,
    batch_size=64,
    epochs=10,
    discount=0.999,
    lam=0.95,
    learning_rate=3e-4,
    clip=0.18,
    anneal=False,
    iterations=31,
    evaluate_every=4,
    normalize=True,
)


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio} and intervals.

    Args:
      budget: seconds; what ours needs counts, too.

    Raises:
      MissingExtraError: Stable-Baselines3 or Box2D is not installed.
    """
    begin = time.perf_counter()
    ppo.require_peer()
    ours = ppo.train(WALKER, ppo.SEEDS)
    rows = visit(WALKER, ours)
    theirs = ppo.train_peer(WALKER, budget - (time.perf_counter() - begin))
    return ppo.compare(WALKER, ours, None, theirs) + rows


def visit(case: Case, ours: Learned) -> list[dict[str, Any]]:
    """Rows of each learner's mean return in our walker and in Gymnasium's, equally many episodes."""
    agent, (learners, episodes) = ppo.make_agent(case), ours.final_returns.shape
    rows = []
    for i in range(learners):
        theirs, _ = transfer.play_gymnasium(transfer.acting(agent, take_row(ours.states, i)), episodes)
        rows.append(transfer.row(f"{case.name}, policy of seed {i}", case.theirs, "", ours.final_returns[i], theirs))
    return rows
