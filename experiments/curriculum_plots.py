"""Pictures of a curriculum: which tasks a teacher proposed when, and how it saw its learner; also as a film.

Letters: E episodes, P points in time, D task parameters, N components of a mixture, M points of an outline.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .movie import write_movie
from .plot_style import (
    DENSITY,
    MUTED,
    PROGRESS,
    RETURN,
    age_map,
    color_bar,
    log_scale,
    new_figure,
    pixels,
    short_number,
    steps_axis,
    style,
    title,
)
from .run_data import Axis, Learner, Snapshots, load_run
from .task_axes import frame_axes, plane, value_range

Groups = Mapping[str, Sequence[Learner]]

NUM_WINDOWS = 5
MAX_POINTS = 1500  # of a scatter plot: more hide each other
MAX_FRAMES = 40
MAX_AXES = 8
NUM_PLACES = 24  # parts of an axis in a marginal plot
EPISODES_PER_COLUMN = 60


@dataclasses.dataclass(frozen=True)
class Component:
    """One Gaussian of a teacher's model.

    Attributes:
      outline: (M, 2) points of its ellipse at two standard deviations, in task units.
      progress: mean absolute learning progress there.
      probability: how often tasks are drawn from it.
    """

    outline: np.ndarray
    progress: float
    probability: float


def tasks_figure(label: str, learners: Sequence[Learner]) -> Any:
    """Tasks of the first learner that recorded any; None where there is none, or tasks are no vectors."""
    learner = next((l for l in learners if l.run.axes and len(l.episodes.get("task", ()))), None)
    if learner is None:
        return None
    return _scatter_figure(label, learner) if len(learner.run.axes) == 2 else _marginal_figure(label, learner)


def curriculum_movie(run_dir: Path | str, path: Path | str, seed: int | None = None, fps: int = 4) -> Path | None:
    """Films a curriculum: one frame per refit, with the tasks sampled since the one before.

    Teachers that never refit are filmed at even intervals.

    Args:
      path: `.gif` or `.mp4`.
      seed: of the learner to film; None: the first.

    Returns:
      The file; None where there is nothing to film: tasks without two free parameters, or no episodes.

    Raises:
      InputFileError: not a run.
      ValueError: the run has no such seed.
    """
    run = load_run(Path(run_dir))
    if seed is not None and seed not in {learner.seed for learner in run.learners}:
        raise ValueError(f"seed={seed}; expected one of {[learner.seed for learner in run.learners]}")
    learner = next((l for l in run.learners if seed in (None, l.seed)), None)
    if learner is None or len(run.axes) != 2 or not len(learner.episodes.get("task", ())):
        return None
    return write_movie(Path(path), curriculum_frames(learner), fps)


def curriculum_frames(learner: Learner) -> Iterator[np.ndarray]:
    """Frames (height, width, 3) of `curriculum_movie`."""
    bounds = frame_bounds(learner)
    for number, (low, high) in enumerate(itertools.pairwise(bounds)):
        with style():
            frame = _frame(learner, number, len(bounds) - 1, float(low), float(high))
        yield frame


def frame_bounds(learner: Learner) -> np.ndarray:
    """Steps (P,) between which the P - 1 frames of a movie lie: refits, thinned out evenly if there are too many."""
    last = float(learner.episodes["step"].max())
    snapshots = learner.snapshots
    refits = snapshots.steps[snapshots.refits()] if snapshots is not None else np.zeros(0)
    if len(refits) < 2:
        refits = np.linspace(0, last, min(MAX_FRAMES, len(np.unique(learner.episodes["step"]))) + 1)[1:]
    bounds = np.unique(np.concatenate([[0.0], refits[refits < last], [last]]))
    if len(bounds) > MAX_FRAMES + 1:
        bounds = bounds[np.unique(np.linspace(0, len(bounds) - 1, MAX_FRAMES + 1).round().astype(int))]
    return bounds


def components(snapshots: Snapshots | None, step: float, axes: Sequence[Axis]) -> list[Component]:
    """The mixture a teacher sampled from just before `step`; none before the first refit or without mixture."""
    if snapshots is None or not {"mean", "covariance"} <= set(snapshots.arrays):
        return []
    before = np.flatnonzero(snapshots.steps < step)
    if not before.size or float(snapshots.arrays.get("random_share", np.zeros(len(snapshots.steps)))[before[-1]]) >= 1:
        return []
    now = {name: array[before[-1]] for name, array in snapshots.arrays.items()}
    count = len(now["mean"])
    mask = np.asarray(now.get("mask", np.ones(count)), bool)
    progress = now.get("progress", np.zeros(count))
    probability = now.get("probability", mask / max(mask.sum(), 1))
    return [
        Component(ellipse(axes, now["mean"][n], now["covariance"][n]), float(progress[n]), float(probability[n]))
        for n in np.flatnonzero(mask)
    ]


def ellipse(axes: Sequence[Axis], mean: np.ndarray, covariance: np.ndarray, deviations: float = 2.0) -> np.ndarray:
    """(M, 2) outline of a Gaussian (D,), (D, D) in the plane of two axes.

    Along a logarithmic axis the covariance is a linearisation; the outline is drawn where it came from.
    """
    index = [axis.index for axis in axes]
    centre, spread = np.asarray(mean, np.float64)[index], np.asarray(covariance, np.float64)[np.ix_(index, index)]
    is_log = np.array([axis.is_log for axis in axes])
    slope = np.where(is_log, np.maximum(centre, 1e-30), 1.0)
    values, vectors = np.linalg.eigh(spread / np.outer(slope, slope))
    angle = np.linspace(0, 2 * np.pi, 73)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    offset = deviations * (circle * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return np.where(is_log, slope * np.exp(offset), centre + offset)


def _scatter_figure(label: str, learner: Learner) -> Any:
    """All tasks by age, then those of equal parts of the training with the teacher's ellipses."""
    axes, episodes = learner.run.axes, learner.episodes
    steps = episodes["step"].astype(np.float64)
    bounds = np.linspace(0, np.max(steps), NUM_WINDOWS + 1)
    figure = new_figure(10.8, 6.6)
    panels = np.ravel(figure.subplots(2, 3, sharex=True, sharey=True))
    rows = _thin(np.arange(len(steps)))
    aged = panels[0].scatter(*plane(episodes["task"][rows], axes), c=steps[rows], s=5, cmap=age_map(), lw=0)
    panels[0].set_title("all, by age")
    low_high = _return_limits(episodes)
    models = [components(learner.snapshots, high, axes) for high in bounds[1:]]
    top = max((c.progress for model in models for c in model), default=0.0)
    for panel, low, high, model in zip(panels[1:], bounds[:-1], bounds[1:], models, strict=True):
        rows = _thin(np.flatnonzero((steps > low) & (steps <= high)))
        returned = _scatter(panel, axes, episodes, rows, 5, low_high)
        _draw_components(panel, model, top)
        panel.set_title(f"steps {short_number(low)} – {short_number(high)}")
    for i, panel in enumerate(panels):
        frame_axes(panel, axes, bottom=i >= 3, left=i % 3 == 0)
    color_bar(figure, returned, [panels[i] for i in (1, 2, 4, 5)], "return", location="bottom", shrink=0.5)
    bar = color_bar(figure, aged, [panels[0], panels[3]], "sampled at step (upper panel)", location="bottom")
    bar.ax.xaxis.set_major_formatter(lambda value, _: short_number(value))
    explanation = f"seed {learner.seed}"
    if top:
        explanation += " · ellipses: two standard deviations at the end of each part"
        explanation += f" · the redder, the more learning progress (at most {top:.3g})"
    title(figure, f"Tasks sampled by {label}", explanation)
    return figure


def _marginal_figure(label: str, learner: Learner) -> Any:
    """For every free parameter: where over time its values lay."""
    episodes, axes = learner.episodes, learner.run.axes[:MAX_AXES]
    steps = episodes["step"].astype(np.float64)
    columns = min(len(axes), 2)
    rows = -(-len(axes) // columns)
    figure = new_figure(1.0 + 4.4 * columns, 0.9 + 2.1 * rows)
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for panel in panels[len(axes) :]:
        panel.set_visible(False)
    num_times = min(max(len(steps) // EPISODES_PER_COLUMN, 8), 60, len(np.unique(steps)))
    times, places = np.linspace(0, np.max(steps), num_times + 1), np.linspace(0, 1, NUM_PLACES + 1)
    shares = []
    for axis in axes:
        unit = np.clip(axis.to_unit(episodes["task"][:, axis.index].astype(np.float64)), 0, 1)
        counts, _, _ = np.histogram2d(steps, unit, (times, places))
        total = counts.sum(1, keepdims=True)
        shares.append(np.where(total > 0, counts / np.maximum(total, 1) * NUM_PLACES, np.nan))
    top = max(2.0, float(np.nanpercentile(np.concatenate(shares), 99)))
    for panel, axis, share in zip(panels, axes, shares, strict=False):
        drawn = panel.pcolormesh(
            times, axis.from_unit(places), share.T, cmap=DENSITY, vmin=0, vmax=top, rasterized=True
        )
        panel.set_ylabel(axis.label)
        if axis.is_log:
            log_scale(panel, "y")
        panel.grid(False)
        steps_axis(panel, "environment steps" if panel in panels[max(0, len(axes) - columns) :] else "")
    color_bar(figure, drawn, list(panels[: len(axes)]), "density, relative to uniform")
    left_out = len(learner.run.axes) - len(axes)
    more = f" · {left_out} further parameters not shown" if left_out else ""
    title(
        figure, f"Tasks sampled by {label}", f"seed {learner.seed} · one column of colours per part of training{more}"
    )
    return figure


def _frame(learner: Learner, number: int, count: int, low: float, high: float) -> np.ndarray:
    axes, episodes = learner.run.axes, learner.episodes
    steps = episodes["step"].astype(np.float64)
    rows = _thin(np.flatnonzero((steps > low) & (steps <= high)))
    figure = new_figure(5.2, 5.6)
    figure.set_dpi(100)
    panel, strip = figure.subplots(2, 1, height_ratios=(6, 1))
    drawn = _scatter(panel, axes, episodes, rows, 14, _return_limits(episodes))
    model = components(learner.snapshots, high, axes)
    _draw_components(panel, model, max((c.progress for c in model), default=0.0))
    frame_axes(panel, axes, bottom=True, left=True)
    panel.set_title(f"{learner.run.teacher} · {short_number(low)} – {short_number(high)} steps")
    color_bar(figure, drawn, panel, "return")
    _draw_strip(strip, learner, low, high)
    strip.set_ylabel("return", fontsize=8)
    figure.align_ylabels()
    how = " · ellipses: the redder, the more learning progress" if model else ""
    footer = f"frame {number + 1} of {count} · seed {learner.seed}{how}"
    figure.supxlabel(footer, x=0.012, ha="left", fontsize=7, color=MUTED)
    return pixels(figure)


def _scatter(
    panel: Any,
    axes: Sequence[Axis],
    episodes: Mapping[str, np.ndarray],
    rows: np.ndarray,
    size: float,
    limits: tuple[float, float],
) -> Any:
    """Tasks coloured by return."""
    where, colour = plane(episodes["task"][rows], axes), episodes["return"][rows]
    return panel.scatter(*where, c=colour, s=size, lw=0, cmap=RETURN, vmin=limits[0], vmax=limits[1])


def _return_limits(episodes: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Ends of the colour scale: single odd episodes do not stretch it."""
    known = episodes["return"][np.isfinite(episodes["return"])]
    return value_range([np.percentile(known, [2, 98])]) if known.size else (0.0, 1.0)


def _draw_strip(strip: Any, learner: Learner, low: float, high: float) -> None:
    """The learner's training return, with the time of the frame marked."""
    steps, values = learner.curve("rollout/ep_rew_mean")
    strip.plot(steps, values, color="#9aa3b2", lw=1.2)
    strip.axvspan(low, high, color="#d5652a", alpha=0.35, lw=0)
    strip.set_xlim(0, float(learner.episodes["step"].max()))
    strip.locator_params(axis="y", nbins=2)
    steps_axis(strip)


def _draw_components(panel: Any, model: Sequence[Component], top: float) -> None:
    """Ellipses, the redder the more progress relative to `top`, the thicker the likelier to be sampled from."""
    import matplotlib
    from matplotlib.patches import Polygon

    for component in model:
        share = component.progress / top if top > 0 else 0.0
        color = matplotlib.colormaps[PROGRESS](0.3 + 0.7 * share)
        width = 0.8 + 2.2 * min(component.probability, 1.0) ** 0.5
        panel.add_patch(Polygon(component.outline, closed=True, fill=True, fc=(*color[:3], 0.13), ec=color, lw=width))


def _thin(rows: np.ndarray) -> np.ndarray:
    """At most `MAX_POINTS` of `rows`, evenly chosen."""
    if len(rows) <= MAX_POINTS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MAX_POINTS).astype(int)]
