"""Rules that hold for every file of the package, read from its syntax."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SOURCES = sorted(p for floor in ("envs", "agents", "curricula", "experiments") for p in (ROOT / floor).rglob("*.py"))
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "_StrictLoader"}


def dotted(node):
    """`a.b.c` of a name or attribute, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def argument(call, name):
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def is_constant(node, value):
    return isinstance(node, ast.Constant) and node.value is value


def offences(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            yield from (f"line {node.lineno}: import {name}" for name in names & FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            yield f"line {node.lineno}: from {node.module}"
        elif isinstance(node, ast.Call):
            yield from call_offences(node)


def call_offences(call):
    name, where = dotted(call.func), f"line {call.lineno}"
    if name in FORBIDDEN_CALLS or name in ("os.system", "os.popen"):
        yield f"{where}: {name}"
    if argument(call, "shell") is not None and not is_constant(argument(call, "shell"), False):
        yield f"{where}: shell=True"
    if name.endswith(("np.load", "numpy.load")) and not is_constant(argument(call, "allow_pickle"), False):
        yield f"{where}: np.load without allow_pickle=False"
    if name.endswith(("np.save", "numpy.save")) and not is_constant(argument(call, "allow_pickle"), False):
        yield f"{where}: np.save without allow_pickle=False"
    if name.endswith("torch.load") and not is_constant(argument(call, "weights_only"), True):
        yield f"{where}: torch.load without weights_only=True"
    if name in ("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"):
        yield f"{where}: {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_that_can_run_foreign_code_is_used(path):
    assert not list(offences(ast.parse(path.read_text())))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "subprocess.run('x', shell=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "os.system('x')",
    ],
)
def test_the_walk_finds_each_offence(code):
    assert list(offences(ast.parse(code)))


def test_yaml_loaders_derive_from_the_safe_one():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases = {dotted(base) for base in node.bases}
                assert not {b for b in bases if b.startswith("yaml.") and b.split(".")[1] not in SAFE_LOADERS}, path
