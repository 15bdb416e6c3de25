"""What touching pairs remember from the last step, and what their coming and going means.

Contacts on different bodies commute exactly (their other side is static), so they are kept in rows that are solved
side by side: the hull is one row, every leg (thigh and shin) is another. Within a row they are listed shin first and,
on one body, newest first as in Box2D's contact list.

Letters: N bodies, L legs, R = 1 + L rows, C contact slots, B environments (always last).
Source: Box2D 2.3 b2Contact::Update, b2ContactManager::Collide. Differs: a pair is tested whenever it is near, instead
of from the step after its fat boxes first overlapped; the order is the one of a monotonous history, which is the true
one for 95 % of random and 100 % of walking steps.
"""

import jax
import jax.numpy as jnp
from flax import struct

from .planar import Vector
from .touching import Touching
from .types import Physics


class Contacts(struct.PyTreeNode):
    """The touching pairs: leaves are (R, C, B), in tuples over coordinates or manifold points."""

    pair: jax.Array  # int32, see `Physics.contact_pair`
    count: jax.Array  # int32, manifold points, 0 for an empty slot
    on_body: jax.Array  # bool, see `Manifold`
    normal: Vector
    plane: Vector
    points: tuple[Vector, ...]
    keys: tuple[jax.Array, ...]
    normal_impulse: tuple[jax.Array, ...]
    tangent_impulse: tuple[jax.Array, ...]


class Touch(struct.PyTreeNode):
    """What the collision search found at the pose before the step."""

    hull_began: jax.Array  # () bool, whether the hull began a contact
    shin_event: jax.Array  # (L,) int32, the last event of each shin: 1 begin, -1 end, 0 none
    shin_touch: jax.Array  # (L,) bool, whether the shin touches
    overflow: jax.Array  # () bool, whether contacts or nearby terrain did not fit and were ignored

    def update_flags(self, flags: jax.Array) -> jax.Array:
        """The original's ground flags (L,): set by any begin, cleared by any end, even if another edge touches."""
        return (flags | (self.shin_event > 0)) & (self.shin_event >= 0)


def remember(physics: Physics, found: Touching, num_edges: int) -> tuple[Contacts, Touch]:
    """Hands the touching pairs last step's impulses, and tells what began and ended.

    Args:
      physics, found: with a trailing batch axis B.
      num_edges: ground edges of the terrain; the pieces after them are polygons.
    """
    numbers = [found.numbers[:, :, i] for i in range(8)]
    count, on_body, *keys = (found.codes[:, :, i] for i in range(4))
    zero = jnp.zeros_like(numbers[0])
    contacts = Contacts(
        pair=found.pair,
        count=count,
        on_body=on_body > 0,
        normal=(numbers[0], numbers[1]),
        plane=(numbers[2], numbers[3]),
        points=((numbers[4], numbers[5]), (numbers[6], numbers[7])),
        keys=tuple(jnp.where(count > i, key, -1) for i, key in enumerate(keys)),
        normal_impulse=(zero, zero),
        tangent_impulse=(zero, zero),
    )
    contacts = _inherit(contacts, physics.contact_pair, physics.contact_key, physics.contact_impulse)
    began, _ = _changes(physics.contact_pair[:1], found.pair[:1])
    touch = Touch(
        hull_began=jnp.any(began, axis=(0, 1)),
        shin_event=_shin_event(physics.contact_pair[1:], found.pair[1:], num_edges),
        shin_touch=jnp.any((found.pair[1:] >= 0) & (found.pair[1:] % 2 == 0), axis=1),
        overflow=found.overflow,
    )
    return contacts, touch


def _inherit(contacts: Contacts, old_pair: jax.Array, old_key: jax.Array, old_impulse: jax.Array) -> Contacts:
    """Gives every point the impulses of the first old point of the same pair with the same feature id."""
    slots = old_pair.shape[1]
    index = jnp.zeros_like(contacts.pair)
    for slot in range(1, slots):
        index = jnp.where(contacts.pair == old_pair[:, slot, None], slot, index)

    def old(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, index, axis=1, mode="promise_in_bounds")

    same_pair = (old(old_pair) == contacts.pair) & (contacts.pair >= 0)
    keys = [old(old_key[:, :, i]) for i in range(2)]
    impulses = [[old(old_impulse[:, :, i, part]) for i in range(2)] for part in range(2)]
    zero = jnp.zeros_like(contacts.plane[0])
    inherited: list[list[jax.Array]] = [[], []]
    for key in contacts.keys:
        same = [same_pair & (key == k) for k in keys]
        for part in range(2):
            second = jnp.where(same[1], impulses[part][1], zero)
            inherited[part].append(jnp.where(same[0], impulses[part][0], second))
    return contacts.replace(normal_impulse=tuple(inherited[0]), tangent_impulse=tuple(inherited[1]))


def _changes(old: jax.Array, new: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which entries of `new` began and which of `old` ended; both (R, C, B)."""
    began, ended = new >= 0, old >= 0
    for slot in range(old.shape[1]):
        began = began & (new != old[:, slot, None])
        ended = ended & (old != new[:, slot, None])
    return began, ended


def _shin_event(old: jax.Array, new: jax.Array, num_edges: int) -> jax.Array:
    """The last contact event of every shin (R, B): 1 begin, -1 end, 0 none.

    Events come in the order of the contact list, newest pair first; the oldest changed pair has the last word.
    """
    last = jnp.iinfo(jnp.int32).max

    def oldest(pair: jax.Array, changed: jax.Array) -> jax.Array:
        piece = pair // 2
        age = jnp.where(piece < num_edges, piece + (1 << 20), piece)  # polygons are created before edges
        return jnp.min(jnp.where(changed & (pair % 2 == 0), age, last), axis=1)

    began, ended = _changes(old, new)
    first_begun, first_ended = oldest(new, began), oldest(old, ended)
    event = (first_begun < first_ended).astype(jnp.int32) - (first_ended < first_begun).astype(jnp.int32)
    return event
