"""The shape of the tree: every package is listed, imports run downward and in no circle, importing stays light."""

import ast
import graphlib
import pathlib
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FLOORS = {"envs": 0, "curricula": 1, "agents": 1, "experiments": 2}
# What other floors may know of envs.
CONTRACTS = {"contract", "tasks", "stepping", "compilation", "errors", "linear_algebra", "hashed_text"}
SOURCES = sorted(p for floor in FLOORS for p in (ROOT / floor).rglob("*.py"))


def is_module(name):
    place = ROOT.joinpath(*name)
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def imported_modules(path):
    """Absolute dotted names, without `palaestra.`, of everything of this project that a file imports."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield (*base, alias.name) if is_module((*base, alias.name)) else base
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "palaestra":
            yield tuple(node.module.split(".")[1:])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "palaestra":
                    yield tuple(alias.name.split(".")[1:])


def test_every_package_is_listed():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {"palaestra"} | {
        ".".join(("palaestra", *p.parent.relative_to(ROOT).parts)) for p in SOURCES if p.name == "__init__.py"
    }
    assert listed == found
    without_init = {p.parent for p in SOURCES if not (p.parent / "__init__.py").exists()}
    assert not without_init


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downward(path):
    here = path.relative_to(ROOT).parts
    for module in imported_modules(path):
        if not module or module[0] not in FLOORS:
            continue
        floor, other = FLOORS[here[0]], FLOORS[module[0]]
        assert other < floor or module[0] == here[0], f"{path}: imports {'.'.join(module)} from a floor above or beside"
        if here[0] in ("agents", "curricula") and module[0] == "envs":
            assert module[1] in CONTRACTS, f"{path}: knows the family {'.'.join(module)}"
        if here[0] == module[0] == "envs" and len(here) > 2 and len(module) > 1:
            assert module[1] in CONTRACTS | {here[1]}, f"{path}: knows another family {'.'.join(module)}"


def test_no_module_imports_back():
    """Imports within functions count: two files that need each other are one, or three."""
    names = {p: p.relative_to(ROOT).with_suffix("").parts for p in SOURCES}
    graph = {names[p]: {m for m in imported_modules(p) if m in names.values()} - {names[p]} for p in SOURCES}
    assert sum(map(len, graph.values())) > 200
    tuple(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_inside_are_imported_relatively_and_not_through_their_own_face(path):
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not any(a.name.split(".")[0] in {"palaestra", *FLOORS} for a in node.names), path
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module.split(".")[0] not in {"palaestra", *FLOORS}, path
        if isinstance(node, ast.ImportFrom) and node.level == 1 and not node.module and here[-1] != "__init__":
            names = {a.name for a in node.names}
            siblings = {p.stem for p in path.parent.glob("*.py")} | {
                p.name for p in path.parent.iterdir() if p.is_dir()
            }
            assert names <= siblings, f"{path}: imports {names - siblings} from its own package's face"


def test_importing_the_package_is_light():
    code = (
        "import sys, time, gymnasium; start = time.perf_counter(); import palaestra; "
        "heavy = {'jax', 'mujoco', 'minigrid', 'minari', 'h5py', 'matplotlib', 'torch', 'flax'} & set(sys.modules); "
        "print(sorted(heavy), time.perf_counter() - start)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy, seconds = out.rsplit(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 0.5
