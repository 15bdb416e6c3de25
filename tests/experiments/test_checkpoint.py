"""Checkpoints: whole or not at all, whatever happens to the disk."""

import json
import pathlib
import random
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from palaestra.experiments import checkpoint, manifest
from palaestra.experiments.checkpoint import CheckpointStore, MismatchError, load, to_arrays
from palaestra.experiments.errors import InputFileError, ResourceError


@struct.dataclass
class State:
    """One of everything a state may hold."""

    params: dict
    key: jax.Array
    keys: jax.Array
    count: jax.Array
    flag: jax.Array
    half: jax.Array
    empty: jax.Array
    filler: jax.Array


def make(step: int = 0) -> State:
    key = jax.random.key(step)
    return State(
        params={"layer/0.odd name": {"w": jax.random.normal(key, (5, 3))}, "b": jnp.zeros(3)},
        key=key,
        keys=jax.random.split(key, 4),
        count=jnp.asarray(step, jnp.int32),
        flag=jnp.asarray(True),
        half=jnp.full((3,), 1.5, jnp.bfloat16),
        empty=jnp.zeros((0, 2)),
        filler=jnp.asarray([jnp.inf, -jnp.inf, jnp.nan]),
    )


TEMPLATE = jax.eval_shape(make)


def same(a, b) -> bool:
    left, right = to_arrays(a)[0], to_arrays(b)[0]
    assert left.keys() == right.keys()
    return all(left[k].dtype == right[k].dtype and left[k].tobytes() == right[k].tobytes() for k in left)


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    store = CheckpointStore(tmp_path / "checkpoints", keep=3, warn=said.append)
    for step in (1, 2):
        assert store.save(step, make(step), {"iteration": step})
    return store


def files(path: pathlib.Path) -> list[pathlib.Path]:
    return sorted(p for p in path.rglob("*") if p.is_file())


def test_every_kind_of_leaf_comes_back_bit_for_bit(store):
    loaded = store.load_latest(TEMPLATE)
    assert loaded.step == 2
    assert loaded.host == {"iteration": 2}
    assert same(loaded.state, make(2))
    assert jax.random.uniform(loaded.state.key) == jax.random.uniform(jax.random.key(2))


def test_a_folder_without_checkpoints_has_none(tmp_path):
    assert CheckpointStore(tmp_path / "nowhere").load_latest(TEMPLATE) is None


def test_the_newest_are_kept_and_best_and_final_besides(store):
    store.save(3, make(3), {}, copies=("best",))
    for step in (4, 5, 6):
        store.save(step, make(step), {}, copies=("final",))
    assert store.steps() == [4, 5, 6]
    assert load(store.root / "best", TEMPLATE).step == 3
    assert load(store.root / "final", TEMPLATE).step == 6
    assert not (store.root / "final").is_symlink()


def test_a_step_can_be_saved_again(store):
    store.save(2, make(7), {"again": True})
    assert same(store.load_latest(TEMPLATE).state, make(7))


def test_all_single_bit_flips_are_noticed(store):
    """R3: flips spread over all files, each of them met several times."""
    draw, path = random.Random(0), store.path(2)
    targets = files(path)
    assert len(targets) > 5
    for number in range(100):
        file = targets[number % len(targets)]
        data = file.read_bytes()
        bit = draw.randrange(8 * len(data))
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        with pytest.raises(InputFileError):
            manifest.read_verified(path)
        file.write_bytes(data)
    manifest.read_verified(path)


def damage_flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


DAMAGE = {
    "flipped": damage_flip,
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "emptied": lambda file: file.write_bytes(b""),
    "missing": pathlib.Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("name", ["MANIFEST.json", "state.json", "array data"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(store, said, damage, name):
    folder = store.path(2)
    file = max(files(folder / "state"), key=lambda p: p.stat().st_size) if name == "array data" else folder / name
    damage(file)
    loaded = store.load_latest(TEMPLATE)
    assert loaded.step == 1
    assert same(loaded.state, make(1))
    assert (store.root / "step_000000000002.corrupt").is_dir()
    assert len(said) == 1
    assert file.name in said[0]


def test_surplus_files_swapped_files_and_swapped_folders_are_noticed(store):
    folder = store.path(2)
    (folder / "state" / "extra").write_text("x")
    with pytest.raises(InputFileError, match="extra"):
        load(folder, TEMPLATE)
    (folder / "state" / "extra").unlink()
    shutil.copy(store.path(1) / "state.json", folder / "state.json")
    with pytest.raises(InputFileError, match=r"state\.json"):
        load(folder, TEMPLATE)


def test_a_link_in_place_of_a_file_is_noticed(store, tmp_path):
    (store.path(2) / "state" / "link").symlink_to(tmp_path)
    with pytest.raises(InputFileError, match="link"):
        load(store.path(2), TEMPLATE)


def test_when_none_is_good_all_are_named(store):
    for step in (1, 2):
        (store.path(step) / "MANIFEST.json").unlink()
    with pytest.raises(InputFileError, match=r"(?s)step_000000000002.*step_000000000001"):
        store.load_latest(TEMPLATE)


def test_a_reader_leaves_a_bad_checkpoint_where_it_lies(store, said):
    (store.path(2) / "state.json").unlink()
    reader = CheckpointStore(store.root, warn=said.append, writable=False)
    assert reader.load_latest(TEMPLATE).step == 1
    assert store.path(2).is_dir()


def test_a_state_of_another_shape_is_refused_and_not_set_aside(store):
    other = jax.eval_shape(lambda: make().replace(count=jnp.zeros((2,), jnp.int32)))
    with pytest.raises(MismatchError, match="count"):
        store.load_latest(other)
    fewer = jax.eval_shape(lambda: {"only": make().key})
    with pytest.raises(MismatchError, match="configuration"):
        store.load_latest(fewer)
    assert store.steps() == [1, 2]


def test_a_newer_schema_is_refused_with_both_versions(store, monkeypatch):
    monkeypatch.setattr(manifest, "SCHEMA", 7)
    store.save(3, make(3), {})
    monkeypatch.undo()
    with pytest.raises(InputFileError, match=r"7.*1"):
        load(store.path(3), TEMPLATE)


def test_leftovers_of_a_killed_save_are_removed(store):
    (store.root / ".tmp-3-deadbeef").mkdir()
    (store.root / ".tmp-3-deadbeef" / "half").write_text("x")
    store.clean()
    assert sorted(p.name for p in store.root.iterdir()) == ["step_000000000001", "step_000000000002"]


def test_a_copy_retired_by_a_killed_save_comes_back(store):
    store.save(3, make(3), {}, copies=("best",))
    (store.root / "best").rename(store.root / ".tmp-retired-best-deadbeef")
    store.clean()
    assert load(store.root / "best", TEMPLATE).step == 3


OPERATIONS = [
    "write arrays",
    "write host state",
    "sync",
    "write manifest",
    "rename",
    "sync parent",
    "copy best",
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_full_disk_at_any_moment_leaves_a_good_checkpoint(store, said, monkeypatch, operation):
    """R5: ENOSPC before each operation of a save."""

    def fail(name):
        if name == operation:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "fault_point", fail)
    assert not store.save(3, make(3), {}, copies=("best",))
    assert "No space left" in said[0]
    monkeypatch.undo()
    loaded = store.load_latest(TEMPLATE)
    assert same(loaded.state, make(loaded.step))
    assert not list(store.root.glob(".tmp-*/MANIFEST.json"))


def test_a_third_failure_in_a_row_ends_the_run(store, said, monkeypatch):
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    assert not store.save(3, make(3), {})
    assert not store.save(4, make(4), {})
    with pytest.raises(ResourceError, match="free"):
        store.save(5, make(5), {})
    assert len(said) == 2
    assert store.load_latest(TEMPLATE).step == 2


KILLED_SAVE = """
import os, pathlib, signal, sys
sys.path.insert(0, {here!r})
from palaestra.experiments import checkpoint
from test_checkpoint import make
def kill(name):
    if name == {operation!r}:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.fault_point = kill
checkpoint.CheckpointStore(pathlib.Path({root!r}), keep=3).save(3, make(3), {{}}, copies=("best",))
"""
KILLS = [*OPERATIONS[:3], *(pytest.param(name, marks=pytest.mark.slow) for name in OPERATIONS[3:])]


@pytest.mark.parametrize("operation", KILLS)
def test_a_kill_at_any_moment_of_a_save_leaves_a_good_checkpoint(store, operation):
    """R1, inside the save."""
    here = str(pathlib.Path(__file__).parent)
    code = KILLED_SAVE.format(here=here, root=str(store.root), operation=operation)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == -9, done.stderr.decode()
    store.clean()
    loaded = store.load_latest(TEMPLATE)
    assert same(loaded.state, make(loaded.step))
    assert not list(store.root.glob(".tmp-*"))


def test_the_manifest_names_every_array_and_flags_what_is_not_finite(store):
    content = json.loads((store.path(2) / "MANIFEST.json").read_text())["content"]
    assert content["tensors"][".filler"] == {"shape": [3], "dtype": "float32", "key": "", "finite": False}
    assert content["tensors"][".keys"]["key"] == "threefry2x32"
    assert content["tensors"][".params['b']"]["finite"] is True
    assert set(content["files"]) == {str(p.relative_to(store.path(2))) for p in files(store.path(2))} - {
        "MANIFEST.json"
    }


@pytest.mark.slow
def test_fifty_megabytes_are_saved_within_seconds(tmp_path):
    import time

    state = {"w": jnp.asarray(np.random.default_rng(0).standard_normal((1250, 10_000)), jnp.float32)}
    store = CheckpointStore(tmp_path)
    store.save(0, state, {})
    begin = time.perf_counter()
    store.save(1, state, {})
    assert time.perf_counter() - begin < 10
