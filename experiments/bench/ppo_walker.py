"""PPO beside Stable-Baselines3's on BipedalWalker: theirs in Gymnasium's Box2D, ours in the exact solver.

The hyper-parameters are those of RL Baselines3 Zoo, which trains for 5 million steps; here training ends after 2
million, with which either side walks. See `ppo` for what is compared and how. Needs the extras `sb3` and `box2d`. All
seeds take some two hours: `palaestra bench ppo_walker --budget 7200`.
"""

from typing import Any

from . import ppo

WALKER = ppo.Case(
    name="BipedalWalker",
    ours="palaestra/BipedalWalker-v0",
    theirs="BipedalWalker-v3",
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
    evaluate_every=2,
    normalize=True,
)


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}, see `ppo.measure`."""
    return ppo.measure((WALKER,), budget)
