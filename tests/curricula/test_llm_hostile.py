"""Servers that are slow, broken, greedy or spying: what the client does, and that the key stays out of everything."""

import email.utils
import json
import logging
import os
import signal
import time
import traceback

import pytest
from palaestra.curricula.llm import Client, Config, HTTPEmbedder, Request
from palaestra.curricula.llm.credentials import mask
from palaestra.curricula.llm.errors import CredentialError, LLMError, ServerError, SpentError
from palaestra.envs.errors import OptionError

VARIABLE = "TEST_MODEL_KEY"
CANARY = 'canary/"key"-0123456789'  # JSON has to escape the quotes, and may escape the slash
SCHEMA = {"type": "object", "properties": {"cell": {"type": "integer"}}, "required": ["cell"]}


def question(text="where?", schema=None, **kwargs):
    return Request([{"role": "user", "content": text}], schema, **kwargs)


@pytest.fixture
def make(model_server, timing):
    """Makes a client of the server, by default on a clock that nobody waits for."""
    clients = []

    def client(timing=timing, **settings):
        clients.append(Client(Config(model_server.url, "tiny", **settings), timing))
        return clients[-1]

    yield client
    for client in clients:
        client.close()


# Trying again.


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_passing_faults_are_tried_again(status, make, model_server, clock):
    model_server.in_turn(model_server.says(status), model_server.says(status), model_server.chat("ok"))
    client = make()
    (reply,) = client.ask([question()])
    assert (reply.text, reply.attempts) == ("ok", 3)
    assert (client.usage().requests, client.usage().retries) == (1, 2)
    assert clock.sleeps == [0.25, 0.5]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 301, 307])
def test_refusals_are_not_tried_again(status, make, model_server, clock):
    model_server.in_turn(model_server.says(status, "go away", [("Location", model_server.url), ("Retry-After", "1")]))
    with pytest.raises(ServerError, match=f"status {status}: go away.*1 try") as caught:
        make().ask([question()])
    assert caught.value.status == status
    assert len(model_server.calls) == 1
    assert clock.sleeps == []


def test_waits_double_up_to_the_limit_and_tries_end(make, model_server, clock):
    model_server.in_turn(model_server.says(503, "down"))
    with pytest.raises(ServerError, match=r"status 503: down \(7 tries\)"):
        make(max_wait=3.0).ask([question()])
    assert len(model_server.calls) == 7
    assert clock.sleeps == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("3600", 20.0),
        ("1e999", 20.0),
        ("nan", 0.25),
        ("soon", 0.25),
        (email.utils.formatdate(1012.0, usegmt=True), 12.0),
        (email.utils.formatdate(900.0, usegmt=True), 0.0),
        (email.utils.formatdate(9e9, usegmt=True), 20.0),
    ],
)
def test_the_servers_word_on_when_to_come_back_is_kept_within_limits(header, wait, make, model_server, clock):
    model_server.in_turn(model_server.says(429, headers=[("Retry-After", header)]), model_server.chat("ok"))
    make(max_wait=20.0).ask([question()])
    assert clock.sleeps == [pytest.approx(wait)]


@pytest.mark.parametrize("fault", ["reset", "cut_body", "silence"])
def test_broken_connections_are_tried_again(fault, make, model_server, clock):
    model_server.in_turn(getattr(model_server, fault)(), model_server.chat("ok"))
    (reply,) = make(total_timeout=0.3).ask([question()])
    assert (reply.text, reply.attempts) == ("ok", 2)
    assert len(clock.sleeps) == 1


@pytest.mark.parametrize(
    "body", ["", "<html>", '{"choices": [{"mess', "[1]", "7", '{"a":' + "[" * 10**5, b"\xff\xfe", '{"a": NaN}']
)
def test_bodies_that_are_no_json_object_are_tried_again(body, make, model_server):
    model_server.in_turn(model_server.says(200, body), model_server.chat("ok"))
    assert make().ask([question()])[0].attempts == 2


@pytest.mark.parametrize("body", ["{}", '{"choices": []}', '{"choices": [7]}', '{"choices": [{"message": "x"}]}'])
def test_objects_that_are_no_chat_are_an_error_and_not_stored(body, make, model_server):
    model_server.in_turn(model_server.says(200, body))
    client = make()
    with pytest.raises(ServerError, match="choices"):
        client.ask([question()])
    assert len(client.cache) == 0
    assert len(model_server.calls) == 1


def test_a_server_that_is_not_there_is_told(make, model_server, clock):
    model_server.close()
    with pytest.raises(ServerError, match=r"ConnectError.*\(7 tries\)"):
        make().ask([question()])
    assert len(clock.sleeps) == 6


def test_a_body_without_end_meets_the_deadline(make, model_server):
    model_server.in_turn(model_server.endless(pause=0.01))
    start = time.perf_counter()
    with pytest.raises(ServerError, match=r"no complete answer within 0\.3 s"):
        make(total_timeout=0.3, max_retries=0).ask([question()])
    assert time.perf_counter() - start < 1.5


def test_a_body_without_end_meets_the_size_limit_and_is_not_asked_for_again(make, model_server):
    model_server.in_turn(model_server.endless())
    with pytest.raises(ServerError, match="more than 100000 bytes"):
        make(max_body=100_000).ask([question()])
    assert len(model_server.calls) == 1


def test_an_answer_of_half_a_letter_is_stored_and_sent_back(make, model_server):
    model_server.in_turn(model_server.chat('{"cell": "\ud800"}'), model_server.chat('{"cell": 1}'))
    client = make()
    (reply,) = client.ask([question(schema=SCHEMA)])
    assert reply.repaired
    assert client.ask([question(schema=SCHEMA)])[0].from_cache
    assert model_server.payloads[1]["messages"][1]["content"] == '{"cell": "\ud800"}'


# Bounds.


@pytest.mark.parametrize("bound", [1, 3])
def test_no_more_requests_are_in_flight_than_allowed(bound, make, model_server):
    model_server.respond = lambda payload: model_server.chat("ok", delay=0.03)
    make(concurrency=bound).ask([question(str(i)) for i in range(9)])
    assert len(model_server.calls) == 9
    assert model_server.most_at_once == bound


def test_nothing_new_is_sent_after_a_failure(make, model_server):
    model_server.in_turn(model_server.says(403, "no"))
    with pytest.raises(ServerError, match="403"):
        make(concurrency=2).ask([question(str(i)) for i in range(20)])
    assert len(model_server.calls) <= 2


def test_answers_in_flight_at_a_failure_are_kept(make, model_server):
    def respond(payload):
        good = payload["messages"][0]["content"] == "good"
        return model_server.chat("ok", delay=0.2) if good else model_server.says(403, "no")

    model_server.respond = respond
    client = make()
    with pytest.raises(ServerError, match="403"):
        client.ask([question("good"), question("bad")])
    assert client.ask([question("good")])[0].from_cache


@pytest.mark.parametrize("concurrency", [1, 2])
def test_no_request_begins_once_the_budget_is_spent(concurrency, make, model_server):
    model_server.respond = lambda payload: model_server.chat("ok", usage=(400_000, 100_000))
    client = make(price_in=1.0, price_out=1.0, budget=1.2, concurrency=concurrency)  # each costs 0.5
    with pytest.raises(SpentError, match=r"1\.5.*expected less than 1\.2|2 spent.*expected less than 1\.2"):
        client.ask([question(str(i)) for i in range(9)])
    assert 3 <= len(model_server.calls) < 3 + concurrency
    assert len(client.cache) == len(model_server.calls)
    spent = client.usage().cost
    assert client.ask([question("0")])[0].from_cache  # what was answered stays free
    assert client.usage().cost == spent


def test_a_budget_of_nothing_sends_nothing(make, model_server):
    with pytest.raises(SpentError):
        make(price_in=1.0, budget=0.0).ask([question()])
    assert model_server.connections == 0


@pytest.mark.parametrize("usage", [None, (-5, -5), ("many", None), (True, 1.5), (2**80, 2**80)])
def test_a_server_that_hides_its_tokens_is_charged_the_most(usage, make, model_server):
    model_server.in_turn(model_server.chat("ok", usage=usage))
    client = make(max_tokens=77)
    client.ask([question("x" * 400)])
    assert (client.usage().tokens_in, client.usage().tokens_out) == (101, 77)


# The key.


def escaped(text):
    """Every letter as an escape: JSON that holds the text without showing it."""
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


ECHO = json.dumps(CANARY)[1:-1]
ECHOES = {
    "refusal": lambda s: s.says(401, f"bad key {CANARY}"),
    "refusal cut in the key": lambda s: s.says(400, "x" * 290 + CANARY),
    "refusal with escapes": lambda s: s.says(400, '{"error": "%s"}' % escaped(CANARY)),  # noqa: UP031
    "refusal with slashes escaped": lambda s: s.says(400, json.dumps(CANARY).replace("/", r"\/")),
    "retried": lambda s: s.says(500, json.dumps({"error": CANARY})),
    "header": lambda s: s.says(503, headers=[("X-Key", CANARY), ("Retry-After", CANARY)]),
    "reason": lambda s: s.says(500, reason=CANARY),
    "redirect": lambda s: s.says(302, headers=[("Location", f"http://127.0.0.1:1/{CANARY}")]),
    "bad header": lambda s: s.says(200, headers=[(CANARY, "x")]),
    "no json": lambda s: s.says(200, CANARY),
    "no chat": lambda s: s.says(200, json.dumps({CANARY: CANARY})),
    "text": lambda s: s.chat(f"your key is {CANARY}"),
    "finish reason": lambda s: s.chat("x", finish=CANARY),
    "escaped": lambda s: s.says(200, '{"choices": [{"message": {"content": "%s"}}]}' % escaped(CANARY)),  # noqa: UP031
    "value": lambda s: s.chat(json.dumps({"cell": CANARY, CANARY: 1})),
    "escaped value": lambda s: s.chat('{"cell": "%s"}' % escaped(CANARY)),  # noqa: UP031
    "text with slashes escaped": lambda s: s.chat("your key: " + ECHO.replace("/", r"\/")),
    "escaped name": lambda s: s.says(200, '{"choices": [{"message": {}}], "%s": 1}' % escaped(CANARY)),  # noqa: UP031
    "extra field": lambda s: s.says(200, json.dumps({"choices": [{"message": {"content": "x"}}], CANARY: [CANARY]})),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_an_echoed_key_is_in_no_log_row_reply_or_error(echo, model_server, timing, tmp_path, monkeypatch, caplog):
    """Looks in everything that outlives the request, with and without the local variables of a traceback."""
    monkeypatch.setenv(VARIABLE, CANARY)
    model_server.in_turn(ECHOES[echo](model_server))
    caplog.set_level(logging.DEBUG)
    settings = {"api_key_env": VARIABLE, "cache": tmp_path / "answers.sqlite", "max_retries": 1}
    client = Client(Config(model_server.url, "tiny", **settings), timing)
    seen = []
    try:
        replies = client.ask([question(schema=SCHEMA), question("text")])
        seen += [repr(replies), *(reply.text for reply in replies), json.dumps([reply.value for reply in replies])]
    except LLMError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        seen += [str(error), repr(error), repr(error.__context__), repr(vars(error)), *told.format()]
    assert any(headers["Authorization"] == f"Bearer {CANARY}" for _, headers, _ in model_server.calls)
    client.cache.export_jsonl(tmp_path / "answers.jsonl")
    seen += [repr(client), repr(client.config), repr(client.usage()), caplog.text]
    seen += [repr(record.__dict__) for record in caplog.records]
    seen += [file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()]
    client.close()
    seen += [file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()]
    if "refusal" in echo:
        assert escaped(CANARY)[:12] not in seen[0]
    assert len(caplog.records) > 5  # the HTTP library was heard
    for text in seen:
        for form in (CANARY, ECHO, json.dumps(ECHO)[1:-1], ECHO.replace("/", r"\/"), CANARY[:12]):
            assert form not in text


def test_an_echoed_key_stays_out_of_embeddings(model_server, timing, monkeypatch):
    monkeypatch.setenv(VARIABLE, CANARY)
    model_server.in_turn(model_server.says(200, json.dumps({"data": CANARY})))
    embedder = HTTPEmbedder(Config(model_server.url, "tiny", api_key_env=VARIABLE), timing)
    with pytest.raises(ServerError) as caught:
        embedder.embed(["a"])
    assert "***" in str(caught.value)


@pytest.mark.parametrize("form", ["canary-0123456789", "canary%2D0123456789"])
def test_a_key_in_the_path_of_the_address_is_refused_and_not_shown(form, model_server, timing, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "canary-0123456789")
    settings = {"api_key_env": VARIABLE, "cache": tmp_path / "answers.sqlite"}
    config = Config(f"{model_server.url}/{form}", "tiny", **settings)
    client, embedder = Client(config, timing), HTTPEmbedder(config, timing)
    for ask in (lambda: client.ask([question(schema=SCHEMA)]), lambda: embedder.embed(["a"])):
        with pytest.raises(OptionError, match="address that holds the API key") as caught:
            ask()
        assert "canary" not in str(caught.value) and caught.value.key == "base_url"
    client.close()
    embedder.close()
    assert model_server.connections == 0
    assert not any(b"canary" in file.read_bytes() for file in tmp_path.iterdir())


def test_masks_leave_keys_of_fewer_than_eight_letters_as_they_are(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1234567")
    assert mask("key 1234567", VARIABLE) == "key 1234567"
    monkeypatch.setenv(VARIABLE, "12345678")
    assert mask("key 12345678", VARIABLE) == "key ***"


def test_logs_are_left_as_they_were(make, model_server):
    before = {name: list(logging.getLogger(name).filters) for name in ("httpx", "httpcore.http11")}
    make().ask([question(schema=SCHEMA)])
    assert {name: logging.getLogger(name).filters for name in before} == before


@pytest.mark.parametrize("value", ["", "canary\n", "canary key", "canaryé"])
def test_a_key_that_cannot_be_sent_is_told_and_not_shown(value, make, model_server, monkeypatch):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(CredentialError, match=VARIABLE) as caught:
        make(api_key_env=VARIABLE).ask([question()])
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "canary" not in str(caught.value)
    assert not any("canary" in line for line in told.format() if "monkeypatch" not in line and "value = " not in line)
    assert model_server.calls == []


def test_the_key_is_read_when_it_is_sent(make, model_server, monkeypatch):
    client = make(api_key_env=VARIABLE)
    for value in ("first-value", "second-value"):
        monkeypatch.setenv(VARIABLE, value)
        client.ask([question(value[:5])])
    assert [headers["Authorization"] for _, headers, _ in model_server.calls] == [
        "Bearer first-value",
        "Bearer second-value",
    ]


def test_a_placeholder_for_a_key_changes_no_answers(make, model_server, monkeypatch):
    monkeypatch.setenv(VARIABLE, "EMPTY")
    model_server.in_turn(model_server.chat("the cell is EMPTY"))
    assert make(api_key_env=VARIABLE).ask([question()])[0].text == "the cell is EMPTY"


def test_a_server_on_this_machine_is_asked_without_a_proxy(make, model_server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert make(max_retries=0).ask([question()])[0].text == "{}"


def test_an_interrupt_keeps_what_was_answered(make, model_server):
    """Ctrl-C arrives while the second question waits."""

    def respond(payload):
        if payload["messages"][0]["content"] == "second":
            os.kill(os.getpid(), signal.SIGINT)
            return model_server.silence()
        return model_server.chat("ok")

    model_server.respond = respond
    client = make(concurrency=1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # workers of a parallel run may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            client.ask([question("first"), question("second")])
    finally:
        signal.signal(signal.SIGINT, before)
    assert client.ask([question("first")])[0].from_cache
