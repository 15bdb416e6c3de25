"""The pages of the electric drives, made from the code: one per machine family, for its six ids together.

Where the six differ, a cell of a table names the ids: "300 (Cont-CC), 420 (others)".
"""

import ast
import collections
import dataclasses
import inspect
import pathlib
import re

from gymnasium import spaces
from palaestra.envs.motors.converters import FINITE_ACTIONS, OFF, TERMINALS, UPPER
from palaestra.envs.motors.families import FAMILIES, TASK_NAMES, table_entry
from palaestra.envs.motors.layout import unit
from palaestra.envs.registration import make_functional

FOLDER = pathlib.Path(inspect.getfile(make_functional)).parent / "motors"
AXES = {"d": "d axis", "q": "q axis", "x": "x axis", "y": "y axis", "a": "phase a", "b": "phase b", "c": "phase c"}
SIDES = {"s": "stator", "r": "rotor"}
MEANINGS = {
    "omega": "mechanical speed",
    "torque": "air-gap torque",
    "epsilon": "electrical rotor angle",
    "u_sup": "supply voltage",
    "i_sum": "sum of `i_a` and `i_e` as shares of their limits",
    "i": "current",
    "u": "terminal voltage",
    "i_e": "exciter current",
    "u_e": "exciter voltage",
}
COMMENT = re.compile(
    r"^    (\w+): Scalar[^#\n]*#(?: \([^)]*\)(?: or \([^)]*\))?)?(?: \[([^\]]+)\])? ?(.*)$", re.MULTILINE
)


def page_text(entries) -> str:
    """The page of one family."""
    short = {e.id: "-".join(e.id.split("/")[1].split("-")[1:3]) for e in entries}
    envs = {short[e.id]: make_functional(e.id) for e in entries}
    ids = {short[e.id]: e.id for e in entries}
    family = next(iter(envs.values())).machine.family
    return "\n".join(
        [
            f"# {FAMILIES[family].title} ({family})",
            "",
            *_picture(family),
            "What all drives have in common, their options and parts are on the page [Electric drives](motors.md).",
            "",
            *_ids(ids, envs),
            "## Description",
            "",
            *circuit(type(_any(envs).machine)),
            "### Machine",
            "",
            *_parameters(_any(envs)),
            "## Action space",
            "",
            *_actions(envs),
            "## Observation space",
            "",
            *_observations(envs),
            "## Reward",
            "",
            *_reward(envs),
            "## Start",
            "",
            *_start(envs),
            "## End",
            "",
            *_end(envs),
            "## Task",
            "",
            *_task(envs),
            "## Example",
            "",
            *_example(ids["Cont-CC"]),
            "## Source",
            "",
            *_source(_any(envs)),
            "## Version history",
            "",
            "v0: first version.",
            "",
        ]
    )


def table(header, rows) -> list[str]:
    """A Markdown table and an empty line."""
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    cells = ([str(cell).replace("|", "\\|") for cell in row] for row in rows)
    return [*lines, *(f"| {' | '.join(row)} |" for row in cells), ""]


def number(value: float) -> str:
    """Six digits are more than any data sheet has."""
    return f"{value:.6g}"


def across(values: dict[str, str]) -> str:
    """One text for all ids, or each text with the ids it belongs to."""
    groups = collections.defaultdict(list)
    for name, value in values.items():
        groups[value].append(name)
    if len(groups) == 1:
        return next(iter(groups))
    named = sorted(groups.items(), key=lambda item: len(item[1]))
    last = len(named[-1][1]) > len(named[-2][1]) and len(named[-1][1]) > 2
    labels = [which(names, values) for _, names in named]
    labels[-1] = "others" if last else labels[-1]
    return ", ".join(f"{value} ({label})" for (value, _), label in zip(named, labels, strict=True))


def which(names, every=("Cont-CC", "Cont-TC", "Cont-SC", "Finite-CC", "Finite-TC", "Finite-SC")) -> str:
    """The shortest name for some of the six ids: all, Cont, SC, or one by one."""
    names, every = set(names), set(every)
    if names == every:
        return "all"
    for part in ("Cont", "Finite", "CC", "TC", "SC"):
        if names == {n for n in every if part in n.split("-")}:
            return part
    for pair in (("CC", "TC"), ("CC", "SC"), ("TC", "SC")):
        if names == {n for n in every if n.split("-")[1] in pair}:
            return ", ".join(pair)
    return ", ".join(sorted(names))


def documented_fields(cls) -> dict[str, tuple[str, str]]:
    """{field: (unit, meaning)} of a struct, as the comments beside its fields say."""
    return {name: (unit or "1", text) for name, unit, text in COMMENT.findall(inspect.getsource(cls))}


def circuit(machine) -> list[str]:
    """A machine's docstring with its differential equations as blocks; those of its base class where it has none."""
    text = inspect.getdoc(machine)
    runs = re.compile(r"(?:`[^`]+=[^`]+`[,.]?\s*)+")

    def block(match):
        if "/dt =" not in match[0]:
            return match[0]
        equations = "\n".join(re.findall(r"`([^`]+)`", match[0]))
        return f"\n\n```text\n{equations}\n```\n\n"

    lines = [re.sub(r"\n{3,}", "\n\n", runs.sub(block, text)).strip(), ""]
    if "/dt =" not in text:
        base = machine.__mro__[1]
        lines += [
            f"The equations of {base.family}:",
            "",
            *re.findall(r"```text\n.*?```", circuit(base)[0], re.DOTALL),
            "",
        ]
    return lines


def sources(path: pathlib.Path) -> list[tuple[str, str]]:
    """(where, text) of every "Source:" paragraph in a file's docstrings."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        text = ast.get_docstring(node) or ""
        match = re.search(r"^Source: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
        if match:
            name = getattr(node, "name", "")
            found.append((name, " ".join(match[1].split())))
    return found


def meaning(name: str, env) -> str:
    """What a measured quantity is, in words."""
    if name in MEANINGS:
        return MEANINGS[name]
    letter, _, index = name.partition("_")
    what = {"i": "current", "u": "voltage"}[letter]
    if not env.machine.has_angle:
        return f"{'armature' if index == 'a' else 'exciter'} {what}"
    axis, winding = index.rstrip("12"), index[len(index.rstrip("12")) :]
    side = f"{SIDES[axis[0]]} " if len(axis) == 2 else ""
    place = AXES[axis[-1]]
    if winding:
        place = f"phase {axis}, winding {winding}"
    return f"{side}{what}, {place}"


def _any(envs):
    return next(iter(envs.values()))


def _picture(family: str) -> list[str]:
    picture = pathlib.Path(__file__).parent / "_static" / f"motor-{family.lower()}.png"
    if not picture.exists():
        return []
    return [
        f"![{FAMILIES[family].title} following steps of its reference](../_static/{picture.name})",
        "",
        'The default controller of `make_controller` with `reference="step"`, drawn by `docs/motor_pictures.py`.',
        "",
    ]


def _ids(ids, envs) -> list[str]:
    rows = []
    for name, env in envs.items():
        sheet, (action, task) = FAMILIES[env.machine.family], name.split("-")
        low, high = env.nominal.sigma
        rows.append(
            (
                f"`{ids[name]}`",
                TASK_NAMES[task].split()[0],
                f"{1e6 * env.tau:g} µs",
                env.horizon,
                f"{env.nominal.supply:g} V",
                _load(env, table_entry(sheet.load, action, task)),
                f"{low:g} .. {high:g}",
            )
        )
    header = ("id", "controls", "period", "horizon", "supply", "load", "random step")
    return [
        *table(header, rows),
        "The random step is the range of the reference's standard deviation per period, as a share of the limit.",
        "",
        *table(("task", "reference", "range"), _references(envs)),
    ]


def _load(env, friction) -> str:
    load = dict(env.nominal.load)
    if not env.load.moves:
        return f"held at {load['speed']:g} rad/s"
    a, b, c, j_load = friction
    terms = [f"a = {a:g} N m"] * (a > 0) + [f"b = {b:g} N m s/rad"] * (b > 0) + [f"c = {c:g} N m s²/rad²"] * (c > 0)
    return f"{', '.join(terms) or 'no friction'}, inertia {j_load:g} kg m²"


def _references(envs) -> list[tuple]:
    """(task, reference, range) with the range in SI units."""
    rows = []
    for task, title in TASK_NAMES.items():
        mine = {name: env for name, env in envs.items() if name.endswith(task)}
        for i, quantity in enumerate(_any(mine).observed.references):
            ranges = {}
            for name, env in mine.items():
                low, high = (number(side * env.layout.limit(quantity)) for side in env.nominal.margins[i])
                ranges[name] = f"{low} .. {high} {unit(quantity)}"
            rows.append((title, f"`{quantity}`", across(ranges)))
    return rows


def _parameters(env) -> list[str]:
    fields, values = documented_fields(env.machine.Params), FAMILIES[env.machine.family].parameters
    rows = [(f"`{name}`", *_described(name, fields[name]), number(values[name])) for name in fields]
    lines = table(("parameter", "meaning", "unit", "value"), rows)
    return [*lines, 'Change them with `gym.make(id, machine={"' + next(iter(fields)) + '": ...})`.', ""]


def _described(name: str, documented: tuple[str, str]) -> tuple[str, str]:
    """(meaning, unit) of a machine parameter; what the comment leaves to the name's first letter is added."""
    kind = {"r": "resistance", "l": "inductance", "j": "moment of inertia"}.get(name.partition("_")[0], "")
    unit, text = documented
    words = [text] if kind in text else [kind, text]
    return ", ".join(word for word in words if word), unit.replace("^2", "²")


def _actions(envs) -> list[str]:
    lines = []
    for kind in ("Cont", "Finite"):
        env = envs[f"{kind}-CC"]
        lines += [f"{kind}: `{_space(env.action_space)}`", ""]
        lines += _averaged(env) if kind == "Cont" else _switched(env)
    return lines


def _space(space) -> str:
    if isinstance(space, spaces.Discrete):
        return f"Discrete({space.n})"
    if isinstance(space, spaces.MultiDiscrete):
        return f"MultiDiscrete({space.nvec.tolist()})"
    if len({*space.low.ravel().tolist(), *(-space.high).ravel().tolist()}) == 1:
        return f"Box({space.low.ravel()[0]:g}, {space.high.ravel()[0]:g}, {space.shape}, {space.dtype})"
    return f"Box({space.shape}, {space.dtype})"


def _averaged(env) -> list[str]:
    """One row per terminal."""
    terminals = [bridge for bridge in env.converter.bridges for _ in range(TERMINALS[bridge])]
    rows = []
    for i, (phase, bridge) in enumerate(zip(env.machine.phases, terminals, strict=True)):
        of = "half the supply voltage" if bridge == "B6" else "the supply voltage"
        low, high = env.action_space.low[i], env.action_space.high[i]
        rows.append((i, f"`{phase}` as a share of {of}", bridge, f"{low:g} .. {high:g}"))
    return table(("index", "meaning", "converter", "range"), rows)


def _switched(env) -> list[str]:
    """For every bridge what its actions do."""
    lines, phases = [], list(env.machine.phases)
    seen: dict[str, list[str]] = {}
    for i, bridge in enumerate(env.converter.bridges):
        mine, phases = phases[: TERMINALS[bridge]], phases[TERMINALS[bridge] :]
        seen.setdefault(bridge, []).append(f"entry {i}: {', '.join(f'`{p}`' for p in mine)}")
    for bridge, places in seen.items():
        if len(env.converter.bridges) > 1:
            lines += [f"{bridge}, {'; '.join(places)}:", ""]
        single = dataclasses.replace(env.converter, bridges=(bridge,))
        rows = []
        for action in range(FINITE_ACTIONS[bridge]):
            legs = single.legs_wanted(_integer(action))
            shares, _ = single.outputs(_integer(action), legs, (_float(1.0),) * TERMINALS[bridge], 0.0)
            states = "".join({OFF: "off ", UPPER: "+"}.get(int(leg), "−") for leg in legs)
            rows.append((action, states.strip(), ", ".join(f"{float(s):g}" for s in shares)))
        lines += table(("action", "legs", "terminal voltage per supply voltage"), rows)
    return lines


def _integer(value: int):
    import jax.numpy as jnp

    return jnp.asarray(value, jnp.int32)


def _float(value: float):
    import jax.numpy as jnp

    return jnp.asarray(value, jnp.float32)


def _observations(envs) -> list[str]:
    env = _any(envs)
    sizes = {name: f"`{_box_size(e)}`" for name, e in envs.items()}
    lines = [
        f"{across(sizes)}: measurements divided by their limits, then the references divided by the same limits. "
        "Entries are clipped to their bounds.",
        "",
    ]
    if env.machine.has_angle:
        frame = "rotor flux" if hasattr(env.machine, "field_angle") else "rotor"
        lines += [f"The d axis is that of the {frame}. Transforms keep amplitudes.", ""]
    rows = []
    for i, name in enumerate(env.layout.names):
        values = {
            key: tuple(getattr(e.layout, key)[i] for e in envs.values()) for key in ("limits", "nominal", "bounds")
        }
        cells = [across(dict(zip(envs, map(number, values[key]), strict=True))) for key in ("limits", "nominal")]
        bound = across({n: f"±{b:.3g}" for n, b in zip(envs, values["bounds"], strict=True)})
        rows.append(
            (i, f"`{name}`", meaning(name, env), unit(name), *cells, f"{env.layout.low[i]:g} .. 1", bound),
        )
    header = ("index", "name", "meaning", "unit", "limit", "nominal", "usual range", "bound")
    lines += table(header, rows)
    first, rows = len(env.layout.names), []
    for task, title in TASK_NAMES.items():
        for i, name in enumerate(envs[f"Cont-{task}"].observed.references):
            rows.append((first + i, title, f"`{name}*`", f"reference of `{name}`", "±1"))
    return [*lines, *table(("index", "task", "name", "meaning", "bound"), rows)]


def _box_size(env) -> str:
    return f"Box({env.observation_space.shape}, {env.observation_space.dtype})"


def _reward(envs) -> list[str]:
    lines = [
        "Minus the weighted sum of errors against the reference that was observed before the step, each error a share "
        "of the width of its quantity's usual range: `-(weight |s - s*| / width)`, summed.",
        "",
    ]
    rows = []
    for task, title in TASK_NAMES.items():
        env = envs[f"Cont-{task}"]
        terms = env.reward_terms
        for name, weight, width in zip(env.observed.references, terms.weights, terms.widths, strict=True):
            rows.append((title, f"`{name}`", number(weight), number(width), number(terms.violation)))
    return [*lines, *table(("task", "quantity", "weight", "width", "reward of a violated limit"), rows)]


def _start(envs) -> list[str]:
    angle = ", rotor angle 0" if _any(envs).machine.has_angle else ""
    speeds = {name: f"{dict(env.nominal.load)['speed']:g}" for name, env in envs.items() if not env.load.moves}
    return [
        f"No current, no voltage{angle}; at standstill in speed control, at {across(speeds)} rad/s in current and "
        "torque control. The task's `initial_spread` makes the start random.",
        "",
    ]


def _end(envs) -> list[str]:
    reasons = {name: "; ".join(env.end_reasons) for name, env in envs.items()}
    horizons = {name: f"{env.horizon}" for name, env in envs.items()}
    assert len(set(reasons.values())) == 1
    rows = [(f"`{reason}`", _condition(reason)) for reason in _any(envs).end_reasons]
    return [
        f"Truncated after {across(horizons)} steps; terminated for one of these reasons, which the last `info` tells:",
        "",
        *table(('`info["end_reason"]`', "when"), rows),
    ]


def _condition(reason: str) -> str:
    match = re.match(r"\|\(?([^|)]*)\)?\| above its limit", reason)
    if not match:
        return "a measurement is ten times its limit or no number"
    names = match[1].split(", ")
    if len(names) == 1:
        return f"the magnitude of `{names[0]}` exceeds its limit"
    return "the sum of squares of " + ", ".join(f"`{n}`" for n in names) + " as shares of their limits exceeds 1"


def _task(envs) -> list[str]:
    order: dict[str, None] = {}
    for env in envs.values():
        order.update(dict.fromkeys(env.task_space.names))
    rows = []
    for name in order:
        mine = {
            i: e.task_space.parameters[e.task_space.names.index(name)]
            for i, e in envs.items()
            if name in e.task_space.names
        }
        p = _any(mine)
        ranges = across({i: f"{number(q.low)} .. {number(q.high)}" for i, q in mine.items()})
        default = across({i: number(q.default) for i, q in mine.items()})
        rows.append((f"`{name}`", p.doc, p.unit, ranges, p.scale, default, which(mine, envs)))
    header = ("parameter", "meaning", "unit", "range", "scale", "default", "ids")
    return [*table(header, rows), "Ranges are textbook-typical choices, no measured distributions.", ""]


def _example(id: str) -> list[str]:
    return [
        "```python",
        "import gymnasium as gym",
        "",
        f'env = gym.make("{id}")',
        'obs, info = env.reset(seed=0, options={"task": {"winding_temperature": 90.0}})',
        "obs, reward, terminated, truncated, info = env.step(env.action_space.sample())",
        "names = env.unwrapped.functional.observed.names  # one per entry of obs",
        "```",
        "",
    ]


def _source(env) -> list[str]:
    path = pathlib.Path(inspect.getfile(type(env.machine)))
    lines = []
    for name, text in sources(path):
        lines += [f"- {f'`{name}`: ' if name else ''}{text}"]
    return [*lines, "", "What the other parts differ in: [Electric drives](motors.md#source-and-differences).", ""]
