"""Plans without search for levels too cluttered for it: one errand after the other, as a patient person would.

To get somewhere, the agent walks; what is in its way it carries aside, and for a locked door it fetches the key. What
it had in its hands it puts down before and takes up again after. Such a plan is seldom shortest.
"""

import heapq
from collections.abc import Iterable

from .. import cells
from ..core import DONE, DROP, FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE
from .board import bits
from .goals import Aim, Clause, Outcome, PlanningError, Task
from .search import Branch
from .world import INSIDE, NOTHING, Pose

THING_COST, LOCK_COST = 12, 40  # detours, in steps, that are worth it
MOST_DEEP = 16  # errands within errands


class StuckError(PlanningError):
    """An errand that cannot be done, or not in time."""


class _ClauseMet(Exception):
    """Ends the errands."""


def run_errands(task: Task, start: Branch, clause: int, most: int) -> Branch:
    """A plan that meets a clause, after `start`.

    Raises:
      StuckError: no such plan was found with at most `most` actions in all.
    """
    agent = _Agent(task, start, clause, most)
    try:
        agent.meet(task.clauses[clause])
    except _ClauseMet:
        return Branch(tuple(agent.actions), agent.pose, agent.config)
    raise StuckError("planner: a clause was not met by what should meet it")


class _Agent:
    """Where the agent is, and what it did."""

    def __init__(self, task: Task, start: Branch, clause: int, most: int):
        self.task, self.world, self.board = task, task.world, task.world.board
        self.clause, self.most = clause, most
        self.actions = list(start.actions)
        self.pose, self.config = start.pose, start.config
        self.depth = 0
        self.shut: set[int] = set()  # locked doors on the way to whose keys one cannot pass them

    def act(self, action: int) -> None:
        """Takes one action.

        Raises:
          _ClauseMet: it met the clause, or ended the episode with success.
          StuckError: it ended the episode otherwise, or was one too many.
        """
        outcome, self.pose, self.config = self.task.step(self.pose, self.config, action)
        self.actions.append(action)
        if len(self.actions) > self.most or outcome is Outcome.FAILURE:
            raise StuckError("planner: an errand failed, or took too long")
        if outcome is Outcome.SUCCESS or not self.config.pending >> self.clause & 1:
            raise _ClauseMet

    def meet(self, clause: Clause) -> None:
        """Does what meets a clause."""
        if clause.aim in (Aim.STAND, Aim.SAY):
            if clause.aim is Aim.STAND and clause.cells >> self.pose.cell & 1:
                # It is met by entering, so the agent leaves first.
                self.reach(0, stand=self.board.beside(1 << self.pose.cell))
            self.reach(0, stand=clause.cells)
            self.act(DONE)
        elif clause.aim is Aim.FACE:
            self.face(clause)
        elif clause.aim is Aim.OPEN:
            for door in bits(clause.needs & ~self.config.opened):
                self.open(1 << door)
            self.open(clause.doors)
        elif clause.aim is Aim.TAKE:
            if self.carries(clause.things):
                self.put_down(0)
            self.fetch(clause.things)
        else:
            self.put(clause)

    def face(self, clause: Clause) -> None:
        """Looks at what a clause speaks of."""
        while True:
            cells_ = self.task.lookouts(self.config._replace(pending=1 << self.clause))
            if not cells_ and self.carries(clause.things):
                self.put_down(0)
                return
            if self.world.front(self.pose) in cells_:
                self.act(DONE)
                return
            self.reach(_set(cells_))  # on the way the agent may carry it elsewhere

    def put(self, clause: Clause) -> None:
        """Puts one thing of a clause where the clause wants it."""
        while True:
            if not self.carries(clause.things):
                self.fetch(clause.things)
            free = self.free(self.around(clause))
            if free >> self.world.front(self.pose) & 1:
                if self.config.fresh:
                    self.act(DONE)
                self.act(DROP)
                return
            if free:
                self.reach(free)
                continue
            taken = self.around(clause) & _set(place for place in self.config.places if place >= 0)
            self.reach(taken)
            if self.world.front(self.pose) in self.config.places:
                self.clear(self.world.front(self.pose), self.around(clause))

    def around(self, clause: Clause) -> int:
        """The cells where a clause wants something put, as things lie now: on the way they may be carried elsewhere."""
        near = self.world.places_of(self.config, clause.fixed, clause.doors)
        return self.board.beside(_set(near)) if near else clause.cells

    def free(self, cells_: int) -> int:
        """Those of `cells_` that something can be put into."""
        return cells_ & self.world.vacant & self.world.passable(self.config)

    def carries(self, things: int) -> bool:
        """Whether one of `things` is carried."""
        return self.config.carried != NOTHING and bool(things >> self.config.carried & 1)

    def open(self, doors: int) -> None:
        """Opens one of `doors`, after closing it if need be."""
        self.reach(sum(1 << self.world.doors[i].cell for i in bits(doors)))
        door = self.world.door_at[self.world.front(self.pose)]
        if self.config.locked >> door & 1:
            self.unlock(door)
        else:
            if self.config.opened >> door & 1:
                self.act(TOGGLE)
            self.act(TOGGLE)

    def fetch(self, things: int) -> None:
        """Takes up one of `things`, whatever is carried now."""
        while not self.carries(things):  # whatever was looked for may be carried elsewhere on the way to it
            boxes = _set(
                t.holder for i, t in enumerate(self.world.things) if things >> i & 1 and self.config.places[i] == INSIDE
            )
            lying = _set(self.world.places_of(self.config, things | boxes))
            if not lying and self.carries(boxes):
                self.put_down(0)
                continue
            self.reach(lying)
            front = self.world.front(self.pose)
            there = self.thing_at(front)
            if there == NOTHING:
                continue
            if boxes >> there & 1 and not things >> there & 1:
                self.act(TOGGLE)
            elif (things >> there & 1) and self.config.carried != NOTHING:
                self.put_down(1 << front | 1 << self.pose.cell)
            elif things >> there & 1:
                self.act(PICK_UP)

    def thing_at(self, cell: int) -> int:
        """What lies in a cell, or NOTHING."""
        return self.config.places.index(cell) if cell in self.config.places else NOTHING

    def unlock(self, door: int) -> None:
        """Opens a locked door with its key; ends with the hands as they were."""
        keys, carried = self.world.keys[self.world.doors[door].color], self.config.carried
        while self.config.locked >> door & 1:
            if not self.carries(keys):
                self.shut.add(door)
                self.fetch(keys)
                self.shut.discard(door)
                self.reach(1 << self.world.doors[door].cell)
            if self.carries(keys):
                self.act(TOGGLE)
        if carried not in (NOTHING, self.config.carried):
            self.fetch(1 << carried)

    def clear(self, cell: int, way: int) -> None:
        """Removes what lies in `cell`, in front, and not to a cell of `way`; ends with the hands as they were."""
        thing = self.config.places.index(cell)
        if self.world.things[thing].kind == cells.BOX and not self.is_useful(thing):
            self.act(TOGGLE)
            return
        carried = self.config.carried
        if carried != NOTHING:
            self.put_down(way)
            self.reach(1 << cell)
        if self.config.carried == NOTHING and self.thing_at(cell) != NOTHING:
            self.act(PICK_UP)
        if self.config.carried != NOTHING:
            self.put_down(way)
        if carried != NOTHING:
            self.fetch(1 << carried)

    def is_useful(self, thing: int) -> bool:
        """Whether a thing is asked for by a clause, or holds anything."""
        inside = self.world.things[thing].content
        return inside != NOTHING or any((c.things | c.fixed) >> thing & 1 for c in self.task.clauses)

    def put_down(self, way: int) -> None:
        """Puts down what is carried, in reach, not on `way` nor where it would be in the way elsewhere."""
        walk = self.world.passable(self.config)
        vacant = self.world.vacant & walk
        for choice in (self.roomy(walk) & vacant & ~way, vacant & ~way, vacant):
            route = self.route(choice, 0, patient=False)
            if route is not None:
                self.follow(route)
                self.act(DROP)
                return
        raise StuckError("planner: nowhere to put something down")

    def roomy(self, walk: int) -> int:
        """Cells beside no door that can be blocked without separating the cells around them."""
        steps, ground, found = self.board.steps, walk | self.world.doorways, 0
        for cell in bits(walk & ~self.board.beside(self.world.doorways)):
            sides = [ground >> cell + step & 1 for step in steps]
            corners = [ground >> cell + steps[i] + steps[(i + 1) % 4] & 1 for i in range(4)]
            links = sum(sides[i] & corners[i] & sides[(i + 1) % 4] for i in range(4))
            found |= (sum(sides) - links <= 1) << cell
        return found

    def reach(self, face: int, stand: int = 0) -> None:
        """Goes to where the agent faces one of the cells `face`, or stands on one of `stand`."""
        self.depth += 1
        if self.depth > MOST_DEEP:
            raise StuckError("planner: an errand needs itself")
        while True:
            route = self.route(face, stand, patient=True)
            if route is None:
                raise StuckError("planner: an errand leads nowhere")
            if self.follow(route):
                break
        self.depth -= 1

    def follow(self, route: list[Pose]) -> bool:
        """Walks along a route; stops after removing the first obstacle, and says whether there was none."""
        way = sum({1 << pose.cell for pose in route})
        for pose in route:
            if pose.cell == self.pose.cell:
                self.act(LEFT if (pose.direction - self.pose.direction) % 4 == 3 else RIGHT)
                continue
            if pose.cell in self.config.places:
                self.clear(pose.cell, way)
                return False
            door = self.world.door_at.get(pose.cell, NOTHING)
            if door != NOTHING and self.config.locked >> door & 1:
                self.unlock(door)
                return False
            if door != NOTHING and not self.config.opened >> door & 1:
                self.act(TOGGLE)
            self.act(FORWARD)
        return True

    def route(self, face: int, stand: int, patient: bool) -> list[Pose] | None:
        """The cheapest poses to a goal, without the first.

        Args:
          patient: whether what is in the way may be removed.
        """
        ends = self.board.facing(face)
        parents: dict[Pose, Pose | None] = {self.pose: None}
        costs = {self.pose: 0}
        queue = [(0, self.pose)]
        while queue:
            cost, pose = heapq.heappop(queue)
            if cost > costs[pose]:
                continue
            if ends[pose.direction] >> pose.cell & 1 or stand >> pose.cell & 1:
                return self._back(pose, parents)
            for after, price in self._moves(pose, patient):
                if cost + price < costs.get(after, 1 << 30):
                    costs[after], parents[after] = cost + price, pose
                    heapq.heappush(queue, (cost + price, after))
        return None

    def _back(self, pose: Pose, parents: dict[Pose, Pose | None]) -> list[Pose]:
        route = []
        before = parents[pose]
        while before is not None:
            route.append(pose)
            pose, before = before, parents[before]
        return route[::-1]

    def _moves(self, pose: Pose, patient: bool) -> list[tuple[Pose, int]]:
        moves = [(Pose(pose.cell, (pose.direction + turn) % 4), 1) for turn in (1, 3)]
        front = self.world.front(pose)
        price = self._price(front, patient)
        return moves if price is None else [*moves, (Pose(front, pose.direction), price)]

    def _price(self, cell: int, patient: bool) -> int | None:
        """What entering a cell costs; None if that is impossible."""
        door = self.world.door_at.get(cell, NOTHING)
        if door != NOTHING:
            if not self.config.locked >> door & 1:
                return 1 if self.config.opened >> door & 1 else 2
            return LOCK_COST if patient and door not in self.shut else None
        if cell in self.config.places:
            return THING_COST if patient else None
        return 1 if (self.world.floor | self.task.success) & ~self.task.failure & 1 << cell else None


def _set(cells_: Iterable[int]) -> int:
    total = 0
    for cell in cells_:
        total |= 1 << cell
    return total
