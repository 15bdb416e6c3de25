import html.parser
import json
import math
import re

import numpy as np
import pytest
from made_runs import make_run, use_tracks
from palaestra.experiments.comparison import compare_study, pairs, summarize_study, verdict
from palaestra.experiments.errors import InputFileError
from palaestra.experiments.report import duration, sentence, table, write_report
from palaestra.experiments.run_data import load_study
from palaestra.experiments.settings import RunSettings
from palaestra.experiments.statistics import Estimate

EVIL = "<script>alert('x')</script>\"&"


@pytest.fixture
def tracks(monkeypatch):
    use_tracks(monkeypatch)


@pytest.fixture
def two_runs(tracks, tmp_path):
    seeds = (0, 1, 2, 3)
    return [
        make_run(tmp_path / "a", "random", seeds, speed=0.4, chunks=10),
        make_run(tmp_path / "b", "alp_gmm", seeds, speed=1.0, chunks=10),
    ]


@pytest.fixture
def drawing():
    """Asked for by tests that need the pictures."""


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """Drawing is slow and has tests of its own."""
    if "drawing" not in request.fixturenames:
        monkeypatch.setattr("palaestra.experiments.report.draw_study", lambda study: iter(()))


class Page(html.parser.HTMLParser):
    """Tags in order, addresses, text; complains about tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.texts, self.open = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "poster")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(path):
    return Page(path.read_text("utf-8"))


def test_a_report_is_one_file_that_refers_to_nothing(drawing, two_runs, tmp_path):
    path = write_report(two_runs, tmp_path / "new" / "report.html")
    page = read(path)
    assert page.tags.count("img") == 7
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert "script" not in page.tags and "link" not in page.tags
    assert not re.search(r"https?://", path.read_text("utf-8"))
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_the_headline_says_what_came_out_and_how_sure_it_is(two_runs, tmp_path):
    text = " ".join(read(write_report(two_runs, tmp_path / "report.html")).texts)
    assert "mastered [%], IQM" in text
    assert "alp_gmm against random, mastered test tasks: +" in text
    assert "4 seeds each, permutation p = " in text
    assert "A claim needs ten seeds or more" in text
    assert "36 tasks of the space" in text
    assert "palaestra train --teacher alp_gmm" in text


def test_every_string_of_a_run_is_escaped(drawing, tracks, tmp_path):
    run = make_run(tmp_path / "a", EVIL, (0,), chunks=2, agent=EVIL, agent_config={EVIL: EVIL})
    info = json.loads((run / "run.json").read_text())
    strings = {
        "status": EVIL,
        "command": ["palaestra", EVIL],
        "versions": {"jax": EVIL},
        "git_commit": EVIL,
        "start": EVIL,
    }
    (run / "run.json").write_text(json.dumps(info | strings | {"device": {"kind": EVIL, "count": 2}}))
    film = tmp_path / "x.gif"
    film.write_bytes(b"GIF89a")
    rows = [{EVIL: EVIL}]
    path = write_report([run], tmp_path / "report.html", title=EVIL, summary_rows=rows, movies=[(EVIL, film)])
    assert "script" not in read(path).tags
    assert "<script" not in path.read_text("utf-8")


def test_secrets_stay_out(tracks, tmp_path):
    run = make_run(tmp_path / "a", seeds=(0,), chunks=2, agent_config={"note": "sk-abcdefghijklmnop"})
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"command": ["palaestra", "sk-abcdefghijklmnop"]}))
    assert "sk-abc" not in write_report([run], tmp_path / "report.html").read_text("utf-8")


def test_one_seed_is_called_one_seed(tracks, tmp_path):
    run = make_run(tmp_path / "a", seeds=(0,), chunks=2)
    text = " ".join(read(write_report([run], tmp_path / "report.html")).texts)
    assert "One seed gives no interval" in text


def test_a_run_that_is_not_finished_is_named(tracks, tmp_path):
    run = make_run(tmp_path / "a", seeds=(0,), chunks=2, status="interrupted")
    assert "a: the run is interrupted" in " ".join(read(write_report([run], tmp_path / "report.html")).texts)


def test_a_run_without_records_is_no_error(drawing, tracks, tmp_path):
    run = make_run(tmp_path / "a", seeds=(0,), chunks=1)
    for name in ("metrics.jsonl", "evals.jsonl"):
        (run / name).unlink()
    assert "nothing recorded yet" in " ".join(read(write_report([run], tmp_path / "report.html")).texts)


def test_an_evaluation_that_was_not_finite_is_left_out_and_named(two_runs, tmp_path):
    lines = (two_runs[0] / "evals.jsonl").read_text().splitlines()
    bad = json.loads(lines[-1]) | {"eval/mean_reward": None, "eval/mean_reward_nonfinite": 1}
    (two_runs[0] / "evals.jsonl").write_text("\n".join([*lines[:-1], json.dumps(bad)]) + "\n")
    text = " ".join(read(write_report(two_runs, tmp_path / "report.html")).texts)
    assert "a: eval/mean_reward was not finite" in text


def test_films_are_shown_inside(two_runs, tmp_path, monkeypatch):
    gif, video = tmp_path / "a.gif", tmp_path / "walk_of_seed_0.mp4"
    gif.write_bytes(b"GIF89a")
    video.write_bytes(b"ftyp")
    page = read(write_report(two_runs, tmp_path / "r.html", movies=[("Curriculum", gif), video]))
    assert "data:image/gif;base64,R0lGODlh" in page.addresses
    assert any(address.startswith("data:video/mp4") for address in page.addresses)
    assert "walk of seed 0" in page.texts
    monkeypatch.setattr("palaestra.experiments.report.MAX_MEDIA_BYTES", 5)
    assert "too large" in " ".join(read(write_report(two_runs, tmp_path / "r.html", movies=[gif])).texts)


def test_what_cannot_be_reported_is_refused_and_the_old_report_stays(two_runs, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="expected at least one run"):
        write_report([], path)
    with pytest.raises(ValueError, match=r"got 'film\.avi'"):
        write_report(two_runs, path, movies=["film.avi"])
    with pytest.raises(FileNotFoundError):
        write_report(two_runs, path, movies=["film.gif"])
    with pytest.raises(InputFileError):
        write_report([tmp_path], path)
    assert path.read_text() == "old"


def test_summary_agrees_with_the_records(two_runs):
    study = load_study(two_runs)
    summary = summarize_study(study)[1]
    learners = study.groups["test/Tracks-v0"]["alp_gmm"]
    finals = [learner.final("eval/mean_reward") for learner in learners]
    assert summary.label == "alp_gmm" and summary.seeds == (0, 1, 2, 3)
    assert summary.mean_return.value == pytest.approx(np.mean(finals))
    assert summary.iqm_return.value == pytest.approx(np.mean(np.sort(finals)[1:3]))
    assert summary.iqm_return.low <= summary.iqm_return.value <= summary.iqm_return.high
    assert summary.wall_s == 25.0 and summary.env_steps == 4 * 10 * 4096
    worst = [np.sort(learner.evaluations.return_[-1])[:4].mean() for learner in learners]
    assert summary.worst_return == pytest.approx(np.mean(worst), rel=1e-5)


def test_the_baseline_stands_on_the_right(two_runs):
    found = compare_study(load_study(two_runs[::-1]))
    assert {(c.label, c.baseline) for c in found} == {("alp_gmm", "random")}
    assert [c.quantity for c in found] == ["mastered", "return"]
    assert all(c.difference.value > 0 for c in found)
    assert pairs({"x": [], "random, a=1": [], "y": []}) == [("x", "random, a=1"), ("y", "random, a=1"), ("y", "x")]


def test_scores_on_different_test_tasks_are_not_compared(tracks, tmp_path):
    settings = RunSettings(eval_tasks="default").resolved()
    runs = [make_run(tmp_path / "a", chunks=2), make_run(tmp_path / "b", "fixed", chunks=2, run=settings)]
    assert compare_study(load_study(runs)) == []
    text = " ".join(read(write_report(runs, tmp_path / "report.html")).texts)
    assert "only equal ones are compared" in text


def test_environments_are_not_compared(tracks, tmp_path):
    runs = [make_run(tmp_path / name, chunks=2, env=f"test/{name}-v0") for name in "AB"]
    assert compare_study(load_study(runs)) == []
    assert write_report(runs, tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("difference", "seeds", "expected"),
    [
        (Estimate(1.0, -1.0, 2.0), (10, 10), "no clear difference"),
        (Estimate(1.0, 0.5, 2.0), (10, 10), "higher: the interval lies clear of zero"),
        (Estimate(-1.0, -2.0, -0.5), (3, 10), "lower in these runs; with so few seeds only an indication"),
        (Estimate(1.0, math.nan, math.nan), (1, 10), "no statement"),
    ],
)
def test_verdicts_say_no_more_than_the_numbers(difference, seeds, expected):
    assert expected in verdict(difference, seeds)


def test_a_comparison_is_a_sentence(two_runs):
    found = compare_study(load_study(two_runs))[0]
    assert re.fullmatch(
        r"alp_gmm against random, mastered test tasks: \+[\d.]+ points \[[\d.-]+, [\d.]+\], 4 seeds each, "
        r"permutation p = [\d.]+\. [A-Z].*\.",
        sentence(found),
    )


def test_tables_have_a_column_for_every_key():
    text = table([{"a": 1, "b": 2.5}, {"c": "x"}])
    assert re.findall("<th>(.)</th>", text) == ["a", "b", "c"]
    assert text.count("<td") == 6


def test_durations_are_said_as_people_do():
    assert [duration(s) for s in (None, 12.34, 180, 36_000)] == ["–", "12.3 s", "3 min", "10 h"]
