"""Shortest plans by breadth-first search over the exact mechanics, all poses of one world at once.

For one value of everything but the pose, the poses reached after t actions are a set of bits, and one step of all of
them is a few shifts. What handles a thing or a door leads to another such value. A pose is dropped if the bound says
that success from there takes more than the actions that are left; these are raised one by one from the bound at the
start, so the first plan found is a shortest one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from .. import cells
from ..core import DONE, DROP, FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE
from .board import NO_POSES, Poses, add, anywhere, bits, both, either
from .bound import Bound
from .goals import Aim, Outcome, PlanningError, Task
from .world import NOTHING, Config, Pose

LOOK = -1  # in place of an action: the pose has met a clause by what it looks at
NUM_ACTIONS = 7


class BudgetError(PlanningError):
    """A search that took more work than allowed."""


class Branch(NamedTuple):
    """A pose in a world, and the actions that led there."""

    actions: tuple[int, ...]
    pose: Pose
    config: Config


class _End(NamedTuple):
    """A success: `action`, or none, at `pose`, which was reached at `moment`; `config` is the world after it."""

    node: "_Node"
    pose: Pose
    moment: int
    action: int
    config: Config


class _Way(NamedTuple):
    """What a handling leads to."""

    outcome: Outcome
    config: Config
    truth: int
    masks: list[Poses]


class _Node:
    """One value of all but the pose: how one moves in it and leaves it, and when each pose was first reached."""

    __slots__ = (
        *(
            "config",
            "drop_matters",
            "ending",
            "handlings",
            "linked",
            "looked",
            "looks",
            "masks",
            "moments",
            "run",
            "say",
        ),
        *("seen", "touched", "truth", "vacant", "walk", "ways"),
    )

    def __init__(self, task: Task, bound: Bound, config: Config, truth: int, spared: int):
        world = task.world
        carries = config.carried != NOTHING
        self.config = config
        self.truth = truth
        passable, ending = world.passable(config), task.success | task.failure
        self.walk = passable & ~ending
        self.ending = passable & ending
        self.vacant = world.vacant & self.walk if carries else 0
        self.masks = bound.masks(config.pending, config.carried, truth)
        self.drop_matters = task.drop_matters(config) if carries else 0
        self.handlings = [
            (world.board.facing(1 << cell), cell, action) for cell, action in _handlings(task, config, spared)
        ]
        self.touched = NO_POSES
        for poses, _, _ in self.handlings:
            self.touched = either(self.touched, poses)
        self.looks = [(world.board.facing(1 << cell), cell) for cell in task.lookouts(config)]
        self.say = sum(clause.cells for clause in task.clauses if clause.aim is Aim.SAY)
        self.ways: dict[tuple[int, int], _Way] = {}
        self.renew(0)

    def renew(self, run: int) -> None:
        """Forgets what an earlier run reached."""
        self.run = run
        self.seen = [0, 0, 0, 0]
        self.moments: dict[int, Poses] = {}
        self.looked: dict[int, Poses] = {}  # when poses left for the node of a clause met by looking
        self.linked: set[tuple[_Node, int, int]] = set()  # (from, action, cell in front)


def _handlings(task: Task, config: Config, spared: int) -> Iterator[tuple[int, int]]:
    """(cell, action) of all but drops that change the world, without those that never help."""
    world = task.world
    reopened = 0
    for i in bits(config.pending):
        if task.clauses[i].aim is Aim.OPEN:
            reopened |= task.clauses[i].doors
    for i, door in enumerate(world.doors):
        if config.locked >> i & 1:
            if config.carried != NOTHING and world.keys[door.color] >> config.carried & 1:
                yield door.cell, TOGGLE
        elif not config.opened >> i & 1 or reopened >> i & 1:
            yield door.cell, TOGGLE
    for i, (thing, place) in enumerate(zip(world.things, config.places, strict=True)):
        if place >= 0:
            if config.carried == NOTHING and task.takes:
                yield place, PICK_UP
            if thing.kind == cells.BOX and not spared >> i & 1:
                yield place, TOGGLE


class Search:
    """Searches for the shortest plan of one task from one start.

    Args:
      budget: how many frontiers of a node may be moved on.
      spared: things that may not be broken.
    """

    def __init__(self, task: Task, bound: Bound, budget: int, spared: int = 0):
        self.task = task
        self.bound = bound
        self.budget = budget
        self.spared = spared
        self.allowed = 0  # no plan is shorter
        self.board = task.world.board
        self._nodes: dict[Config, _Node] = {}
        self._run = 0
        self._pruned = False
        self._end: _End | None = None
        self._arrivals: dict[int, dict[_Node, list[int]]] = {}

    def shortest(self, start: Branch, most: int, least: int = 0) -> Branch | None:
        """A shortest plan of `least` to `most` actions, or None where there is none.

        Args:
          least: no plan is known to be shorter.

        Raises:
          BudgetError, TooLargeError: before this is known; `allowed` is what is known then.
        """
        self.allowed = least
        seeds = []
        for action in range(NUM_ACTIONS):
            outcome, pose, config = self.task.step(start.pose, start.config, action)
            seed = Branch((*start.actions, action), pose, config)
            if self._succeeds(outcome, config):
                return seed
            if outcome is Outcome.GOES_ON and (pose, config) != (start.pose, start.config):
                seeds.append(seed)
        bounds = [self.bound.least(seed.config, *seed.pose, most - 1) for seed in seeds]
        self.allowed = max(least, min((1 + n for n in bounds if n is not None), default=most + 1))
        while self.allowed <= most:
            plan = self._run_within(seeds)
            if plan is not None:
                return plan
            if not self._pruned:
                return None
            self.allowed += 1
        return None

    def _succeeds(self, outcome: Outcome, config: Config) -> bool:
        return outcome is Outcome.SUCCESS or (outcome is Outcome.GOES_ON and config.pending in self.bound.done)

    def _run_within(self, seeds: list[Branch]) -> Branch | None:
        """A plan of `allowed` actions, if there is one and none is shorter."""
        self._run += 1
        self._pruned, self._end = False, None
        self._arrivals = {}
        first = len(seeds[0].actions)
        for seed in seeds:
            poses = [0, 0, 0, 0]
            poses[seed.pose.direction] = 1 << seed.pose.cell
            self._add(first, self._node(seed.config), (poses[0], poses[1], poses[2], poses[3]))
        for left in range(self.allowed - 1, -1, -1):
            self._settle(first + self.allowed - 1 - left, left)
            if self._end is not None:
                return self._branch(self._end, seeds)
        return None

    def _settle(self, t: int, left: int) -> None:
        """Completes moment t, after which `left` actions may follow."""
        arrivals = self._arrivals.pop(t, {})
        queue = list(arrivals)
        fresh = []
        for node in queue:  # grows where looking leads from one node to another
            a, b, c, d = arrivals.pop(node, NO_POSES)
            s = node.seen
            a, b, c, d = a & ~s[0], b & ~s[1], c & ~s[2], d & ~s[3]
            m = self._mask(node.masks, left)
            poses = (a & m[0], b & m[1], c & m[2], d & m[3])
            self._pruned |= poses != (a, b, c, d)
            a, b, c, d = poses
            if not (a or b or c or d):
                continue
            node.seen = [s[0] | a, s[1] | b, s[2] | c, s[3] | d]
            if node.looks:
                poses = self._look(node, poses, t, arrivals, queue)
            old = node.moments.get(t)
            node.moments[t] = poses if old is None else either(old, poses)
            fresh.append((node, poses))
        # A look that succeeds takes one action less than any step from here, so all looks come first.
        if not left:
            # The bound takes every pose on a goal square for a success, that of an agent that starts there among them.
            self._pruned |= bool(fresh)
            return
        for node, poses in fresh:
            if self._end is not None:
                return
            self._step(node, poses, t, left)

    def _look(self, node: _Node, poses: Poses, t: int, arrivals: dict[_Node, list[int]], queue: list[_Node]) -> Poses:
        """Sends poses that meet a clause by looking to the node without it; the others stay."""
        for facing, cell in node.looks:
            hit = both(poses, facing)
            if not any(hit):
                continue
            way = self._way(node, FORWARD, cell)
            if way.outcome is Outcome.GOES_ON and way.config == node.config:
                continue
            poses = (poses[0] & ~hit[0], poses[1] & ~hit[1], poses[2] & ~hit[2], poses[3] & ~hit[3])
            if way.outcome is Outcome.FAILURE:
                continue
            old = node.looked.get(t)
            node.looked[t] = hit if old is None else either(old, hit)
            if way.outcome is Outcome.SUCCESS:
                self._finish(node, hit, t, LOOK, way.config)
                continue
            target = self._node(way.config)
            target.linked.add((node, LOOK, cell))
            add(arrivals, target, hit)
            queue.append(target)
        return poses

    def _step(self, node: _Node, poses: Poses, t: int, left: int) -> None:
        """Takes every useful action at `poses`, reached at moment t, with `left` to take."""
        self.budget -= 1
        if self.budget < 0:
            raise BudgetError("planner: search took more work than allowed")
        a, b, c, d = poses
        stride, walk, seen = self.board.stride, node.walk, node.seen
        if node.ending:
            self._enter(node, poses, t)
            if self._end is not None:
                return
        turned, across = b | d, a | c
        after = (
            (turned | (a << 1) & walk) & ~seen[0],
            (across | (b << stride) & walk) & ~seen[1],
            (turned | (c >> 1) & walk) & ~seen[2],
            (across | (d >> stride) & walk) & ~seen[3],
        )
        self._add(t + 1, node, after)
        touched = node.touched
        if a & touched[0] or b & touched[1] or c & touched[2] or d & touched[3]:
            for facing, cell, action in node.handlings:
                hit = both(poses, facing)
                if any(hit):
                    self._follow(node, action, cell, hit, t, left)
        if node.vacant:
            self._drop(node, poses, t, left)
        if (a | b | c | d) & node.say:
            self._finish(node, both(poses, anywhere(node.say)), t, DONE, node.config)

    def _enter(self, node: _Node, poses: Poses, t: int) -> None:
        """Steps into cells that end the episode; what is looked at from there counts for more than the cell does."""
        stride, ending = self.board.stride, node.ending
        a, b, c, d = poses
        inside = ((a << 1) & ending, (b << stride) & ending, (c >> 1) & ending, (d >> stride) & ending)
        if not any(inside):
            return
        won = both(inside, anywhere(self.task.success))
        for facing, cell in node.looks:
            hit = both(inside, facing)
            if not any(hit):
                continue
            way = self._way(node, FORWARD, cell)
            if way.outcome is Outcome.SUCCESS and not way.config.pending:
                won = either(won, hit)
            elif way.outcome is Outcome.FAILURE:
                won = (won[0] & ~hit[0], won[1] & ~hit[1], won[2] & ~hit[2], won[3] & ~hit[3])
        if any(won):
            before = (won[0] >> 1, won[1] >> stride, won[2] << 1, won[3] << stride)
            self._finish(node, before, t, FORWARD, node.config._replace(pending=0))

    def _drop(self, node: _Node, poses: Poses, t: int, left: int) -> None:
        world, stride, vacant = self.task.world, self.board.stride, node.vacant
        lies = self.bound.needs.lies[node.config.carried]
        masks = self.bound.masks(node.config.pending, NOTHING, node.truth | lies)
        allowed = both(poses, self._mask(masks, left - 1))
        self._pruned |= allowed != poses
        fronts = (allowed[0] << 1 | allowed[1] << stride | allowed[2] >> 1 | allowed[3] >> stride) & vacant
        if node.drop_matters:
            a, b, c, d = poses
            fronts |= (a << 1 | b << stride | c >> 1 | d >> stride) & vacant & node.drop_matters
        for cell in bits(fronts):
            hit = both(poses if node.drop_matters >> cell & 1 else allowed, world.board.facing(1 << cell))
            self._follow(node, DROP, cell, hit, t, left)

    def _follow(self, node: _Node, action: int, cell: int, poses: Poses, t: int, left: int) -> None:
        """Takes an action aimed at `cell` at `poses`."""
        way = self._way(node, action, cell)
        if way.outcome is Outcome.SUCCESS:
            self._finish(node, poses, t, action, way.config)
        elif way.outcome is Outcome.GOES_ON:
            kept = both(poses, self._mask(way.masks, left - 1))
            self._pruned |= kept != poses
            if any(kept):
                target = self._node(way.config, way.truth)
                target.linked.add((node, action, cell))
                self._add(t + 1, target, kept)

    def _way(self, node: _Node, action: int, cell: int) -> _Way:
        way = node.ways.get((action, cell))
        if way is None:
            # None of the tasks asks where the agent stands when it handles or looks at something.
            moved = self.task.world.handle(node.config, action, cell)
            outcome, config = self.task.judge(node.config, moved, action, 0, cell)
            outcome = Outcome.SUCCESS if self._succeeds(outcome, config) else outcome
            truth = self.bound.needs.truth(config)
            way = _Way(outcome, config, truth, self.bound.masks(config.pending, config.carried, truth))
            node.ways[action, cell] = way
        return way

    def _finish(self, node: _Node, poses: Poses, t: int, action: int, config: Config) -> None:
        direction = next(i for i in range(4) if poses[i])
        pose = Pose(next(bits(poses[direction])), direction)
        if self._end is None:
            self._end = _End(node, pose, t, action, config)

    def _mask(self, masks: list[Poses], left: int) -> Poses:
        if len(masks) <= left:
            self.bound.grow(left)
        return masks[left]

    def _node(self, config: Config, truth: int | None = None) -> _Node:
        node = self._nodes.get(config)
        if node is None:
            truth = self.bound.needs.truth(config) if truth is None else truth
            node = self._nodes[config] = _Node(self.task, self.bound, config, truth, self.spared)
        if node.run != self._run:
            node.renew(self._run)
        return node

    def _add(self, t: int, node: _Node, poses: Poses) -> None:
        add(self._arrivals.setdefault(t, {}), node, poses)

    def _branch(self, end: _End, seeds: list[Branch]) -> Branch:
        """The plan that leads to `end`, found backward from it."""
        starts = {(seed.config, seed.pose): seed.actions for seed in reversed(seeds)}
        first = len(seeds[0].actions)
        node, pose, t = end.node, end.pose, end.moment
        actions = [] if end.action == LOOK else [end.action]
        while t > first or (node.config, pose) not in starts:
            node, pose, t, action = self._before(node, pose, t)
            if action != LOOK:
                actions.append(action)
        last = end.pose
        if end.action == FORWARD:
            last = Pose(self.task.world.front(last), last.direction)
        return Branch((*starts[node.config, pose], *reversed(actions)), last, end.config)

    def _before(self, node: _Node, pose: Pose, t: int) -> tuple[_Node, Pose, int, int]:
        """(node, pose, moment, action) one action, or look, before."""
        cell, direction = pose
        front = self.task.world.front(pose)
        for other, action, cell_in_front in node.linked:
            moment = other.looked.get(t, NO_POSES) if action == LOOK else other.moments.get(t - 1, NO_POSES)
            if cell_in_front == front and moment[direction] >> cell & 1:
                return other, pose, t if action == LOOK else t - 1, action
        moment = node.moments.get(t - 1, NO_POSES)
        back = cell - self.board.steps[direction]
        for before, action in (
            (Pose(back, direction), FORWARD),
            (Pose(cell, (direction + 1) % 4), LEFT),
            (Pose(cell, (direction + 3) % 4), RIGHT),
        ):
            if moment[before.direction] >> before.cell & 1:
                return node, before, t - 1, action
        raise AssertionError("a pose was reached from nowhere")
