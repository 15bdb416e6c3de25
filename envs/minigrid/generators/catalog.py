"""Which generator makes the levels of which id of the package."""

from collections.abc import Mapping

from ..source import Source
from .crossing import Crossing, Memory
from .doors import GoToDoor, LockedRoom, Playground, RedBlueDoors
from .keycorridor import KeyCorridor
from .local import GoToLocal, GoToRedBall, GoToRedBlueBall, PickupLoc, PutNextLocal
from .maze import GoToObjMaze
from .multiroom import MultiRoom
from .obstructed import ObstructedMaze, ObstructedPair
from .opening import OpenDoor, OpenRedDoor, UnlockLocal
from .rooms import DistShift, DoorKey, DynamicObstacles, Empty, FourRooms, LavaGap
from .things import Fetch, GoToThing, PutNearThing
from .unlock import Unlock


def _obstructed() -> dict[str, Source]:
    """Quarters, whether the agent starts in the center, keys in boxes, doors blocked, version 1."""
    mazes = {
        "2Dl-v0": (1, False, False, False, False),
        "2Dlh-v0": (1, False, True, False, False),
        "2Dlhb-v0": (1, False, True, True, False),
        "2Dlhb-v1": (1, False, True, True, True),
        "1Q-v0": (1, True, True, True, False),
        "1Q-v1": (1, True, True, True, True),
        "2Q-v0": (2, False, True, True, False),
        "2Q-v1": (2, False, True, True, True),
        "Full-v0": (4, True, True, True, False),
        "Full-v1": (4, True, True, True, True),
    }
    return {
        f"MiniGrid-ObstructedMaze-{name}": ObstructedMaze(
            key_in_box=in_box, blocked=blocked, num_quarters=quarters, from_center=center, keys_last=last
        )
        for name, (quarters, center, in_box, blocked, last) in mazes.items()
    }


_MINIGRID: dict[str, Source] = {
    **{f"MiniGrid-Empty-{s}x{s}-v0": Empty(s) for s in (5, 6, 8, 16)},
    **{f"MiniGrid-Empty-Random-{s}x{s}-v0": Empty(s, random_start=True) for s in (5, 6)},
    **{f"MiniGrid-DoorKey-{s}x{s}-v0": DoorKey(s) for s in (5, 6, 8, 16)},
    "MiniGrid-FourRooms-v0": FourRooms(),
    "MiniGrid-MultiRoom-N2-S4-v0": MultiRoom(2, 4),
    "MiniGrid-MultiRoom-N4-S5-v0": MultiRoom(6, 5),  # six rooms, whatever its name says
    "MiniGrid-MultiRoom-N4-S5-v1": MultiRoom(4, 5),
    "MiniGrid-MultiRoom-N6-v0": MultiRoom(6),
    **{
        f"MiniGrid-KeyCorridorS{s}R{r}-v0": KeyCorridor(s, r)
        for s, r in ((3, 1), (3, 2), (3, 3), (4, 3), (5, 3), (6, 3))
    },
    "MiniGrid-ObstructedMaze-1Dl-v0": ObstructedPair(key_in_box=False, blocked=False),
    "MiniGrid-ObstructedMaze-1Dlh-v0": ObstructedPair(key_in_box=True, blocked=False),
    "MiniGrid-ObstructedMaze-1Dlhb-v0": ObstructedPair(key_in_box=True, blocked=True),
    **_obstructed(),
    "MiniGrid-Unlock-v0": Unlock(),
    "MiniGrid-UnlockPickup-v0": Unlock(pick_up=True),
    "MiniGrid-BlockedUnlockPickup-v0": Unlock(pick_up=True, blocked=True),
    **{f"MiniGrid-LavaGapS{s}-v0": LavaGap(s) for s in (5, 6, 7)},
    **{
        f"MiniGrid-{name}CrossingS{s}N{n}-v0": Crossing(s, n, lava)
        for name, lava in (("Lava", True), ("Simple", False))
        for s, n in ((9, 1), (9, 2), (9, 3), (11, 5))
    },
    "MiniGrid-DistShift1-v0": DistShift(2),
    "MiniGrid-DistShift2-v0": DistShift(5),
    **{f"MiniGrid-Dynamic-Obstacles-{s}x{s}-v0": DynamicObstacles(s, n) for s, n in ((5, 2), (6, 3), (8, 4), (16, 8))},
    **{f"MiniGrid-Dynamic-Obstacles-Random-{s}x{s}-v0": DynamicObstacles(s, n, True) for s, n in ((5, 2), (6, 3))},
    **{f"MiniGrid-MemoryS{s}-v0": Memory(s) for s in (7, 9, 11, 13)},
    **{f"MiniGrid-MemoryS{s}Random-v0": Memory(s, random_length=True) for s in (13, 17)},
    **{f"MiniGrid-PutNear-{s}x{s}-N{n}-v0": PutNearThing(s, n) for s, n in ((6, 2), (8, 3))},
    **{f"MiniGrid-Fetch-{s}x{s}-N{n}-v0": Fetch(s, n) for s, n in ((5, 2), (6, 2), (8, 3))},
    **{f"MiniGrid-GoToDoor-{s}x{s}-v0": GoToDoor(s) for s in (5, 6, 8)},
    **{f"MiniGrid-GoToObject-{s}x{s}-N2-v0": GoToThing(s, 2) for s in (6, 8)},
    **{f"MiniGrid-RedBlueDoors-{s}x{s}-v0": RedBlueDoors(s) for s in (6, 8)},
    "MiniGrid-LockedRoom-v0": LockedRoom(),
    "MiniGrid-Playground-v0": Playground(),
}

_BABYAI: dict[str, Source] = {
    "BabyAI-GoToObj-v0": GoToLocal(8, 1),
    "BabyAI-GoToObjS4-v0": GoToLocal(4, 1),
    "BabyAI-GoToObjS6-v1": GoToLocal(6, 1),
    "BabyAI-GoToLocal-v0": GoToLocal(8, 8),
    **{
        f"BabyAI-GoToLocalS{s}N{n}-v0": GoToLocal(s, n)
        for s, most in ((5, (2,)), (6, (2, 3, 4)), (7, (4, 5)), (8, (2, 3, 4, 5, 6, 7)))
        for n in most
    },
    "BabyAI-GoToRedBall-v0": GoToRedBall(8, 7),
    "BabyAI-GoToRedBallGrey-v0": GoToRedBall(8, 7, grey=True),
    "BabyAI-GoToRedBallNoDists-v0": GoToRedBall(8, 0),
    "BabyAI-GoToRedBlueBall-v0": GoToRedBlueBall(8, 7),
    "BabyAI-PickupLoc-v0": PickupLoc(8, 8),
    "BabyAI-PutNextLocal-v0": PutNextLocal(8, 8),
    "BabyAI-PutNextLocalS5N3-v0": PutNextLocal(5, 3),
    "BabyAI-PutNextLocalS6N4-v0": PutNextLocal(6, 4),
    "BabyAI-OpenDoor-v0": OpenDoor(),
    "BabyAI-OpenDoorDebug-v0": OpenDoor(strict=True),
    "BabyAI-OpenDoorColor-v0": OpenDoor(by_location=False),
    "BabyAI-OpenDoorLoc-v0": OpenDoor(by_color=False),
    "BabyAI-OpenRedDoor-v0": OpenRedDoor(),
    "BabyAI-UnlockLocal-v0": UnlockLocal(),
    "BabyAI-UnlockLocalDist-v0": UnlockLocal(3),
    "BabyAI-GoToObjMaze-v0": GoToObjMaze(),
    "BabyAI-GoToObjMazeOpen-v0": GoToObjMaze(doors_open=True),
    "BabyAI-GoToObjMazeS4R2-v0": GoToObjMaze(4, 2),
    **{f"BabyAI-GoToObjMazeS{s}-v0": GoToObjMaze(s) for s in (4, 5, 6, 7)},
}

NATIVE: Mapping[str, Source] = {**_MINIGRID, **_BABYAI}
"""The source of levels for every id of the package that has a generator here; the others need a bank."""
