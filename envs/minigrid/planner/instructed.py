"""BabyAI's instructions on the host; the rule is `instructions.FollowInstruction`."""

import dataclasses
from typing import Any

import numpy as np

from .. import instructions
from ..core import DROP, PICK_UP, TOGGLE
from .board import bits
from .goals import Aim, Clause, Outcome, Task
from .world import NOTHING, Config, World

_AIMS = {
    instructions.GO_TO: Aim.FACE,
    instructions.OPEN: Aim.OPEN,
    instructions.PICK: Aim.TAKE,
    instructions.PUT_NEXT: Aim.PUT,
}


@dataclasses.dataclass(frozen=True)
class InstructedTask(Task):
    """An instruction of up to four clauses.

    Attributes:
      strict: clauses of which handling another object fails.
      strict_order: whether meeting the second side first fails.
      beliefs: where things that cannot be seen there are believed to be at reset, see `Config.stale`.
    """

    strict: int = 0
    strict_order: bool = False
    beliefs: tuple[tuple[int, int], ...] = ()

    @property
    def start(self) -> Config:
        # What the agent held is compared from the second step on, so only then may it be put down with success.
        fresh = self.world.start.carried != NOTHING
        config = self.world.start._replace(pending=(1 << len(self.clauses)) - 1, fresh=fresh)
        return config._replace(stale=self._followed(config.pending, self.beliefs))

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        after = self._observed(before, after, action, front)
        held = NOTHING if before.fresh else before.carried
        pending = before.pending
        first, second = pending & self.first, pending & ~self.first
        if first:
            met, fails = self._ask(first, held, after, action, front)
            pending &= ~met
            if fails:
                return Outcome.FAILURE, after
        if not pending & self.first:
            # The second side is asked in the very step that meets the first, and then for the first time.
            held = NOTHING if first and not self.strict_order else held
            met, fails = self._ask(second, held, after, action, front)
            pending &= ~met
            if fails:
                return Outcome.FAILURE, after
        elif self.strict_order:
            met, _ = self._ask(second, held, after, action, front)
            pending &= ~met
            if not pending & ~self.first:
                return Outcome.FAILURE, after
        after = after._replace(pending=pending, fresh=False, stale=self._followed(pending, after.stale))
        return Outcome.GOES_ON if pending else Outcome.SUCCESS, after

    def lookouts(self, config: Config) -> tuple[int, ...]:
        active = config.pending & self.first or config.pending
        if self.strict_order:
            active = config.pending
        asked = [self.clauses[i] for i in bits(active) if self.clauses[i].aim is Aim.FACE]
        return tuple({cell for clause in asked for cell in self._believed(clause, config)})

    def order_allows(self, pending: int) -> bool:
        # Under a strict order both sides are asked from the start: of two clauses of the second, one may be met early.
        early = self.strict_order and bool(pending & ~self.first)
        return early or super().order_allows(pending)

    def drop_matters(self, config: Config) -> int:
        near = 0
        for i in bits(config.pending):
            clause = self.clauses[i]
            if clause.things >> config.carried & 1:
                if clause.aim is Aim.FACE:
                    return self.world.vacant
                if clause.aim is Aim.PUT:
                    near |= self.world.board.beside(_cells(self.world.places_of(config, clause.fixed, clause.doors)))
        return near

    def _observed(self, before: Config, after: Config, action: int, front: int) -> Config:
        """`after` with the beliefs about what was taken or broken in front, which last until the next drop."""
        if action == DROP:
            return after._replace(stale=())
        gone = [i for i, place in enumerate(before.places) if place == front and after.places[i] != front]
        return after._replace(stale=(*after.stale, *((i, front) for i in gone))) if gone else after

    def _followed(self, pending: int, stale: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """The beliefs that a pending clause still asks for."""
        faced = 0
        for i in bits(pending):
            if self.clauses[i].aim is Aim.FACE:
                faced |= self.clauses[i].things
        return tuple(sorted(belief for belief in stale if faced >> belief[0] & 1))

    def _believed(self, clause: Clause, config: Config) -> list[int]:
        """The cells where an instruction sees the things and doors of a clause."""
        stale = dict(config.stale)
        places = [stale.get(i, config.places[i]) for i in bits(clause.things)]
        return [place for place in places if place >= 0] + [self.world.doors[i].cell for i in bits(clause.doors)]

    def _ask(self, clauses: int, held: int, after: Config, action: int, front: int) -> tuple[int, bool]:
        """(the clauses that are met, whether one fails)."""
        met, fails = 0, False
        for i in bits(clauses):
            success, failure = self._asked(self.clauses[i], held, after, action, front)
            met |= success << i
            fails |= failure and bool(self.strict >> i & 1)
        return met, fails

    def _asked(self, clause: Clause, held: int, after: Config, action: int, front: int) -> tuple[bool, bool]:
        """Whether the clause is met, and whether it fails if strict."""
        takes = action == PICK_UP and after.carried != NOTHING
        if clause.aim is Aim.FACE:
            return front in self._believed(clause, after), False
        if clause.aim is Aim.OPEN:
            door = self.world.door_at.get(front, NOTHING) if action == TOGGLE else NOTHING
            opens = door != NOTHING and bool(clause.doors & after.opened & 1 << door)
            return opens, door != NOTHING and not opens
        if clause.aim is Aim.TAKE:
            wanted = takes and held == NOTHING and bool(clause.things >> after.carried & 1)
            return wanted, takes and not wanted
        belongs = action == DROP and held != NOTHING and bool(clause.things >> held & 1) and after.places[held] >= 0
        return belongs and self._lies_beside(after, held, clause), takes

    def _lies_beside(self, config: Config, thing: int, clause: Clause) -> bool:
        beside = self.world.board.beside(1 << config.places[thing])
        return any(beside >> place & 1 for place in self.world.places_of(config, clause.fixed, clause.doors))


def instructed_task(world: World, goal: instructions.Instruction) -> Task:
    """The task of a level's instruction of NumPy arrays, at reset."""
    kinds = np.asarray(goal.kind)
    slots = [slot for slot in range(4) if kinds[slot] != instructions.NO_CLAUSE and _is_used(goal, slot)]
    first_side = (0, 1) if int(goal.order) != instructions.AFTER else (2, 3)
    sequence = int(goal.order) != instructions.ONE_SIDE
    strict = [slot for slot in slots if bool(goal.strict[slot]) and not bool(goal.both[slot // 2])]
    return InstructedTask(
        world,
        tuple(_clause(world, goal, slot) for slot in slots),
        first=sum(1 << i for i, slot in enumerate(slots) if sequence and slot in first_side),
        success=world.goals,
        failure=world.lava,
        strict=sum(1 << i for i, slot in enumerate(slots) if slot in strict),
        strict_order=sequence and bool(goal.strict_order),
        beliefs=_beliefs(world, goal),
    )


def _is_used(goal: instructions.Instruction, slot: int) -> bool:
    side, second = divmod(slot, 2)
    return (side == 0 or int(goal.order) != instructions.ONE_SIDE) and (second == 0 or bool(goal.both[side]))


def _beliefs(world: World, goal: instructions.Instruction) -> tuple[tuple[int, int], ...]:
    """Where things that are not seen in the grid are believed to be: what the agent carries from the start."""
    carried = world.start.carried
    if carried == NOTHING or int(goal.known_x[world.things[carried].number]) == instructions.NOWHERE:
        return ()
    number = world.things[carried].number
    return ((carried, world.board.cell(int(goal.known_x[number]), int(goal.known_y[number]))),)


def _clause(world: World, goal: instructions.Instruction, slot: int) -> Clause:
    aim = _AIMS[int(goal.kind[slot])]
    things, doors = _members(world, goal.moved[slot])
    if aim is Aim.FACE:
        seen = sum(1 << i for i in bits(things) if world.things[i].holder == NOTHING)
        beliefs = dict(_beliefs(world, goal))
        places = [beliefs.get(i, world.things[i].origin) for i in bits(seen)]
        looked_at = _cells([place for place in places if place != NOTHING]) | _door_cells(world, doors)
        return Clause(aim, looked_at, things=seen, doors=doors)
    if aim is not Aim.PUT:
        return Clause(aim, things=things, doors=doors)
    fixed, beside_doors = _members(world, goal.fixed[slot])
    fixed = sum(1 << i for i in bits(fixed) if world.things[i].holder == NOTHING)
    origins = _cells([world.things[i].origin for i in bits(fixed) if world.things[i].origin != NOTHING])
    near = world.board.beside(origins | _door_cells(world, beside_doors))
    return Clause(aim, near, things=things, doors=beside_doors, fixed=fixed)


def _members(world: World, numbers: Any) -> tuple[int, int]:
    """(things, doors) of a set (O,) bool of object numbers."""
    numbers = np.asarray(numbers)
    things = sum(1 << i for i, thing in enumerate(world.things) if numbers[thing.number])
    return things, sum(1 << i for i, door in enumerate(world.doors) if numbers[door.number])


def _cells(places: list[int]) -> int:
    cells = 0
    for place in places:
        cells |= 1 << place
    return cells


def _door_cells(world: World, doors: int) -> int:
    return _cells([world.doors[i].cell for i in bits(doors)])
