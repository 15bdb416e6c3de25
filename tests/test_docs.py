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

PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "environments")]


def run_blocks(text, name):
    namespace = {"__name__": name}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as a reader's session has it
        for block in BLOCK.findall(text):
            exec(compile(block, name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_blocks(page.read_text(), page.stem)


@pytest.mark.parametrize("entry", environment_pages.ENVIRONMENTS, ids=lambda e: e.id)
def test_environment_pages_are_complete_and_their_example_runs(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = environment_pages.page_text(entry)
    for heading in ("Description", "Action space", "Observation space", "Reward", "Start", "End", "Task", "Source"):
        assert f"## {heading}" in text
    run_blocks(text, entry.id)
