"""Cells and missions: packing and spelling."""

import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.hashed_text import hash_embedding
from palaestra.envs.minigrid import cells, words
from palaestra.envs.minigrid.words import MissionError, MissionSpace


def test_every_look_is_encoded_as_the_package_does():
    from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX

    assert tuple(OBJECT_TO_IDX) == cells.KINDS and list(OBJECT_TO_IDX.values()) == list(range(11))
    assert [COLOR_TO_IDX[name] for name in cells.COLORS] == list(range(6))
    assert (STATE_TO_IDX["open"], STATE_TO_IDX["closed"], STATE_TO_IDX["locked"]) == (0, 1, 2)
    assert [cells.COLORS[i] for i in cells.COLORS_BY_NAME] == sorted(cells.COLORS)


def test_fields_of_a_word_do_not_touch_each_other():
    rng = np.random.default_rng(0)
    kinds, colors, states, numbers = (rng.integers(0, high, 200) for high in (11, 6, 3, 256))
    packed = cells.word(kinds, colors, states, numbers)
    assert packed.dtype == np.uint32
    for field, value in ((cells.kind, kinds), (cells.color, colors), (cells.state, states), (cells.number, numbers)):
        np.testing.assert_array_equal(field(packed), value)
    for state in range(3):
        changed = cells.with_state(packed, np.uint32(state))
        assert (cells.state(changed) == state).all() and (cells.number(changed) == numbers).all()


def test_a_box_gives_back_what_was_put_in():
    key = cells.word(cells.KEY, cells.PURPLE, 0, 200)
    box = cells.fill(cells.word(cells.BOX, cells.GREY, 0, 7), key)
    assert cells.content(box) == key
    assert (cells.kind(box), cells.color(box), cells.number(box)) == (cells.BOX, cells.GREY, 7)
    assert cells.content(cells.word(cells.BOX, cells.RED)) == 0


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "get the red key from the blue room, unlock the red door and go to the goal",
        "put the red ball on your left next to a box behind you, then open the door in front of you",
    ],
)
def test_missions_come_back_as_they_were(sentence):
    assert words.decode(words.encode(sentence, 32)) == sentence


def test_bad_missions_are_refused():
    with pytest.raises(MissionError, match="'dragon'"):
        words.encode("fetch the dragon")
    with pytest.raises(MissionError, match=r"got 4 words.*at most 3"):
        words.encode("go to the goal", 3)


def test_the_space_holds_sentences_that_fit():
    space = MissionSpace(4, ("go to the goal", "open the door"), seed=0)
    assert {space.sample() for _ in range(20)} == set(space.samples)
    assert "go to the door" in space
    for stranger in ("go to the red door", "slay the dragon", "go  to", 3):
        assert stranger not in space
    assert space.to_host(np.stack([words.encode(s, 4) for s in space.samples])) == space.samples
    with pytest.raises(ValueError, match="mask"):
        space.sample(mask=1)


def test_vectors_of_sentences_need_dimensions_and_a_seed_of_64_bits():
    for seed in (0, 2**64 - 1):
        assert hash_embedding(["go to the goal"], 1, seed).shape == (1, 1)
    for options, message in (
        ({"dimensions": 0}, "dimensions=0; expected"),
        ({"seed": -1}, "seed=-1; expected a whole number in"),
        ({"seed": 2**64}, f"seed={2**64}; expected"),
    ):
        with pytest.raises(OptionError, match=message):
            hash_embedding(["go to the goal"], **options)
