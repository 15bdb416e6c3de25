"""The command line: exit codes, messages, JSON objects, and what it must not load."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import types

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from palaestra.experiments import catalog, flags
from palaestra.experiments.cli import main
from palaestra.experiments.errors import UsageError
from palaestra.experiments.metrics import read_rows

QUICK = ("--env", "CartPole-v0", "--agent", "fake", "--env-kwargs", "horizon=30", "-n", "160", "--eval-episodes", "2")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, fake_in_catalog):
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *QUICK, "--run-dir", str(path), "--set", "width=4", "--quiet"]) == 0
    return path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["trian"], 2, ["unknown verb: 'trian'", "train"]),
        (["train", "--sede", "3"], 2, ["unknown flag: '--sede'", "--seed"]),
        (["--jsno", "list"], 2, ["unknown flag: '--jsno'", "--json"]),
        (["list", "envs", "extra"], 2, ["unexpected argument: 'extra'"]),
        (["list", "env"], 2, ["unknown kind", "envs"]),
        (["info"], 2, ["bad command line", "id"]),
        (["info", "CartPol"], 2, ["'CartPol'", "palaestra/CartPole-v0"]),
        (["train"], 2, ["no environment given: --env", "list envs"]),
        (["train", "--env", "Cartpole-v0"], 2, ["'Cartpole-v0'", "palaestra/CartPole-v0"]),
        (["train", *QUICK, "--agent", "pp"], 2, ["unknown agent: 'pp'", "ppo"]),
        (["train", *QUICK, "--teacher", "randm"], 2, ["unknown teacher: 'randm'", "random"]),
        (["train", *QUICK, "--seed", "x"], 2, ["--seed", "'x'", "whole number"]),
        (["train", *QUICK, "--seed", "-1"], 2, ["seed", "-1"]),
        (["train", *QUICK, "--num-envs", "0"], 2, ["--num-envs", "at least 1"]),
        (["train", *QUICK, "--nan-policy", "hope"], 2, ["--nan-policy", "'hope'", "rollback"]),
        (["train", *QUICK, "--name", "a/b"], 2, ["--name", "'a/b'"]),
        (["train", *QUICK, "--set", "widht=3"], 2, ["unknown key: 'widht'", "width"]),
        (["train", *QUICK, "--set", "hyper.lerning_rate=3"], 2, ["'hyper.lerning_rate'", "hyper.learning_rate"]),
        (["train", *QUICK, "--set", "width=wide"], 2, ["width", "'wide'", "whole number"]),
        (["train", *QUICK, "--set", "width"], 2, ["--set", "key=value"]),
        (["train", *QUICK, "--set", "num_envs=0"], 2, ["num_envs=0", "at least 1"]),
        (["train", *QUICK, "--env-kwargs", "horizn=3"], 2, ["env.horizn", "env.horizon"]),
        (["train", *QUICK, "--config", "/nowhere.yaml"], 2, ["/nowhere.yaml", "No such file"]),
        (["train", *QUICK, "--overwrite"], 2, ["--overwrite", "--run-dir"]),
        (["train", *QUICK, "--resume", "must", "--run-dir", "/nowhere"], 4, ["not a run folder: /nowhere"]),
        (["train", *QUICK, "--run-dir", "/proc/nowhere"], 7, ["cannot be written: /proc/nowhere"]),
        (["train", *QUICK, "--device", "tpu"], 3, ["--device tpu"]),
        (["resume", "/nowhere"], 4, ["not a run folder: /nowhere"]),
        (["eval", "/nowhere"], 4, ["not a run folder: /nowhere"]),
        (["record", "/nowhere"], 4, ["not a run folder: /nowhere"]),
        (["plot", "/nowhere"], 4, ["not a run folder: /nowhere"]),
        (["report", "/nowhere"], 4, ["not a run folder: /nowhere"]),
        (["study", "nothing"], 2, ["unknown study: 'nothing'"]),
        (["bench", "nothing"], 2, ["unknown benchmark: 'nothing'"]),
        (["check-env", "CartPole"], 2, ["unknown environment"]),
        (["train", *QUICK, "--teacher", "fixed", "--set", "teacher.task=[1, 2]"], 2, ["task", "shape"]),
    ],
)
def test_mistakes_end_with_their_code_and_one_clear_line(palaestra, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    found, out, err = palaestra(*words)
    assert found == code, err
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("palaestra: ") and "warning" not in line]
    assert len(lines) == 1, err
    for word in said:
        assert word in lines[0]


def test_an_existing_run_is_busy_and_left_alone(palaestra, run_dir):
    before = {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.name != ".lock"}
    code, _, err = palaestra("train", *QUICK, "--run-dir", run_dir)
    assert code == 5
    assert "exists" in err
    assert "resume" in err
    assert {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.name != ".lock"} == before


def test_a_run_is_not_continued_with_other_settings(palaestra, run_dir):
    code, _, err = palaestra("train", *QUICK, "--run-dir", run_dir, "--resume", "auto", "--set", "width=5")
    assert code == 5
    assert "agent_config.width; got 5; expected 4" in err


def test_numbers_that_go_bad_end_with_code_six(palaestra, tmp_path):
    words = ("train", *QUICK, "--run-dir", tmp_path / "run", "--nan-policy", "stop", "--set", "hyper.bad_from=3")
    code, _, err = palaestra(*words)
    assert code == 6
    assert "train/loss at step 64" in err


def test_a_bug_is_one_line_without_debug_and_a_traceback_with(palaestra, monkeypatch):
    from palaestra.experiments.commands import list as module

    def broken(parsed):
        raise KeyError("surprise sk-abcdefgh12345678")

    monkeypatch.setattr(module, "run", broken)
    code, _, err = palaestra("list")
    assert code == 1
    assert "internal error: KeyError" in err
    assert "sk-abc" not in err
    assert "Traceback" not in err
    code, _, err = palaestra("list", "--debug")
    assert code == 1
    assert "Traceback" in err
    assert "sk-abc" not in err


ENVELOPE = {"schema", "ok", "verb", "version", "run_dir", "result", "warnings", "error"}


@pytest.mark.parametrize("words", [["list"], ["info", "ppo"], ["info", "CartPole-v0"], ["doctor"]])
def test_every_answer_is_one_json_object(palaestra_json, words):
    code, found = palaestra_json(*words)
    assert code == 0
    assert set(found) == ENVELOPE
    assert (found["schema"], found["ok"], found["verb"], found["error"]) == (1, True, words[0], None)
    assert found["result"]


@pytest.mark.parametrize(("words", "code"), [(["trian"], 2), (["eval", "/nowhere"], 4), (["train", *QUICK, "--x"], 2)])
def test_every_failure_is_one_json_object(palaestra_json, words, code):
    found_code, found = palaestra_json(*words)
    assert found_code == code
    assert set(found) == ENVELOPE
    assert not found["ok"]
    assert set(found["error"]) == {"code", "type", "message", "hint", "file", "key"}
    assert found["error"]["code"] == code


def test_a_switch_counts_before_and_after_the_verb(palaestra):
    for words in (["--json", "list"], ["list", "--json"]):
        _, out, _ = palaestra(*words)
        assert json.loads(out)["ok"]


def test_training_answers_with_folder_status_and_last_numbers(palaestra_json, tmp_path):
    code, found = palaestra_json("train", *QUICK, "--run-dir", tmp_path / "run", "--num-seeds", "2")
    assert code == 0
    assert found["run_dir"] == str(tmp_path / "run")
    assert found["result"]["status"] == "finished"
    assert [row["seed"] for row in found["result"]["metrics"]] == [0, 1]
    assert found["result"]["metrics"][0]["train/undefined"] == "nan"


def test_a_dry_run_prints_the_resolved_configuration_and_makes_nothing(
    palaestra, palaestra_json, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ("train", *QUICK, "--set", "hyper.learning_rate=1e-3", "--num-envs", "8", "--dry-run")
    _, found = palaestra_json(*words)
    assert found["result"]["agent_config"]["hyper"]["learning_rate"] == 1e-3
    assert found["result"]["agent_config"]["num_envs"] == 8
    assert found["result"]["run"]["save_every"] == 16
    assert re.fullmatch(r"runs/CartPole-v0/fake\+fixed/.*", found["run_dir"])
    assert not pathlib.Path(found["run_dir"]).exists()
    _, out, _ = palaestra(*words)
    (tmp_path / "again.yaml").write_text(out)
    _, again = palaestra_json("train", "--config", tmp_path / "again.yaml", "--dry-run")
    assert again["result"] == found["result"]


def test_flags_win_over_set_over_file_over_defaults(palaestra_json, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "env: CartPole-v0\nagent: fake\nseed: 3\ntotal_timesteps: 1e3\nagent_config: {num_envs: 2, width: 5}\n"
    )
    words = ["train", "--config", tmp_path / "c.yaml", "--dry-run"]
    result = palaestra_json(*words, "--set", "num_envs=6", "--set", "seed=4", "--seed", "5")[1]["result"]
    assert result["agent_config"]["num_envs"] == 6
    assert result["agent_config"]["width"] == 5
    assert result["run"]["seed"] == 5
    assert result["run"]["total_timesteps"] == 1000
    assert (
        palaestra_json(*words, "--set", "num_envs=6", "--num-envs", "7")[1]["result"]["agent_config"]["num_envs"] == 7
    )


def test_a_run_keeps_its_configuration_as_resolved_and_as_given(run_dir):
    from palaestra.experiments.config_files import read_config_file

    assert read_config_file(run_dir / "config.yaml")["agent_config"]["rollout_length"] == 4
    given = read_config_file(run_dir / "config.input.yaml")
    assert given["agent_config"] == {"width": 4}
    assert "rollout_length" not in given["agent_config"]


def test_evaluation_reports_every_task(palaestra, palaestra_json, run_dir):
    code, found = palaestra_json("eval", run_dir, "--episodes", "3", "--tasks", "space", "--checkpoint", "best")
    assert code == 0
    assert len(found["result"]["returns"][0]) == len(found["result"]["tasks"]) == 3
    assert found["result"]["seeds"][0]["eval/mean_reward"] > 0
    code, out, _ = palaestra("eval", run_dir, "--task", "half_length=1.5")
    assert code == 0
    assert "mean_reward" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--task", "half_lenght=1"], 2, "half_length"),
        (["--task", "half_length=99"], 2, "half_length"),
        (["--task", "half_length=long"], 2, "half_length"),
        (["--checkpoint", "newest"], 2, "latest, best, final"),
        (["--checkpoint", "999"], 4, "step_000000000999"),
    ],
)
def test_evaluation_names_what_it_cannot_use(palaestra, run_dir, words, code, said):
    found, _, err = palaestra("eval", run_dir, *words)
    assert found == code
    assert said in err


def test_a_damaged_checkpoint_is_an_input_error_that_names_the_file(palaestra, run_dir, tmp_path):
    import shutil

    shutil.copytree(run_dir, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("step_*"):
        (path / "state.json").write_text("{}")
    code, _, err = palaestra("eval", tmp_path / "run")
    assert code == 4
    assert "state.json" in err


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_is_recorded(palaestra_json, run_dir, suffix):
    path = run_dir / "videos" / f"a{suffix}"
    code, found = palaestra_json("record", run_dir, "--out", path, "--max-steps", "4")
    assert code == 0
    assert path.stat().st_size > 100
    assert found["result"]["frames"] == 4
    assert found["warnings"] == []
    assert not list((run_dir / "videos").glob(".tmp*"))


def test_a_film_of_another_kind_or_without_its_writer_is_refused(palaestra, run_dir, monkeypatch):
    code, _, err = palaestra("record", run_dir, "--out", run_dir / "a.avi")
    assert code == 2
    assert "a name that ends with .mp4 or .gif" in err
    monkeypatch.setitem(sys.modules, "imageio.v2", None)
    code, _, err = palaestra("record", run_dir, "--out", run_dir / "b.mp4", "--max-steps", "1")
    assert code == 3
    assert ".mp4 needs imageio.v2. Use --out FILE.gif." in err
    assert not [*run_dir.glob("*.mp4"), *run_dir.glob(".tmp*")]


def test_our_environments_pass_their_check(palaestra_json):
    code, found = palaestra_json("check-env", "CartPole-v0")
    assert found["result"]["failed"] == []
    assert code == 0
    assert set(found["result"]["checks"]) >= {"gymnasium", "default task", "observations in space"}


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What the stand-in study takes.

    Attributes:
      seeds: how many.
    """

    seeds: int = 3


@pytest.fixture
def stand_ins(monkeypatch):
    """A study and a benchmark that take no time."""
    study = types.ModuleType("stand_in_study")
    study.Config = StudyConfig
    study.main = lambda config: {"text": f"{config.seeds} seeds", "score": 0.5}
    bench = types.ModuleType("stand_in_bench")
    row = {"case": "step", "peer": "them", "ours": 3.0, "theirs": 1.5, "unit": "steps/s", "ratio": 2.0}
    bench.run = lambda budget: [row | {"budget": budget}]
    monkeypatch.setitem(sys.modules, "stand_in_study", study)
    monkeypatch.setitem(sys.modules, "stand_in_bench", bench)
    entry = catalog.Entry("stand_in", "stand_in_study", "stand_in_study:Config", "for tests")
    monkeypatch.setitem(catalog.STUDIES, "stand_in", entry)
    monkeypatch.setattr(catalog, "benchmarks", lambda: {"stand_in": "stand_in_bench"})


def test_a_study_runs_with_its_settings(palaestra, palaestra_json, stand_ins):
    assert palaestra("study", "stand_in")[1] == "3 seeds\n"
    _, found = palaestra_json("study", "stand_in", "--set", "seeds=5")
    assert found["result"]["config"] == {"seeds": 5}
    assert found["result"]["score"] == 0.5
    _, found = palaestra_json("study", "stand_in", "--seeds", "7")
    assert found["result"]["config"] == {"seeds": 7}
    for words in (["--set", "sedes=5"], ["--sedes=5"], ["--seeds"], ["--seeds", "many"]):
        code, _, err = palaestra("study", "stand_in", *words)
        assert code == 2
        assert "seeds" in err
    assert "how many" in palaestra("info", "stand_in")[1]


def test_a_benchmark_prints_its_ratios(palaestra, palaestra_json, stand_ins):
    code, out, _ = palaestra("bench", "stand_in")
    assert code == 0
    assert out.splitlines()[0].split() == ["case", "peer", "ours", "theirs", "unit", "ratio"]
    assert palaestra_json("bench", "stand_in", "--budget", "5")[1]["result"]["rows"][0]["budget"] == 5
    assert palaestra("bench", "stand_in", "--budget", "0")[0] == 2


def test_curves_and_a_report_are_written_into_the_run(palaestra_json, run_dir):
    code, found = palaestra_json("plot", run_dir)
    assert code == 0
    assert found["result"]["files"]
    code, found = palaestra_json("report", run_dir)
    assert code == 0
    assert (run_dir / "report.html").stat().st_size > 1000


def test_resuming_a_finished_run_changes_nothing(palaestra, run_dir):
    before = read_rows(run_dir / "metrics.jsonl")
    code, out, _ = palaestra("resume", run_dir)
    assert code == 0
    assert "finished at step 160" in out
    assert read_rows(run_dir / "metrics.jsonl") == before


def test_secrets_reach_neither_files_nor_output(palaestra, tmp_path, monkeypatch):
    """R12."""
    canary = "sk-canary0123456789"
    monkeypatch.setenv("SOME_API_KEY", "another-canary-value")
    words = ["train", *QUICK, "--run-dir", str(tmp_path / "run"), "--set", f"hyper.x={canary}"]
    code, out, err = palaestra(*words)
    assert code == 2
    assert canary not in out + err
    monkeypatch.setattr(sys, "argv", ["palaestra", "--token", canary, "another-canary-value"])
    (tmp_path / "c.yaml").write_text(f"env: CartPole-v0 # {canary}\nagent: fake\n")
    palaestra("train", "--config", tmp_path / "c.yaml", *QUICK, "--run-dir", tmp_path / "run")
    kept = b"".join(p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file())
    assert b"canary" not in kept


def test_help_and_version_are_immediate_and_load_no_jax():
    code = (
        "import sys; from palaestra.experiments.cli import main; main(['--help']); main(['train', '--help']); "
        "main(['--version']); main(['list']); main(['trian']); "
        "heavy = {'jax', 'flax', 'optax', 'orbax', 'torch', 'matplotlib', 'rich', 'tensorboardX', 'mujoco'}; "
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-300:]
    assert "resume" in done.stdout
    assert "--nan-policy" in done.stdout


def test_every_verb_and_flag_has_help():
    _, verbs = flags.build()
    assert set(verbs) == set(flags.VERBS)
    for parser in verbs.values():
        for action in parser._actions:
            assert action.help or action.metavar, (parser.prog, action.dest)
        parser.format_help()


WORDS = (
    st.sampled_from(["train", "list", "eval", "--env", "CartPole-v0", "--set", "width=3", "--seed"])
    | st.sampled_from(["-1", "--json", "--", "-n", "1e9", "--x"])
    | st.text(max_size=8)
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, max_size=6))
def test_any_command_line_parses_or_is_refused_as_usage(words):
    """R8, for the grammar."""
    if {"-h", "--help", "--version"} & set(words):
        return
    try:
        namespace = flags.parse(words)
        flags.given_settings(namespace)
    except UsageError as error:
        assert len(str(error)) < 1000
    except SystemExit as ending:
        assert ending.code == 0


KEYS = st.sampled_from(["env", "agent", "teacher", "seed", "run", "agent_config", "env_kwargs", "total_timesteps", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["fake", "CartPole-v0", "1e5", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS | st.just("num_envs"), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_configuration_resolves_or_is_refused_as_usage(fake_in_catalog, values):
    """R8, for files."""
    from palaestra.experiments.assemble import complete
    from palaestra.experiments.settings import layer_file

    try:
        complete(layer_file({"env": "CartPole-v0", "agent": "fake"} | values)).to_plain()
    except UsageError as error:
        assert len(str(error)) < 1000
