"""Limits by the minute, counters, settings, exit codes."""

import asyncio

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
from palaestra.curricula.llm.limits import Window, admit
from palaestra.curricula.llm.transport import Transport
from palaestra.envs.errors import OptionError


def question(text):
    return Request([{"role": "user", "content": text}])


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
            client.ask([question(str(i)) for i in range(5)])
        assert len(model_server.calls) - sent == 5
        assert 120.0 <= clock.time - start < 130.0


def test_tokens_that_were_not_used_are_free_for_the_next(model_server, timing, clock):
    model_server.respond = lambda payload: model_server.chat("ok", usage=(5, 5))
    limits = {"max_tokens": 100, "tokens_per_minute": 150, "concurrency": 1}
    with Client(Config(model_server.url, "tiny", **limits), timing) as client:
        client.ask([question(str(i)) for i in range(5)])
    assert clock.sleeps == []


def test_usage_adds_up(model_server, timing):
    model_server.respond = lambda payload: model_server.chat("ok", usage=(1000, 500))
    with Client(Config(model_server.url, "tiny", price_in=2.0, price_out=4.0), timing) as client:
        client.ask([question(str(i)) for i in range(3)])
        client.ask([question(str(i)) for i in range(4)])
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
