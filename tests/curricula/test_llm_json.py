"""JSON in what models write, and the part of JSON Schema that answers are held to."""

import time

import pytest
from palaestra.curricula.llm import Request
from palaestra.curricula.llm.extraction import extract
from palaestra.curricula.llm.schema import check_schema, violations
from palaestra.envs.errors import OptionError

SCHEMA = {
    "type": "object",
    "properties": {"cell": {"type": "integer", "minimum": 0}},
    "required": ["cell"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"cell": 1}', {"cell": 1}),
        ('  \n{"cell": 1}\n', {"cell": 1}),
        ('Sure!\n```json\n{"cell": 1}\n```\nAnything else?', {"cell": 1}),
        ('The 5" wide cell (see [note]) is {"cell": 1}.', {"cell": 1}),
        ('{"cell": 1,}', {"cell": 1}),
        ('{"cell": 1, "note": "a,] b,}"}', {"cell": 1, "note": "a,] b,}"}),
        ('x {"note": ",}", "cell": 1,} y', {"note": ",}", "cell": 1}),
        ('<think>{"cell": 2} or not</think>{"cell": 1}', {"cell": 1}),
        ('Not {"row": 2} but {"cell": 1}', {"cell": 1}),
        ('Draft {"cell": 2}\n```\n{"cell": 1}\n```', {"cell": 1}),
        ('{"cell": 1, "note": "}{"}', {"cell": 1, "note": "}{"}),
    ],
)
def test_one_value_is_found_in_what_surrounds_it(text, value):
    assert extract(text, SCHEMA) == (value, ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no idea",
        '{"cell": 1} or {"cell": 2}',
        '{"cell": 1',
        '{"path": [{"cell": 1}, {"cell": 2}',  # cut: the inner object is not the answer
        '{"path": [{"cell": 1}}',
        '{"path": [1}] {"cell": 1}',
        '{"cell": NaN}',
        '{"cell": 1e999}',
        '{"cell": 1, "cell": 2}',
        "{'cell': 1}",
        '{"cell": 1 "x": 2}',
        '{"cell": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_what_is_not_one_complete_value_is_not_guessed(text):
    value, errors = extract(text, SCHEMA)
    assert value is None
    assert len(errors) == 1


@pytest.mark.parametrize("part", ['["' + '\\"' * 10**6, "`" * 10**6, "```" + " " * 10**6, "{" * 10**6, '{"' * 10**6])
def test_long_nonsense_takes_linear_time(part):
    start = time.perf_counter()
    assert extract(part, SCHEMA)[0] is None
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize(
    ("value", "schema", "said"),
    [
        (1, {"type": "string"}, "the answer is 1; expected string"),
        (True, {"type": "integer"}, "the answer is True; expected integer"),
        (1, {"enum": [True]}, "the answer is 1; expected one of [True]"),
        (None, {"type": ["integer", "string"]}, "the answer is None; expected integer or string"),
        ({}, {"required": ["a"]}, "the answer lacks 'a'"),
        ([1, 2], {"maxItems": 1}, "the answer: number of items is 2; expected at most 1"),
        ([], {"minItems": 1}, "the answer: number of items is 0; expected at least 1"),
        ([{"a": 1}, {"a": 1.0}, {"a": 1}], {"uniqueItems": True}, "the answer[2] repeats {'a': 1}"),
        ([1, "b"], {"items": {"type": "integer"}}, "the answer[1] is 'b'; expected integer"),
        ("abc", {"maxLength": 2}, "the answer: length is 3; expected at most 2"),
        ("", {"minLength": 1}, "the answer: length is 0; expected at least 1"),
        (3, {"maximum": 2}, "the answer is 3; expected at most 2"),
        (3, {"const": 2}, "the answer is 3; expected 2"),
        (3, {"anyOf": [{"type": "string"}, {"maximum": 2}]}, "the answer is 3; it fits none of 2 options"),
        (
            {"a": {"b": 1}},
            {"properties": {"a": {"additionalProperties": False}}},
            "the answer.a has 'b'; expected only []",
        ),
    ],
)
def test_violations_say_where_and_what(value, schema, said):
    check_schema(schema)
    assert violations(value, schema) == [said]


def test_what_fits_has_no_violations():
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "integer", "maximum": 2}]}}}
    assert violations({"a": None, "b": 3}, schema) == violations({"a": 2.0}, schema) == []


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"pattern": "a"}, "pattern"),
        ({"type": "int"}, "int"),
        ({"properties": {"a": {"oneOf": []}}}, "schema.properties.a"),
        ({"items": {"minimum": "1"}}, "schema.items.minimum"),
        ({"anyOf": [{"$ref": "#"}]}, r"anyOf\[0\]"),
        ({"additionalProperties": {}}, "additionalProperties"),
        (7, "schema; got 7"),
    ],
)
def test_a_schema_that_would_be_ignored_is_refused(schema, named):
    with pytest.raises(OptionError, match=named):
        Request([{"role": "user", "content": "where?"}], schema=schema)
