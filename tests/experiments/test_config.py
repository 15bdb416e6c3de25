"""Typed building of configurations, nearest names, and files that are not to be trusted."""

import dataclasses
import math
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from palaestra.experiments import config
from palaestra.experiments.config_files import MAX_BYTES, dump_yaml, parse_yaml, read_config_file
from palaestra.experiments.errors import UsageError, nearest
from palaestra.experiments.settings import RunSettings, layer_file, layer_sets


@dataclasses.dataclass(frozen=True)
class Inner:
    learning_rate: float = 3e-4
    limit: float = math.inf


@dataclasses.dataclass(frozen=True)
class Outer:
    num_envs: int = 64
    hidden: tuple[int, ...] = (64, 64)
    pair: tuple[int, float] = (1, 2.0)
    kind: Literal["a", "b"] = "a"
    name: str | None = None
    flag: bool = False
    inner: Inner = dataclasses.field(default_factory=Inner)
    more: Inner | None = None

    def __post_init__(self):
        if self.num_envs < 1:
            raise ValueError(f"num_envs={self.num_envs}; expected at least 1")


@dataclasses.dataclass(frozen=True)
class Preset(Outer):
    inner: Inner = dataclasses.field(default_factory=lambda: Inner(limit=5.0))
    more: Inner | None = dataclasses.field(default_factory=lambda: Inner(limit=7.0))


def test_a_part_of_a_preset_leaves_the_rest_of_it():
    assert config.build(Preset, {"inner": {"learning_rate": 1e-2}}).inner == Inner(1e-2, 5.0)
    assert config.build(Preset, {"inner": {}}).inner == Inner(limit=5.0)
    with pytest.raises(UsageError, match=r"inner\.learning_rte"):
        config.build(Preset, {"inner": {"learning_rte": 1}})


def test_settings_that_may_be_none_are_set_in_part_and_as_a_whole():
    keys = config.key_names(Outer)
    assert {"more", "more.limit", "inner.limit"} < set(keys) and "inner" not in keys
    assert config.build(Outer, {"more": {"limit": 2}}).more == Inner(limit=2.0)
    assert config.build(Preset, {"more": {"learning_rate": 1}}).more == Inner(1.0, 7.0)
    assert config.build(Preset, {"more": None}).more is None
    sections = layer_sets(["more.limit=2"], keys, [])
    assert sections["agent_config"] == {"more": {"limit": 2}}
    with pytest.raises(UsageError, match=r"more\.limt"):
        config.build(Outer, {"more": {"limt": 2}})


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("num_envs=8", "num_envs", 8),
        ("num_envs=1e3", "num_envs", 1000),
        ("inner.learning_rate=1e-3", "inner.learning_rate", 1e-3),
        ("inner.limit=inf", "inner.limit", math.inf),
        ("hidden=[32, 16]", "hidden", (32, 16)),
        ("pair=[3, 4]", "pair", (3, 4.0)),
        ("kind=b", "kind", "b"),
        ("name=null", "name", None),
        ("name=12", "name", "12"),
        ("flag=true", "flag", True),
        ("flag=no", "flag", False),
    ],
)
def test_assignments_become_typed_fields(text, key, value):
    key_given, parsed = config.parse_assignment(text)
    built = config.build(Outer, config.nest({key_given: parsed}))
    found = built
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("num_env=8", ["num_env", "num_envs"]),
        ("inner.lerning_rate=1", ["inner.lerning_rate", "inner.learning_rate"]),
        ("num_envs=1.5", ["num_envs", "1.5", "whole number"]),
        ("num_envs=true", ["num_envs", "True"]),
        ("num_envs=x", ["num_envs", "'x'"]),
        ("num_envs=0", ["num_envs=0", "at least 1"]),
        ("hidden=3", ["hidden", "list"]),
        ("hidden=[3, x]", ["hidden", "list"]),
        ("pair=[3]", ["pair", "2 values"]),
        ("kind=c", ["kind", "'c'", "['a', 'b']"]),
        ("flag=7", ["flag", "true or false"]),
        ("inner=7", ["inner", "mapping"]),
        ("inner.learning_rate=nan", ["inner.learning_rate", "number"]),
        ("no equals sign", ["key=value"]),
    ],
)
def test_refusals_name_key_value_and_expectation(text, words):
    with pytest.raises(UsageError) as caught:
        key, value = config.parse_assignment(text)
        config.build(Outer, config.nest({key: value}))
    for word in words:
        assert word in str(caught.value)


def test_a_configuration_survives_its_file():
    built = config.build(Outer, {"hidden": [3], "inner": {"learning_rate": 1e-05}, "name": "1e3"})
    again = config.build(Outer, parse_yaml(dump_yaml(config.to_plain(built))))
    assert again == built


def test_nearest_names_come_in_order_of_likeness():
    assert nearest("lerning_rate", ["learning_rate", "discount", "lam", "clip"])[0] == "learning_rate"
    assert len(nearest("anything", ["a", "b", "c", "d"])) == 3


def test_set_keys_are_sorted_into_sections():
    layered = layer_sets(
        ["hyper.learning_rate=1", "teacher.rate=2", "env.horizon=3", "total_timesteps=4"],
        ["num_envs", "hyper.learning_rate"],
        ["rate"],
    )
    assert layered == {
        "agent_config": {"hyper": {"learning_rate": 1}},
        "teacher_config": {"rate": 2},
        "env_kwargs": {"horizon": 3},
        "run": {"total_timesteps": 4},
    }


def test_unknown_keys_of_a_file_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"total_timestep.*total_timesteps"):
        layer_file({"total_timestep": 3})


@pytest.mark.parametrize(
    ("field", "value"), [("total_timesteps", 0), ("num_seeds", 0), ("seed", -1), ("keep", 0), ("save_seconds", 0)]
)
def test_run_settings_refuse_what_makes_no_sense(field, value):
    with pytest.raises(UsageError, match=field):
        RunSettings(**{field: value})


HOSTILE = {
    "python object": "a: !!python/object/apply:os.system ['touch canary']",
    "python name": "a: !!python/name:os.system",
    "unknown tag": "a: !danger 1",
    "repeated key": "a: 1\na: 2",
    "repeated key inside": "a: {b: 1, b: 2}",
    "billion laughs": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "\n".join(f"{c}: &{c} [{', '.join(['*' + p] * 10)}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
    "alias of itself": "a: &a [*a]",
    "deep": "a: " + "[" * 30 + "]" * 30,
    "very deep": "[" * 100_000,
    "not a mapping": "- 1\n- 2",
    "scalar": "hello",
    "list as key": "? [1, 2]\n: 3",
    "unfinished": "a: [1, 2",
    "control characters": "a: \x00",
    "huge number": "a: 0x" + "f" * 100,
    "bad date": "a: 2020-99-99",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_yaml_is_refused_or_harmless(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UsageError):
        layer_file(read_config_file(path), path)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("data", [b"a: " + b"x" * MAX_BYTES, b"\xff\xfe\x00"], ids=["large", "not utf-8"])
def test_unreadable_files_are_refused(data, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"config\.yaml"):
        read_config_file(path)


def test_toml_and_yaml_mean_the_same(tmp_path):
    (tmp_path / "a.toml").write_text('env = "X"\n[agent_config]\nnum_envs = 3\n')
    (tmp_path / "a.yaml").write_text("env: X\nagent_config: {num_envs: 3}\n")
    assert read_config_file(tmp_path / "a.toml") == read_config_file(tmp_path / "a.yaml")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([*config.settable_fields(Outer), "inner.limit", "typo"]) | st.text(max_size=6)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, PLAIN, max_size=3))
def test_any_configuration_builds_or_is_refused_as_usage(values):
    try:
        config.build(Outer, config.nest(values))
    except UsageError as error:
        assert str(error)
        assert len(str(error)) < 2000


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | PLAIN.map(dump_yaml))
def test_any_yaml_text_parses_or_is_refused_as_usage(text):
    try:
        parse_yaml(text)
    except UsageError as error:
        assert "YAML" in str(error)
