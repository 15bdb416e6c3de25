"""Strict numerics, eight CPU devices, compiled programs kept between runs; parametrisation over the registry.

Tests marked `slow` run with `--slow` (or when `-m` names the marker), tests marked `gpu` where JAX has one.
"""

import fnmatch
import gc
import os
import pathlib

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # windows open nowhere
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis
import jax
import pytest

# The same examples in every run and no folder of its own; the time limit would measure compilation.
hypothesis.settings.register_profile("palaestra", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("palaestra")

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(__file__).parents[1] / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Arguments that make a family cheap enough for the contract tests: id -> arguments of its class.
CHEAP: dict[str, dict] = {
    # Enough subgoals for a random player to reach some within a short test.
    "palaestra/MiniGrid-KeyCorridorS3R2-Subgoals-v0": {"distractors": 12},
}
# The same in a run without `--slow` only.
CHEAP_AT_FIRST: dict[str, dict] = {
    # A third of the exact solver's program, which the walker's own tests step beside Box2D.
    "palaestra/BipedalWalker-v0": {"solver": "fast"},
    "palaestra/StumpTracks-v0": {"solver": "fast"},
}

# Which tests over the registry are fast: (id, test, fast) with shell patterns; the first that fits decides, else fast.
# Walkers take half a minute per compiled program and minutes for a step without `jit` around it.
SPEED: tuple[tuple[str, str, bool], ...] = (
    ("palaestra/BipedalWalkerHardcore-*", "*", False),  # BipedalWalker's program on another track
    ("palaestra/BipedalWalker-*", "*test_gym.py*", False),  # the doors see no difference to StumpTracks
    ("palaestra/BipedalWalker-*", "*eager*", False),
    # Of the contract, what its track and its task change and what compiles no step: a step is BipedalWalker's here, and
    # that of StumpTracks is taken behind its doors, alone and in a batch (test_gym.py).
    ("palaestra/StumpTracks-*", "*test_contract.py*task_*", True),
    ("palaestra/StumpTracks-*", "*test_contract.py*shapes*", True),
    ("palaestra/StumpTracks-*", "*test_contract.py*settings*", True),
    ("palaestra/StumpTracks-*", "*test_contract.py*pickling*", True),
    ("palaestra/StumpTracks-*", "*test_contract.py*", False),
    # Mazes differ in their maps alone, which test_maze.py compares.
    ("palaestra/PointMaze_UMaze-*", "*", True),
    ("palaestra/PointMaze_Large_Diverse_GRDense-*", "*test_contract.py*", True),
    ("palaestra/PointMaze_*", "*", False),
    # One drive of every kind of machine, action, task and load; all sixty are made and checked in test_motors_env.py.
    ("palaestra/Motor-Cont-CC-PMSM-*", "*", True),
    ("palaestra/Motor-Finite-SC-SCIM-*", "*", True),
    ("palaestra/Motor-Finite-CC-ExtExDc-*", "*", True),
    ("palaestra/Motor-Cont-SC-SeriesDc-*", "*test_contract.py*", True),
    ("palaestra/Motor-Cont-SC-EESM-*", "*test_contract.py*", True),
    ("palaestra/Motor-Cont-CC-DFIM-*", "*test_contract.py*", True),
    ("palaestra/Motor-Finite-TC-SIXPMSM-*", "*test_contract.py*", True),
    ("palaestra/Motor-*", "*", False),
    # One level source of every kind; all ids are made and stepped beside the package in tests/parity.
    ("palaestra/MiniGrid-DoorKey-8x8-v0", "*", True),
    ("palaestra/BabyAI-GoToSeqS5R2-*", "*", True),
    ("palaestra/MiniGrid-Dynamic-Obstacles-5x5-*", "*test_contract.py*", True),
    ("palaestra/MiniGrid-KeyCorridorS3R2-v0", "*test_contract.py*", True),
    ("palaestra/MiniGrid-KeyCorridorS3R2-Subgoals-*", "*", True),
    ("palaestra/MiniGrid-*", "*", False),
    ("palaestra/BabyAI-*", "*", False),
)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run tests marked slow, too")


def pytest_collection_modifyitems(config, items):
    slow = config.getoption("--slow") or "slow" in (config.option.markexpr or "")
    gpu = jax.default_backend() == "gpu"
    for item in items:
        if hasattr(item, "callspec") and not _is_fast(item.callspec.params.get("env_id"), item.nodeid):
            item.add_marker("slow")
        if "slow" in item.keywords and not slow:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))
        if "gpu" in item.keywords and not gpu:
            item.add_marker(pytest.mark.skip(reason="gpu: JAX has none here"))


def pytest_generate_tests(metafunc):
    """A test with the argument `env_id` runs for every registered id."""
    if "env_id" in metafunc.fixturenames:
        from palaestra.envs.registration import ENVIRONMENTS

        # Wheels of minigrid lack the patterns from which the mazes of wave function collapse are made.
        ids = [entry.id for entry in ENVIRONMENTS if "-WFC-" not in entry.id]
        metafunc.parametrize("env_id", ids, ids=[i.removeprefix("palaestra/") for i in ids], scope="session")


def _is_fast(env_id, test):
    fits = (fast for name, part, fast in SPEED if fnmatch.fnmatch(env_id or "", name) and fnmatch.fnmatch(test, part))
    return next(fits, True)


@pytest.fixture(autouse=True, scope="module")
def let_programs_go():
    """A file's compiled programs are not kept for the next: each holds memory maps, and a process may have 65,000."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def key():
    """A typed key, the same in every test."""
    return jax.random.key(0)


@pytest.fixture
def double_precision():
    """Numbers of 64 bits within the test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def env_kwargs(env_id, request):
    """The arguments that make `env_id` cheap."""
    at_first = {} if request.config.getoption("--slow") else CHEAP_AT_FIRST
    return CHEAP.get(env_id, {}) | at_first.get(env_id, {})


@pytest.fixture
def functional(env_id, env_kwargs):
    """The pure environment of `env_id`, in its cheap form."""
    from palaestra.envs.registration import make_functional

    return make_functional(env_id, **env_kwargs)
