"""One HTML file about runs: what came out, how sure that is, pictures, settings, and the command to repeat it.

The file refers to nothing outside itself: pictures and films are inside, there are no scripts, and every string that
comes from a run is escaped.
"""

import base64
import datetime
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .comparison import FEW_SEEDS, Comparison, Summary, compare_study, summarize_study
from .files import write_atomic
from .plot_style import png_bytes, short_number
from .plots import draw_study
from .redaction import redact
from .report_page import PAGE, STYLE
from .run_data import Run, Study, flatten, load_study
from .statistics import RESAMPLES, Estimate

MAX_MEDIA_BYTES = 24 << 20  # a film beyond that is named instead of shown: browsers choke on the file
MEDIA = {".gif": "image/gif", ".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}
NOTHING = "–"

Movie = Path | str | tuple[str, Path | str]


def write_report(
    run_dirs: Iterable[Path | str],
    path: Path | str,
    title: str | None = None,
    summary_rows: Sequence[Mapping[str, Any]] | None = None,
    movies: Iterable[Movie] = (),
) -> Path:
    """Writes the report of runs, whole or not at all.

    Args:
      run_dirs: run folders; seeds with equal settings are one group, whichever run they come from.
      path: the HTML file; its folder is made when it is missing.
      summary_rows: a study's own table, shown first: one mapping per row, whose keys are the columns.
      movies: GIF, MP4 or picture files, each alone or as (caption, file).

    Raises:
      InputFileError: a folder that is no run.
      ValueError: no run, or a film in another format.
      FileNotFoundError: a film that is not there.
    """
    study = load_study(run_dirs)
    if not study.runs:
        raise ValueError("run_dirs: got none; expected at least one run folder")
    path = Path(path)
    title = title or _default_title(study)
    body = [
        *_section("", _warnings(study)),
        *_section("The study's own numbers", table(summary_rows) if summary_rows else ""),
        *_section("Results", results(summarize_study(study), compare_study(study), study)),
        *_section("Films", "".join(_movie(movie) for movie in movies)),
        *_section("Pictures", "".join(_picture(*drawn) for drawn in draw_study(study))),
        *_section("Settings", _settings(study.runs)),
        *_section("To repeat this", _commands(study.runs)),
    ]
    page = PAGE.format(title=escape(title), style=STYLE, lead=escape(_lead(study)), body="\n".join(body))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, page)
    return path


def results(summaries: Sequence[Summary], comparisons: Sequence[Comparison], study: Study) -> str:
    """The headline: scores, comparisons, and how to read both."""
    parts = []
    for env in study.groups:
        ours = [summary for summary in summaries if summary.env == env]
        pairs = [comparison for comparison in comparisons if comparison.env == env]
        parts.append(f"<h3>{escape(env)}</h3>" if len(study.groups) > 1 else "")
        if not ours:
            parts.append("<p>Nothing has been recorded yet.</p>")
            continue
        parts.append(table([_summary_row(summary) for summary in ours]))
        if pairs:
            parts.append("<ul>" + "".join(f"<li>{escape(sentence(pair))}</li>" for pair in pairs) + "</ul>")
            parts.append(table([_comparison_row(pair) for pair in pairs]))
        parts.append(f'<p class="note">{escape(_how_to_read(ours, study, env))}</p>')
    return "".join(parts)


def sentence(comparison: Comparison) -> str:
    """A comparison in words."""
    unit = " points" if comparison.unit == "%" else ""
    what = "mastered test tasks" if comparison.quantity == "mastered" else "return on the test tasks"
    size = f"{comparison.difference.value:+.3g}{unit}{_interval(comparison.difference)}"
    chance = "" if math.isnan(comparison.p_value) else f", permutation p = {_p_value(comparison.p_value)}"
    ours, theirs = comparison.seeds
    seeds = f"{ours} seeds each" if ours == theirs else f"{ours} and {theirs} seeds"
    who = f"{comparison.label} against {comparison.baseline}"
    return f"{who}, {what}: {size}, {seeds}{chance}. {_cap(comparison.verdict)}."


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as an HTML table; the columns are the keys in order of appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{escape(str(column))}</th>" for column in columns)
    lines = ["".join(_cell(row.get(column, "")) for column in columns) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.3g} min" if minutes < 100 else f"{minutes / 60:.3g} h"


def _summary_row(summary: Summary) -> dict[str, Any]:
    fewest, most = summary.steps
    row: dict[str, Any] = {
        "teacher": summary.label,
        "seeds": len(summary.seeds),
        "steps per seed": short_number(most) if fewest == most else f"{short_number(fewest)} – {short_number(most)}",
        "wall time": duration(summary.wall_s),
        "steps/s": NOTHING if summary.steps_per_second is None else short_number(summary.steps_per_second),
        "final return, mean": _number(summary.mean_return.value),
        "final return, IQM": _estimate(summary.iqm_return),
    }
    if math.isfinite(summary.worst_return):
        row["worst tenth of tasks"] = _number(summary.worst_return)
    if summary.mastered is not None:
        quarter, half = summary.steps_to
        row |= {
            "mastered [%], IQM": _estimate(summary.mastered),
            "mean over training [%]": _number(summary.mastered_area),
            "steps to 25 / 50 %": f"{_steps(quarter)} / {_steps(half)}",
        }
    return row


def _comparison_row(comparison: Comparison) -> dict[str, Any]:
    return {
        "compared": f"{comparison.label} − {comparison.baseline}",
        "in": f"{comparison.quantity} [{comparison.unit}]" if comparison.unit else comparison.quantity,
        "difference of IQMs": _estimate(comparison.difference, signed=True),
        "P(a seed is better)": NOTHING if math.isnan(comparison.probability) else f"{comparison.probability:.2f}",
        "permutation p": _p_value(comparison.p_value),
        "reading": comparison.verdict,
    }


def _how_to_read(summaries: Sequence[Summary], study: Study, env: str) -> str:
    tests = sorted({run.test_set for run in study.runs if run.env == env})
    same, apart = "the same for every seed and teacher", "not the same for all: only equal ones are compared"
    text = [
        "Scores are those of the last evaluation: the deterministic policy, one episode on each of the test tasks "
        f"({'; '.join(tests)}), {same if len(tests) == 1 else apart}.",
        f"IQM: interquartile mean over seeds; brackets: 95 % bootstrap interval over seeds ({RESAMPLES:,} resamples).",
        "Wall time and steps/s include compilation and evaluation and count all seeds of a run together.",
    ]
    fewest = min(len(summary.seeds) for summary in summaries)
    if fewest == 1:
        text.append("One seed gives no interval: what it shows may be luck.")
    elif fewest < FEW_SEEDS:
        text.append(
            f"With {fewest} seeds intervals are narrower than they should be; read them as an indication. A claim "
            "needs ten seeds or more."
        )
    if len(summaries) > 2:
        text.append("Intervals and p-values are not corrected for the number of comparisons.")
    return " ".join(text)


def _warnings(study: Study) -> str:
    items = [*study.warnings]
    for run in study.runs:
        if not run.learners:
            items.append(f"{run.path.name}: nothing recorded yet")
        elif not any(learner.evals for learner in run.learners):
            items.append(f"{run.path.name}: no evaluation recorded")
        bad = sorted({key for learner in run.learners for row in learner.evals for key in row if "_nonfinite" in key})
        items += [f"{run.path.name}: {key.removesuffix('_nonfinite')} was not finite and is left out" for key in bad]
    if not items:
        return ""
    return '<div class="warning"><ul>' + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul></div>"


def _picture(name: str, caption: str, figure: Any) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png_bytes(figure)).decode()}"
    alt = escape(f"{name.replace('_', ' ')}: {caption}", quote=True)
    return f'<figure><img src="{source}" alt="{alt}"><figcaption>{escape(caption)}</figcaption></figure>'


def _movie(movie: Movie) -> str:
    caption, file = movie if isinstance(movie, tuple) else (Path(movie).stem.replace("_", " "), movie)
    file = Path(file)
    kind = MEDIA.get(file.suffix.lower())
    if kind is None:
        raise ValueError(f"movies: got {file.name!r}; expected a file that ends in one of {list(MEDIA)}")
    size = file.stat().st_size
    if size > MAX_MEDIA_BYTES:
        return f"<p>{escape(caption)}: {escape(file.name)} ({size / 1e6:.0f} MB) is too large to be shown here.</p>"
    source = f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
    alt = escape(caption, quote=True)
    video = f'<video src="{source}" controls loop muted aria-label="{alt}"></video>'
    shown = video if kind.startswith("video") else f'<img src="{source}" alt="{alt}">'
    return f'<figure class="film">{shown}<figcaption>{escape(caption)}</figcaption></figure>'


def _settings(runs: Sequence[Run]) -> str:
    rows = [
        {
            "run": run.path.name,
            "environment": run.env,
            "agent": run.agent,
            "teacher": run.teacher,
            "seeds": ", ".join(str(learner.seed) for learner in run.learners) or NOTHING,
            "status": str(run.info.get("status", NOTHING)),
            "started": str(run.info.get("start") or NOTHING),
            "device": _device(run.info.get("device")),
            "versions": _versions(run.info.get("versions")),
            "commit": str(run.info.get("git_commit") or NOTHING)[:12],
        }
        for run in runs
    ]
    flat = [flatten(run.config) for run in runs]
    names = list(dict.fromkeys(name for settings in flat for name in settings))
    shared = {n: flat[0].get(n) for n in names if all(settings.get(n, ...) == flat[0].get(n, ...) for settings in flat)}
    apart = [
        {"setting": name} | {run.path.name: str(s.get(name, NOTHING)) for run, s in zip(runs, flat, strict=True)}
        for name in names
        if name not in shared
    ]
    parts = [table(rows)]
    if apart:
        parts.append(f"<details><summary>{_count(len(apart), 'setting')} that differ</summary>{table(apart)}</details>")
    if shared:
        lines = table([{"setting": name, "value": str(value)} for name, value in shared.items()])
        parts.append(f"<details><summary>{_count(len(shared), 'setting')} in common</summary>{lines}</details>")
    return "".join(parts)


def _commands(runs: Sequence[Run]) -> str:
    commands = [_command(run.info.get("command")) for run in runs]
    report = shlex.join(["palaestra", "report", *(str(run.path) for run in runs)])
    lines = [*dict.fromkeys(command for command in commands if command), report]
    return f"<pre>{escape(redact(chr(10).join(lines)))}</pre>"


def _command(words: Any) -> str:
    """A recorded command line as one would type it."""
    if isinstance(words, str):
        return words
    if not isinstance(words, Sequence) or not words:
        return ""
    first, *rest = map(str, words)
    return shlex.join(["palaestra" if Path(first).name == "palaestra" else first, *rest])


def _lead(study: Study) -> str:
    seeds = sum(len(run.learners) for run in study.runs)
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{_count(len(study.runs), 'run')}, {_count(seeds, 'learner')}, on {', '.join(study.groups)}. Written {when}."
    )


def _default_title(study: Study) -> str:
    return "palaestra: " + ", ".join(study.groups)


def _section(heading: str, content: str) -> list[str]:
    if not content:
        return []
    return ["<section>", f"<h2>{escape(heading)}</h2>" if heading else "", content, "</section>"]


def _cell(value: Any) -> str:
    text = _value(value)
    is_number = isinstance(value, (int, float)) or text[:1].isdigit() or text[:2].lstrip("+−-").isdigit()
    return f'<td class="number">{escape(text)}</td>' if is_number else f"<td>{escape(text)}</td>"


def _value(value: Any) -> str:
    return _number(value) if isinstance(value, float) else redact(str(value))


def _number(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{value:.3g}" if abs(value) < 1000 or math.isinf(value) else f"{value:.0f}"


def _estimate(value: Estimate, signed: bool = False) -> str:
    if math.isnan(value.value):
        return NOTHING
    return (f"{value.value:+.3g}" if signed else _number(value.value)) + _interval(value)


def _interval(value: Estimate) -> str:
    return f" [{_number(value.low)}, {_number(value.high)}]" if value.has_interval else ""


def _p_value(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _steps(value: float) -> str:
    return NOTHING if math.isnan(value) else "never" if math.isinf(value) else short_number(value)


def _device(device: Any) -> str:
    if not isinstance(device, Mapping):
        return str(device or NOTHING)
    kind, count = str(device.get("kind") or device.get("platform") or NOTHING), device.get("count", 1)
    return kind if count == 1 else f"{count} × {kind}"


def _versions(versions: Any) -> str:
    if not isinstance(versions, Mapping):
        return NOTHING
    shown = ("palaestra", "jax", "python")
    return ", ".join(f"{name} {versions[name]}" for name in shown if name in versions) or NOTHING


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]
