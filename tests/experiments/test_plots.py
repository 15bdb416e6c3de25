import io
import json
import subprocess
import sys

import imageio.v3 as imageio
import jax
import numpy as np
import pytest
from made_runs import CHUNK, Tracks, make_run, use_tracks
from palaestra.curricula.alp_gmm import ALPGMM
from palaestra.envs.registration import make_functional
from palaestra.envs.tasks import Parameter, TaskSpace
from palaestra.experiments import curriculum_plots, plot_style, plots
from palaestra.experiments.errors import InputFileError
from palaestra.experiments.movie import write_movie
from palaestra.experiments.run_data import Axis, Snapshots, load_run, load_study
from palaestra.experiments.settings import RunSettings


@pytest.fixture
def tracks(monkeypatch):
    use_tracks(monkeypatch)


@pytest.fixture
def two_runs(tracks, tmp_path):
    return [
        make_run(tmp_path / "a", "random", speed=0.6, chunks=12),
        make_run(tmp_path / "b", "alp_gmm", (0, 1), chunks=12),
    ]


def test_a_run_is_read_as_it_was_written(two_runs):
    run = load_run(two_runs[1])
    assert [learner.seed for learner in run.learners] == [0, 1]
    assert [axis.label for axis in run.axes] == ["stump height [m]", "stump spacing [m]"]
    learner = run.learners[1]
    assert np.all(learner.episodes["seed"] == 1)
    assert learner.snapshots.arrays["mean"].shape == (12, 4, 3)
    assert learner.evaluations.return_.shape == (12, 36)
    steps, values = learner.eval_curve("eval/mean_reward")
    assert np.array_equal(steps, CHUNK * np.arange(1, 13))
    assert values[-1] == pytest.approx(learner.evaluations.return_[-1].mean(), rel=1e-5)
    assert learner.curve("train/loss")[0].size == 0, "null is no number"


def test_seeds_of_equal_settings_are_one_group(tracks, tmp_path):
    runs = [make_run(tmp_path / str(seed), seeds=(seed,), chunks=2) for seed in (0, 1)]
    (groups,) = load_study(runs).groups.values()
    assert {label: [l.seed for l in learners] for label, learners in groups.items()} == {"random": [0, 1]}


def test_settings_that_differ_make_groups_of_their_own(tracks, tmp_path):
    configs = ({"fit_rate": 50}, {"fit_rate": 250})
    runs = [make_run(tmp_path / str(i), chunks=2, teacher_config=c) for i, c in enumerate(configs)]
    (groups,) = load_study(runs).groups.values()
    assert list(groups) == ["random, fit_rate=50", "random, fit_rate=250"]


def test_groups_are_named_after_what_differs_of_agent_and_teacher(tracks, tmp_path):
    pairs = (("ppo", "random"), ("sac", "random"), ("ppo", "fixed"))
    first, other_agent, other_teacher = (
        make_run(tmp_path / f"{agent}-{teacher}", teacher, chunks=2, agent=agent) for agent, teacher in pairs
    )
    named = lambda *runs: list(load_study(runs).groups["test/Tracks-v0"])  # noqa: E731
    assert named(first, other_agent) == ["ppo", "sac"]
    assert named(first, other_teacher) == ["random", "fixed"]
    assert named(other_teacher) == ["ppo"]
    assert named(other_agent, other_teacher) == ["sac + random", "ppo + fixed"]


def test_learners_of_data_alone_count_updates(tracks, tmp_path):
    acting, learning = (make_run(tmp_path / name, chunks=2, agent=name) for name in ("ppo", "iql"))
    rows = [json.loads(line) for line in (learning / "metrics.jsonl").read_text().splitlines()]
    (learning / "metrics.jsonl").write_text("".join(json.dumps(row | {"env_steps": 0}) + "\n" for row in rows))
    labels = []
    for runs in ([acting], [learning], [acting, learning]):
        (groups,) = load_study(runs).groups.values()
        labels.append(plots.mastered_figure(groups).axes[0].get_xlabel())
    assert labels == ["environment steps per seed", "updates per seed", "steps or updates per seed"]


def test_groups_on_other_test_tasks_are_told_apart(tracks, tmp_path):
    settings = RunSettings(eval_tasks="default").resolved()
    runs = [make_run(tmp_path / "a", chunks=2), make_run(tmp_path / "b", "fixed", chunks=2, run=settings)]
    (groups,) = load_study(runs).groups.values()
    assert list(groups) == ["random (tested on 36 tasks of the space)", "fixed (tested on the default task)"]


def test_the_same_seed_counts_once(tracks, tmp_path):
    runs = [make_run(tmp_path / name, seeds=(3,), chunks=2) for name in "ab"]
    study = load_study([*runs, runs[0]])
    assert len(study.runs) == 2
    assert [len(learners) for learners in study.groups["test/Tracks-v0"].values()] == [1]
    assert "seed 3" in study.warnings[0]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="not a run folder"):
        plots.plot_runs([tmp_path], tmp_path / "out")


def test_every_picture_is_drawn(two_runs, tmp_path):
    files = plots.plot_runs(two_runs, tmp_path / "out")
    names = {file.stem for file in files}
    assert names == {
        *("learning", "mastered", "competence", "competence_time", "teacher"),
        *("tasks_random", "tasks_alp_gmm"),
    }
    for file in files:
        picture = imageio.imread(file)
        assert picture.shape[0] > 300 and picture.std() > 5
    assert not list((tmp_path / "out").glob(".tmp-*"))


def test_a_run_on_a_real_environment_with_many_parameters_is_drawn(tmp_path):
    env = make_functional("palaestra/CartPole-v0")
    run = make_run(tmp_path / "a", chunks=3, parameters=4, env="palaestra/CartPole-v0")
    assert len(load_run(run).axes) == env.task_space.unit_dim
    assert {"learning", "mastered", "tasks_random"} <= {f.stem for f in plots.plot_runs([run], tmp_path / "out")}


def test_an_unknown_environment_is_drawn_from_its_data(tmp_path):
    run = make_run(tmp_path / "a", chunks=2)
    assert [axis.name for axis in load_run(run).axes] == ["parameter 1", "parameter 2"]
    assert plots.plot_runs([run], tmp_path / "out")


def test_environments_have_pictures_of_their_own(tracks, tmp_path):
    runs = [make_run(tmp_path / name, chunks=2, env=f"test/{name}-v0") for name in "AB"]
    names = {file.stem for file in plots.plot_runs(runs, tmp_path / "out")}
    assert {"test_A-v0_learning", "test_B-v0_learning"} <= names


def test_a_run_that_has_just_begun_is_no_error(tracks, tmp_path):
    run = make_run(tmp_path / "a", chunks=1, status="running")
    (run / "metrics.jsonl").write_text('{"step": 1, "se')
    (run / "evals.jsonl").unlink()
    assert plots.plot_runs([run], tmp_path / "out") == []


def test_a_torn_episode_file_is_left_out(tracks, tmp_path):
    run = make_run(tmp_path / "a", chunks=4)
    torn = sorted((run / "evals").iterdir())[-1]
    torn.write_bytes(torn.read_bytes()[:100])
    assert len(load_run(run).learners[0].evaluations.steps) == 3


def test_scores_per_task_are_optional(tracks, tmp_path):
    run = make_run(tmp_path / "a", chunks=3, scores=False)
    assert "competence" not in {file.stem for file in plots.plot_runs([run], tmp_path / "out")}


def test_success_without_meaning_is_not_drawn(tracks, monkeypatch, tmp_path):
    run = make_run(tmp_path / "a", chunks=2)
    monkeypatch.setattr(Tracks, "success_return", None)
    assert "mastered" not in {file.stem for file in plots.plot_runs([run], tmp_path / "out")}


def test_tasks_of_another_version_of_the_environment_are_read_from_the_data(monkeypatch, tmp_path):
    run = make_run(tmp_path / "a", chunks=2)
    use_tracks(monkeypatch, parameters=3)
    assert [axis.name for axis in load_run(run).axes] == ["parameter 1", "parameter 2"]


def test_names_are_not_read_as_formulas(tracks, tmp_path):
    run = make_run(tmp_path / "a", "$\\frac{", seeds=(0,), chunks=2)
    assert len(plots.plot_runs([run], tmp_path / "out")) == 5


def test_common_grid_covers_what_all_curves_cover():
    a = (np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 2.0]))
    b = (np.array([10.0, 30.0]), np.array([5.0, 7.0]))
    grid, values = plots.common_grid([a, b])
    assert np.array_equal(grid, [10.0, 20.0])
    assert np.array_equal(values, [[1.0, 2.0], [5.0, 6.0]])


def test_common_grid_of_curves_apart_is_empty():
    a, b = (np.array([0.0, 1.0]), np.zeros(2)), (np.array([2.0, 3.0]), np.zeros(2))
    assert len(plots.common_grid([a, b])[0]) == 0


def test_labels_are_moved_apart_as_little_as_need_be():
    assert plot_style.spread([0.9, 0.1], 0.2) == [0.9, 0.1]
    assert plot_style.spread([0.5, 0.5], 0.2) == pytest.approx([0.4, 0.6])
    assert np.diff(sorted(plot_style.spread([0.5, 0.52, 0.54, 0.1], 0.1))).min() > 0.099


def test_baselines_are_grey_and_others_keep_their_order():
    found = plot_style.colors(["alp_gmm", "random", "other"])
    assert found == {
        "alp_gmm": plot_style.PALETTE[0],
        "random": plot_style.BASELINES["random"],
        "other": plot_style.PALETTE[1],
    }


@pytest.mark.parametrize("width", [3.0, 5.5, 11.0])
def test_an_explanation_is_broken_to_the_width_of_its_figure(width):
    with plot_style.style():
        figure = plot_style.new_figure(width, 3.0)
        plot_style.title(figure, "Heading", "what means what, wherever letters are many: " * 6)
        shown = next(text for text in figure.texts if "letters" in text.get_text())
        right = shown.get_window_extent(figure.canvas.get_renderer()).x1
    assert 0.6 * width < right / figure.dpi < width


def test_numbers_are_short():
    assert [plot_style.short_number(v) for v in (0, 999, 12_000, 163_840, 1.5e6)] == ["0", "999", "12k", "164k", "1.5M"]


def test_ellipse_has_two_standard_deviations():
    axes = (Axis(1, "a", 0, 10), Axis(2, "b", 0, 10))
    covariance = np.diag([9.0, 4.0, 0.25])
    outline = curriculum_plots.ellipse(axes, np.array([0.0, 5.0, 6.0]), covariance)
    assert np.allclose(outline.max(0) - [5, 6], [4.0, 1.0], atol=1e-6)


def test_ellipse_on_a_log_axis_is_drawn_where_it_was_fitted():
    axes = (Axis(0, "a", 0.01, 1.0, is_log=True), Axis(1, "b", 0, 1))
    spread = 0.3  # standard deviation of log(a)
    covariance = np.diag([(spread * 0.1) ** 2, 0.01])
    outline = curriculum_plots.ellipse(axes, np.array([0.1, 0.5]), covariance)
    assert outline[:, 0].max() == pytest.approx(0.1 * np.exp(2 * spread))
    assert outline[:, 0].min() == pytest.approx(0.1 * np.exp(-2 * spread))


def test_components_are_those_the_tasks_were_drawn_from(key):
    space = TaskSpace((Parameter("a", 0, 2, 0), Parameter("b", 0, 1, 0)))
    teacher = ALPGMM(fit_rate=64, components=(2, 3), history=64)
    state = teacher.init(key, space)
    before = jax.tree.map(np.asarray, teacher.snapshot(state))
    after = before | {"random_share": np.float32(0.2), "mask": np.array([True, True, False])}
    snapshots = Snapshots(np.array([10, 20]), {name: np.stack([before[name], after[name]]) for name in before})
    axes = (Axis(0, "a", 0, 2), Axis(1, "b", 0, 1))
    assert curriculum_plots.components(snapshots, 10, axes) == [], "nothing before the first snapshot"
    assert curriculum_plots.components(snapshots, 15, axes) == [], "uniform before the first refit"
    assert len(curriculum_plots.components(snapshots, 25, axes)) == 2
    assert np.array_equal(snapshots.refits(), [1])


def test_movie_has_a_frame_per_refit(two_runs, tmp_path):
    learner = load_run(two_runs[1]).learners[0]
    path = curriculum_plots.curriculum_movie(two_runs[1], tmp_path / "out" / "film.gif")
    frames = imageio.imread(path)
    assert len(frames) == len(curriculum_plots.frame_bounds(learner)) - 1 > 3
    assert frames[0].std() > 5


def test_movie_of_a_teacher_without_refits_takes_even_steps(two_runs):
    bounds = curriculum_plots.frame_bounds(load_run(two_runs[0]).learners[0])
    assert np.allclose(np.diff(bounds), CHUNK)


def test_movie_names_the_seeds_there_are(two_runs, tmp_path):
    with pytest.raises(ValueError, match=r"seed=7; expected one of \[0, 1, 2\]"):
        curriculum_plots.curriculum_movie(two_runs[0], tmp_path / "film.gif", seed=7)


def test_movie_needs_two_parameters(monkeypatch, tmp_path):
    use_tracks(monkeypatch, parameters=3)
    run = make_run(tmp_path / "a", chunks=2, parameters=3)
    assert curriculum_plots.curriculum_movie(run, tmp_path / "film.gif") is None


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_frames_come_back_from_a_movie(tmp_path, suffix):
    frames = [np.full((33, 47, 3), shade, np.uint8) for shade in (0, 120, 240)]
    path = write_movie(tmp_path / f"film{suffix}", iter(frames), fps=5)
    found = np.stack(list(imageio.imiter(path)))
    assert found.shape == (3, 33 + (suffix == ".mp4"), 47 + (suffix == ".mp4"), 3)
    assert np.allclose(found.mean((1, 2, 3)), [0, 120, 240], atol=6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_movie_that_fails_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "film.gif"
    path.write_bytes(b"old")
    frames = [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)]
    with pytest.raises(ValueError, match="expected uint8"):
        write_movie(path, frames, fps=5)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "frames", "fps", "message"),
    [
        ("film.avi", [np.zeros((8, 8, 3), np.uint8)], 5, "expected a name that ends in"),
        ("film.gif", [], 5, "got none"),
        ("film.gif", [np.zeros((8, 8, 3), np.uint8)], 0, "fps=0"),
        ("film.gif", [np.zeros((8, 8, 3))], 5, "expected uint8"),
    ],
)
def test_movies_that_cannot_be_are_refused(tmp_path, name, frames, fps, message):
    with pytest.raises(ValueError, match=message):
        write_movie(tmp_path / name, frames, fps)


def test_the_callers_matplotlib_settings_stay(two_runs, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.plot_runs(two_runs[:1], tmp_path / "out")
    assert dict(matplotlib.rcParams) == before


def test_importing_the_modules_is_light():
    names = ("plots", "report", "movie", "statistics", "run_data", "comparison")
    code = (
        f"import sys, json; {'; '.join(f'import palaestra.experiments.{name}' for name in names)}; "
        "print(json.dumps(sorted({'jax', 'matplotlib', 'imageio', 'PIL', 'scipy'} & set(sys.modules))))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.load(io.StringIO(out)) == []
