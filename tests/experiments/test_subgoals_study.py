"""The study of subgoals: which runs it asks for, and what its table says."""

import json

import numpy as np
import pytest
from palaestra.experiments import assemble, cli
from palaestra.experiments.errors import UsageError
from palaestra.experiments.subgoal_plots import curves_figure
from palaestra.experiments.subgoals_study import Config, QuickConfig, mean_optimum, run_settings, table, with_ratios

TASK = "MiniGrid-KeyCorridorS3R1-v0"


@pytest.mark.parametrize("variant", Config().variants)
def test_every_variant_is_a_run_that_can_be_made(variant):
    task = "MiniGrid-KeyCorridorS3R3-v0"
    setup = assemble.complete(run_settings(Config(), task, variant))
    agent = assemble.build(setup)
    hyper = agent.config.hyper
    assert (hyper.entropy_cost, hyper.learning_rate) == (5e-4, Config().learning_rate)  # the preset's, and the study's
    space = agent.env.task_space
    if setup.run.eval_tasks != "default":
        judged = space.to_dict(space.from_dict(setup.run.eval_tasks))
        assert judged["alpha"] == 0
        assert judged["drop_out"] == (1 if variant == "no-input" else 0)
    trained = space.to_dict(agent.teacher.task) if setup.teacher_config["task"] else space.to_dict(space.default)
    if "alpha" in trained:
        assert trained["alpha"] == pytest.approx(0 if variant == "no-reward" else 0.2)
        assert trained["drop_out"] == (1 if variant == "no-input" else 0)


def row(variant, steps, budget=100):
    return {
        "task": "T",
        "variant": variant,
        "optimum": 0.9,
        "budget": budget,
        "steps": steps,
        "final": [0.8] * len(steps),
        "curve_steps": [50, 100],
        "curves": [[0.1, 0.8]] * len(steps),
    }


def test_ratios_are_of_interquartile_means_and_censored_seeds_make_bounds():
    rows = with_ratios([row("oracle-positional", [10, 10, 10, 20]), row("ppo", [50, 60, None, None])])
    oracle, ppo = rows
    assert oracle["iqm"] == 10 and ppo["iqm"] == 80 and oracle["ratio"] == 8 and ppo["ratio"] == 1
    assert (oracle["censored"], ppo["censored"]) == (0, 2)
    lines = table(rows).splitlines()
    assert "4 of 4 | > 8.0 x" in lines[2] and "> 80" in lines[3] and "2 of 4" in lines[3]
    assert with_ratios([row("count", [5, 5])])[0]["ratio"] is None


@pytest.mark.parametrize(
    ("ppo", "other", "told"),
    [
        ([50, 50], [10, 10], "5.0 x"),
        ([None, None], [10, 10], "> 10.0 x"),
        ([50, 50], [10, None], "< 0.9 x"),
        ([50, None], [10, None], "-"),
    ],
)
def test_a_ratio_is_marked_as_the_bound_that_it_is(ppo, other, told):
    line = table(with_ratios([row("rnd", other), row("ppo", ppo)])).splitlines()[2]
    assert line.split(" | ")[4] == told


def test_the_figure_has_a_panel_per_task():
    rows = with_ratios([row("oracle-positional", [10, 20]), {**row("ppo", [50, 60]), "task": "U"}])
    assert [axis.get_title(loc="left") for axis in curves_figure(rows, 0.9).get_axes()] == ["T", "U"]


def test_the_optimum_is_the_planners():
    assert 0.9 < mean_optimum(TASK, 5) < 1.0


def test_budgets_are_one_per_task_or_one_for_all():
    tasks = ("A", "B")
    assert Config(tasks=tasks, total_timesteps=(5,)).budget("B") == 5
    assert Config(tasks=tasks, total_timesteps=(5, 6)).budget("B") == 6
    with pytest.raises(UsageError, match="total_timesteps: got 3 numbers for 2 tasks"):
        Config(tasks=tasks, total_timesteps=(1, 2, 3))


@pytest.mark.slow
def test_a_tiny_study_runs(tmp_path, capsys):
    out = tmp_path / "study"
    sizes = ["--total-timesteps", "[4096]", "--num-seeds", "2", "--num-evals", "2", "--optimum-levels", "4"]
    words = ["--tasks", json.dumps([TASK]), "--eval-episodes", "4", "--out", str(out)]
    assert cli.main(["study", "subgoals_quick", *sizes, *words]) == 0
    assert "| KeyCorridorS3R1 | oracle-positional |" in capsys.readouterr().out
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert [r["variant"] for r in rows] == list(QuickConfig().variants)
    assert np.shape(rows[0]["curves"])[0] == 2 and (out / "curves.png").exists() and (out / "report.html").exists()
