"""Writes one page per environment: its docstring, its ids, its task space and its picture.

Electric drives of one machine family share a page, as do ids of one MiniGrid family; each group has an overview. Point
mazes share one page.
"""

import inspect
import pathlib
import re

import maze_pages
import minigrid_pages
import motor_overview
import motor_pages
from palaestra.envs.registration import ENVIRONMENTS, make_functional

OVERVIEW = "motors"


def write(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes the pages and their index into `folder` and removes others; returns the pages."""
    folder.mkdir(exist_ok=True)
    pages = {name: page_text(name) for name in names()}
    grids = [name for name in pages if minigrid_pages.is_ours(name)]
    drives = [name for name in pages if _is_drive(name)]
    alone = [name for name in pages if name not in grids and name not in drives]
    top = "\n".join([*alone, OVERVIEW, minigrid_pages.OVERVIEW])
    pages |= {
        OVERVIEW: motor_overview.page_text(drives),
        minigrid_pages.OVERVIEW: minigrid_pages.overview_text(grids),
        "index": f"# Environments\n\n```{{toctree}}\n:maxdepth: 1\n\n{top}\n```\n",
    }
    for old in folder.glob("*.md"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)
    return [folder / f"{name}.md" for name in pages]


def names() -> list[str]:
    """Names of the environments' pages."""
    return list(dict.fromkeys(entry.page or slug(entry.id) for entry in ENVIRONMENTS))


def page_text(name: str) -> str:
    """The page of that name."""
    entries = [entry for entry in ENVIRONMENTS if name in (entry.page, slug(entry.id))]
    if minigrid_pages.is_ours(name):
        return minigrid_pages.page_text(entries, headed, task_table)
    if name == maze_pages.PAGE:
        return maze_pages.page_text(entries, headed, task_table)
    return motor_pages.page_text(entries) if _is_drive(name) else _own_page(entries[0])


def _is_drive(name: str) -> bool:
    return name.startswith("motor-")


def slug(id: str) -> str:
    """palaestra/CartPole-v0 -> cartpole-v0."""
    return id.split("/")[1].lower()


def _own_page(entry) -> str:
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
