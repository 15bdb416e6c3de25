"""How all plots look: colours, type, axes in environment steps, names written at the lines they belong to."""

import contextlib
import io
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_atomic

INK, MUTED = "#22262e", "#6b7280"
BASELINES = {"random": "#868d99", "no teacher": "#b3a089", "fixed": "#b3a089"}
PALETTE = ("#2b6cb0", "#d5652a", "#2a9371", "#8457b0", "#c29a1d", "#bf4a7e", "#3a9dbf")
RETURN, PROGRESS, DENSITY = "viridis", "YlOrRd", "PuBu"  # colour maps of what needs one
AGE = ("#ecc977", "#3f9e90", "#1d3461")  # the same, from old to new
DPI = 150
LETTER = 0.062  # [inch] width of a letter of an explanation, generously

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names come from runs; a dollar sign in one must not be read as a formula
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#a3a9b5",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e9ebef",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "figure.facecolor": "white",
    "figure.titlesize": 11,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings while a figure is made and drawn; those of the caller come back afterwards."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Any:
    """An empty figure [inch] that belongs to no window system: it works without a display and beside a notebook."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Any) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def save_png(figure: Any, path: Path) -> Path:
    """Writes a figure whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, png_bytes(figure))
    return path


def pixels(figure: Any) -> np.ndarray:
    """A figure as uint8 (height, width, 3)."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def colors(labels: Iterable[str]) -> dict[str, str]:
    """A colour for every group, the same in every plot; what one compares with is grey."""
    found: dict[str, str] = {}
    fresh = 0
    for label in labels:
        grey = BASELINES.get(re.split(r"[,(]", label)[0].strip())
        if grey is not None and grey not in found.values():
            found[label] = grey
        else:
            found[label] = PALETTE[fresh % len(PALETTE)]
            fresh += 1
    return found


def title(figure: Any, text: str, explanation: str = "") -> None:
    """A heading and, below it in grey and broken to the figure's width, how to read the figure."""
    figure.suptitle(text, x=0.012, ha="left", fontweight="bold", color=INK)
    if explanation:
        lines = textwrap.fill(explanation, int(figure.get_size_inches()[0] / LETTER))
        figure.supxlabel(lines, x=0.012, ha="left", fontsize=7.5, color=MUTED)


def age_map() -> Any:
    """The colour map from old to new."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("age", AGE)


def log_scale(axis: Any, name: str) -> None:
    """Makes the x or y axis logarithmic, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axis, f"set_{name}scale")("log")
    ticks = getattr(axis, f"{name}axis")
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    ticks.set_minor_formatter(NullFormatter())


def steps_axis(axis: Any, label: str = "environment steps per seed") -> None:
    """Labels an x axis in steps: 20k, 1.5M."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    if label:
        axis.set_xlabel(label)


def short_number(value: float) -> str:
    """12000 as 12k, 1500000 as 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def label_lines(axis: Any, ends: Sequence[tuple[str, float, str]]) -> None:
    """Writes names to the right of where lines end, moved apart where they would cover each other.

    Args:
      ends: (name, y, colour) of each line.
    """
    low, high = axis.get_ylim()
    height = (high - low) or 1.0
    inches = axis.get_figure().get_size_inches()[1] * axis.get_position().height
    gap = 0.17 / max(inches, 0.5)  # a line of text, as a share of the axis
    places = spread([(y - low) / height for _, y, _ in ends], gap)
    for (name, _, color), place in zip(ends, places, strict=True):
        axis.annotate(
            name,
            (1.0, place),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=8.5,
            fontweight="bold",
            annotation_clip=False,
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Moves places on a line apart until neighbours are `gap` or more from each other, as little as need be."""
    order = np.argsort(places, kind="stable")
    moved = np.array(places, np.float64)[order]
    for _ in range(50):
        for i in range(len(moved) - 1):
            overlap = gap - (moved[i + 1] - moved[i])
            if overlap > 1e-9:
                moved[i] -= overlap / 2
                moved[i + 1] += overlap / 2
    back = np.empty_like(moved)
    back[order] = moved
    return back.tolist()


def color_bar(figure: Any, mappable: Any, axes: Any, label: str, **options: Any) -> Any:
    """A slim colour bar."""
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(mappable, ax=axes, aspect=30, pad=0.02, ticks=MaxNLocator(6), **options)
    bar.set_label(label, color=MUTED, fontsize=8.5)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, size=2)
    return bar
