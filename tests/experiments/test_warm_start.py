"""The studies of warm starts, as a whole in miniature."""

import dataclasses
import json

import pytest
from palaestra.experiments import warm_start, warm_start_motor, warm_start_walker
from palaestra.experiments import warm_start_runs as runs
from palaestra.experiments.assemble import make_env, read_setup
from palaestra.experiments.config import build
from palaestra.experiments.datasets import generators
from palaestra.experiments.errors import ExitCode, UsageError
from palaestra.experiments.metrics import read_rows
from palaestra.experiments.study_runs import InterruptedRun, train_run
from palaestra.experiments.warm_start_config import VARIANTS
from stopping import StopAt

SIZE = {
    "transitions": 200,
    "updates": 10,
    "online_steps": 300,
    "warmup": 20,
    "evaluations": 2,
    "eval_episodes": 2,
    "num_seeds": 2,
    "hidden": (8,),
    "num_critics": 2,
    "batch_size": 4,
    "utd": 2,
    "penalized_draws": 2,
    "target_draws": 2,
}
TINY = warm_start.QuickConfig(
    env="palaestra/PointMaze_UMaze-v0",
    env_kwargs={"continuing_task": False, "horizon": 40},
    data_kwargs={"continuing_task": False, "horizon": 40},
    **SIZE,
)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    return dataclasses.replace(TINY, out=str(tmp_path / "out"))


@pytest.mark.slow
def test_every_variant_runs_and_every_ordering_is_judged(config, tmp_path):
    found = warm_start.main(config)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["variant"] for row in results["rows"]] == list(VARIANTS)
    assert [row["name"] for row in results["orderings"]] == ["W1", "W2", "W3", "W4a", "W4b", "W5", "W6", "W7", "leak"]
    assert all(len(row["final"]["seeds"]) == 2 for row in results["rows"])
    assert "W7" in found["text"]
    assert (tmp_path / "out" / "curves.png").stat().st_size > 10_000
    rows = read_rows(tmp_path / "out" / "wsrl" / "evals.jsonl")
    assert [row["step"] for row in rows if row["seed"] == 0] == [0, 150, 300]
    values = {name: read_rows(tmp_path / "out" / name / "data_values.jsonl") for name in ("wsrl", "no_warm-up")}
    assert values["wsrl"][0] == values["no_warm-up"][0]  # at the switch, before anything is learned
    assert values["wsrl"][0]["step"] == 0


@pytest.mark.slow
def test_an_interrupted_run_ends_a_study_and_is_taken_up_again(config, tmp_path):
    settings = runs.online_settings(config, "", "scratch", {})
    with pytest.raises(InterruptedRun) as error:
        train_run(settings, tmp_path / "run", False, [StopAt(50)])
    assert error.value.code == ExitCode.OK
    assert train_run(settings, tmp_path / "run", False) == tmp_path / "run"
    assert read_rows(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 300


@pytest.mark.slow
def test_a_drive_is_compared_with_the_controllers_whose_data_it_learned_from(config, tmp_path):
    motor = warm_start_motor.MotorConfig(**SIZE, reference_episodes=4, variants=("wsrl",), out=str(tmp_path / "out"))
    found = warm_start_motor.main(motor)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(results["others"]) == {"PI, tuned", "PI of the data"}
    (row,) = found["rows"]
    final, over = row["final"]["seeds"], row["final - PI, tuned"]["seeds"]
    assert over == pytest.approx([score - results["others"]["PI, tuned"] for score in final])
    assert "PI, tuned" in found["text"]


@pytest.mark.slow
def test_a_walker_learns_from_a_run_on_grass_and_goes_on_over_stumps_under_a_teacher(config, tmp_path, monkeypatch):
    of_run, original = {}, generators.make

    def make(env, quality, *args, run, **kwargs):  # a run this short has no medium policy
        of_run.update(env=env, run=run)
        return original(env, "random", *args, **kwargs)

    monkeypatch.setattr(generators, "make", make)
    walker = warm_start_walker.WalkerConfig(
        **SIZE, walking_steps=20_000, variants=("wsrl", "wsrl, alp_gmm"), out=str(tmp_path / "out")
    )
    found = warm_start_walker.main(walker)
    assert of_run == {"env": "palaestra/BipedalWalker-v0", "run": tmp_path / "out" / "walking"}
    assert [row["name"] for row in found["orderings"]] == ["C1"]
    setup = read_setup(tmp_path / "out" / "wsrl_alp_gmm")
    assert (setup.env, setup.teacher) == ("palaestra/StumpTracks-v0", "alp_gmm")
    assert setup.run.eval_tasks == walker.task


def test_a_task_is_that_of_acting_and_of_every_evaluation_unless_a_teacher_chooses():
    walker = warm_start_walker.WalkerConfig()
    plain, taught = (runs.online_settings(walker, "", name, {"calql": "a"}) for name in ("wsrl", "wsrl, alp_gmm"))
    assert plain["teacher_config"] == {"task": pytest.approx(list(walker.task.values()))}
    assert (taught["teacher"], taught["teacher_config"]) == ("alp_gmm", walker.teacher_configs["alp_gmm"])
    assert plain["run"]["eval_tasks"] == taught["run"]["eval_tasks"] == walker.task
    assert plain["start_from"] == taught["start_from"] == "a"


def test_settings_of_the_variants_differ_in_what_they_are_named_after(config):
    of = {
        name: runs.online_settings(config, "data", name, {"calql": "a", "iql": "b", "calql_plain": "c"})
        for name in VARIANTS
    }
    assert {name for name, settings in of.items() if "dataset" in settings} == {"retain half", "rlpd"}
    assert {name for name, settings in of.items() if "start_from" not in settings} == {"rlpd", "scratch"}
    assert of["wsrl"]["agent_config"]["warmup"] == 20
    assert of["no warm-up"]["agent_config"]["warmup"] == 8  # an update's transitions
    assert of["plain"]["agent_config"]["learner"]["num_critics"] == 2
    assert not of["plain"]["agent_config"]["learner"]["nets"]["critic_norm"]


def test_a_variant_that_is_none_is_refused_and_the_full_maze_has_a_way():
    with pytest.raises(UsageError, match="got 'wrsl'"):
        build(warm_start.QuickConfig, {"variants": ["wrsl"]})
    full = warm_start.Config()
    assert make_env(full.env, full.env_kwargs).placement.longest == 15
    assert runs.online_settings(full, "", "scratch", {})["agent_config"]["learner"]["nets"]["critic"] == [256] * 4


def test_optimisers_that_coast_have_rates_that_carry_networks_as_far(config):
    learners = [
        runs.online_settings(config, "data", name, {"calql": "a"})["agent_config"]["learner"]
        for name in ("wsrl", "coasting")
    ]
    assert [learner.get("reference_optimizer_leak", False) for learner in learners] == [False, True]
    steady, coasting = (learner["hyper"] for learner in learners)
    # Of an update's three steps the critics coast through one, the actor through two.
    assert coasting["critic_rate"] == pytest.approx(steady["critic_rate"] / 1.5**0.5)
    assert coasting["actor_rate"] == pytest.approx(steady["actor_rate"] / 3**0.5)
