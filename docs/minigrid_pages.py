"""The pages of MiniGrid and BabyAI, made from the code: one per family of ids, and an overview of what they share."""

import inspect
import pathlib
import re

from palaestra.envs.minigrid import views
from palaestra.envs.minigrid.bank import LevelBank
from palaestra.envs.minigrid.build import make_minigrid
from palaestra.envs.minigrid.generators.catalog import NATIVE
from palaestra.envs.minigrid.ids import FAMILIES
from palaestra.envs.minigrid.subgoals import errors
from palaestra.envs.minigrid.subgoals.build import make_subgoals
from palaestra.envs.minigrid.subgoals.env import SubgoalGrid
from palaestra.envs.registration import make_functional

OVERVIEW = "minigrid"
SUBGOALS = "minigrid-subgoals"
SHOWN_MISSIONS = 4
GALLERY_COLUMNS = 3
FEW_LEVELS = 8  # of a bank, for tables that do not depend on how many there are

ACTIONS = """\
| number | action |
|---|---|
| 0 | turn left |
| 1 | turn right |
| 2 | move forward |
| 3 | pick up what is in front |
| 4 | drop what is carried in front |
| 5 | toggle: open or close a door, open a box |
| 6 | done |
"""

OBSERVATION = """\
`Dict`: `image` (V, V, 3) uint8, the window before the agent as (kind, colour, state) codes, indexed [column, row], the
agent in the middle of the last row looking up; `direction`, 0 right, 1 down, 2 left, 3 up; `mission`, a sentence. Other
images are on the page [MiniGrid and BabyAI](minigrid.md).
"""

INTRODUCTION = """\
Every id of the [minigrid](https://minigrid.farama.org) package under its own name behind `palaestra/`, with the
package's mechanics, views, rules, missions and rewards, bit for bit, as pure functions of arrays: thousands of
environments step in one compiled program.

```python
import gymnasium as gym

import palaestra

env = gym.make("palaestra/MiniGrid-DoorKey-8x8-v0", render_mode="rgb_array")
obs, info = env.reset(seed=0)
print(obs["mission"], obs["image"].shape)
obs, reward, terminated, truncated, info = env.step(env.action_space.sample())

envs = gym.make_vec("palaestra/BabyAI-GoToLocal-v0", num_envs=16)
obs, infos = envs.reset(seed=0)
print(obs["mission"][:2])
```

## Where levels come from

Where a generator of ours knows the family, every episode has a fresh level, made on the device, and its parameters are
the task: sizes, rooms, locked boxes and so on. All other ids draw from a bank of 256 levels that the package makes when
the environment is made (seeds 0 to 255); the task `level` names one of them. `levels=1000`, a list of seeds, or a bank
of your own takes their place, for any id:

```python
from palaestra.envs.minigrid.bank import import_bank
from palaestra.envs.minigrid.build import make_minigrid

bank = import_bank("BabyAI-GoToRedBall-v0", range(100, 120))
env = make_minigrid("BabyAI-GoToRedBall-v0", levels=bank)
print(env.task_space.names, len(bank))
```

`palaestra levels make|show|check` keeps banks in files. With `tasks="levels"` a task is a whole level, which a teacher
can collect, and edit with `task_space.mutate`, as PLR and ACCEL do. `palaestra.envs.minigrid.export.export_state` puts
any state back into a live environment of the package.

Ids of wave function collapse are made by the package's sources alone: wheels of minigrid 3.2 lack their patterns.

## Plans

```python
import jax

from palaestra.envs.minigrid.planner import plan

level = jax.tree.map(lambda leaf: leaf[0], bank.levels)
found = plan(level, bank.rule)
print(found.actions, found.optimal_return, found.optimal)
print([subgoal.text for subgoal in found.subgoals])
```

A plan knows everything about its level. It is proven shortest where `optimal` says so, which takes little work for most
levels; in the large levels of BabyAI's grammar it is put together clause by clause and may be longer. A level without a
plan raises `UnsolvableError`. The package makes some of these: the first versions of ObstructedMaze may put a ball
where the box with the key should stand, GoToImpUnlock and Unlock may put the key behind its own door, and the
instructions of OpenDoorsOrder...Debug that name two doors fail with the first one.
"""

SENSES = """\
Beside what an id's levels take, `time_factor` is the share of the level's time. Views that depend on what the agent
sees, all but "full" and "symbolic", add `see_through`, whether walls hide nothing, and `sight`, how many columns the
agent sees to each side; it sees twice as many rows ahead. With `tasks="levels"` there are none of the three.
"""

SUBGOAL_OBSERVATION = """\
The base's, and `subgoal`: for "positional" (x, y) of the subgoal minus the agent's, for "representation" (kind, colour,
state) of what stands there, for "language" the vector of its name. Without a subgoal: zeros, or -1 for the codes.
"""


def family_names() -> list[str]:
    """Names of the families' pages."""
    return [*(family.page for family in FAMILIES), SUBGOALS]


def is_ours(name: str) -> bool:
    """Whether a page is one of these."""
    return name in family_names()


def page_text(entries, headed, task_table) -> str:
    """The page of one family.

    Args:
      entries: its ids.
      headed, task_table: how `environment_pages` makes headings and tables.
    """
    if entries[0].page == SUBGOALS:
        return _subgoals_page(entries, headed, task_table)
    family = next(family for family in FAMILIES if family.page == entries[0].page)
    envs = {entry.id: _made(entry.id) for entry in entries}
    known = [env for env in envs.values() if env is not None]
    lines = [f"# {_title(family.page)}", "", family.summary, "", *_picture(family.page)]
    lines += ["## Ids", "", *_id_table(envs), "", "## Description", "", *_description(known), ""]
    lines += ["## Action space", "", ACTIONS if not known or known[0].action_space.n == 7 else _few_actions(), ""]
    lines += ["## Observation space", "", OBSERVATION, "## Reward", "", *_reward(known), ""]
    lines += ["## Start", "", *_start(known), "", "## End", "", *_end(known), "", "## Task", ""]
    lines += [SENSES, *_task_tables(envs, task_table), "", "## Example", "", _example(entries[0].id, known), ""]
    return "\n".join([*lines, "## Source", "", "minigrid 3.2; what it does and this does are compared in tests.", ""])


def overview_text(pages: list[str]) -> str:
    """What all families share."""
    rows = ["| page | what it is about | ids |", "|---|---|---|"]
    rows += [f"| [{_title(f.page)}]({f.page}.md) | {f.summary} | {len(f.names)} |" for f in FAMILIES]
    rows.append(f"| [{_title(SUBGOALS)}]({SUBGOALS}.md) | A teacher that shows and rewards subgoals. | |")
    kinds = re.split(r"\n\nLetters:", inspect.getdoc(views))[0].split("\n\n", 1)[1]
    options = inspect.getdoc(make_minigrid).split("Args:\n")[1].split("\n\nRaises")[0]
    return "\n".join(
        [
            "# MiniGrid and BabyAI",
            "",
            INTRODUCTION,
            "[Where this and the package differ](../guides/minigrid_parity.md): a table.",
            "",
            "## Gallery",
            "",
            "Plans of the planner, two levels each; where there is no plan, random steps:",
            "",
            *_gallery(pages),
            "",
            "## Families",
            "",
            *rows,
            "",
            *["```{toctree}", ":hidden:", "", *pages, "```", ""],
            "## Images",
            "",
            '`view=` chooses what `obs["image"]` shows (V: `view_size`, P: `tile_size`, W x H: the grid):',
            "",
            kinds,
            "",
            "Wrappers of the package that only read observations work on these environments as they are.",
            "",
            "## Options",
            "",
            *_arguments(options),
            "",
        ]
    )


TITLES = {
    "doorkey": "DoorKey",
    "fourrooms": "FourRooms",
    "multiroom": "MultiRoom",
    "keycorridor": "KeyCorridor",
    "obstructedmaze": "ObstructedMaze",
    "lavagap": "LavaGap",
    "distshift": "DistShift",
    "dynamicobstacles": "Dynamic-Obstacles",
    "putnear": "PutNear",
    "putnext": "PutNext",
    "goto": "GoTo",
    "redbluedoors": "RedBlueDoors",
    "lockedroom": "LockedRoom",
    "wfc": "WFC",
    "minigrid": "MiniGrid",
    "babyai": "BabyAI",
}


def _title(page: str) -> str:
    """minigrid-doorkey -> MiniGrid DoorKey."""
    return " ".join(TITLES.get(word, word.capitalize()) for word in page.split("-"))


def _picture(page: str) -> list[str]:
    picture = pathlib.Path(__file__).parent / "_static" / f"{page}.gif"
    return [f"![{page}](../_static/{picture.name})", ""] if picture.exists() else []


def _gallery(pages: list[str]) -> list[str]:
    """Pictures that lead to their pages, in rows."""
    cells = [f"[{_picture(page)[0]}]({page}.md) {_title(page)}" for page in pages if _picture(page)]
    cells += [""] * (-len(cells) % GALLERY_COLUMNS)
    rows = [cells[i : i + GALLERY_COLUMNS] for i in range(0, len(cells), GALLERY_COLUMNS)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [f"|{' |' * GALLERY_COLUMNS}", f"|{'---|' * GALLERY_COLUMNS}", *lines]


def _made(id: str):
    """The environment of an id; a small bank where levels come from one, None where the package cannot make it."""
    if "-WFC-" in id:
        return None
    options = {} if id.removeprefix("palaestra/") in NATIVE else {"levels": FEW_LEVELS}
    return make_functional(id, **options)


def _id_table(envs) -> list[str]:
    rows = ["| id | grid | steps at most | levels |", "|---|---|---|---|"]
    for id, env in envs.items():
        if env is None:
            rows.append(f"| `{id}` | 25 x 25 | 500 | bank |")
            continue
        source = env.source
        kind = "bank" if isinstance(source, LevelBank) else "made anew"
        rows.append(f"| `{id}` | {source.width} x {source.height} | {env.horizon} | {kind} |")
    return rows


def _description(known) -> list[str]:
    if not known:
        return ["The goal square is to be reached. Wheels of the package cannot make these levels, see the overview."]
    rules = dict.fromkeys(inspect.getdoc(type(env.source.rule)) for env in known)
    missions = list(dict.fromkeys(m for env in known for m in env.source.missions))
    shown = [f'"{m}"' for m in missions[:SHOWN_MISSIONS] if m]
    text = " ".join(" ".join(rule.split()) for rule in rules)
    return (
        [text, "", f"Missions: {', '.join(shown)}{', ...' if len(missions) > SHOWN_MISSIONS else ''}"]
        if shown
        else [text]
    )


def _few_actions() -> str:
    return "\n".join(ACTIONS.splitlines()[:5]) + "\n"


def _reward(known) -> list[str]:
    paid = "1 - 0.9 t / T for success after t of at most T steps, else 0."
    return [paid + (" -1 for walking into something." if known and known[0].action_space.n == 3 else "")]


def _start(known) -> list[str]:
    kinds = {isinstance(env.source, LevelBank) for env in known}
    if kinds == {False}:
        return ["A new level, drawn as the package draws it."]
    return ["One of the bank's levels, uniformly." if kinds == {True} else "A new level, or one of a bank, see above."]


def _end(known) -> list[str]:
    return ["terminated as described; truncated after the level's limit of steps."]


def _task_tables(envs, task_table) -> list[str]:
    """The table of the id with the widest ranges; ids of one family schedule the same parameters."""
    known = [(id, env) for id, env in envs.items() if env is not None]
    if not known:
        return []
    id, env = max(known, key=lambda pair: (len(pair[1].task_space.names), pair[1].source.width))
    return [f"Of `{id}`:", "", *task_table(env.task_space)]


def _example(id: str, known) -> str:
    if not known:
        return f"`{id}`, where minigrid was installed from its sources, is used like any other id."
    levels = ", levels=8" if isinstance(known[0].source, LevelBank) else ""
    return f"""\
```python
import gymnasium as gym

import palaestra

env = gym.make("{id}"{levels})
obs, info = env.reset(seed=0, options={{"task": {{"sight": 2}}}})
obs, reward, terminated, truncated, info = env.step(2)
print(obs["mission"], reward)
```"""


def _subgoals_page(entries, headed, task_table) -> str:
    env = make_subgoals("MiniGrid-KeyCorridorS3R3-v0")
    table = ["| id | subgoals at most |", "|---|---|"]
    table += [f"| `{entry.id}` | {make_functional(entry.id).guide.size} |" for entry in entries]
    options = inspect.getdoc(make_subgoals).split("Args:\n")[1].split("\n\nRaises")[0]
    measured = ["| id | teacher | right cells | distance | right objects |", "|---|---|---|---|---|"]
    for (name, teacher), model in errors.PUBLISHED.items():
        spread = f"{model.mean:g} +- {model.deviation:g}"
        measured.append(f"| {name} | {teacher} | {model.positional:.4f} | {spread} | {model.by_object:.4f} |")
    return "\n".join(
        [
            "# MiniGrid with subgoals",
            "",
            *_picture(SUBGOALS),
            "## Description",
            "",
            headed(inspect.getdoc(SubgoalGrid).split("\n\nAttributes")[0]),
            "",
            "[Ask a language model for a curriculum](../guides/language_model.md) shows where subgoals can come from.",
            "",
            "## Ids",
            "",
            *table,
            "",
            "Any other id works with a guide of its own, see `make_subgoals`.",
            "",
            "## Options",
            "",
            *_arguments(options),
            "",
            "## Action space",
            "",
            ACTIONS,
            "## Observation space",
            "",
            SUBGOAL_OBSERVATION,
            "",
            "## Reward",
            "",
            "The base's plus `alpha` (1 - n / T) for the current subgoal, n steps after the one before it.",
            "",
            "## Start",
            "",
            "As the base's; the teacher names the subgoals of the level, right or wrong.",
            "",
            "## End",
            "",
            "As the base's.",
            "",
            "## Task",
            "",
            "Of `palaestra/MiniGrid-KeyCorridorS3R3-Subgoals-v0`:",
            "",
            *task_table(env.task_space),
            "",
            "## Teachers",
            "",
            'As measured by the authors, and what `teacher="llama"` and so on stand for:',
            "",
            *measured,
            "",
            "## Example",
            "",
            "```python",
            "import gymnasium as gym",
            "",
            "import palaestra",
            "",
            'env = gym.make("palaestra/MiniGrid-KeyCorridorS3R3-Subgoals-v0", kind="representation", teacher="qwen")',
            "obs, info = env.reset(seed=0)",
            'print(obs["subgoal"])',
            "```",
            "",
            "## Source",
            "",
            'Ruiz-Gonzalez et al., "Words as Beacons" (arXiv 2410.08632), and the authors\' code.',
            "",
        ]
    )


def _arguments(text: str) -> list[str]:
    """Arguments of a Google docstring as a Markdown list."""
    joined = re.sub(r"\n    +", " ", text)
    return [
        f"- {re.sub(r'^([a-z_, ]+):', lambda m: f'`{m[1]}`:', line.strip())}"
        for line in joined.splitlines()
        if line.strip()
    ]
