"""Missions whose words depend on the level.

Letters: L words of a mission.
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .. import cells, words

Part: TypeAlias = str | jax.Array | np.ndarray

COLORS_SORTED = tuple(sorted(cells.COLORS))
GET_TO_GOAL = "get to the green goal square"


def sentence(*parts: Part) -> jax.Array:
    """(L,) uint8: a mission put together from fixed words and those that `color_word` and the like give.

    A word 0 is left out of the sentence but takes its place in the array.
    """
    return jnp.concatenate([jnp.atleast_1d(words.encode(p) if isinstance(p, str) else p) for p in parts])


def color_word(color: jax.Array) -> jax.Array:
    """The word uint8 of a color, of its shape."""
    return jnp.asarray(words.COLOR_WORDS)[color]


def kind_word(kind: jax.Array) -> jax.Array:
    """The word uint8 of a kind of object, of its shape."""
    return jnp.asarray(words.KIND_WORDS)[kind]


def article(matches: jax.Array) -> jax.Array:
    """() uint8: "a" where more than one object matches a description, else "the"; `matches` is (N,) bool."""
    a, the = words.encode("a the")
    return jnp.where(jnp.sum(matches) > 1, a, the)


def fill_in(template: str, **choices: tuple[str, ...]) -> tuple[str, ...]:
    """Every sentence of a template like "go to the {color} door", the last choice varying fastest."""
    sentences: tuple[str, ...] = (template,)
    for name, options in choices.items():
        sentences = tuple(s.replace(f"{{{name}}}", option) for s in sentences for option in options)
    return tuple(" ".join(s.split()) for s in sentences)
