"""Rows, sums and means, and files that were torn."""

import json
import math

import numpy as np
from palaestra.experiments.metrics import JsonLines, cut_rows, finite_row, read_rows, summarize
from palaestra.experiments.records import cut_columns, read_episodes, write_columns


def test_sums_are_added_the_rest_averaged_and_teachers_keep_their_last():
    metrics = {
        "rollout/episodes": np.array([[1.0, 0.0], [3.0, 0.0]]),
        "rollout/return_sum": np.array([[10.0, 0.0], [30.0, 0.0]]),
        "rollout/success_sum": np.array([[1.0, 0.0], [1.0, 0.0]]),
        "train/loss": np.array([[1.0, 2.0], [3.0, 4.0]]),
        "teacher/episodes": np.array([[5.0, 6.0], [7.0, 8.0]]),
    }
    first, second = summarize(metrics)
    assert first == {
        "rollout/ep_rew_mean": 10.0,
        "rollout/success_rate": 0.5,
        "rollout/episodes": 4.0,
        "train/loss": 2.0,
        "teacher/episodes": 7.0,
    }
    assert second == {"rollout/episodes": 0.0, "train/loss": 3.0, "teacher/episodes": 8.0}


def test_numbers_json_lacks_become_null_with_a_mark():
    assert finite_row({"a": math.nan, "b": 1.0}) == {"a": None, "a_nonfinite": 1, "b": 1.0}


def test_a_torn_last_line_is_left_out_and_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = JsonLines(path)
    for step in (1, 2, 3):
        file.append({"step": step})
    file.close()
    with open(path, "a") as raw:
        raw.write('{"step": 4, "train')
    assert [row["step"] for row in read_rows(path)] == [1, 2, 3]
    cut_rows(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_every_prefix_of_a_file_is_readable(tmp_path):
    """R24: a plot may read while a run writes."""
    path = tmp_path / "metrics.jsonl"
    whole = "".join(json.dumps({"step": i, "train/loss": 0.5}) + "\n" for i in range(3)).encode()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        rows = read_rows(path)
        assert len(rows) == whole[:length].count(b"\n")


def test_column_files_are_joined_in_order_and_cut_by_step(tmp_path):
    for step in (20, 100, 3):
        write_columns(tmp_path / "episodes", step, {"step": np.array([step]), "return": np.array([1.0])})
    assert read_episodes(tmp_path)["step"].tolist() == [3, 20, 100]
    cut_columns(tmp_path / "episodes", 20)
    assert read_episodes(tmp_path)["step"].tolist() == [3, 20]


def test_column_files_that_break_or_hold_objects_are_left_out(tmp_path):
    write_columns(tmp_path / "episodes", 1, {"step": np.array([1])})
    (tmp_path / "episodes" / "step_000000000002.npz").write_bytes(b"PK\x03\x04 torn")
    np.savez(tmp_path / "episodes" / "step_000000000003.npz", step=np.array([object()], dtype=object))
    assert read_episodes(tmp_path)["step"].tolist() == [1]


def test_a_run_without_episodes_has_no_columns(tmp_path):
    assert read_episodes(tmp_path) == {}
