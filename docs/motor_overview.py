"""The page that says once what all electric drives have in common: options, parts, sources."""

import inspect
import re

from motor_pages import FOLDER, documented_fields, number, sources, table
from palaestra.envs.motors import converters, loads, references, supplies
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.drift import EXTRAS
from palaestra.envs.motors.families import FAMILIES
from palaestra.envs.motors.integrators import METHODS

INTRODUCTION = """\
Machines of ten families, each at its converter, supply and load: sixty standard tasks and many more by options. The
currents, the torque or the speed shall follow a reference. The [guide](../guides/motors.md) shows how to use them; this
page lists the parts.

`palaestra/Motor-<Cont or Finite>-<CC, TC or SC>-<family>-v0`: a Cont action is averaged over a control period, a Finite
one is a switching state; CC controls currents, TC the torque, SC the speed.
"""

RANGES = """\
What is drawn is part of the task: `reference_amplitude` widens or narrows the range of every reference,
`reference_step_low` and `_high` are for random walks, `reference_frequency_low` and `_high` for waves and band-limited
noise, `sub_episode_low` and `_high` for all that change after a number of steps.
"""


def page_text(pages: list[str]) -> str:
    """The overview.

    Args:
      pages: names of the families' pages.
    """
    return "\n".join(
        [
            "# Electric drives",
            "",
            INTRODUCTION,
            "## Families",
            "",
            *_families(),
            *["```{toctree}", ":hidden:", "", *pages, "```", ""],
            "## Options",
            "",
            "Of `gym.make`, `gym.make_vec` and `palaestra.envs.motors.build.make_motor`; `family`, `action` and `task` "
            "are the id's.",
            "",
            *_options(),
            "## Converters",
            "",
            re.split(r"\n\nSource:", inspect.getdoc(converters))[0].split("\n\n", 1)[1],
            "",
            "## Loads",
            "",
            *_parts(loads.LOADS),
            *_load_parameters(),
            "## References",
            "",
            *_parts(references.GENERATORS),
            RANGES,
            "",
            "## Supplies",
            "",
            *_parts(supplies.SUPPLIES),
            *_supply_parameters(),
            "## Integrators",
            "",
            *table(("`solver`", "method"), [(f"`{name}`", _first_line(method)) for name, method in METHODS.items()]),
            "## What a task may change at a cost",
            "",
            "Every drive's task has the parameters on its family's page. With `extras=[...]` it has more, which make "
            "a step slower:",
            "",
            *_extras(),
            "## Source and differences",
            "",
            *_sources(),
        ]
    )


def _families() -> list[str]:
    rows = []
    for name, sheet in FAMILIES.items():
        averaged, finite = (make_motor(name, action) for action in ("Cont", "Finite"))
        space = finite.action_space
        choices = f"{space.n}" if hasattr(space, "n") else " x ".join(str(n) for n in space.nvec)
        rows.append(
            (
                f"[{name}](motor-{name.lower()}.md)",
                sheet.title,
                " + ".join(averaged.converter.bridges),
                averaged.action_space.shape[0],
                choices,
                len(averaged.layout.names),
                ", ".join(f"`{n}`" for n in averaged.observed.references),
            )
        )
    header = ("family", "machine", "converter", "Cont action", "Finite actions", "measurements", "currents of CC")
    return table(header, rows)


def _options() -> list[str]:
    """The arguments of `make_motor` with their defaults, in the words of its docstring."""
    text = re.search(r"^Args:\n(.*?)\n\n", inspect.getdoc(make_motor), re.DOTALL | re.MULTILINE)[1]
    defaults = {name: p.default for name, p in inspect.signature(make_motor).parameters.items()}
    rows = []
    for names, words in re.findall(r"^  (\w[\w, ]*): (.*(?:\n    .*)*)", text, re.MULTILINE):
        names = names.split(", ")
        if "family" in names:
            continue
        shown = ", ".join(f"`{defaults[name]!r}`" for name in names)
        rows.append((", ".join(f"`{n}`" for n in names), shown, " ".join(words.split())))
    missing = set(defaults) - {"family", "action", "task"} - {n for row in rows for n in re.findall(r"`(\w+)`", row[0])}
    assert not missing, f"make_motor's docstring does not say what {sorted(missing)} are"
    return [*table(("option", "default", "meaning"), rows), "`None` stands for the standard task's value.", ""]


def _parts(parts) -> list[str]:
    """Names that an option takes, with the objects behind them, whose fields may be set to something else."""
    rows = [(f"`{name}`", f"`{_short(part)}`", _first_line(type(part))) for name, part in parts.items()]
    return table(("name", "object", "what it is"), rows)


def _short(part) -> str:
    """A dataclass as code, without fields that have their default."""
    defaults = {f.name: f.default for f in part.__dataclass_fields__.values()}
    given = {name: getattr(part, name) for name in defaults if getattr(part, name) != defaults[name]}
    shown = {name: "..." if isinstance(value, tuple) else repr(value) for name, value in given.items()}
    return f"{type(part).__name__}({', '.join(f'{name}={value}' for name, value in shown.items())})"


def _first_line(thing) -> str:
    return " ".join(inspect.getdoc(thing).split("\n\n")[0].split())


def _load_parameters() -> list[str]:
    rows = []
    for name, (unit, text) in documented_fields(loads.Params).items():
        rows.append((f"`{name}`", text, unit, number(loads.Params.__dataclass_fields__[name].default)))
    return [
        "A kind of load ignores the `load_parameters` that it does not have. Standard tasks have values of their own "
        "for friction, inertia and speed.",
        "",
        *table(("`load_parameters`", "meaning", "unit", "default"), rows),
    ]


def _supply_parameters() -> list[str]:
    ideal, rc = make_motor().nominal, make_motor(supply="rc").nominal
    rows = []
    for name, (unit, text) in documented_fields(supplies.Params).items():
        if name != "voltage":
            plain, other = number(getattr(ideal, name)), number(getattr(rc, name))
            rows.append((f"`{name}`", text, unit, plain if plain == other else f"{plain} (rc: {other})"))
    return table(("`supply_parameters`", "meaning", "unit", "default"), rows)


def _extras() -> list[str]:
    rows = []
    plain = make_motor("PMSM", "Cont", "SC").task_space.names
    for extra in EXTRAS:
        space = make_motor("PMSM", "Cont", "SC", extras=(extra,)).task_space
        for p in space.parameters:
            if p.name not in plain:
                rows.append((f"`{extra}`", f"`{p.name}`", p.doc, p.unit, f"{number(p.low)} .. {number(p.high)}"))
    return [*table(("extra", "parameter", "meaning", "unit", "range (PMSM)"), rows)]


def _sources() -> list[str]:
    lines = ["Every file names what it follows and where it differs.", ""]
    for path in sorted(FOLDER.rglob("*.py")):
        for name, text in sources(path):
            where = f"{path.relative_to(FOLDER)}" + (f", {name}" if name else "")
            lines.append(f"- `{where}`: {text}")
    return [*lines, ""]
