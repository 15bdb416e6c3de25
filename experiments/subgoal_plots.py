"""Figures of the studies of subgoals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .plot_style import PALETTE, colors, new_figure, steps_axis, style, title
from .statistics import estimate_curve

LINES = ("-", "--", ":")  # for more variants than colours


def curves_figure(rows: Sequence[dict[str, Any]], share: float) -> Any:
    """Return of the task alone over steps, as a share of the planner's: one panel per task, one line per variant.

    Args:
      rows: with task, variant, optimum, curve_steps (T,) and curves (S, T).
      share: of the planner's return that counts as learned.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    names = list(dict.fromkeys(row["variant"] for row in rows))
    palette = colors(names)
    lines = {name: LINES[i // len(PALETTE) % len(LINES)] for i, name in enumerate(names)}
    with style():
        figure = new_figure(3.4 * len(tasks) + 1.4, max(3.2, 0.2 * len(names) + 0.6))
        for axis, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
            for row in (row for row in rows if row["task"] == task):
                steps = np.asarray(row["curve_steps"])
                middle, low, high = estimate_curve(np.asarray(row["curves"]) / row["optimum"])
                name = row["variant"]
                axis.plot(steps, middle, color=palette[name], linestyle=lines[name], label=name, linewidth=1.5)
                axis.fill_between(steps, low, high, color=palette[name], alpha=0.15, linewidth=0)
            axis.axhline(share, color="#a3a9b5", linewidth=0.8, linestyle="--")
            axis.set_ylim(-0.02, 1.05)
            axis.set_title(task, fontsize=9)
            steps_axis(axis)
        figure.get_axes()[0].set_ylabel("return, share of the planner's")
        figure.get_axes()[-1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        title(figure, "Subgoals on MiniGrid", "Interquartile means over seeds with 95 % bootstrap intervals.")
    return figure
