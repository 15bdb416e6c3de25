"""Levels in words, and answers about them."""

import json

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from palaestra.curricula.llm.schema import violations
from palaestra.envs.errors import OptionError
from palaestra.envs.minigrid import cells, words
from palaestra.envs.minigrid.bank import import_bank
from palaestra.envs.minigrid.level import Level
from palaestra.envs.minigrid.rooms import rooms_of
from palaestra.envs.minigrid.rules import Nothing
from palaestra.envs.minigrid.subgoals import answers, prompt
from palaestra.envs.minigrid.subgoals.answers import Subgoal, problems, subgoal_at, usable, valid_prefix
from palaestra.envs.minigrid.subgoals.level_text import LevelTextError, parse, render

MAZE = "MiniGrid-ObstructedMaze-1Dlhb-v0"


def level_of(name, seed=0):
    return jax.tree.map(lambda leaf: leaf[0], import_bank(name, [seed]).levels)


def without_numbers(word):
    """What a reader of a text can know of a cell."""
    bare = cells.look(word)
    inside = cells.look(cells.content(word))
    return np.where(inside != 0, cells.fill(bare, inside), bare)


portable = st.builds(
    lambda kind, color: cells.word(kind, color), st.sampled_from([cells.KEY, cells.BALL, cells.BOX]), st.integers(0, 5)
)
boxes = st.builds(lambda color, inside: cells.fill(cells.word(cells.BOX, color), inside), st.integers(0, 5), portable)
doors = st.builds(lambda color, state: cells.word(cells.DOOR, color, state), st.integers(0, 5), st.integers(0, 2))
floors = st.builds(lambda color: cells.word(cells.FLOOR_KIND, color), st.integers(0, 5))
anything = st.one_of(st.sampled_from([cells.EMPTY, cells.WALL, cells.GOAL, cells.LAVA]), portable, boxes, doors, floors)


@st.composite
def levels(draw):
    height, width = draw(st.integers(3, 7)), draw(st.integers(3, 7))
    grid = np.array([[draw(anything) for _ in range(width)] for _ in range(height)], np.uint32)
    return Level(
        grid=grid,
        x=np.int32(draw(st.integers(0, width - 1))),
        y=np.int32(draw(st.integers(0, height - 1))),
        direction=np.int32(draw(st.integers(0, 3))),
        carrying=draw(st.one_of(st.just(np.uint32(0)), portable, boxes)),
        mission=words.encode(draw(st.sampled_from(["", "pick up the red ball", "open the door, then go to the goal"]))),
        goal=Nothing(),
        max_steps=np.int32(draw(st.integers(1, 5000))),
    )


@hypothesis.given(levels())
@hypothesis.settings(max_examples=60)
def test_nothing_is_lost_in_a_text(level):
    assert_same(parse(render(level, reveal=True)), level)


@pytest.mark.parametrize("name", [MAZE, "BabyAI-BossLevel-v0", "MiniGrid-LockedRoom-v0", "MiniGrid-LavaGapS5-v0"])
def test_nothing_is_lost_of_the_packages_levels(name):
    level = level_of(name)
    assert_same(parse(render(level, reveal=True)), level)


def assert_same(back, level):
    np.testing.assert_array_equal(back.grid, without_numbers(level.grid))
    assert back.carrying == without_numbers(level.carrying)
    assert (back.x, back.y, back.direction) == (level.x, level.y, level.direction)
    assert words.decode(back.mission) == words.decode(level.mission) and back.max_steps == level.max_steps


def test_what_is_in_a_box_is_told_on_request_alone():
    level = level_of(MAZE)
    assert "holding" not in render(level)
    assert "grey box holding a" in render(level, reveal=True)


def test_texts_name_rooms():
    text = render(level_of(MAZE))
    assert "between room 1 and room 2" in text and "blue ball at" in text
    rooms = rooms_of(level_of("MiniGrid-FourRooms-v0").grid)
    assert rooms.max() == 1  # gaps join them
    assert rooms_of(level_of("MiniGrid-MultiRoom-N4-S5-v1").grid).max() >= 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Grid:", "Gird:", "no line like 'Grid"),
        ("facing", "faces", "no line like 'Agent"),
        ("Map:\n", "Map:\nWk\n", "expected 6 rows of 11 cells"),
        ("Wk", "W?", "map cell 'W\\?'"),
        ("at (1, 4)", "at (1, 6)", r"line '- .* box holding a .* at \(1, 6\).*expected a cell of the map, 11 x 6"),
        ("at (1, 4)", "at (11, 4)", r"line '- .* box holding a .* at \(11, 4\)"),
    ],
)
def test_texts_that_are_no_levels_are_refused(old, new, message):
    text = render(level_of(MAZE), reveal=True)
    assert old in text
    with pytest.raises(LevelTextError, match=message):
        parse(text.replace(old, new, 1))


def good_answer(level):
    places = [(int(x), int(y)) for y, x in np.argwhere(cells.is_portable(level.grid))]
    return [subgoal_at(level, x, y) for x, y in places]


def test_exact_subgoals_are_valid_answers():
    level = level_of(MAZE)
    plan = good_answer(level)
    answer = json.loads(answers.to_json(plan))
    assert problems(answer, level) == [] and valid_prefix(answer, level) == tuple(plan)
    allowed = prompt.SCHEMA["properties"]["subgoals"]["items"]
    for entry in answer["subgoals"]:
        assert set(entry) == set(allowed["properties"])
    assert violations(answer, prompt.SCHEMA) == []


def test_the_schema_is_one_that_strict_servers_take():
    """Every field is required, and none may be added; what is optional may be null."""
    for part in (prompt.SCHEMA, prompt.SCHEMA["properties"]["subgoals"]["items"]):
        assert part["required"] == list(part["properties"]) and part["additionalProperties"] is False
    answer = json.loads(answers.to_json(good_answer(level_of(MAZE))))
    for confidence, fits in ((None, True), (0.5, True), (1.5, False), ("high", False)):
        answer["subgoals"][0]["confidence"] = confidence
        assert (violations(answer, prompt.SCHEMA) == []) == fits
    del answer["subgoals"][0]["confidence"]
    assert violations(answer, prompt.SCHEMA) == ["the answer.subgoals[0] lacks 'confidence'"]


@pytest.mark.parametrize("place", ["wall", "empty"])
def test_nothing_can_be_said_about_cells_without_an_object(place):
    level = level_of(MAZE)
    y, x = np.argwhere(cells.kind(level.grid) == cells.KINDS.index(place))[0]
    with pytest.raises(OptionError, match=rf"cell \({x}, {y}\); got '{place}'; expected one of \['key'"):
        subgoal_at(level, int(x), int(y))


def test_an_answers_own_last_subgoal_is_told_from_one_that_is_last_by_a_cut():
    level = level_of(MAZE)
    plan = good_answer(level)
    entries = json.loads(answers.to_json(plan))["subgoals"]
    astray = entries[-1] | {"object": "key", "color": None}
    for said, cut, complete in (
        (entries, valid_prefix, True),
        (entries, usable, True),
        ([*entries[:-1], astray], valid_prefix, False),
        ([*entries[:-1], astray], usable, True),  # wrong, but shown: it stands for the task all the same
        ([astray, *entries], usable, False),  # names the last one's cell first
        ([entries[0], 7, *entries[1:]], usable, True),
        ([*entries, 7], usable, False),
        ([*entries, entries[0]], usable, False),
        ([*entries, entries[-1]], valid_prefix, False),
        ([*entries, *[7] * 12], usable, False),
        ([7], usable, False),
        ([], usable, False),
        (None, valid_prefix, False),
    ):
        answer = {"subgoals": said}
        assert answers.completes(answer, level, cut(answer, level)) == complete, said
    assert not answers.completes(None, level, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": 40}, "x is 40; expected a whole number from 0 to 10"),
        ({"y": 1.5}, "y is 1.5"),
        ({"y": True}, "y is True"),
        ({"object": "dragon"}, "object is 'dragon'"),
        ({"object": "key"}, "there is no key at"),
        ({"color": "pink"}, "color is 'pink'"),
        ({"color": "purple"}, "not purple"),
        ({"x": 0, "y": 0}, "but a wall"),
    ],
)
def test_each_mistake_is_named_and_what_came_before_it_kept(change, message):
    level = level_of(MAZE)
    answer = json.loads(answers.to_json(good_answer(level)))
    answer["subgoals"][1] |= change
    (found,) = problems(answer, level)
    assert found.startswith("subgoals[1]: ") and message in found
    assert len(valid_prefix(answer, level)) == 1


def test_repetition_length_and_nonsense_are_mistakes():
    level = level_of(MAZE)
    entry = json.loads(answers.to_json(good_answer(level)))["subgoals"][0]
    assert "appears twice" in problems({"subgoals": [entry, entry]}, level)[0]
    assert "got 13 subgoals" in problems({"subgoals": [entry] * 13}, level)[0]
    for nonsense in (None, [], {"subgoals": []}, {"subgoals": "all"}, {"plan": [entry]}):
        assert problems(nonsense, level) and valid_prefix(nonsense, level) == ()
    assert "expected an object" in problems({"subgoals": [3]}, level)[0]


def test_usable_are_wrong_subgoals_but_not_nonsense():
    level = level_of(MAZE)
    good, *rest = json.loads(answers.to_json(good_answer(level)))["subgoals"]
    astray = good | {"x": 2, "y": 2}
    answer = {"subgoals": [astray, 7, good | {"x": 99}, good, good, *rest]}
    kept = usable(answer, level)
    assert [(s.x, s.y) for s in kept] == [(2, 2), *((s.x, s.y) for s in good_answer(level))]
    assert valid_prefix(answer, level) == ()


def test_plans_become_chains_by_cell_or_by_object():
    levels = import_bank(MAZE, range(2)).levels
    level = jax.tree.map(lambda leaf: leaf[0], levels)
    box = next(s for s in good_answer(level) if s.object == "box")
    astray = Subgoal(text="", object="box", color=None, x=0, y=0)
    dragon = Subgoal(text="", object="goal", color=None, x=3, y=2)
    by_cell = answers.chains([[astray, dragon], []], levels, "positional")
    by_object = answers.chains([[astray, dragon], []], levels, "language")
    assert by_cell.x.tolist() == [[0, 3], [0, 0]] and by_cell.count.tolist() == [2, 0]
    assert by_cell.complete.tolist() == [True, False]
    assert answers.chains([[astray], [astray]], levels, "language", [False, True]).complete.tolist() == [False, True]
    assert (by_object.x[0, 0], by_object.y[0, 0]) == (box.x, box.y)
    assert (by_object.x[0, 1], by_object.y[0, 1]) == (3, 2)


def test_a_prompt_shows_examples_as_answered_questions():
    level, other = level_of(MAZE), level_of(MAZE, 1)
    turns = prompt.messages(level, [(other, good_answer(other))])
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    assert problems(json.loads(turns[2]["content"]), other) == []
    assert turns[3]["content"] == render(level)
