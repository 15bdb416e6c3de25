"""Draws `_static/<page>.gif`: the planner on two levels of every family of MiniGrid and BabyAI.

python docs/minigrid_pictures.py [page ...]

Obstacles that move have no plan and a room without a task needs none: there actions are random.
"""

import pathlib
import sys

import gymnasium as gym
import numpy as np
import palaestra  # noqa: F401  # registers the ids
from palaestra.envs.minigrid.bank import import_bank
from palaestra.envs.minigrid.ids import FAMILIES, subgoals_name
from palaestra.envs.minigrid.planner import UnsolvableError, UnsupportedRuleError, plan
from palaestra.experiments.film import half_size
from palaestra.experiments.movie import write_movie
from palaestra.experiments.subgoal_plans import levels_of

FOLDER = pathlib.Path(__file__).parent / "_static"
SEEDS = (3, 4)
RANDOM_STEPS = 40
FPS = 8
# Ids whose grids show what the family is about and are small enough for a page.
SHOWN = {
    "minigrid-empty": "MiniGrid-Empty-Random-6x6-v0",
    "minigrid-doorkey": "MiniGrid-DoorKey-8x8-v0",
    "minigrid-multiroom": "MiniGrid-MultiRoom-N6-v0",
    "minigrid-keycorridor": "MiniGrid-KeyCorridorS4R3-v0",
    "minigrid-obstructedmaze": "MiniGrid-ObstructedMaze-2Dlhb-v1",
    "minigrid-unlock": "MiniGrid-BlockedUnlockPickup-v0",
    "minigrid-lavagap": "MiniGrid-LavaGapS7-v0",
    "minigrid-crossing": "MiniGrid-LavaCrossingS9N3-v0",
    "minigrid-dynamicobstacles": "MiniGrid-Dynamic-Obstacles-8x8-v0",
    "minigrid-memory": "MiniGrid-MemoryS13Random-v0",
    "minigrid-putnear": "MiniGrid-PutNear-8x8-N3-v0",
    "minigrid-fetch": "MiniGrid-Fetch-8x8-N3-v0",
    "minigrid-goto": "MiniGrid-GoToDoor-8x8-v0",
    "minigrid-redbluedoors": "MiniGrid-RedBlueDoors-8x8-v0",
    "babyai-goto": "BabyAI-GoToSeqS5R2-v0",
    "babyai-open": "BabyAI-OpenTwoDoors-v0",
    "babyai-pickup": "BabyAI-UnblockPickup-v0",
    "babyai-putnext": "BabyAI-PutNextS6N3-v0",
    "babyai-unlock": "BabyAI-UnlockToUnlock-v0",
    "babyai-keycorridor": "BabyAI-KeyCorridorS4R3-v0",
    "babyai-other": "BabyAI-ActionObjDoor-v0",
    "babyai-synth": "BabyAI-MiniBossLevel-v0",
}
SUBGOALS = "minigrid-subgoals"


def frames_of(name: str, with_subgoals: bool = False):
    """Pictures of an id's episodes of `SEEDS`."""
    bank = import_bank(name, SEEDS)
    id = f"palaestra/{subgoals_name(name) if with_subgoals else name}"
    env = gym.make(id, levels=bank, render_mode="rgb_array")
    for index, level in enumerate(levels_of(bank)):
        env.reset(seed=0, options={"task": {"level": index}})
        yield env.render()
        for action in actions_of(level, bank.rule, env.action_space.n):
            _, _, terminated, truncated, _ = env.step(action)
            yield env.render()
            if terminated or truncated:
                break


def actions_of(level, rule, count: int) -> list[int]:
    """A plan, or random actions where there is none."""
    try:
        return list(plan(level, rule).actions)
    except (UnsolvableError, UnsupportedRuleError):
        return np.random.default_rng(0).integers(0, min(count, 3), RANDOM_STEPS).tolist()


if __name__ == "__main__":
    shown = {family.page: SHOWN.get(family.page, family.names[0]) for family in FAMILIES if "wfc" not in family.page}
    shown[SUBGOALS] = "MiniGrid-KeyCorridorS3R3-v0"
    for page in sys.argv[1:] or shown:
        path = write_movie(FOLDER / f"{page}.gif", half_size(frames_of(shown[page], page == SUBGOALS)), FPS)
        print(path.name, round(path.stat().st_size / 1000), "kB", flush=True)
