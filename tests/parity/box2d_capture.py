"""Recording Box2D's mechanical state from Gymnasium's BipedalWalker, in the layout of `palaestra.envs.walker`.

Everything here is NumPy; nothing of the code under test is used but its structs and constants. A world is used for one
episode only: after a reset in the same world Box2D recycles its broad-phase ids, which changes the order of contacts.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from palaestra.envs.walker.types import CONTACT_SLOTS, Physics, Terrain

POLYGON_CAPACITY = 64


@dataclasses.dataclass
class Snapshot:
    """One instant of a world: `physics` without batch axis, and every body's contact list, newest first."""

    physics: Physics
    contacts: list[list[tuple[int, bool]]]  # per body: (terrain piece, touching)
    hull_origin: np.ndarray


@dataclasses.dataclass
class Step:
    """One recorded step."""

    before: Snapshot
    action: np.ndarray
    after: Snapshot
    continuous: bool  # whether a time-of-impact event happened in it
    observation: np.ndarray
    reward: float
    terminated: bool
    hull_touched: bool
    ground_flags: np.ndarray  # before and after, (2, L)

    @property
    def canonical(self) -> bool:
        """Whether Box2D's contact order was the one that our kernel assumes."""
        for earlier, later in zip(self.before.contacts, self.after.contacts, strict=True):
            changing = {piece for piece, touches in [*earlier, *later] if touches}
            order = [piece for piece, _ in earlier if piece in changing]
            if order != canonical_order(order):
                return False
        return True


@dataclasses.dataclass
class Episode:
    """A track and the steps on it."""

    terrain: Terrain
    steps: list[Step]


def canonical_order(pieces: list[int], num_edges: int = 199) -> list[int]:
    """Edges by descending index, then polygons by descending index."""
    return sorted(pieces, key=lambda piece: (piece >= num_edges, -piece))


def bodies_of(env) -> list:
    """Bodies in creation order: hull, then thigh and shin of each leg."""
    return [env.hull, *env.legs]


class Converter:
    """Knows which terrain fixture of one world is which piece of our `Terrain`."""

    def __init__(self, env) -> None:
        shapes = [np.array(body.fixtures[0].shape.vertices, np.float32) for body in env.terrain]
        edges = sorted((s for s in shapes if len(s) == 2), key=lambda s: s[0, 0])
        polygons = sorted((s for s in reversed(shapes) if len(s) > 2), key=lambda s: s[:, 0].min())
        self.num_edges = len(edges)
        self._piece = {s.tobytes(): i for i, s in enumerate([*edges, *polygons])}
        unused = np.stack([1e4 + np.arange(POLYGON_CAPACITY), np.full(POLYGON_CAPACITY, -1e4)], axis=1)
        outlines = (unused[:, None] + np.array([[[1, 0], [1, 1], [0, 1], [0, 0]]])).astype(np.float32)
        for i, outline in enumerate(polygons):
            outlines[i] = outline
        self.terrain = Terrain(
            ground=np.concatenate([[e[0] for e in edges], edges[-1][1:]]).astype(np.float32),
            num_points=np.int32(len(edges) + 1),
            polygons=outlines,
            num_polygons=np.int32(len(polygons)),
            finish=np.float32((200 - 10) * 14 / 30),
            overflow=np.bool_(False),
        )

    def piece(self, fixture) -> int:
        return self._piece[np.array(fixture.shape.vertices, np.float32).tobytes()]

    def snapshot(self, env, still_time: float) -> Snapshot:
        """Everything Box2D knows about the walker now."""
        bodies = bodies_of(env)
        reactions = [[*j.GetReactionForce(1.0), j.GetReactionTorque(1.0), j.GetMotorTorque(1.0)] for j in env.joints]
        joints = np.array(reactions, np.float32)
        groups = 1 + len(env.legs) // 2
        pair = np.full((groups, CONTACT_SLOTS), -1, np.int32)
        key = np.full((groups, CONTACT_SLOTS, 2), -1, np.int32)
        impulse = np.zeros((groups, CONTACT_SLOTS, 2, 2), np.float32)
        used = np.zeros(groups, int)
        lists = []
        for index, body in enumerate(bodies):
            group, thigh = (index + 1) // 2, index % 2
            lists.append([])
            for contact in (edge.contact for edge in reversed(body.contacts)):
                terrain_is_a = contact.fixtureB.body == body
                piece = self.piece(contact.fixtureA if terrain_is_a else contact.fixtureB)
                lists[-1].append((piece, bool(contact.touching)))
                if not contact.touching:
                    continue
                assert terrain_is_a, "the world is not fresh: the walker was created before the terrain"
                slot = used[group]
                used[group] += 1
                pair[group, slot] = 2 * piece + thigh
                for i in range(contact.manifold.pointCount):
                    point = contact.manifold.points[i]
                    key[group, slot, i] = np.uint32(point.id.key).astype(np.int32)
                    impulse[group, slot, i] = point.normalImpulse, point.tangentImpulse
        physics = Physics(
            position=np.array([tuple(b.worldCenter) for b in bodies], np.float32),
            angle=np.array([b.angle for b in bodies], np.float32),
            velocity=np.array([tuple(b.linearVelocity) for b in bodies], np.float32),
            spin=np.array([b.angularVelocity for b in bodies], np.float32),
            joint_impulse=joints[:, :2],
            limit_impulse=joints[:, 2],
            motor_impulse=joints[:, 3],
            # Box2D does not show its limit state; the sign of the impulse tells all that matters of it.
            limit_state=np.where(joints[:, 2] > 0, 1, np.where(joints[:, 2] < 0, 2, 0)).astype(np.int32),
            contact_pair=pair,
            contact_key=key,
            contact_impulse=impulse,
            still_time=np.float32(still_time),
        )
        return Snapshot(physics=physics, contacts=lists, hull_origin=np.array(tuple(env.hull.position), np.float32))


def _watcher(env):
    """A contact listener that behaves like Gymnasium's and also notices time-of-impact events.

    A contact is updated once per step at the pose before it; a second update, or one at another pose, happens only
    inside the continuous phase.
    """
    from gymnasium.envs.box2d import bipedal_walker

    class Watcher(bipedal_walker.ContactDetector):
        def __init__(self) -> None:
            super().__init__(env)
            self.start()

        def start(self) -> None:
            self.poses = {(*body.position, body.angle) for body in bodies_of(env)}
            self.seen: set = set()
            self.continuous = False

        def PreSolve(self, contact, old_manifold) -> None:
            moving = contact.fixtureB.body if contact.fixtureB.body.type == 2 else contact.fixtureA.body
            pose = (*moving.position, moving.angle)
            name = (bodies_of(env).index(moving), str(contact.fixtureA.shape), str(contact.fixtureB.shape))
            self.continuous |= pose not in self.poses or name in self.seen
            self.seen.add(name)

    return Watcher()


def policy(name: str, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """observation -> action (4,) float32, by name: random, zero, or Gymnasium's heuristic gait."""
    from gymnasium.envs.box2d.bipedal_walker import BipedalWalkerHeuristics

    rng = np.random.default_rng(1000 + seed)
    if name == "random":
        return lambda _: rng.uniform(-1, 1, 4).astype(np.float32)
    if name == "zero":
        return lambda _: np.zeros(4, np.float32)
    if name == "heuristic":
        gait = BipedalWalkerHeuristics()
        return lambda observation: np.array(gait.step_heuristic(observation), np.float32)
    raise ValueError(f"policy {name!r}, expected random, zero or heuristic")


def record(policy_name: str, seed: int, steps: int, hardcore: bool = False, continuous: bool = True) -> Episode:
    """Plays at most `steps` steps in a fresh world."""
    from gymnasium.envs.box2d.bipedal_walker import BipedalWalker

    env = BipedalWalker(hardcore=hardcore)
    env.world.continuousPhysics = continuous
    observation, _ = env.reset(seed=seed)
    converter, act, watcher = Converter(env), policy(policy_name, seed), _watcher(env)
    env.world.contactListener = watcher
    result, still_time = [], 0.0
    before = converter.snapshot(env, still_time)
    for _ in range(steps):
        action = act(observation)
        flags = [[leg.ground_contact for leg in env.legs[1::2]]]
        watcher.start()
        observation, reward, terminated, _, _ = env.step([float(a) for a in action])
        still_time = _still_time(env, still_time)
        after = converter.snapshot(env, still_time)
        flags.append([leg.ground_contact for leg in env.legs[1::2]])
        result.append(
            Step(
                before=before,
                action=action,
                after=after,
                continuous=watcher.continuous,
                observation=observation.copy(),
                reward=float(reward),
                terminated=terminated,
                hull_touched=env.game_over,
                ground_flags=np.array(flags),
            )
        )
        before = after
        if terminated:
            break
    env.close()
    return Episode(terrain=converter.terrain, steps=result)


def _still_time(env, still_time: float) -> np.float32:
    """Box2D's sleep timer, which it does not show, from its definition."""
    if not env.hull.awake:
        return np.float32(0)
    slow = all(
        np.dot(v := np.float32(b.linearVelocity), v) <= np.float32(0.01) ** 2
        and abs(b.angularVelocity) <= np.float32(2 / 180 * 3.14159265359)
        for b in bodies_of(env)
    )
    return np.float32(still_time) + np.float32(0.02) if slow else np.float32(0)
