"""The ids of the `minigrid` package, version 3.2, by family. Nothing here imports it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Family:
    """Ids that share a documentation page.

    Attributes:
      page: its name.
      summary: one line for `palaestra list`.
      names: ids in the package; ours are the same behind `palaestra/`.
    """

    page: str
    summary: str
    names: tuple[str, ...]


def _names(stem: str, variants: str) -> tuple[str, ...]:
    """Ids "<stem><variant>", the version 0 where a variant names none."""
    return tuple(f"{stem}{v}" if v[-3:-1] == "-v" else f"{stem}{v}-v0" for v in variants.split())


FAMILIES = (
    Family(
        "minigrid-empty",
        "Reach the goal square of an empty room.",
        _names("MiniGrid-Empty-", "16x16 5x5 6x6 8x8 Random-5x5 Random-6x6"),
    ),
    Family(
        "minigrid-doorkey",
        "Fetch the key, open the door, reach the goal.",
        _names("MiniGrid-DoorKey-", "16x16 5x5 6x6 8x8"),
    ),
    Family(
        "minigrid-fourrooms",
        "Reach the goal through four rooms with gaps in their walls.",
        _names("MiniGrid-", "FourRooms"),
    ),
    Family(
        "minigrid-multiroom",
        "Open door after door along a chain of rooms to the goal.",
        _names("MiniGrid-MultiRoom-", "N2-S4 N4-S5 N4-S5-v1 N6"),
    ),
    Family(
        "minigrid-keycorridor",
        "Find the key in a side room and pick up the ball behind the locked door.",
        _names("MiniGrid-KeyCorridorS", "3R1 3R2 3R3 4R3 5R3 6R3"),
    ),
    Family(
        "minigrid-obstructedmaze",
        "Pick up the ball behind locked doors whose keys may be in boxes and whose ways blocked.",
        _names("MiniGrid-ObstructedMaze-", "1Dl 1Dlh 1Dlhb 1Q 1Q-v1 2Dl 2Dlh 2Dlhb 2Dlhb-v1 2Q 2Q-v1 Full Full-v1"),
    ),
    Family(
        "minigrid-unlock",
        "Open the locked door, then perhaps pick up the box behind it.",
        _names("MiniGrid-", "BlockedUnlockPickup Unlock UnlockPickup"),
    ),
    Family(
        "minigrid-lavagap",
        "Pass the gap in a stream of lava.",
        _names("MiniGrid-LavaGapS", "5 6 7"),
    ),
    Family(
        "minigrid-crossing",
        "Cross rivers of lava, or walls, through their openings.",
        _names(
            "MiniGrid-",
            "LavaCrossingS11N5 LavaCrossingS9N1 LavaCrossingS9N2 LavaCrossingS9N3 SimpleCrossingS11N5 "
            "SimpleCrossingS9N1 SimpleCrossingS9N2 SimpleCrossingS9N3",
        ),
    ),
    Family(
        "minigrid-distshift",
        "Reach the goal past strips of lava that lie elsewhere in the second id.",
        _names("MiniGrid-DistShift", "1 2"),
    ),
    Family(
        "minigrid-dynamicobstacles",
        "Reach the goal among balls that move.",
        _names("MiniGrid-Dynamic-Obstacles-", "16x16 5x5 6x6 8x8 Random-5x5 Random-6x6"),
    ),
    Family(
        "minigrid-memory",
        "Remember an object and turn to its like at the end of a hallway.",
        _names("MiniGrid-MemoryS", "11 13 13Random 17Random 7 9"),
    ),
    Family(
        "minigrid-putnear",
        "Put one object near another.",
        _names("MiniGrid-PutNear-", "6x6-N2 8x8-N3"),
    ),
    Family(
        "minigrid-fetch",
        "Pick up the object that the mission names.",
        _names("MiniGrid-Fetch-", "5x5-N2 6x6-N2 8x8-N3"),
    ),
    Family(
        "minigrid-goto",
        "Go to the door or object that the mission names and say so.",
        _names("MiniGrid-GoTo", "Door-5x5 Door-6x6 Door-8x8 Object-6x6-N2 Object-8x8-N2"),
    ),
    Family(
        "minigrid-redbluedoors",
        "Open the red door, then the blue one.",
        _names("MiniGrid-RedBlueDoors-", "6x6 8x8"),
    ),
    Family(
        "minigrid-lockedroom",
        "Find the room with the key, unlock the door, reach the goal.",
        _names("MiniGrid-", "LockedRoom"),
    ),
    Family(
        "minigrid-playground",
        "Rooms full of objects, without a task.",
        _names("MiniGrid-", "Playground"),
    ),
    Family(
        "minigrid-wfc",
        "Reach the goal of a maze made by wave function collapse.",
        _names(
            "MiniGrid-WFC-",
            "DungeonMazeScaled MazeSimple ObstaclesAngular ObstaclesBlackdots ObstaclesHogs3 RoomsFabric",
        ),
    ),
    Family(
        "babyai-goto",
        "Go to what the instruction describes.",
        _names(
            "BabyAI-",
            "GoTo GoToDoor GoToImpUnlock GoToLocal GoToLocalS5N2 GoToLocalS6N2 GoToLocalS6N3 GoToLocalS6N4 "
            "GoToLocalS7N4 GoToLocalS7N5 GoToLocalS8N2 GoToLocalS8N3 GoToLocalS8N4 GoToLocalS8N5 "
            "GoToLocalS8N6 GoToLocalS8N7 GoToObj GoToObjDoor GoToObjMaze GoToObjMazeOpen GoToObjMazeS4 "
            "GoToObjMazeS4R2 GoToObjMazeS5 GoToObjMazeS6 GoToObjMazeS7 GoToObjS4 GoToObjS6-v1 GoToOpen "
            "GoToRedBall GoToRedBallGrey GoToRedBallNoDists GoToRedBlueBall GoToSeq GoToSeqS5R2",
        ),
    ),
    Family(
        "babyai-open",
        "Open the doors that the instruction describes.",
        _names(
            "BabyAI-",
            "Open OpenDoor OpenDoorColor OpenDoorDebug OpenDoorLoc OpenDoorsOrderN2 OpenDoorsOrderN2Debug "
            "OpenDoorsOrderN4 OpenDoorsOrderN4Debug OpenRedBlueDoors OpenRedBlueDoorsDebug OpenRedDoor "
            "OpenTwoDoors",
        ),
    ),
    Family(
        "babyai-pickup",
        "Pick up what the instruction describes.",
        _names("BabyAI-", "Pickup PickupAbove PickupDist PickupDistDebug PickupLoc UnblockPickup"),
    ),
    Family(
        "babyai-putnext",
        "Put one thing next to another.",
        _names(
            "BabyAI-",
            "MoveTwoAcrossS5N2 MoveTwoAcrossS8N9 PutNextLocal PutNextLocalS5N3 PutNextLocalS6N4 PutNextS4N1 "
            "PutNextS5N1 PutNextS5N2 PutNextS5N2Carrying PutNextS6N3 PutNextS6N3Carrying PutNextS7N4 "
            "PutNextS7N4Carrying",
        ),
    ),
    Family(
        "babyai-unlock",
        "Find the key and open, or pick up, what is behind the door.",
        _names(
            "BabyAI-",
            "BlockedUnlockPickup KeyInBox Unlock UnlockLocal UnlockLocalDist UnlockPickup UnlockPickupDist "
            "UnlockToUnlock",
        ),
    ),
    Family(
        "babyai-keycorridor",
        "Find the key and pick up the ball behind the locked door.",
        _names(
            "BabyAI-",
            "KeyCorridor KeyCorridorS3R1 KeyCorridorS3R2 KeyCorridorS3R3 KeyCorridorS4R3 KeyCorridorS5R3 "
            "KeyCorridorS6R3",
        ),
    ),
    Family(
        "babyai-other",
        "Find, act on or pick up one object.",
        _names("BabyAI-", "ActionObjDoor FindObjS5 FindObjS6 FindObjS7 OneRoomS12 OneRoomS16 OneRoomS20 OneRoomS8"),
    ),
    Family(
        "babyai-synth",
        "Follow instructions drawn from BabyAI's grammar.",
        _names("BabyAI-", "BossLevel BossLevelNoUnlock MiniBossLevel Synth SynthLoc SynthS5R2 SynthSeq"),
    ),
)

WITH_SUBGOALS = tuple(
    name
    for family in FAMILIES
    if family.page
    in {
        "minigrid-keycorridor",
        "minigrid-multiroom",
        "minigrid-doorkey",
        "minigrid-unlock",
        "minigrid-lockedroom",
    }
    for name in family.names
) + _names("MiniGrid-ObstructedMaze-", "1Dl 1Dlh 1Dlhb")
"""Ids whose subgoals can be read off a level at once."""


def subgoals_name(name: str) -> str:
    """The id of the same environment with subgoals: MiniGrid-Unlock-v0 -> MiniGrid-Unlock-Subgoals-v0."""
    return f"{name[:-3]}-Subgoals{name[-3:]}"
