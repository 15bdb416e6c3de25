"""Asking a language model: what is sent, what is made of the answer, what it cost."""

import asyncio
import dataclasses
import json
import subprocess
import sys

import pytest
from palaestra.curricula.llm import Client, Config, Request
from palaestra.curricula.llm.errors import (
    ServerError,
)
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


@pytest.mark.parametrize("messages", [[], [{"role": "robot", "content": ""}], [{"role": "user"}], ["hello"]])
def test_messages_are_checked(messages):
    with pytest.raises(OptionError, match="messages"):
        Request(messages)


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
