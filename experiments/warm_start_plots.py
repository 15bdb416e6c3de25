"""Figure and tables of the studies that go from data to acting."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .plot_style import MUTED, PALETTE, new_figure, style, title
from .statistics import estimate_curve
from .switching import Curves

COLUMNS = 4
LINES = ("-", "--", ":")


def curves_figure(curves: Mapping[str, Curves], warmup: int, others: Mapping[str, float]) -> Any:
    """Normalised score over environment steps since the switch: every variant beside the first.

    Args:
      warmup: steps that are shaded; 0 for none.
      others: scores of what does not learn, as level lines.
    """
    first, *rest = curves
    pairs: list[tuple[str, ...]] = [(first, name) for name in rest] or [(first,)]
    columns = min(COLUMNS, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    with style():
        figure = new_figure(max(4.5, 2.3 * columns), 2.0 * rows + 0.9)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
        for axis, pair in zip(panels, pairs, strict=False):
            _panel(axis, {name: curves[name] for name in pair}, warmup, others)
        for axis in panels[len(pairs) :]:
            axis.set_visible(False)
        for axis in panels[::columns]:
            axis.set_ylabel("normalised score")
        figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05)
        explanation = "Over thousands of environment steps since the switch: interquartile means over seeds with 95 % "
        explanation += f"bootstrap intervals; {first} in grey in every panel"
        title(figure, "From data to acting", f"{explanation}{'; shaded: its warm-up' if warmup else ''}.")
    return figure


def _panel(axis: Any, curves: Mapping[str, Curves], warmup: int, others: Mapping[str, float]) -> None:
    *grey, shown = curves
    if warmup:
        axis.axvspan(0, warmup / 1000, color="#e9ebef", linewidth=0)
    for name, curve in curves.items():
        middle, low, high = estimate_curve(curve.scores)
        steps = np.asarray(curve.steps) / 1000
        color = MUTED if name in grey else PALETTE[0]
        axis.plot(steps, middle, color=color, linewidth=1.4)
        axis.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
    for i, (name, score) in enumerate(others.items()):
        axis.axhline(score, color=PALETTE[1], linestyle=LINES[i % len(LINES)], label=name, linewidth=1)
    if others:
        axis.legend(fontsize=7, frameon=False, loc="lower right")
    axis.set_title(shown)


def table(
    rows: Sequence[Mapping[str, Any]], orderings: Sequence[Mapping[str, Any]], others: Mapping[str, float]
) -> list[str]:
    """Variants, orderings and what does not learn as lines of Markdown."""
    names = ("offline", "dip", "regret", "final", "drop", *(f"final - {name}" for name in others))
    heads = ("variant", "offline", "dip", "regret", "final", "values drop", *names[5:])
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [_interval(row[name]) if name in row else "" for name in names]
        lines.append(f"| {row['variant']} | {' | '.join(cells)} |")
    lines += [f"| {name} | | | | {score:.3g} |{' |' * (len(heads) - 5)}" for name, score in others.items()]
    lines += ["", "| | claim | difference [95 %] | margin | verdict |", "|---|---|---|---|---|"]
    for row in orderings:
        what = f"{row['claim']}: {row['quantity']}, {row['more']} minus {row['less']}"
        lines.append(f"| {row['name']} | {what} | {_interval(row)} | {row['margin']:g} | {row['verdict']} |")
    return lines


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
