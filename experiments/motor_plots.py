"""Figures of the studies of drives."""

from collections.abc import Sequence
from typing import Any

from .plot_style import colors, new_figure, style, title


def errors_figure(rows: Sequence[dict[str, Any]], heading: str = "Mean error of the controlled quantities") -> Any:
    """Bars with intervals, one panel per drive.

    Args:
      rows: with drive, controller, error, low, high.
    """
    drives = list(dict.fromkeys(row["drive"] for row in rows))
    names = list(dict.fromkeys(row["controller"] for row in rows))
    palette = colors(names)
    with style():
        figure = new_figure(3.0 * len(drives), 3.2)
        for axis, drive in zip(figure.subplots(1, len(drives), squeeze=False)[0], drives, strict=True):
            shown = {row["controller"]: row for row in rows if row["drive"] == drive}
            for place, name in enumerate(names):
                row = shown[name]
                axis.bar(place, row["error"], color=palette[name], width=0.7)
                reach = [[row["error"] - row["low"]], [row["high"] - row["error"]]]
                axis.errorbar(place, row["error"], reach, color="black", capsize=3, linewidth=1)
                axis.annotate(f"{row['error']:.3g}", (place, row["high"]), ha="center", va="bottom", fontsize=8)
            axis.set_xticks(range(len(names)), names)
            axis.set_title(drive, fontsize=9)
            axis.margins(y=0.15)
        figure.get_axes()[0].set_ylabel("mean |error|, share of the limit")
        title(figure, heading, "Lower is better; lines are 95 % intervals.")
    return figure
