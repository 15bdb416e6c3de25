"""Levels of the package to plan for, and what a plan for one must do."""

import pytest
from palaestra.envs.minigrid import ids, reference
from palaestra.envs.minigrid.planner import UnsolvableError, plan
from palaestra.envs.minigrid.planner.search import Branch
from palaestra.envs.minigrid.reference import PackageError

NAMES = [name for family in ids.FAMILIES for name in family.names]
PLANNED = [name for name in NAMES if "Dynamic" not in name and "Playground" not in name]
# One or two of each family, small and large.
SOME = (
    *("Empty-Random-6x6", "DoorKey-8x8", "FourRooms", "MultiRoom-N6", "KeyCorridorS3R3", "KeyCorridorS6R3"),
    *("ObstructedMaze-1Dlhb", "ObstructedMaze-2Dlhb-v1", "BlockedUnlockPickup", "Unlock"),
    *("LavaGapS7", "LavaCrossingS9N2", "SimpleCrossingS9N3", "DistShift1", "MemoryS13Random", "PutNear-8x8-N3"),
    *("Fetch-8x8-N3", "GoToDoor-8x8", "GoToObject-8x8-N2", "RedBlueDoors-8x8", "LockedRoom"),
)
SOME_BABYAI = (
    *("GoToRedBall", "GoToLocalS8N7", "GoToSeqS5R2", "OpenDoorsOrderN4", "OpenDoorDebug", "PickupDistDebug"),
    *("PutNextLocal", "PutNextS7N4Carrying", "MoveTwoAcrossS5N2", "KeyInBox", "UnlockToUnlock", "UnlockPickupDist"),
    *("MiniBossLevel", "SynthLoc", "BossLevelNoUnlock"),
)


def id_of(family, name):
    return f"{family}-{name}" if name[-3:-1] == "-v" else f"{family}-{name}-v0"


CHOSEN = [id_of("MiniGrid", name) for name in SOME] + [id_of("BabyAI", name) for name in SOME_BABYAI]


def levels(name, seeds):
    """(live environment just reset, level, rule) for every seed."""
    try:
        env = reference.make_reference(name)
        reference.reset(env, 0)
    except PackageError as error:
        pytest.skip(str(error))
    rule = reference.rule_of(env)
    for seed in seeds:
        reference.reset(env, seed)
        yield env, reference.import_level(env), rule


def level_of(name, seed=0):
    return next(levels(name, [seed]))[1:]


def start_of(task):
    return Branch((), task.world.pose, task.start)


def check_plan(env, level, found):
    """Takes a plan's actions in the live environment: only the last one ends it, with the reward that it promises."""
    for step, action in enumerate(found.actions, start=1):
        _, reward, terminated, truncated, _ = env.step(action)
        assert terminated == (step == found.length)
        assert not truncated or (terminated and step == level.max_steps)
    assert reward == pytest.approx(1 - 0.9 * found.length / int(level.max_steps), abs=1e-12)
    assert reward == pytest.approx(found.optimal_return, abs=1e-12)
    assert found.subgoals[-1].step == found.length


def check_shortest(level, rule, steps):
    """The plan is proven to take so many steps; None for a level without a plan."""
    if steps is None:
        with pytest.raises(UnsolvableError):
            plan(level, rule)
    else:
        found = plan(level, rule)
        assert (found.length, found.optimal) == (steps, True)
