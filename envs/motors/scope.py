"""Pictures of a drive: an oscilloscope of its last samples, and a still plot of a whole episode.

Both have the same panels: what shall follow a reference first, then currents, terminal voltages, torque and speed, in
physical units. References are pale and wide behind the lines that shall follow them; a limit is a dashed line, and the
range beyond is shaded where it ends the episode.

Matplotlib is imported when something is drawn. Figures belong to no window system and no global list.

`env` is a `Motor` and `state` its state; this file does not import them, since they import it.

Letters: S measured quantities, R references, N samples, T steps.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from .converters import SWING, TERMINALS
from .families import FAMILIES
from .layout import unit

WIDTH, HEIGHT, DPI = 800, 600, 100  # pixels
ACTION_HEIGHT = 110  # pixels of the actions in a still plot
INK, MUTED, LIMIT, BEYOND = "#22262e", "#6b7280", "#3b3f46", "#f3ebe4"
# Okabe and Ito 2008, told apart with any colour vision; the yellow is left out.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
SYMBOLS = {
    "omega": "\\omega",
    "torque": "T",
    "epsilon": "\\varepsilon",
    "psi_abs": "|\\psi|",
    "psi_angle": "\\angle\\psi",
}
ROOM = 0.12  # of an axis above and below its limits
STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "text.usetex": False,
    "text.parse_math": True,
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": True,
    "axes.facecolor": "white",
    "axes.edgecolor": "#a3a9b5",
    "axes.linewidth": 0.8,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.0,
    "grid.color": "#e9ebef",
    "grid.linewidth": 0.8,
    "grid.linestyle": "-",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "lines.antialiased": True,
    "lines.solid_joinstyle": "round",
    "path.simplify": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "palaestra",
}


@dataclasses.dataclass(frozen=True)
class Trace:
    """One line: `scale * row[column] + shift` [unit of its panel], of several columns the length of their vector.

    Columns count measurements, then references.
    """

    label: str
    columns: tuple[int, ...]
    color: str
    scale: float
    shift: float = 0.0
    is_reference: bool = False
    dashes: tuple[float, ...] = ()

    def values(self, rows: np.ndarray) -> np.ndarray:
        """The line (T,) through rows (T, S + R)."""
        picked = rows[:, self.columns]
        size = picked[:, 0] if len(self.columns) == 1 else np.sqrt(np.sum(picked**2, axis=1))
        return self.scale * size + self.shift


@dataclasses.dataclass(frozen=True)
class Panel:
    """What shares an axis.

    Attributes:
      title: of the axis, with its unit.
      low, high: of what can be seen.
      limits: levels.
      ends: whether exceeding a limit ends the episode.
      lanes: (place, name, range) of lines that have a lane each, in place of numbers.
      held: whether values were constant in the period before the sample.
    """

    title: str
    low: float
    high: float
    traces: tuple[Trace, ...]
    limits: tuple[float, ...] = ()
    ends: bool = False
    lanes: tuple[tuple[float, str, str], ...] = ()
    held: bool = False


def panels(env: Any) -> tuple[Panel, ...]:
    """What is shown of a drive: its references first."""
    machine = env.machine
    currents = tuple(n for n in machine.currents if not (machine.has_angle and n.rstrip("12")[-1] in "abc"))
    groups = {"A": currents, "V": machine.phases, "N m": ("torque",), "rad/s": ("omega",)}
    names = env.observed.references
    order = dict.fromkeys([*(unit(n) for n in names), *groups])
    shown = {u: tuple(dict.fromkeys([*(n for n in names if unit(n) == u), *groups.get(u, ())])) for u in order}
    found = []
    for group in shown.values():
        if group == machine.phases and env.converter.finite and len(group) > 1 and not set(group) & set(names):
            found.append(_lanes(env, group))
        else:
            found.append(_panel(env, group))
    return tuple(found)


def _panel(env: Any, names: tuple[str, ...]) -> Panel:
    layout, references = env.layout, env.observed.references
    wanted, lines = [], []
    for name, color in zip(names, _cycle(len(names)), strict=True):
        column, scale = layout.index(name), layout.limit(name)
        if name in references:
            place = len(layout.names) + references.index(name)
            wanted.append(Trace(symbol(name), (place,), _pale(color), scale, is_reference=True))
        lines.append(Trace(symbol(name), (column,), color, scale))
    vectors = [v.names for v in env.limits if len(v.names) > 1 and set(v.names) <= set(names)]
    for vector, dashes in zip(vectors, ((), (1.0, 1.0)), strict=False):
        columns = tuple(layout.index(n) for n in vector)
        lines.append(Trace(_length(vector), columns, MUTED, layout.limit(vector[0]), dashes=dashes))
    traces = (*wanted, *lines)
    kind = unit(names[0])
    title = {"A": "current", "V": "voltage", "N m": "torque", "rad/s": "speed"}.get(kind, symbol(names[0]))
    if kind == "V":
        high = env.nominal.supply * env.supply.swing * max(SWING[b] for b in env.converter.bridges)
        return Panel(f"{title} [{kind}]", -high * (1 + ROOM), high * (1 + ROOM), traces, held=env.converter.finite)
    high = max(layout.limit(name) for name in names)
    low = min(layout.low[layout.index(name)] for name in names) * high
    margin = ROOM * (high - low)
    ends = any(set(names) & set(limit.names) for limit in env.limits)
    limits = tuple(sorted({sign * layout.limit(n) for n in names for sign in ((1, -1) if low < 0 else (1,))}))
    return Panel(f"{title} [{kind}]", low - margin, high + margin, traces, limits, ends)


def _lanes(env: Any, names: tuple[str, ...]) -> Panel:
    """Switched voltages, which would hide each other, one above the other like the signals of a logic analyser."""
    terminals = [bridge for bridge in env.converter.bridges for _ in range(TERMINALS[bridge])]
    highest = [env.nominal.supply * env.supply.swing * SWING[bridge] for bridge in terminals]
    traces, places = [], []
    for i, (name, color, high) in enumerate(zip(names, _cycle(len(names)), highest, strict=True)):
        place = float(len(names) - 1 - i)
        scale = 0.38 * env.layout.limit(name) / high
        traces.append(Trace(symbol(name), (env.layout.index(name),), color, scale, place))
        places.append((place, symbol(name), f"±{high:g} V"))
    return Panel("voltage", -0.6, len(names) - 0.4, tuple(traces), lanes=tuple(places), held=True)


def symbol(name: str) -> str:
    """A quantity's name as Matplotlib's mathematics: `i_sd` with an index."""
    letter, _, index = SYMBOLS.get(name, name).partition("_")
    return f"${letter}_{{\\mathrm{{{index}}}}}$" if index else f"${letter}$"


def _length(names: tuple[str, ...]) -> str:
    """The vector of `i_sd`, `i_sq`: |i_s|."""
    return f"$|i_{{\\mathrm{{{names[0].partition('_')[2][:-1]}}}}}|$"


def _cycle(count: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(count)]


def _pale(color: str, share: float = 0.62) -> str:
    """A colour mixed with white."""
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 * share + part * (1 - share)):02x}" for part in parts)


class Scope:
    """A figure whose frame is drawn once; each picture adds the lines to it.

    Args:
      env: the drive, in its form for rendering.
    """

    def __init__(self, env: Any):
        from matplotlib import rc_context

        self.env = env
        self._panels = panels(env)
        with rc_context(STYLE):
            self._figure = _figure(WIDTH / DPI, HEIGHT / DPI)
            axes = _axes(self._figure, self._panels)
            span = -1e3 * env.tau * (env.trace - 1)
            self._lines = [_draw_panel(axis, panel, animated=True) for axis, panel in axes]
            axes[-1][0].set_xlim(span, 0.0)
            axes[-1][0].set_xlabel("time before now [ms]")
            _title(self._figure, env)
            self._clock = self._figure.text(0.985, 0.965, "", ha="right", va="center", animated=True)
            self._figure.canvas.draw()
        self._background = self._figure.canvas.copy_from_bbox(self._figure.bbox)

    def draw(self, state: Any) -> np.ndarray:
        """The picture of a state, uint8 (HEIGHT, WIDTH, 3)."""
        canvas = self._figure.canvas
        canvas.restore_region(self._background)
        steps = int(state.steps)
        real = min(steps + 1, self.env.trace)
        rows = np.asarray(state.trace, np.float64)[-real:]
        time = 1e3 * self.env.tau * np.arange(1 - real, 1)
        for panel, lines in zip(self._panels, self._lines, strict=True):
            for trace, line in zip(panel.traces, lines, strict=True):
                line.set_data(time, trace.values(rows))
                line.axes.draw_artist(line)
        exceeded = np.flatnonzero(np.asarray(state.degrees) >= 1)
        ended = f"ended: {self.env.end_reasons[exceeded[0]]}     " if exceeded.size else ""
        self._clock.set_text(f"{ended}t = {1e3 * self.env.tau * steps:.2f} ms")
        self._figure.draw_artist(self._clock)
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_scope(env: Any, state: Any, render_state: Scope | None = None) -> tuple[Scope, np.ndarray]:
    """The last samples of a drive, as an oscilloscope shows them.

    Args:
      env: in its form for rendering.
      state: concrete, with a trace.
      render_state: what the last call returned, which makes this one fast; pictures do not depend on it.

    Returns:
      (render_state, uint8 (HEIGHT, WIDTH, 3)).

    Raises:
      ValueError: the state has no trace.
    """
    if state.trace is None or not env.trace:
        raise ValueError("the state has no trace; expected one of env.for_rendering()")
    scope = render_state if isinstance(render_state, Scope) and render_state.env == env else Scope(env)
    return scope, scope.draw(state)


def plot_episode(
    env: Any,
    measured: Any,
    references: Any,
    actions: Any = None,
    path: str | Path | None = None,
    title: str | None = None,
) -> Any:
    """A still plot of recorded steps.

    Args:
      measured: (T, S) `state.measured` after each step.
      references: (T, R) `state.references.shown[0]`, what each step was to reach.
      actions: (T,) or (T, A); left out by default, since the voltages tell them.
      path: where to save the plot, its ending chooses the format.
      title: in place of the machine's name.

    Returns:
      The Matplotlib figure.

    Raises:
      ValueError: shapes that do not belong to the drive.
    """
    from matplotlib import rc_context

    rows = _checked_rows(env, measured, references)
    shown = [(panel, rows) for panel in panels(env)]
    if actions is not None and np.size(actions):
        given = np.reshape(actions, (len(rows), -1))
        shown.append((_action_panel(env, given), given))
    time = 1e3 * env.tau * np.arange(1, len(rows) + 1)
    with rc_context(STYLE):
        figure = _figure(WIDTH / DPI, (HEIGHT + ACTION_HEIGHT * (len(shown) - 4)) / DPI)
        axes = _axes(figure, tuple(_widened(panel, source) for panel, source in shown))
        for (axis, panel), (_, source) in zip(axes, shown, strict=True):
            for trace, line in zip(panel.traces, _draw_panel(axis, panel, animated=False), strict=True):
                line.set_data(time, trace.values(source))
        axes[-1][0].set_xlim(time[0], time[-1])
        axes[-1][0].set_xlabel("time [ms]")
        _title(figure, env, title)
        if path is not None:
            figure.savefig(path, metadata={"Software": None} if str(path).endswith("png") else None)
    return figure


def _widened(panel: Panel, rows: np.ndarray) -> Panel:
    """The panel with room for all of its lines."""
    values = [trace.values(rows) for trace in panel.traces if not panel.lanes]
    margin = 0.04 * (panel.high - panel.low)
    low = min([panel.low, *(float(np.min(v)) - margin for v in values)])
    high = max([panel.high, *(float(np.max(v)) + margin for v in values)])
    return dataclasses.replace(panel, low=low, high=high)


def _checked_rows(env: Any, measured: Any, references: Any) -> np.ndarray:
    measured, references = np.asarray(measured, np.float64), np.asarray(references, np.float64)
    wanted = (len(env.layout.names), len(env.observed.references))
    if measured.ndim != 2 or references.ndim != 2 or (measured.shape[1], references.shape[1]) != wanted:
        raise ValueError(
            f"measured {measured.shape}, references {references.shape}; expected (T, {wanted[0]}) and (T, {wanted[1]})"
        )
    return np.concatenate([measured, references], axis=1)


def _action_panel(env: Any, actions: np.ndarray) -> Panel:
    count = actions.shape[1]
    traces = tuple(Trace(f"{i}", (i,), color, 1.0) for i, color in enumerate(_cycle(count)))
    low, high = float(actions.min()), float(actions.max())
    if not env.converter.finite:
        low, high = min(low, -1.0), max(high, 1.0)
    return Panel("action", low - 0.1 * (high - low), high + 0.1 * (high - low), traces, held=True)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Any, shown: tuple[Panel, ...]) -> list[tuple[Any, Panel]]:
    """One axis per panel, the first one higher."""
    top = 0.42 / figure.get_size_inches()[1]
    grid = figure.add_gridspec(
        len(shown),
        1,
        height_ratios=[1.7] + [1.0] * (len(shown) - 1),
        left=0.095,
        right=0.865,
        top=1 - top,
        bottom=0.5 / figure.get_size_inches()[1],
        hspace=0.16,
    )
    axes: list[tuple[Any, Panel]] = []
    for i, panel in enumerate(shown):
        axis = figure.add_subplot(grid[i], sharex=axes[0][0] if axes else None)
        axis.tick_params(length=0, labelbottom=i == len(shown) - 1)
        axes.append((axis, panel))
    return axes


def _draw_panel(axis: Any, panel: Panel, animated: bool) -> list[Any]:
    """Draws all but the data of a panel; returns its lines, empty."""
    from matplotlib.ticker import MaxNLocator

    axis.set_ylim(panel.low, panel.high)
    axis.set_ylabel(panel.title)
    axis.yaxis.set_label_coords(-0.075, 0.5)
    axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if panel.lanes:
        axis.set_yticks([place for place, _, _ in panel.lanes], [name for _, name, _ in panel.lanes])
        for place, _, size in panel.lanes:
            axis.text(1.015, place, size, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
    for level in panel.limits:
        axis.axhline(level, color=LIMIT, linewidth=0.9, dashes=(5, 3), zorder=1.5)
    if panel.ends and panel.limits:
        axis.axhspan(max(panel.limits), panel.high, color=BEYOND, linewidth=0, zorder=0.4)
        if min(panel.limits) < 0:
            axis.axhspan(panel.low, min(panel.limits), color=BEYOND, linewidth=0, zorder=0.4)
    lines = []
    for trace in panel.traces:
        (line,) = axis.plot(
            [],
            [],
            color=trace.color,
            linewidth=3.2 if trace.is_reference else 1.2,
            drawstyle="steps-pre" if panel.held else "default",
            solid_capstyle="butt",
            zorder=2.0 if trace.is_reference else 2.5,
            **({"dashes": trace.dashes} if trace.dashes else {}),
            animated=animated,
        )
        lines.append(line)
    _legend(axis, panel)
    return lines


def _legend(axis: Any, panel: Panel) -> None:
    """One entry per quantity, its reference behind it; then the limit."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: dict[str, list[Any]] = {}
    for trace in () if panel.lanes else panel.traces:
        width = 4.0 if trace.is_reference else 1.6
        line = Line2D([], [], color=trace.color, linewidth=width)
        if trace.dashes:
            line.set_dashes(trace.dashes)
        entries.setdefault(trace.label, []).append(line)
    if panel.limits:
        line = Line2D([], [], color=LIMIT, linewidth=0.9, dashes=(5, 3))
        entries["episode ends" if panel.ends else "limit"] = [*([Patch(color=BEYOND)] if panel.ends else []), line]
    axis.legend(
        [tuple(handles) for handles in entries.values()],
        list(entries),
        loc="upper left",
        bbox_to_anchor=(1.005, 1.04),
        frameon=False,
        fontsize=8,
        handlelength=1.7,
        handletextpad=0.5,
        labelspacing=0.25,
        borderpad=0.0,
        borderaxespad=0.2,
    )


def _title(figure: Any, env: Any, title: str | None = None) -> None:
    height = figure.get_size_inches()[1]
    named = FAMILIES[env.machine.family].title if title is None else title
    figure.text(0.015, 1 - 0.21 / height, named, ha="left", va="center", fontweight="bold", fontsize=9.5)
    figure.text(0.015, 0.15 / height, "wide pale lines: references", va="center", color=MUTED, fontsize=7.5)
