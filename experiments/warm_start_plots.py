"""Figure and tables of the studies that go from data to acting."""

from collections.abc import Mapping, Sequence
from typing import Any

from .plot_style import PALETTE, colors, new_figure, steps_axis, style, title
from .statistics import estimate_curve
from .switching import Curves

LINES = ("-", "--", ":")  # for more variants than colours


def curves_figure(curves: Mapping[str, Curves], warmup: int, others: Mapping[str, float]) -> Any:
    """Normalised score over environment steps since the switch, one line per variant.

    Args:
      warmup: steps that are shaded; 0 for none.
      others: scores of what does not learn, as level lines.
    """
    palette = colors(curves)
    with style():
        figure = new_figure(7.2, 3.6)
        axis = figure.subplots()
        if warmup:
            axis.axvspan(0, warmup, color="#e9ebef", linewidth=0)
        for i, (name, curve) in enumerate(curves.items()):
            middle, low, high = estimate_curve(curve.scores)
            dash = LINES[i // len(PALETTE) % len(LINES)]
            axis.plot(curve.steps, middle, color=palette[name], linestyle=dash, label=name, linewidth=1.5)
            axis.fill_between(curve.steps, low, high, color=palette[name], alpha=0.15, linewidth=0)
        for i, (name, score) in enumerate(others.items()):
            axis.axhline(score, color="#5b6472", linestyle=LINES[i % len(LINES)], label=name, linewidth=1)
        axis.set_ylabel("normalised score")
        steps_axis(axis, "environment steps since the switch, per seed")
        axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        explanation = "Interquartile means over seeds with 95 % bootstrap intervals"
        title(figure, "From data to acting", f"{explanation}; shaded: the warm-up." if warmup else f"{explanation}.")
    return figure


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
