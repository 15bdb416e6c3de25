"""Writes one page per environment class: its docstring, its ids, its task space and its picture."""

import inspect
import pathlib
import re

from palaestra.envs.registration import ENVIRONMENTS, make_functional


def write(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes the pages and their index into `folder`; returns the pages."""
    folder.mkdir(exist_ok=True)
    pages = []
    for entry in ENVIRONMENTS:
        page = folder / f"{slug(entry.id)}.md"
        page.write_text(page_text(entry))
        pages.append(page)
    names = "\n".join(page.stem for page in pages)
    toc = f"# Environments\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"
    (folder / "index.md").write_text(toc)
    return pages


def slug(id: str) -> str:
    """palaestra/CartPole-v0 -> cartpole-v0."""
    return id.split("/")[1].lower()


def page_text(entry) -> str:
    """The page of one id."""
    env = make_functional(entry.id)
    lines = [f"# {entry.id.split('/')[1]}", "", entry.summary, ""]
    picture = pathlib.Path(__file__).parent / "_static" / f"{slug(entry.id)}.gif"
    if picture.exists():
        lines += [f"![{entry.id}](../_static/{picture.name})", ""]
    lines += [f"Id: `{entry.id}`, horizon {env.horizon} steps.", ""]
    lines += [headed(inspect.getdoc(type(env))), "", "## Task", ""]
    return "\n".join([*lines, *task_table(env.task_space), ""])


def headed(text: str) -> str:
    """Turns `Reward: ...` paragraphs of a Google docstring into headings and removes the indent below them."""
    out = []
    for line in text.splitlines():
        match = re.match(r"^([A-Z][A-Za-z ]+):(?: (.*))?$", line)
        if match:
            out += ["", f"## {match[1]}", "", match[2] or ""]
        else:
            out.append(line[2:] if line.startswith("  ") else line)
    return "\n".join(out)


def task_table(space) -> list[str]:
    """What a teacher may schedule, as a Markdown table."""
    rows = ["| parameter | meaning | unit | range | scale | default |", "|---|---|---|---|---|---|"]
    for p in space.parameters:
        rows.append(f"| `{p.name}` | {p.doc} | {p.unit} | {p.low:g} .. {p.high:g} | {p.scale} | {p.default:g} |")
    return rows
