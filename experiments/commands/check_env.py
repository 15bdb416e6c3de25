"""`palaestra check-env ID`: Gymnasium's own checker, and for our environments the functional contract as well."""

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np

from ...envs.errors import PalaestraError
from ...envs.registration import ENVIRONMENTS
from ...envs.stepping import reset, step
from .. import assemble, config
from ..backend import prepare_jax
from ..errors import ExitCode, UsageError, unknown
from ..output import Answer, table


def run(flags: argparse.Namespace) -> Answer:
    prepare_jax()
    kwargs = config.nest(dict(config.parse_assignment(text, "--env-kwargs") for text in flags.env_kwargs))
    ours = {entry.id for entry in ENVIRONMENTS}
    id = f"palaestra/{flags.id}" if f"palaestra/{flags.id}" in ours else flags.id
    if id not in gymnasium.registry and ":" not in id:
        raise unknown("environment", id, gymnasium.registry)
    checks = {"gymnasium": lambda: _gymnasium(id, kwargs)}
    if id in ours:
        env = assemble.make_env(id, kwargs)
        checks |= {name: _bound(check, env) for name, check in CONTRACT.items()}
    found = {name: _attempt(check) for name, check in checks.items()}
    failed = [name for name, message in found.items() if message]
    lines = [[name, message or "ok"] for name, message in found.items()]
    code = ExitCode.CHECK_FAILED if failed else ExitCode.OK
    return Answer({"id": id, "checks": found, "failed": failed}, f"{id}\n" + table(lines), exit_code=code)


def _attempt(check: Callable[[], str]) -> str:
    """What is wrong, "" for nothing."""
    try:
        return check()
    except UsageError:
        raise
    except Exception as error:  # whatever a checker or a broken environment raises is the finding
        reason = str(error) if isinstance(error, PalaestraError) else f"{type(error).__name__}: {error}"
        return " ".join(reason.split())[:500]


def _bound(check: Callable[[Any], str], env: Any) -> Callable[[], str]:
    return lambda: check(env)


def _gymnasium(id: str, kwargs: dict[str, Any]) -> str:
    """Gymnasium's checker; its warnings count as findings."""
    from gymnasium.utils.env_checker import check_env

    env = gymnasium.make(id, disable_env_checker=True, **kwargs)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            check_env(env.unwrapped)
    finally:
        env.close()
    texts = [" ".join(str(w.message).split()) for w in said if issubclass(w.category, UserWarning)]
    return "; ".join(texts)[:500]


def _default_task(env: Any) -> str:
    if hasattr(env.task_space, "validate"):
        env.task_space.validate(env.task_space.default)
    jax.eval_shape(env.task_params, env.task_space.default)
    return ""


def _observation_in_space(env: Any) -> str:
    state, obs = jax.jit(lambda key: reset(env, key))(jax.random.key(0))
    _, timestep = jax.jit(lambda key, s, a: step(env, key, s, a))(jax.random.key(1), state, _action(env))
    for when, value in (("reset", obs), ("step", timestep.obs)):
        if not env.observation_space.contains(jax.tree.map(np.asarray, value)):
            return f"observation after {when} is outside observation_space"
    return ""


def _deterministic(env: Any) -> str:
    first, second = (jax.jit(lambda key: reset(env, key))(jax.random.key(3)) for _ in range(2))
    same = jax.tree.map(lambda a, b: bool(np.array_equal(_plain(a), _plain(b), equal_nan=False)), first, second)
    return "" if all(jax.tree.leaves(same)) else "the same key gave two different starts"


def _stable_shapes(env: Any) -> str:
    before = jax.eval_shape(lambda key: reset(env, key)[0], jax.random.key(0))
    after = jax.eval_shape(lambda key, s: step(env, key, s, _action(env))[0], jax.random.key(0), before)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), before, after)
    return "" if all(jax.tree.leaves(same)) else "a step changes shapes or dtypes of the state"


def _horizon(env: Any) -> str:
    return "" if isinstance(env.horizon, int) and env.horizon > 0 else f"horizon={env.horizon}; expected a positive int"


CONTRACT: dict[str, Callable[[Any], str]] = {
    "default task": _default_task,
    "observations in space": _observation_in_space,
    "same key, same start": _deterministic,
    "state keeps its shapes": _stable_shapes,
    "horizon": _horizon,
}


def _action(env: Any) -> Any:
    env.action_space.seed(0)
    return env.action_space.sample()


def _plain(leaf: jax.Array) -> np.ndarray:
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)
