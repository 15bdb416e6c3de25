"""The benchmark of off-policy learners: what it runs, in which turns, and its rows on tiny learners."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy import presets
from palaestra.experiments import catalog
from palaestra.experiments.bench import _online_steps, _phases, _rounds, _writing, offline
from palaestra.experiments.bench._peer_process import PeerProcess
from palaestra.experiments.bench._phases import Phases, Size

TINY = Size(obs=3, action=2, rows=64, width=8, critics=3, batch=4, seeds=(1, 2))
IDENTICAL = {"n_critics": 3, "layer_norm": True, "policy_delay": 4, "gradient_steps": 4}


@pytest.fixture
def quick(monkeypatch):
    """Programs that take longer to compile than to run."""
    monkeypatch.setattr(_phases, "COMPILER_OPTIONS", {"xla_backend_optimization_level": 0})


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """A peer's program: `facts` is what it says at first, `compiled` what it has compiled at each call."""
    monkeypatch.setattr("palaestra.experiments.bench._peer_process.__file__", str(tmp_path / "any.py"))

    def make(asked, facts="{}", compiled="0"):
        (tmp_path / "peer.py").write_text(
            f"import sys\nprint('noise', flush=True)\nprint('''{facts}''', flush=True)\n"
            "for number, _ in enumerate(sys.stdin):\n"
            f'    print(\'{{"updates": 5, "compiled": %d}}\' % ({compiled}), flush=True)\n'
        )
        return PeerProcess("peer.py", sys.executable, {"peer": "fake"} | asked)

    return make


def test_the_catalog_lists_it():
    assert "offline" in catalog.benchmarks()


def test_learners_have_the_sizes_of_the_comparison():
    wsrl, cql = (Size().fit(make().learner) for make in (presets.WSRL, presets.EnsembleCQL))
    for learner in (wsrl, cql):
        assert (learner.num_critics, learner.batch_size, learner.nets.critic_norm) == (10, 256, True)
        assert learner.nets.critic == learner.nets.actor == (256, 256)
    assert (wsrl.utd, wsrl.actor_batch) == (4, "all") and (cql.penalized, cql.conservative.draws) == (2, 10)
    alike = offline.as_sbx(dataclasses.replace(wsrl, actor_batch="last"))
    assert (alike.target_members, alike.utd, alike.nets.actor_norm, alike.soft_target) == (10, 4, False, True)


def test_contestants_take_turns_and_the_ratio_is_of_rounds():
    turns = []
    found = _rounds.rates({name: lambda name=name: turns.append(name) or 1 for name in "ab"}, 0.0)
    assert turns == ["a", "b"] * (1 + _rounds.ROUNDS)
    assert {name: len(rows) for name, rows in found.items()} == {"a": 5, "b": 5}
    row = _rounds.compared("some", "peer", [1.0, 20.0, 3.0], [1.0, 10.0, 1.0], "updates/s")
    assert (row["ours"], row["theirs"], row["ratio"]) == (3.0, 1.0, 2.0)
    assert _rounds.compared("some", "peer", [1.0], None, "updates/s")["ratio"] is None


def test_compiling_within_a_measurement_is_an_error():
    with pytest.raises(RuntimeError, match="compiled within the measurement"), _rounds.no_compilation():
        jax.jit(lambda x: x * 3.1 + 0.2)(jnp.ones(7)).block_until_ready()
    with _rounds.no_compilation():
        pass


def test_the_cache_is_left_out_and_comes_back():
    before = jax.config.jax_compilation_cache_dir
    with _rounds.empty_cache():
        assert jax.config.jax_compilation_cache_dir is None
    assert jax.config.jax_compilation_cache_dir == before


def test_phases_are_updates_on_transitions_of_their_own(quick):
    """Seeds learn apart, and a call goes on where the last one was."""
    data, seen = TINY.transitions(), []

    def update(key, state, batch):
        del key
        return {"steps": state["steps"] + 1.0, "sum": state["sum"] + jnp.sum(batch.reward)}, {"rows": batch.mask.size}

    for seeds, shape in ((None, ()), (2, (2,))):
        state = {name: jnp.zeros(shape) for name in ("steps", "sum")}
        phases = Phases(update, state, data, 6, 3, seeds)
        assert phases() == phases() == 3 * (seeds or 1) and phases.compile_seconds > 0
        np.testing.assert_array_equal(phases._state["steps"], np.full(shape, 6.0))
        seen += np.ravel(phases._state["sum"]).tolist()
    assert len(set(seen)) == 3


def test_ours_and_the_one_written_out_learn_the_same(quick):
    learner = dataclasses.replace(TINY.fit(presets.WSRL().learner), utd=1, reference_optimizer_leak=True)
    data = TINY.transitions()
    own, plain = _phases.ours(learner, data, 2), _phases.written_out(learner, data, 2)
    assert own() == plain() == 2
    found = _phases.plain.flat_params(own._state.params)
    for name, array in plain._state.params.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5, err_msg=name)


def test_a_peer_works_when_it_is_asked_to(peer):
    found = peer({"rows": 3}, '{"rows": 3}')
    assert found() == found() == 5
    found.close()
    assert found._process.returncode == 0


def test_a_peer_that_does_other_work_or_compiles_meanwhile_is_refused(peer):
    with pytest.raises(RuntimeError, match=r"fake does other work.*'n_critics': 2"):
        peer({"n_critics": 10}, '{"n_critics": 2}')
    with pytest.raises(RuntimeError, match="another actor"):
        peer({}, '{"same_actor": false}')
    found = peer({}, compiled="number")
    found()
    with pytest.raises(RuntimeError, match="compiled 1 programs"):
        found()
    found.close()
    with pytest.raises(RuntimeError, match="ended with exit code 1"):
        peer({}, "'''\nraise SystemExit(1)\n'''")


def test_without_its_python_a_peer_is_left_out(monkeypatch):
    monkeypatch.delenv(offline.SBX, raising=False)
    with offline._peer("sbx", None, TINY, IDENTICAL, 1) as found:
        assert found is None


def test_stable_baselines_does_the_work_that_is_asked_for():
    pytest.importorskip("stable_baselines3", reason="needs the extra sb3")
    asked = {"n_critics": 2, "layer_norm": False, "policy_delay": 1, "gradient_steps": 1, "threads": 1}
    with offline._peer("sb3", sys.executable, TINY, asked, 2) as found:
        assert found() == 2
        assert found.facts["rows"] == TINY.rows and found.facts["net_arch"] == [8, 8]


def test_writing_has_a_speed_in_either_way(tmp_path, monkeypatch):
    monkeypatch.setenv(_writing.FOLDER, str(tmp_path))
    (row,) = offline.writing(2, 5)
    assert row["ours"] > 0 and row["theirs"] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_online_steps_come_with_an_update_each():
    for make in (_online_steps.inside, _online_steps.outside):
        steps = make(TINY)
        assert steps() == steps.updates == _online_steps.STEPS


@pytest.mark.slow
def test_a_tiny_benchmark_has_all_rows():
    rows = offline.measure(0.01, TINY)
    assert all(set(row) == {"case", "peer", "ours", "theirs", "unit", "ratio"} and row["ours"] > 0 for row in rows)
    assert {row["unit"] for row in rows} == {"cpu", "updates/s", "s", "steps/s", "steps/CPU-s"}
