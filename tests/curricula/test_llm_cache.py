"""Answers kept in a file: what makes two questions equal, and what happens to the file when things go wrong."""

import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from palaestra.curricula.llm import Client, Config, Request
from palaestra.curricula.llm.cache import Cache, Row, canonical, key_of
from palaestra.curricula.llm.errors import CacheError, OfflineError, ServerError
from palaestra.envs.errors import OptionError

SCHEMA = {"type": "object", "properties": {"cell": {"type": "integer"}}, "required": ["cell"]}
MESSAGES = [{"role": "user", "content": "where?"}]


def question(text="where?", **kwargs):
    return Request([{"role": "user", "content": text}], **{"schema": SCHEMA, **kwargs})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.sqlite"


@pytest.fixture
def config(model_server, path):
    model_server.respond = lambda payload: model_server.chat('{"cell": 1}')
    return Config(model_server.url, "tiny", cache=path, max_retries=0)


def row(request='{"a":1}', **kwargs):
    return Row(
        **{
            "key": key_of(request),
            "request": request,
            "response": '{"b": 2}',
            "created": "2024-05-06T07:08:09+00:00",
            "latency_ms": 12.5,
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "attempts": 1,
            "status": "ok",
            **kwargs,
        }
    )


def ask(config, *requests):
    with Client(config) as client:
        return client.ask(requests), client.usage()


def test_a_stored_answer_opens_no_socket(config, model_server):
    ((first,), _) = ask(config, question())
    model_server.close()
    ((again,), usage) = ask(config, question())
    assert again.from_cache
    assert not first.from_cache
    assert (again.value, again.latency, again.tokens_out) == (first.value, first.latency, first.tokens_out)
    assert (usage.requests, usage.hits, usage.tokens_in, usage.cost) == (0, 1, 0, 0.0)


def test_equal_questions_in_one_call_are_sent_once(config, model_server):
    model_server.respond = lambda payload: model_server.chat('{"cell": 1}', delay=0.05)
    replies, usage = ask(config, *[question() for _ in range(5)], question("other"))
    assert len(model_server.calls) == 2
    assert [reply.from_cache for reply in replies] == [False, True, True, True, True, False]
    assert (usage.requests, usage.hits) == (2, 4)


def test_equal_questions_of_two_threads_are_sent_once(config, model_server):
    model_server.respond = lambda payload: model_server.chat('{"cell": 1}', delay=0.1)
    with Client(config) as client:
        threads = [threading.Thread(target=client.ask, args=([question()],)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.usage().hits == 2
    assert len(model_server.calls) == 1


def test_repairs_are_stored_and_shared_like_first_answers(config, model_server):
    model_server.respond = lambda payload: model_server.chat(f'{{"cell": {len(payload["messages"])}}}', delay=0.02)

    def check(value):
        return [] if value["cell"] == 3 else ["no"]

    replies, _ = ask(config, question(check=check), question(check=check))
    assert [reply.value for reply in replies] == [{"cell": 3}] * 2
    assert len(model_server.calls) == 2
    ((again,), usage) = ask(config, question(check=check))
    assert (again.repaired, again.from_cache, usage.repaired) == (True, True, 1)
    assert len(model_server.calls) == 2


def test_another_check_judges_the_stored_answer_anew(config, model_server):
    ask(config, question())
    model_server.respond = lambda payload: model_server.chat('{"cell": 2}')
    ((reply,), _) = ask(config, question(check=lambda value: [] if value["cell"] == 2 else ["no"]))
    assert reply.repaired
    assert not reply.from_cache  # only its first half was
    assert len(model_server.calls) == 2


def test_columns_are_those_of_the_specification_and_the_key_is_the_digest_of_the_request(config, path):
    ask(config, question(template="plan/3"))
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        (held,) = map(dict, database.execute("SELECT * FROM answers"))
        assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert list(held) == [
        *("key", "request", "response", "created", "latency_ms"),
        *("prompt_tokens", "completion_tokens", "attempts", "status"),
    ]
    assert json.loads(held["request"]) == {
        "template": "plan/3",
        "model": "tiny",
        "messages": MESSAGES,
        "sampling": {"temperature": 0.0, "max_tokens": 1024, "seed": 0},
        "schema": SCHEMA,
    }
    assert held["key"] == hashlib.sha256(held["request"].encode()).hexdigest()
    assert json.loads(held["response"])["choices"][0]["message"]["content"] == '{"cell": 1}'
    assert (held["prompt_tokens"], held["completion_tokens"], held["attempts"], held["status"]) == (3, 2, 1, "ok")
    assert held["latency_ms"] > 0.0
    assert held["created"].endswith("+00:00")


@pytest.mark.parametrize(
    ("setting", "request_"),
    [
        ({"temperature": 0.5}, {}),
        ({"seed": 1}, {}),
        ({"seed": None}, {}),
        ({"max_tokens": 5}, {}),
        ({"model": "other"}, {}),
        ({}, {"template": "2"}),
        ({}, {"schema": {"type": "object"}}),
        ({}, {"messages": [{"role": "system", "content": ""}, *MESSAGES]}),
    ],
)
def test_all_that_an_answer_depends_on_makes_another_question(setting, request_, config, model_server):
    ask(config, Request(MESSAGES, SCHEMA))
    ask(Config(**{**vars(config), **setting}), Request(**{"messages": MESSAGES, "schema": SCHEMA, **request_}))
    assert len(model_server.calls) == 2


def test_limits_and_address_make_no_other_question(config, model_server):
    ask(config, question())
    ask(Config("http://elsewhere/v1", "tiny", cache=config.cache, concurrency=1, total_timeout=3.0), question())
    assert len(model_server.calls) == 1


def test_an_invalid_answer_is_stored_as_such(config, model_server, path):
    model_server.respond = lambda payload: model_server.chat("no idea")
    ask(config, question())
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT DISTINCT status FROM answers").fetchall() == [("invalid",)]


def test_a_call_that_failed_goes_on_where_it_stopped(config, model_server):
    answers = iter([model_server.chat('{"cell": 1}'), model_server.chat('{"cell": 2}'), model_server.says(500, "no")])
    model_server.respond = lambda payload: next(answers)
    questions = [question(str(i)) for i in range(4)]
    one_by_one = Config(**{**vars(config), "concurrency": 1})
    with pytest.raises(ServerError, match="500"):
        ask(one_by_one, *questions)
    assert len(model_server.calls) == 3
    model_server.respond = lambda payload: model_server.chat('{"cell": 9}')
    replies, usage = ask(one_by_one, *questions)
    assert [reply.value["cell"] for reply in replies] == [1, 2, 9, 9]
    assert usage.hits == 2


# Offline.


def test_offline_answers_from_the_file_alone(config, model_server, monkeypatch):
    ask(config, question())
    connections = model_server.connections
    monkeypatch.setitem(sys.modules, "httpx", None)
    ((reply,), _) = ask(Config(**{**vars(config), "offline": True}), question())
    assert reply.value == {"cell": 1}
    assert model_server.connections == connections


def test_offline_names_what_is_missing_and_does_not_ask(config, model_server):
    ask(config, question())
    sent = len(model_server.calls)
    with pytest.raises(OfflineError, match=r"tiny.*plan/2.*where is the ball") as caught:
        ask(Config(**{**vars(config), "offline": True}), question(), question("where is the ball?", template="plan/2"))
    assert str(config.cache) in str(caught.value)
    assert len(model_server.calls) == sent


def test_offline_without_a_file_is_an_error_and_makes_none(config):
    with pytest.raises(CacheError, match="no such file"):
        Client(Config(**{**vars(config), "offline": True}))
    assert not config.cache.exists()


# Export and import.


def test_an_export_imported_elsewhere_answers_the_same(config, model_server, tmp_path):
    first, _ = ask(config, question(), question("é\ud800"))
    with Client(config) as client:
        assert client.cache.export_jsonl(tmp_path / "answers.jsonl") == 2
    model_server.close()
    elsewhere = Config(**{**vars(config), "cache": tmp_path / "other.sqlite"})
    with Client(elsewhere) as client:
        assert client.cache.import_jsonl(tmp_path / "answers.jsonl") == 2
        assert client.cache.import_jsonl(tmp_path / "answers.jsonl") == 0
        again = client.ask([question(), question("é\ud800")])
        client.cache.export_jsonl(tmp_path / "again.jsonl")
    assert [reply.text for reply in again] == [reply.text for reply in first]
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "answers.jsonl").read_bytes()
    assert not list(tmp_path.glob(".tmp-*"))


def test_an_export_that_fails_leaves_nothing(config, tmp_path):
    ask(config, question())
    (tmp_path / "folder").mkdir()
    with Client(config) as client, pytest.raises(CacheError, match="cannot export"):
        client.cache.export_jsonl(tmp_path / "folder")
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2; not JSON"),
        ("[]", "line 2; expected an object with key"),
        (canonical({**vars(row()), "extra": 1}), "line 2; expected an object with key"),
        (canonical({**vars(row()), "request": '{"a":2}'}), "its key does not belong to its request"),
        (canonical({**vars(row()), "response": "[]"}), "its response is not a JSON object"),
        (canonical({**vars(row()), "attempts": True}), "attempts is True"),
        (canonical({**vars(row()), "prompt_tokens": 2**70}), "prompt_tokens is"),
        (canonical({**vars(row()), "latency_ms": -1}), "latency_ms is -1"),
        (canonical({**vars(row()), "created": "\ud800"}), "created is"),
        (canonical({**vars(row()), "status": "fine"}), "status is 'fine'"),
    ],
)
def test_an_import_is_all_or_nothing(line, said, path, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text(canonical(vars(row('{"good":1}'))) + "\n" + line + "\n")
    cache = Cache(path)
    with pytest.raises(CacheError, match=said.replace("[", r"\[")):
        cache.import_jsonl(file)
    assert len(cache) == 0
    cache.put(row())  # and the file is still of use
    assert len(cache) == 1


def test_the_first_answer_to_a_question_stays(path):
    one, other = Cache(path), Cache(path)
    assert one.put(row(response='{"b":1}')).response == '{"b":1}'
    assert other.put(row(response='{"b":2}')).response == '{"b":1}'


# Damage.


@pytest.fixture
def full(path):
    """A closed file of many answers."""
    cache = Cache(path)
    for i in range(60):
        cache.put(row(f'{{"a":{i}}}', response=json.dumps({"text": "x" * 200})))
    cache.close()
    return path


def damaged(path):
    with pytest.raises(CacheError) as caught:
        Cache(path)
    assert str(path) in str(caught.value)
    assert "Move the file away" in str(caught.value)
    return str(caught.value)


def test_a_truncated_file_is_told(full):
    data = full.read_bytes()
    full.write_bytes(data[: len(data) // 2])
    damaged(full)
    assert full.stat().st_size == len(data) // 2


def test_overwritten_pages_are_told(full):
    data = bytearray(full.read_bytes())
    data[8192:16384] = b"\xa5" * 8192
    full.write_bytes(data)
    damaged(full)


def test_another_kind_of_file_is_told_and_left_alone(path):
    path.write_text("a letter to grandmother\n" * 100)
    damaged(path)
    assert path.read_text().startswith("a letter")


def test_another_database_is_told_and_left_alone(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE letters (text TEXT)")
    assert "something else" in damaged(path)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("letters",)]


def test_a_later_version_is_told(full):
    with sqlite3.connect(full) as database:
        database.execute("PRAGMA user_version = 2")
    assert "another version" in damaged(full)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot open"):
        Cache(tmp_path / "file" / "answers.sqlite")


def test_a_write_that_fails_leaves_the_answers_before_it(path):
    cache = Cache(path)
    cache.put(row())
    cache._database.execute("PRAGMA query_only = 1")
    with pytest.raises(CacheError, match="cannot write"):
        cache.put(row('{"a":2}'))
    cache.close()
    assert len(Cache(path)) == 1


WRITER = """
import sys, time
from palaestra.curricula.llm.cache import Cache, Row, key_of
while time.time() < float(sys.argv[3]):  # all at once, as making the file is what they could disturb
    pass
cache = Cache(sys.argv[1])
for i in range(100):
    request = '{"a":%d}' % (i if i % 2 else 1000 * int(sys.argv[2]) + i)
    cache.put(Row(key_of(request), request, "{}", "now", 1.0, 1, 1, 1, "ok"))
"""


def test_processes_share_a_file(path):
    start = str(time.time() + 1.0)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(i), start]) for i in (1, 2, 3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(Cache(path)) == 50 + 3 * 50


def test_a_killed_writer_leaves_whole_answers(path):
    code = WRITER + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code, str(path), "1", "0"])
    cache = Cache(path)
    assert len(cache) == 100
    assert cache.get(key_of('{"a":1}')).response == "{}"


def test_a_question_that_holds_the_key_is_refused(config, monkeypatch, path):
    monkeypatch.setenv("TEST_MODEL_KEY", "canary-0123456789")
    with pytest.raises(OptionError, match="holds the API key") as caught:
        ask(Config(**{**vars(config), "api_key_env": "TEST_MODEL_KEY"}), question("my key is canary-0123456789"))
    assert "canary" not in str(caught.value)
    assert not any(b"canary" in file.read_bytes() for file in path.parent.iterdir())
