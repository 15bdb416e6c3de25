"""How many actions success takes at least: the bound that keeps the search small and proves plans shortest.

The bound is exact for an easier game, in which a thing put down is nowhere in the way and can be taken up again from
anywhere. That game is solved backward from success, for all poses at once, and lazily: what lies between a pose and
success enters as a *need* (a door that must have been opened, a thing that must have been moved away) which a step
further back may fulfil. A layer's index is the number of actions left.

A node is (pending, hand, needs): clauses still to meet, what the hand must hold, which needs are open.
"""

from .backward import ANY, EMPTY, LET_GO, Key, Way, fits, is_weaker, ways_back
from .board import NO_POSES, Poses, add, anywhere, bits, both, either
from .goals import Aim, Clause, PlanningError, Task
from .needs import Coarseness, Needs
from .world import Config


class TooLargeError(PlanningError):
    """A bound that would take too many nodes."""


class _Node:
    def __init__(self, key: Key, free: int, special: int, acts: list[Way], looks: list[Way]):
        self.key = key
        self.free = free  # cells that can be entered without a further need
        self.special = special  # cells that can be entered with one
        self.lets_go = False  # whether something may have been put down before the last turn
        self.undoes = False  # whether it may have been, to meet a clause, and been taken up again or broken
        self.acts = acts
        self.looks = looks
        self.touched = NO_POSES
        for way in acts:
            self.touched = either(self.touched, way.poses)
        self.seen = [0, 0, 0, 0]
        self.layers: list[tuple[int, Poses]] = []
        self.outside: dict[int, _Node] = {}
        self.dominators: list[_Node] = []


class Bound:
    """The bound for one task, grown layer by layer as far as it is asked for.

    Args:
      done: sets of pending clauses that count as success.
      limit: of nodes.

    Raises:
      TooLargeError: on growing beyond `limit` nodes.
    """

    def __init__(self, task: Task, done: frozenset[int], coarseness: Coarseness, limit: int):
        self.task = task
        self.done = done
        self.limit = limit
        self.depth = -1  # the last layer that is complete
        self.needs = Needs(task, coarseness)
        self._nodes: dict[Key, _Node] = {}
        self._peers: dict[int, dict[int, list[tuple[int, _Node]]]] = {}  # by pending, then hand: needs and nodes
        self._arrivals: dict[int, dict[_Node, list[int]]] = {}
        self._masks: dict[tuple[int, int, int], list[Poses]] = {}
        everywhere = anywhere(self.needs.stand | task.success)
        self._puts = sum(1 << i for i, clause in enumerate(task.clauses) if self._met_by_putting(i, clause))
        for pending in done:
            self._arrive(0, Key(pending, ANY, 0), everywhere)
            self._arrive(0, Key(pending, LET_GO, 0), everywhere)
        for pending in range(1, 1 << len(task.clauses)):
            if task.world.goals and task.order_allows(pending) and pending not in done:
                self._arrive(0, Key(pending, ANY, 0), anywhere(task.world.goals))

    def _met_by_putting(self, i: int, clause: Clause) -> bool:
        """Whether putting something down may meet a clause: one that wants that, or one that looks at the thing."""
        looks = clause.aim is Aim.FACE and clause.things & ~self.needs.meets_when_taken(i)
        return clause.aim is Aim.PUT or bool(looks)

    def masks(self, pending: int, carried: int, truth: int) -> list[Poses]:
        """By n, the poses from which success may take at most n actions, given what is pending, carried, fulfilled.

        The list is shared, and becomes longer as the bound grows.
        """
        signature = (pending, carried, truth)
        masks = self._masks.get(signature)
        if masks is None:
            masks = self._masks[signature] = []
            self._extend(signature, masks)
        return masks

    def least(self, config: Config, cell: int, direction: int, most: int) -> int | None:
        """The bound at a pose; None if it exceeds `most`, or if there is no way at all."""
        masks = self.masks(config.pending, config.carried, self.needs.truth(config))
        for actions in range(most + 1):
            self.grow(actions)
            if masks[actions][direction] >> cell & 1:
                return actions
            if not self._arrivals:
                return None
        return None

    def grow(self, depth: int) -> None:
        """Completes the layers up to `depth`."""
        if depth <= self.depth:
            return
        while self.depth < depth:
            self.depth += 1
            self._complete(self.depth)
        for signature, masks in self._masks.items():
            self._extend(signature, masks)

    def _extend(self, signature: tuple[int, int, int], masks: list[Poses]) -> None:
        pending, carried, truth = signature
        start = len(masks)
        fresh = [NO_POSES] * (self.depth + 1 - start)
        unfulfilled = ~truth
        groups = [group for hand, group in self._peers.get(pending, {}).items() if fits(hand, carried)]
        for node in [node for group in groups for needs, node in group if not needs & unfulfilled]:
            for n, poses in reversed(node.layers):
                if n < start:
                    break
                fresh[n - start] = either(fresh[n - start], poses)
        last = masks[-1] if masks else NO_POSES
        for poses in fresh:
            last = either(last, poses)
            masks.append(last)

    def _complete(self, n: int) -> None:
        arrivals = self._arrivals.pop(n, {})
        for level in range(len(self.task.clauses) + 1):
            for node in [node for node in arrivals if node.key.pending.bit_count() == level and node.looks]:
                seen = node.seen
                a, b, c, d = arrivals[node]
                new = (a & ~seen[0], b & ~seen[1], c & ~seen[2], d & ~seen[3])
                for poses, key, _ in node.looks:
                    add(arrivals, self._node(key), both(new, poses))
        live = []
        for node, (a, b, c, d) in arrivals.items():
            seen = node.seen
            a, b, c, d = a & ~seen[0], b & ~seen[1], c & ~seen[2], d & ~seen[3]
            if a or b or c or d:
                node.seen = [seen[0] | a, seen[1] | b, seen[2] | c, seen[3] | d]
                live.append((node, a, b, c, d))
        for node, a, b, c, d in live:
            for other in node.dominators:
                seen = other.seen
                a, b, c, d = a & ~seen[0], b & ~seen[1], c & ~seen[2], d & ~seen[3]
                if not (a or b or c or d):
                    break
            else:
                node.layers.append((n, (a, b, c, d)))
                self._step_back(node, n, (a, b, c, d))

    def _step_back(self, node: _Node, n: int, poses: Poses) -> None:
        """Adds the poses one action before `poses` to the layers they belong to."""
        following = self._arrivals.setdefault(n + 1, {})
        if node.key.hand != LET_GO and node.key.pending not in self.done:
            a, b, c, d = poses
            stride, stand, free, seen = self.task.world.board.stride, self.needs.stand, node.free, node.seen
            turned, across = (b | d) & stand, (a | c) & stand
            back = (
                (turned | (a & free) >> 1 & stand) & ~seen[0],
                (across | (b & free) >> stride & stand) & ~seen[1],
                (turned | (c & free) << 1 & stand) & ~seen[2],
                (across | (d & free) << stride & stand) & ~seen[3],
            )
            add(following, node, back)
            if node.lets_go:
                turns = (turned, across, turned, across)
                others = either(turns, poses) if node.undoes else turns
                add(following, self._node(node.key._replace(hand=LET_GO)), both(others, self.needs.to_vacant))
            for cell in bits((a | b | c | d) & node.special):
                here = 1 << cell
                entering = ((a & here) >> 1, (b & here) >> stride, (c & here) << 1, (d & here) << stride)
                add(following, self._outside(node, cell), both(entering, anywhere(stand)))
        if any(both(poses, node.touched)):
            for way in node.acts:
                hit = both(poses, way.poses)
                if any(hit):
                    add(self._arrivals.setdefault(n + way.cost, {}), self._node(way.key), hit)

    def _outside(self, node: _Node, cell: int) -> _Node:
        """The node before entering `cell`, which needs something."""
        outside = node.outside.get(cell)
        if outside is None:
            key = node.key._replace(needs=node.key.needs | self.needs.of_cell[cell])
            outside = node.outside[cell] = self._node(key)
        return outside

    def _arrive(self, n: int, key: Key, poses: Poses) -> None:
        add(self._arrivals.setdefault(n, {}), self._node(key), poses)

    def _node(self, key: Key) -> _Node:
        node = self._nodes.get(key)
        return self._create(key) if node is None else node

    def _create(self, key: Key) -> _Node:
        if len(self._nodes) >= self.limit:
            raise TooLargeError(f"planner: bound grew beyond {self.limit} nodes")
        free, special = self.needs.ground, 0
        enough = (key.needs & self.needs.any_left).bit_count() >= self.needs.blockers
        ignored = self.needs.any_left if enough else 0
        for cell, need in self.needs.of_cell.items():
            if (key.needs | ignored) & need:
                free |= 1 << cell
            else:
                special |= 1 << cell
        acts, looks = ways_back(self.needs, self.done, key)
        put = bool(self._puts & ~key.pending)
        node = _Node(key, free, special, acts, looks)
        if key.hand == EMPTY:
            node.lets_go = True
            node.undoes = bool(self.needs.empty_boxes) and (put or bool(key.needs & self.needs.empty_boxes_lie))
        elif key.hand == ANY:
            node.lets_go = node.undoes = put or bool(key.needs & self.needs.any_lies)
        peers = self._peers.setdefault(key.pending, {})
        needed, unneeded = key.needs, ~key.needs
        for hand, group in peers.items():
            if is_weaker(hand, key.hand):
                node.dominators += [other for needs, other in group if not needs & unneeded]
            if is_weaker(key.hand, hand):
                for other in [other for needs, other in group if needs & needed == needed]:
                    other.dominators.append(node)
        peers.setdefault(key.hand, []).append((key.needs, node))
        self._nodes[key] = node
        return node
