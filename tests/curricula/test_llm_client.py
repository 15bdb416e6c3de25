"""Asking a language model: what is sent, what is made of the answer, what it cost."""

import asyncio
import dataclasses
import json
import subprocess
import sys
import time

import pytest
from palaestra.curricula.llm import Client, Config, Request
from palaestra.curricula.llm.counters import Counters
from palaestra.curricula.llm.errors import (
    CacheError,
    CredentialError,
    LLMError,
    OfflineError,
    ServerError,
    SpentError,
)
from palaestra.curricula.llm.extraction import extract
from palaestra.curricula.llm.limits import Window, admit
from palaestra.curricula.llm.schema import check_schema, violations
from palaestra.curricula.llm.transport import Transport
from palaestra.envs.errors import MissingExtraError, OptionError

SCHEMA = {
    "type": "object",
    "properties": {"cell": {"type": "integer", "minimum": 0}},
    "required": ["cell"],
    "additionalProperties": False,
}


def question(text="where?", **kwargs):
    return Request([{"role": "user", "content": text}], **{"schema": SCHEMA, **kwargs})


@pytest.fixture
def client(model_server, timing):
    with Client(Config(model_server.url, "tiny", temperature=0.5, seed=3, max_tokens=50), timing) as client:
        yield client


def test_answers_come_in_the_order_of_the_questions(client, model_server):
    def respond(payload):
        number = int(payload["messages"][-1]["content"])
        return model_server.chat(json.dumps({"cell": number}), delay=0.02 * (5 - number))

    model_server.respond = respond
    replies = client.ask([question(str(i)) for i in range(5)])
    assert [reply.value for reply in replies] == [{"cell": i} for i in range(5)]
    assert all(reply.errors == () and not reply.from_cache and not reply.repaired for reply in replies)


def test_every_setting_reaches_the_server(client, model_server):
    model_server.in_turn(model_server.chat('{"cell": 1}', usage=(11, 7)))
    (reply,) = client.ask([question()])
    ((path, headers, payload),) = model_server.calls
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert payload == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "where?"}],
        "temperature": 0.5,
        "seed": 3,
        "max_tokens": 50,
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}},
    }
    assert (reply.tokens_in, reply.tokens_out, reply.attempts, reply.finish_reason) == (11, 7, 1, "stop")


def test_without_seed_none_is_sent_and_plain_text_asks_for_no_format(model_server):
    model_server.in_turn(model_server.chat("hello"))
    with Client(Config(model_server.url, "tiny", seed=None)) as client:
        (reply,) = client.ask([question(schema=None)])
    assert (reply.text, reply.value, reply.errors) == ("hello", None, ())
    assert not {"seed", "response_format"} & set(model_server.payloads[0])


def test_the_key_is_sent_from_its_variable(model_server, monkeypatch):
    monkeypatch.setenv("TEST_MODEL_KEY", "value-of-the-key")
    with Client(Config(model_server.url, "tiny", api_key_env="TEST_MODEL_KEY")) as client:
        client.ask([question(schema=None)])
    assert model_server.calls[0][1]["Authorization"] == "Bearer value-of-the-key"


def test_asking_works_inside_a_running_event_loop(client, model_server):
    model_server.in_turn(model_server.chat('{"cell": 4}'))

    async def notebook_cell():
        return client.ask([question()])

    assert asyncio.run(notebook_cell())[0].value == {"cell": 4}


def test_content_in_parts_is_one_text(client, model_server):
    body = {"choices": [{"message": {"content": [{"type": "text", "text": '{"cell"'}, {"text": ": 4}"}]}}]}
    model_server.in_turn(model_server.says(200, json.dumps(body)))
    assert client.ask([question()])[0].value == {"cell": 4}


# The ladder.


def refuse(model_server, *formats):
    """A server that does not know some response formats."""

    def respond(payload):
        asked = payload.get("response_format", {"type": "text"})["type"]
        if asked in formats:
            return model_server.says(400, f"unknown response_format {asked}")
        return model_server.chat('{"cell": 2}')

    model_server.respond = respond


@pytest.mark.parametrize("refused", [("json_schema",), ("json_schema", "json_object")])
def test_the_ladder_finds_what_the_server_takes_once(refused, model_server, tmp_path):
    refuse(model_server, *refused)
    config = Config(model_server.url, "tiny", cache=tmp_path / "answers.sqlite")
    with Client(config) as client:
        replies = client.ask([question(str(i)) for i in range(6)])
    assert all(reply.value == {"cell": 2} for reply in replies)
    assert len(model_server.calls) == 6 + len(refused)
    last = model_server.payloads[-1]
    assert last.get("response_format") == ({"type": "json_object"} if len(refused) == 1 else None)
    assert '"additionalProperties":false' in last["messages"][-1]["content"]

    model_server.calls.clear()
    with Client(config) as later:
        later.ask([question("another")])
    assert len(model_server.calls) == 1


def test_a_server_that_refuses_all_forms_leaves_nothing_remembered(client, model_server):
    refuse(model_server, "json_schema", "json_object", "text")
    with pytest.raises(ServerError, match="unknown response_format text") as caught:
        client.ask([question()])
    assert caught.value.status == 400
    assert client.cache.rung(model_server.url, "tiny") is None


def test_a_rung_that_has_worked_is_not_left(client, model_server):
    refuse(model_server)
    client.ask([question()])
    refuse(model_server, "json_schema")
    with pytest.raises(ServerError, match="json_schema"):
        client.ask([question("too long")])
    assert len(model_server.calls) == 2


def test_other_refusals_do_not_lead_down_the_ladder(client, model_server):
    model_server.in_turn(model_server.says(401, "who are you"))
    with pytest.raises(ServerError, match="401") as caught:
        client.ask([question()])
    assert "api_key_env" in caught.value.hint
    assert len(model_server.calls) == 1


def test_an_error_inside_status_200_is_an_error_and_no_rung(client, model_server):
    model_server.in_turn(model_server.says(200, '{"error": {"message": "no such model"}}'))
    with pytest.raises(ServerError, match="no such model"):
        client.ask([question()])
    assert client.cache.rung(model_server.url, "tiny") is None
    assert len(client.cache) == 0


# Repair.


def test_a_wrong_answer_is_sent_back_once_with_what_is_wrong(client, model_server, clock):
    answers = iter([model_server.chat('{"cell": -1}'), model_server.chat('{"cell": 1}', usage=(20, 4))])

    def respond(payload):
        clock.time += 0.25
        return next(answers)

    model_server.respond = respond
    (reply,) = client.ask([question()])
    assert reply.latency == 0.5
    assert (reply.value, reply.errors, reply.repaired) == ({"cell": 1}, (), True)
    assert (reply.attempts, reply.tokens_in, reply.tokens_out) == (2, 23, 6)
    before, said, complaint = model_server.payloads[1]["messages"]
    assert before["content"] == "where?"
    assert said == {"role": "assistant", "content": '{"cell": -1}'}
    assert "the answer.cell is -1; expected at least 0" in complaint["content"]
    assert (client.usage().repaired, client.usage().invalid) == (1, 0)


def test_an_answer_wrong_twice_says_so_and_keeps_its_value(client, model_server):
    model_server.in_turn(model_server.chat('{"cell": "a"}'), model_server.chat('{"cell": 1, "x": 2}'))
    (reply,) = client.ask([question()])
    assert reply.value == {"cell": 1, "x": 2}
    assert reply.errors == ("the answer has 'x'; expected only ['cell']",)
    assert not reply.repaired
    assert len(model_server.calls) == 2
    assert (client.usage().repaired, client.usage().invalid) == (0, 1)


def test_a_repair_that_is_no_json_does_not_hide_the_first_value(client, model_server):
    model_server.in_turn(model_server.chat('{"cell": -1}'), model_server.chat("sorry"))
    (reply,) = client.ask([question()])
    assert reply.value == {"cell": -1}
    assert reply.errors == ("the answer.cell is -1; expected at least 0",)


def test_a_repair_that_is_a_valid_null_is_taken(client, model_server):
    schema = {"anyOf": [SCHEMA, {"type": "null"}]}
    model_server.in_turn(model_server.chat('{"cell": -1}'), model_server.chat("null"))
    (reply,) = client.ask([question(schema=schema)])
    assert (reply.value, reply.text, reply.errors, reply.repaired) == (None, "null", (), True)


def test_the_check_sees_values_that_fit_the_schema_and_its_words_are_sent_back(client, model_server):
    seen = []

    def check(value):
        seen.append(value)
        return [] if value["cell"] == 7 else [f"cell {value['cell']} is a wall"]

    model_server.in_turn(model_server.chat('{"cell": 5}'), model_server.chat('{"cell": 7}'))
    (reply,) = client.ask([question(check=check)])
    assert seen == [{"cell": 5}, {"cell": 7}]
    assert reply.repaired
    assert "- cell 5 is a wall\n" in model_server.payloads[1]["messages"][-1]["content"]


def test_without_schema_the_check_sees_the_text(client, model_server):
    model_server.in_turn(model_server.chat("no"), model_server.chat("yes"))
    (reply,) = client.ask([question(schema=None, check=lambda text: [] if text == "yes" else ["say yes"])])
    assert (reply.text, reply.repaired) == ("yes", True)


def test_a_cut_answer_says_that_it_was_cut(client, model_server):
    model_server.in_turn(model_server.chat('{"cell": ', finish="length"))
    (reply,) = client.ask([question()])
    assert reply.errors[0] == "the answer was cut off after 50 tokens"
    assert (reply.value, reply.finish_reason) == (None, "length")


def test_an_error_in_the_check_is_the_callers_and_the_paid_answer_stays(client, model_server):
    model_server.in_turn(model_server.chat('{"cell": 5}'))
    with pytest.raises(ZeroDivisionError):
        client.ask([question(check=lambda value: 1 / 0)])
    assert client.ask([question()])[0].from_cache


# JSON in what models write.


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
        question(schema=schema)


@pytest.mark.parametrize("messages", [[], [{"role": "robot", "content": ""}], [{"role": "user"}], ["hello"]])
def test_messages_are_checked(messages):
    with pytest.raises(OptionError, match="messages"):
        Request(messages)


# Limits, counters, settings.


@pytest.mark.parametrize("limit", [1, 3])
def test_no_minute_begins_more_than_the_limit(limit, clock, timing):
    begun = []

    async def main():
        window = Window(limit)

        async def one():
            await admit([(window, 1)], timing)
            begun.append(clock.read())

        await asyncio.gather(*(one() for _ in range(10)))

    asyncio.run(main())
    assert len(begun) == 10
    assert all(sum(start <= t < start + 60.0 for t in begun) <= limit for start in begun)
    assert max(begun) - min(begun) < 60.0 * (10 / limit) + 1.0


def most_within_a_minute(begun, amounts):
    """The largest sum of amounts that begin in any 60 s."""
    return max(sum(a for t, a in zip(begun, amounts, strict=True) if start <= t < start + 60.0) for start in begun)


def test_both_limits_hold_together(clock, timing):
    """A request that waits for its tokens begins when they are there, not when its turn among requests came."""
    amounts = [100, *[10] * 9]
    begun, sent = [], []
    config = Config("http://host/v1", "tiny", requests_per_minute=2, tokens_per_minute=100, concurrency=10)

    async def main(session):
        async def one(amount):
            await session._admit(amount)
            begun.append(clock.read())
            sent.append(amount)

        await asyncio.gather(*map(one, amounts))

    Transport(config, Counters(0.0, 0.0), timing).run(main)
    assert sorted(sent) == sorted(amounts)
    assert most_within_a_minute(begun, [1] * 10) == 2
    assert most_within_a_minute(begun, sent) <= 100
    assert max(begun) - min(begun) < 60.0 * 5 + 1.0


def test_requests_and_tokens_per_minute_reach_the_server(model_server, timing, clock):
    for limit in ({"requests_per_minute": 2}, {"tokens_per_minute": 130}):
        model_server.respond = lambda payload: model_server.chat("ok", usage=(5, 50))
        start, sent = clock.time, len(model_server.calls)
        with Client(Config(model_server.url, "tiny", max_tokens=50, concurrency=1, **limit), timing) as client:
            client.ask([question(str(i), schema=None) for i in range(5)])
        assert len(model_server.calls) - sent == 5
        assert 120.0 <= clock.time - start < 130.0


def test_tokens_that_were_not_used_are_free_for_the_next(model_server, timing, clock):
    model_server.respond = lambda payload: model_server.chat("ok", usage=(5, 5))
    limits = {"max_tokens": 100, "tokens_per_minute": 150, "concurrency": 1}
    with Client(Config(model_server.url, "tiny", **limits), timing) as client:
        client.ask([question(str(i), schema=None) for i in range(5)])
    assert clock.sleeps == []


def test_usage_adds_up(model_server, timing):
    model_server.respond = lambda payload: model_server.chat("ok", usage=(1000, 500))
    with Client(Config(model_server.url, "tiny", price_in=2.0, price_out=4.0), timing) as client:
        client.ask([question(str(i), schema=None) for i in range(3)])
        client.ask([question(str(i), schema=None) for i in range(4)])
        usage = client.usage()
    assert (usage.requests, usage.hits, usage.retries, usage.tokens_in, usage.tokens_out) == (4, 3, 0, 4000, 2000)
    assert usage.cost == pytest.approx((4000 * 2.0 + 2000 * 4.0) / 1e6)


def test_latency_quantiles_are_nearest_ranks():
    counters = Counters(0.0, 0.0)
    assert (counters.usage().latency_p50, counters.usage().latency_p95) == (None, None)
    for latency in range(20, 0, -1):
        counters.answered(float(latency), 0, 0)
    assert (counters.usage().latency_p50, counters.usage().latency_p95) == (10.0, 19.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_url", "127.0.0.1:8080"),
        ("base_url", "ftp://host/v1"),
        ("base_url", "http://host:99999/v1"),
        ("base_url", 3),
        ("model", ""),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("seed", 1.5),
        ("max_tokens", 0),
        ("concurrency", True),
        ("requests_per_minute", 0),
        ("tokens_per_minute", -5),
        ("connect_timeout", 0.0),
        ("total_timeout", float("inf")),
        ("max_retries", -1),
        ("backoff", "soon"),
        ("price_in", -1.0),
        ("budget", 1.0),  # without a price it would never be spent
        ("offline", 1),
        ("cache", 5),
    ],
)
def test_settings_are_checked(name, value):
    with pytest.raises(OptionError, match=name) as caught:
        Config(**{"base_url": "http://host/v1", "model": "m", name: value})
    assert caught.value.key == name
    assert "expected" in str(caught.value)


def test_offline_needs_a_cache():
    with pytest.raises(OptionError, match="cache"):
        Config("http://host/v1", "m", offline=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key_env", "sk-canary1234567"),
        ("api_key_env", "hf_canary1234567"),
        ("base_url", "https://user:canary@host/v1"),
        ("base_url", "https://host/v1?key=canary"),
        ("base_url", "sk-canary1234567"),
        ("base_url", "https://host/v1 canary"),
        ("base_url", "ftp://canary/v1"),
        ("base_url", "http://canary:99999/v1"),
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_shown(name, value):
    with pytest.raises(OptionError, match=name) as caught:
        Config(**{"base_url": "http://host/v1", "model": "m", name: value})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "code"),
    [(LLMError, 8), (ServerError, 8), (SpentError, 8), (OfflineError, 8), (CredentialError, 2), (CacheError, 4)],
)
def test_every_error_ends_a_command_with_the_code_of_its_cause(error, code):
    assert error("x").code == code


def test_without_httpx_the_error_names_the_extra(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtraError, match=r"palaestra\[llm\]"):
        client.ask([question()])


def test_importing_loads_neither_httpx_nor_jax_nor_torch():
    code = "import sys, palaestra.curricula.llm; print({'httpx', 'jax', 'torch', 'wordllama'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_configuration_and_reply_do_not_change():
    config = Config("http://host/v1", "m")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model = "other"
