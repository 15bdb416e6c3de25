"""Every code block of the README and the documentation runs, page by page, in the order of reading."""

import pathlib
import re
import sys

import jax
import pytest

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

sys.path.insert(0, str(ROOT / "docs"))
import environment_pages  # noqa: E402
import minigrid_pages  # noqa: E402
import motor_pages  # noqa: E402
from palaestra.envs.motors.families import FAMILIES  # noqa: E402

PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "environments")]


# Fewer rounds of training than a reader takes, by the same programs: page -> (what it says, what runs here).
FEWER = {"docs/guides/tune_a_pi.md": ("iterations, lanes, length = 320,", "iterations, lanes, length = 4,")}


def run_blocks(text, name):
    namespace = {"__name__": name}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as a reader's session has it
        for block in BLOCK.findall(text):
            exec(compile(block, name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    text = page.read_text()
    said, runs = FEWER.get(str(page.relative_to(ROOT)), ("", ""))
    assert said in text
    run_blocks(text.replace(said, runs), page.stem)


FAST_GRIDS = ("minigrid-doorkey", "minigrid-wfc", "babyai-unlock", "minigrid-subgoals")


def page_names():
    """All pages; those of MiniGrid differ in names and numbers alone, so that a few are enough in a short run."""
    for name in environment_pages.names():
        slow = minigrid_pages.is_ours(name) and name not in FAST_GRIDS
        yield pytest.param(name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("name", list(page_names()))
def test_environment_pages_are_complete_and_their_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = environment_pages.page_text(name)
    for heading in ("Description", "Action space", "Observation space", "Reward", "Start", "End", "Task", "Source"):
        assert f"## {heading}" in text
    run_blocks(text, name)


def test_every_id_is_on_a_page_and_drives_share_theirs(tmp_path):
    pages = {page.stem: page.read_text() for page in environment_pages.write(tmp_path)}
    for entry in environment_pages.ENVIRONMENTS:
        assert f"`{entry.id}`" in pages[entry.page or environment_pages.slug(entry.id)]
    assert len(pages) == 5 + 1 + 10 + 28 + 3
    (tmp_path / "old.md").write_text("of an id that is gone")
    environment_pages.write(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(pages)


def test_the_overview_of_grids_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_blocks(minigrid_pages.overview_text([]), "minigrid")


def test_every_machine_parameter_has_a_meaning_and_a_unit():
    for family, sheet in FAMILIES.items():
        found = motor_pages.documented_fields(sheet.machine.Params)
        assert found.keys() == sheet.parameters.keys(), family
        assert all(unit != "1" or name in ("p", "k") for name, (unit, _) in found.items())
