"""What must have happened for an action to be possible, as bits: the vocabulary of `bound.py`.

Needs are fulfilled by a world or not: a door stands open, a thing has left the cell where it was at reset, a box was
opened, a thing lies elsewhere than at reset.
"""

import dataclasses

from .. import cells
from .board import Poses, anywhere, bits, both
from .goals import Aim, Task
from .world import NOTHING, Config


@dataclasses.dataclass(frozen=True)
class Coarseness:
    """How much an easier game leaves out.

    Attributes:
      blockers: how many things are in the way where nobody moved them, counted from success backward.
    """

    blockers: int = 1000


class Needs:
    """Numbers the needs of a task; a set of them is an int. 0 stands for a need that is always fulfilled.

    Attributes:
      opened: by door.
      shut, released: by door that a clause wants opened, hence that may be closed again: it was open at reset and is
        not now; it was locked and is not now.
      left: by thing; what is in a box leaves the box's origin.
      unboxed: by box.
      useful: things that a clause asks for, keys of locked doors, and the boxes that hold such.
      lies: by thing, 0 for those that are of no use: it lies elsewhere than at reset.
      of_cell: the need without which a cell cannot be entered.
      stand: cells where the agent may stand when success is still to come: what ends the episode does so when entered,
        not if the agent is there from the start.
      to_vacant: poses before a cell where a thing may lie.
      ground: cells that can be entered without a need.
    """

    def __init__(self, task: Task, coarseness: Coarseness):
        self.task = task
        self.world = world = task.world
        doors, things = len(world.doors), len(world.things)
        self.opened = [1 << i if door.state != cells.OPEN else 0 for i, door in enumerate(world.doors)]
        holders = [i if thing.holder == NOTHING else thing.holder for i, thing in enumerate(world.things)]
        self.left = [1 << doors + i if world.things[i].origin != NOTHING else 0 for i in holders]
        self.unboxed = [1 << doors + things + i if t.content != NOTHING else 0 for i, t in enumerate(world.things)]
        self._set_reopened(doors + 2 * things)
        shift, self.useful = 3 * doors + 2 * things, self._useful()
        self.lies = [1 << shift + i if self.useful >> i & 1 else 0 for i in range(things)]
        self.any_lies = -1 << shift
        empty = [i for i, thing in enumerate(world.things) if thing.kind == cells.BOX and thing.content == NOTHING]
        self.empty_boxes = sum(1 << i for i in empty)
        self.empty_boxes_lie = sum(self.lies[i] for i in empty)
        self.any_left = (1 << things) - 1 << doors
        self.of_cell = {door.cell: need for door, need in zip(world.doors, self.opened, strict=True) if need}
        self.blockers = coarseness.blockers
        if coarseness.blockers:
            self.of_cell |= {t.origin: self.left[i] for i, t in enumerate(world.things) if t.origin != NOTHING}
        self.stand = (world.floor | world.doorways) & ~(task.success | task.failure) | 1 << world.pose.cell
        if any(clause.aim is Aim.FACE for clause in task.clauses):
            self.stand |= task.failure  # the look that succeeds may be the one of the step that ends the episode
        self.to_vacant = self.facing(world.vacant)
        self.ground = (self.stand | task.success) & ~sum(1 << cell for cell in self.of_cell)

    def _set_reopened(self, shift: int) -> None:
        doors, wanted = self.world.doors, 0
        for clause in self.task.clauses:
            wanted |= clause.doors if clause.aim is Aim.OPEN else 0
        both_kinds = ((cells.OPEN, shift), (cells.LOCKED, shift + len(doors)))
        self.shut, self.released = (
            [1 << offset + i if wanted >> i & 1 and door.state == state else 0 for i, door in enumerate(doors)]
            for state, offset in both_kinds
        )
        self._reopened = [i for i in range(len(doors)) if self.shut[i] or self.released[i]]

    def _useful(self) -> int:
        useful = 0
        for clause in self.task.clauses:
            useful |= clause.things | clause.fixed
        for door in self.world.doors:
            useful |= self.world.keys[door.color] if door.state == cells.LOCKED else 0
        for i, thing in enumerate(self.world.things):
            if useful >> i & 1 and thing.holder != NOTHING:
                useful |= 1 << thing.holder
        return useful

    def facing(self, places: int) -> Poses:
        """The poses that look at one of `places`."""
        return both(self.world.board.facing(places), anywhere(self.stand))

    def meets_when_taken(self, i: int) -> int:
        """The things of clause i that meet it, at the latest, when they are first taken: none lies elsewhere before.

        So it is with a clause that is asked from the start, and with things that lie open to the eye.
        """
        if self.task.first and not self.task.first >> i & 1:
            return 0
        outside = [thing.origin != NOTHING and thing.holder == NOTHING for thing in self.world.things]
        return sum(1 << j for j in bits(self.task.clauses[i].things) if outside[j])

    def truth(self, config: Config) -> int:
        """The needs that a world fulfills."""
        truth = config.opened
        for i in self._reopened:
            truth |= 0 if config.opened >> i & 1 else self.shut[i]
            truth |= 0 if config.locked >> i & 1 else self.released[i]
        start = self.world.start.places
        for i, (place, was) in enumerate(zip(config.places, start, strict=True)):
            if place == was:
                continue
            thing = self.world.things[i]
            if place >= 0 and place != thing.origin:
                truth |= self.lies[i]
            if thing.holder == NOTHING:
                content = thing.content
                opened = content != NOTHING and config.places[content] != start[content]
                if opened:
                    truth |= self.unboxed[i]
                if (config.places[content] if opened else place) != thing.origin:
                    truth |= self.left[i]
        for i, cell in config.stale:
            # What is believed to lie somewhere counts as lying there.
            if cell != self.world.things[i].origin:
                truth |= self.lies[i]
        return truth
