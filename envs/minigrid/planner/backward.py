"""The easier game of `bound.py`, one action back: what may come before a node, and what it must have been like then."""

from typing import NamedTuple

from .. import cells
from .board import NO_POSES, Poses, anywhere, bits
from .goals import Aim, Clause
from .needs import Needs
from .world import NOTHING

# Hands; else the set of things of which one must be held. LET_GO is EMPTY before anything but a step forward: what was
# put down in front is in the way.
LET_GO, ANY, EMPTY = -2, -1, 0


class Key(NamedTuple):
    """What is still to do, what the hand must hold, and what must have happened."""

    pending: int
    hand: int
    needs: int


class Way(NamedTuple):
    """From a node to one before it: at `poses`, an action (or, at cost 0, a look) that leads from there to here."""

    poses: Poses
    key: Key
    cost: int


def fits(hand: int, carried: int) -> bool:
    """Whether a hand that carries a thing, or NOTHING, is as a node wants it."""
    if hand <= EMPTY:
        return hand == ANY or (hand == EMPTY and carried == NOTHING)
    return carried != NOTHING and bool(hand >> carried & 1)


def is_weaker(a: int, b: int) -> bool:
    """Whether whatever is as hand b wants it is as a wants it."""
    return a == b or (a == ANY and b != LET_GO) or (b > 0 and not b & ~max(a, 0))


def ways_back(needs: Needs, done: frozenset[int], key: Key) -> tuple[list[Way], list[Way]]:
    """(actions, looks) before the node `key`; those that only turn or step are not among them.

    Args:
      done: sets of pending clauses that count as success.
    """
    back = _Backward(needs, key)
    back.meet_by_pose()
    if key.hand == LET_GO:
        back.meet_by_putting()
        if key.pending not in done:
            back.put_down()
        return back.acts, back.looks
    if key.pending not in done:
        back.open_doors()
        back.move_things()
        for i in bits(max(key.hand, 0)):
            back.take(i, key.pending)
        if key.hand == EMPTY and needs.empty_boxes:
            back.break_box()
    back.meet_by_opening()
    back.meet_by_taking()
    return back.acts, back.looks


class _Backward:
    """Collects the ways back from one node."""

    def __init__(self, needs: Needs, key: Key):
        self.known = needs
        self.task = needs.task
        self.world = needs.world
        self.pending, self.hand, self.needs = key
        self.acts: list[Way] = []
        self.looks: list[Way] = []

    def _act(self, poses: Poses, hand: int, needs: int, pending: int | None = None, cost: int = 1) -> None:
        if any(poses):
            self.acts.append(Way(poses, Key(self.pending if pending is None else pending, hand, needs), cost))

    def _look(self, poses: Poses, needs: int, pending: int) -> None:
        if any(poses):
            self.looks.append(Way(poses, Key(pending, self.hand, needs), 0))

    def _at(self, cell: int) -> Poses:
        return self.known.facing(1 << cell) if cell != NOTHING else NO_POSES

    def _hand_with(self, things: int) -> int:
        """The hand that is both as this node wants it and one of `things`; EMPTY where there is none."""
        return things if self.hand == ANY else max(self.hand, 0) & things

    def open_doors(self) -> None:
        """Fulfils the needs of open doors."""
        for i, door in enumerate(self.world.doors):
            need = self.known.opened[i] & self.needs
            locked = door.state == cells.LOCKED
            hand = self._hand_with(self.world.keys[door.color]) if locked else self.hand
            if need and (hand or not locked):
                self._act(self._at(door.cell), hand, self.needs & ~need)
            if need and self.known.released[i]:
                self._act(self._at(door.cell), self.hand, self.needs & ~need | self.known.released[i])

    def move_things(self) -> None:
        """Fulfils the needs of things that are not where, or in what, they were at reset."""
        for i, thing in enumerate(self.world.things):
            if thing.holder == NOTHING:
                self._move(i)

    def _move(self, i: int) -> None:
        thing, hand, needs = self.world.things[i], self.hand, self.needs
        left, unboxed, content = self.known.left[i], self.known.unboxed[i], thing.content
        here = self._at(thing.origin)
        if needs & left:
            if fits(hand, i):
                self._act(here, EMPTY, needs & ~left)
            if thing.kind == cells.BOX and content == NOTHING:
                self._act(here, hand, needs & ~left)
            if content != NOTHING and fits(hand, content):
                self._act(here, EMPTY, needs & ~left | unboxed)
            if content != NOTHING and self.world.things[content].kind == cells.BOX:
                # A box that came out of another is empty, and may be broken like any.
                self._act(here, hand, needs & ~left | unboxed)
        if content == NOTHING:
            return
        if needs & unboxed and not needs & left:
            # What a box holds is left where it stood.
            self._act(here, hand, needs & ~unboxed)
        if needs & self.known.lies[content]:
            self._on_moved(hand, needs & ~self.known.lies[content] & ~unboxed | self.known.lies[i])

    def _on_moved(self, hand: int, needs: int, pending: int | None = None) -> None:
        """An action on a thing that lies somewhere, perhaps since it was put down just before."""
        poses = self.known.to_vacant
        self._act(poses, hand, needs, pending)
        if hand in (ANY, EMPTY):
            self._act(poses, LET_GO, needs, pending)

    def take(self, i: int, pending: int, first_time: bool = False) -> None:
        """The ways to take up a thing: where it was at reset, or where it lies since.

        Args:
          first_time: whether it was never taken before.
        """
        thing, needs = self.world.things[i], self.needs & ~self.known.left[i]
        unboxed = self.known.unboxed[thing.holder] if thing.holder != NOTHING else 0
        self._act(self._at(thing.origin), EMPTY, needs | unboxed, pending)
        if self.known.lies[i] and not first_time:
            self._on_moved(EMPTY, needs & ~unboxed | self.known.lies[i], pending)

    def break_box(self) -> None:
        """An empty box is put down and broken at once."""
        self._act(self.known.to_vacant, self.known.empty_boxes, self.needs, cost=2)

    def put_down(self) -> None:
        """Something is put down: any thing, or one that must lie somewhere."""
        self._act(self.known.to_vacant, ANY, self.needs)
        if self.needs & self.known.any_lies:
            for i, need in enumerate(self.known.lies):
                if self.needs & need:
                    self._act(self.known.to_vacant, 1 << i, self.needs & ~need)

    def _before(self, met: list[int]) -> list[int]:
        """What may have been pending before one action that meets some of the clauses `met`."""
        sets = [0]
        for i in met:
            sets += [s | 1 << i for s in sets]
        pending = [self.pending | s for s in sets if s]
        return [p for p in pending if self.task.order_allows(p)]

    def _met(self, aim: Aim) -> list[tuple[int, Clause]]:
        """The clauses of this kind that are no longer pending."""
        met = [(i, clause) for i, clause in enumerate(self.task.clauses) if not self.pending >> i & 1]
        return [(i, clause) for i, clause in met if clause.aim is aim]

    def meet_by_pose(self) -> None:
        """Clauses met by standing, looking or saying so."""
        for i, clause in self._met(Aim.STAND):
            for pending in self._before([i]):
                self._look(anywhere(clause.cells), self.needs, pending)
        for i, clause in self._met(Aim.SAY):
            for pending in self._before([i]):
                self._act(anywhere(clause.cells & self.known.stand), self.hand, self.needs, pending)
        for i, clause in self._met(Aim.FACE):
            for pending in self._before([i]):
                self._look(self.known.facing(clause.cells), self.needs, pending)
                for j in bits(clause.things & ~self.known.meets_when_taken(i)):
                    self._look(self.known.to_vacant, self.needs | self.known.lies[j], pending)

    def meet_by_opening(self) -> None:
        """Clauses met by opening a door."""
        clauses = self._met(Aim.OPEN)
        for i in range(len(self.world.doors)):
            met = [(j, clause) for j, clause in clauses if clause.doors >> i & 1]
            for pending in self._before([j for j, _ in met]):
                self._open(i, pending, [clause for j, clause in met if pending >> j & 1])

    def _open(self, i: int, pending: int, met: list[Clause]) -> None:
        door, need = self.world.doors[i], self.known.opened[i]
        needs = self.needs & ~need
        for clause in met:
            for j in bits(clause.needs):
                needs |= self.known.opened[j]
        if door.state != cells.OPEN:
            locked = door.state == cells.LOCKED
            hand = self._hand_with(self.world.keys[door.color]) if locked else self.hand
            if hand or not locked:
                self._act(self._at(door.cell), hand, needs, pending)
        # An open door is closed first; of one that was open or locked at reset, that may have been done.
        self._act(self._at(door.cell), self.hand, needs | need, pending, cost=2)
        for closed in (self.known.shut[i], self.known.released[i]):
            if closed:
                self._act(self._at(door.cell), self.hand, needs | closed, pending)

    def meet_by_taking(self) -> None:
        """Clauses met by taking up a thing."""
        clauses = self._met(Aim.TAKE)
        for i in range(len(self.world.things)):
            met = [j for j, clause in clauses if clause.things >> i & 1]
            if met and fits(self.hand, i):
                for pending in self._before(met):
                    now = [j for j in met if pending >> j & 1]
                    self.take(i, pending, any(self.known.meets_when_taken(j) >> i & 1 for j in now))

    def meet_by_putting(self) -> None:
        """Clauses met by putting a thing down."""
        clauses = self._met(Aim.PUT)
        for pending in self._before([i for i, _ in clauses]):
            hand = near = -1
            fixed = 0
            for i, clause in clauses:
                if pending >> i & 1:
                    hand &= clause.things
                    near &= clause.cells
                    fixed |= clause.fixed
            if hand:
                self._put(pending, hand, self.needs, near & self.world.vacant, fixed)
            for i in bits(hand):
                if self.needs & self.known.lies[i]:
                    # What is put down lies elsewhere from then on.
                    self._put(pending, 1 << i, self.needs & ~self.known.lies[i], near & self.world.vacant, fixed)

    def _put(self, pending: int, hand: int, needs: int, near: int, fixed: int) -> None:
        """A thing of `hand` is put in one of the cells `near`, or near one of the things `fixed`."""
        self._act(self.known.facing(near & self.known.ground), hand, needs, pending)
        for cell in bits(near & ~self.known.ground):
            self._act(self._at(cell), hand, needs | self.known.of_cell.get(cell, 0), pending)
        for i in bits(fixed):
            self._act(self.known.to_vacant, hand, needs | self.known.lies[i], pending)
