"""The training loop: what it writes, that it resumes to the same bits, and what it does when numbers go bad."""

import json
import time

import fake_agent
import jax
import numpy as np
import pytest
from palaestra.experiments import checkpoint
from palaestra.experiments.checkpoint import CheckpointStore
from palaestra.experiments.errors import NotFiniteError, ResourceError, RunFolderError
from palaestra.experiments.metrics import read_rows
from palaestra.experiments.plan import Plan
from palaestra.experiments.progress import Plain, Silent
from palaestra.experiments.records import read_curriculum, read_episodes
from palaestra.experiments.runner import Callback, train
from palaestra.experiments.settings import RunSettings
from stopping import StopAt, bits

STEPS = 16  # of the fake agent, in one iteration
SHORT = RunSettings(total_timesteps=20 * STEPS, log_every=2 * STEPS, eval_every=8 * STEPS, eval_episodes=3)


def rows_without_time(path):
    return [{k: v for k, v in row.items() if k not in ("wall_s", "time/fps")} for row in read_rows(path)]


def files_of(run):
    return {
        "metrics": rows_without_time(run / "metrics.jsonl"),
        "evals": rows_without_time(run / "evals.jsonl"),
        "episodes": {k: v.tolist() for k, v in read_episodes(run).items()},
        "curriculum": {k: v.tolist() for k, v in read_curriculum(run).items()},
    }


def test_a_run_leaves_a_complete_folder(make_agent, tmp_path):
    result = train(make_agent(), SHORT, tmp_path / "run")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert result.status == run["status"] == "finished"
    assert result.exit_code == 0
    assert result.steps == run["last_good_step"] == 20 * STEPS
    assert run["end"] >= run["start"]
    assert run["versions"]["jax"] == jax.__version__
    metrics = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [2 * STEPS * i for i in range(1, 11)]
    assert {row["step"] for row in read_rows(tmp_path / "run" / "evals.jsonl")} == {8 * STEPS, 16 * STEPS, 20 * STEPS}
    assert {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()} >= {"best", "final", "step_000000000320"}
    assert list((tmp_path / "run" / "tb").iterdir())


def test_rows_hold_sums_means_and_last_values(make_agent, tmp_path):
    train(make_agent(), SHORT, tmp_path / "run")
    first, *_, last = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert first["rollout/episodes"] == 3  # 1 + 2
    assert first["rollout/ep_len_mean"] == 7
    assert last["teacher/episodes"] == 20
    assert last["train/undefined"] is None
    assert last["train/undefined_nonfinite"] == 1
    assert last["time/fps"] > 0
    assert last["env_steps"] == last["step"] == 16 * last["iteration"]


def test_finished_episodes_and_snapshots_are_kept(make_agent, tmp_path):
    train(make_agent(), SHORT, tmp_path / "run")
    episodes = read_episodes(tmp_path / "run")
    assert len(episodes["return"]) == 30  # 1 and 2 in turn
    assert episodes["task"].shape == (30, 5)
    assert (np.diff(episodes["step"]) >= 0).all()
    snapshots = read_curriculum(tmp_path / "run")
    assert snapshots["step"].tolist() == [2 * STEPS * i for i in range(1, 11)]
    assert snapshots["mean"].shape == (10, 1, 3)


def test_every_function_is_compiled_once_over_many_chunks(make_agent, tmp_path):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **details: compiled.append(name) if name.endswith("backend_compile_duration") else None
    )
    counts, traces = [], []

    class Count(Callback):
        def on_chunk_end(self, rows, state):
            counts.append(len(compiled))
            traces.append(len(fake_agent.TRACES))

    # Odd intervals: chunks of one, two and three iterations.
    agent = make_agent(width=5)
    odd = RunSettings(total_timesteps=31 * STEPS, log_every=3 * STEPS, eval_every=7 * STEPS, save_every=5 * STEPS)
    fake_agent.TRACES.clear()
    train(agent, odd, tmp_path / "run", callbacks=[Count()])
    assert len(counts) >= 10
    after_first_evaluation = counts[4]
    assert counts[-1] == after_first_evaluation
    assert traces[-1] == 1


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_a_run_stopped_and_resumed_ends_with_the_same_bits(make_agent, tmp_path, num_seeds):
    settings = RunSettings(**(vars(SHORT) | {"num_seeds": num_seeds}))
    whole = train(make_agent(), settings, tmp_path / "whole")
    stopped = train(make_agent(), settings, tmp_path / "parts", callbacks=[StopAt(6 * STEPS)])
    assert (stopped.status, stopped.steps) == ("interrupted", 6 * STEPS)
    resumed = train(make_agent(), settings, tmp_path / "parts", resume="must")
    assert bits(resumed.state) == bits(whole.state)
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_records_after_the_last_checkpoint_are_cut_and_repeated(make_agent, tmp_path):
    train(make_agent(), SHORT, tmp_path / "whole")
    train(make_agent(), SHORT, tmp_path / "run")
    store = tmp_path / "run" / "checkpoints"
    for path in sorted(store.glob("step_*"))[-1:]:
        (path / "MANIFEST.json").write_text("{}")
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"step": 9999, "train/lo')  # killed in the middle of a line
    result = train(make_agent(), SHORT, tmp_path / "run", resume="auto")
    assert result.status == "finished"
    assert "set aside" in result.warnings[0]
    assert files_of(tmp_path / "run") == files_of(tmp_path / "whole")


def test_a_finished_run_resumed_stays_as_it_is(make_agent, tmp_path):
    first = train(make_agent(), SHORT, tmp_path / "run")
    again = train(make_agent(), SHORT, tmp_path / "run", resume="must")
    assert bits(again.state) == bits(first.state)
    assert len(read_rows(tmp_path / "run" / "metrics.jsonl")) == 10


def test_seeds_side_by_side_equal_seeds_alone(make_agent, tmp_path):
    both = train(make_agent(), RunSettings(**(vars(SHORT) | {"num_seeds": 2})), tmp_path / "both")
    alone = train(make_agent(), RunSettings(**(vars(SHORT) | {"seed": 1})), tmp_path / "alone")
    second = jax.tree.map(lambda x: x[1], both.state)
    np.testing.assert_allclose(second.params["w"], alone.state.params["w"], rtol=1e-6)
    rows = read_rows(tmp_path / "both" / "metrics.jsonl")
    assert [row["seed"] for row in rows[:4]] == [0, 1, 0, 1]
    assert rows[0]["env_steps"] == 2 * rows[0]["step"]
    assert set(read_episodes(tmp_path / "both")["seed"].tolist()) == {0, 1}


def test_a_run_in_use_and_a_run_that_exists_are_refused(make_agent, tmp_path):
    from palaestra.experiments.run_folder import open_run

    with open_run(tmp_path / "run", resume="never"), pytest.raises(RunFolderError, match="busy"):
        train(make_agent(), SHORT, tmp_path / "run", resume="auto")
    train(make_agent(), SHORT, tmp_path / "other")
    with pytest.raises(RunFolderError, match="exists"):
        train(make_agent(), SHORT, tmp_path / "other")


def hyper(**numbers):
    return {"hyper": fake_agent.Hyper(**numbers)}


def test_nan_policy_stop_ends_the_run_and_names_the_cause(make_agent, tmp_path):
    stop = RunSettings(**(vars(SHORT) | {"nan_policy": "stop"}))
    with pytest.raises(NotFiniteError, match="train/loss at step 112, seed 0"):
        train(make_agent(**hyper(bad_from=6.0)), stop, tmp_path / "run")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["status"], run["error"]["code"]) == ("failed", 6)
    assert "train/loss" in (tmp_path / "run" / "events.log").read_text()
    assert max(row["step"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")) == 6 * STEPS


def test_nan_policy_rollback_goes_back_and_gives_up_after_three(make_agent, tmp_path):
    with pytest.raises(NotFiniteError, match="3 rollbacks"):
        train(make_agent(**hyper(bad_from=6.0)), SHORT, tmp_path / "run")
    log = (tmp_path / "run" / "events.log").read_text()
    assert log.count("back to step") == 3
    assert CheckpointStore(tmp_path / "run" / "checkpoints").steps() == [2 * STEPS, 4 * STEPS, 6 * STEPS]


def test_nan_policy_rollback_takes_another_course_and_finishes(make_agent, tmp_path):
    result = train(make_agent(**hyper(bad_luck=0.12)), SHORT, tmp_path / "run")
    assert result.status == "finished"
    assert any("back to step" in text for text in result.warnings)
    steps = [row["step"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")]
    assert steps == [2 * STEPS * i for i in range(1, 11)]


def test_nan_policy_skip_keeps_parameters_and_gives_up_after_ten(make_agent, tmp_path):
    skip = RunSettings(**(vars(SHORT) | {"nan_policy": "skip"}))
    result = train(make_agent(**hyper(bad_luck=0.2)), skip, tmp_path / "lucky")
    assert result.status == "finished"
    assert any("skipped" in text for text in result.warnings)
    with pytest.raises(NotFiniteError, match="more than 10"):
        train(make_agent(**hyper(bad_from=2.0)), skip, tmp_path / "unlucky")


def test_saves_that_fail_warn_and_the_third_ends_the_run(make_agent, tmp_path, monkeypatch):
    def fail(name):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "fault_point", fail)
    with pytest.raises(ResourceError, match="No space left"):
        train(make_agent(), SHORT, tmp_path / "run")
    monkeypatch.undo()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["error"]["code"] == 7
    assert train(make_agent(), SHORT, tmp_path / "run", resume="must").status == "finished"


def test_a_time_limit_saves_and_exits_with_resource_code(make_agent, tmp_path):
    limited = RunSettings(**(vars(SHORT) | {"max_seconds": 1e-6}))
    result = train(make_agent(), limited, tmp_path / "run")
    assert (result.status, result.exit_code) == ("interrupted", 7)
    assert train(make_agent(), SHORT, tmp_path / "run", resume="must").status == "finished"


def test_callbacks_see_every_event(make_agent, tmp_path):
    seen = []

    class Spy(Callback):
        def on_train_start(self, run_dir, steps, state):
            seen.append(("start", steps))

        def on_eval(self, rows):
            seen.append(("eval", rows[0]["step"]))

        def on_checkpoint(self, path):
            seen.append(("checkpoint", path.name))

        def on_train_end(self, result):
            seen.append(("end", result.steps))

    train(make_agent(), SHORT, tmp_path / "run", callbacks=[Spy()])
    assert seen[0] == ("start", 0)
    assert seen[-1] == ("end", 20 * STEPS)
    assert ("eval", 8 * STEPS) in seen
    assert ("checkpoint", "step_000000000320") in seen


def test_a_tracker_that_fails_never_stops_training(make_agent, tmp_path, monkeypatch):
    """R23."""
    import tensorboardX

    def broken(*args, **kwargs):
        raise RuntimeError("tracker down")

    monkeypatch.setattr(tensorboardX.SummaryWriter, "add_scalar", broken)
    result = train(make_agent(), SHORT, tmp_path / "run")
    assert result.status == "finished"
    assert sum("tracker down" in text for text in result.warnings) == 1


class Slow(Callback):
    """Makes ten chunks last two seconds, so that there is time left to tell."""

    def on_chunk_end(self, rows, state):
        time.sleep(0.2)


def test_plain_progress_is_a_few_lines_with_speed_and_time_left(make_agent, tmp_path, capsys):
    train(make_agent(), SHORT, tmp_path / "run", progress=Plain(seconds=0.05), callbacks=[Slow()])
    lines = capsys.readouterr().err.splitlines()
    assert any("compiling train_step" in line for line in lines)
    assert any("steps/s" in line and "ETA" in line and "return" in line for line in lines)
    assert lines[-1].startswith("320/320 steps")


def test_a_silent_run_says_nothing(make_agent, tmp_path, capsys):
    train(make_agent(), SHORT, tmp_path / "run", progress=Silent())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_boundaries_do_not_depend_on_where_a_run_was_resumed():
    plan = Plan(steps_per_iteration=16, total=31, log=3, eval=7, save=5)

    def follow(iteration):
        while iteration < plan.total:
            iteration = plan.next_boundary(iteration)
            yield iteration

    whole = list(follow(0))
    assert whole[-1] == 31
    for start in whole[:-1]:
        assert list(follow(start)) == [i for i in whole if i > start]
