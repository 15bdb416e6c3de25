"""How well our classical controllers follow references, beside those that gym-electric-motor ships (`gem_controllers`).

Both control gym-electric-motor's own environments: same simulator, same seeds, hence the same references as long as
nobody exceeds a limit. The figure is the mean error of the referenced quantities as a share of their limits over all
seeds and steps. Where a limit was exceeded, two rows more tell the mean error over every seed's steps until either side
exceeded one for the first time, while both had the same references, and how often limits were exceeded. Combinations
with which the peer cannot be built or run with the installed NumPy are shown without a figure of theirs.

The peer imports a drawing package that it does not need for control and that is not installed with it; an empty
stand-in takes its place.

Letters: T steps, N seeds, S measured quantities, R references.
"""

import copy
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from ...envs.motors.build import make_motor
from ...envs.motors.control.controller import make_controller
from ...envs.motors.families import motor_ids
from ._measuring import row

PEER = "gem_controllers"
SEEDS = 20
STEPS = 2000
FAMILIES = ("PermExDc", "SeriesDc", "ShuntDc", "ExtExDc", "PMSM", "SynRM", "SCIM", "EESM")

Played = tuple[np.ndarray, np.ndarray]  # mean error of every step (T, N), whether it ended an episode (T, N)
Act = Callable[[list[Any], list[Any]], list[Any]]  # (states, references) -> actions, one entry per seed


class Seeds:
    """N of gym-electric-motor's environments, and the controllers that act on them."""

    def __init__(self, name: str):
        import gym_electric_motor as gem
        from gym_electric_motor.physical_system_wrappers import FluxObserver

        self.name = name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The peer's controllers of induction machines want to see the flux.
            self.envs = [
                gem.make(f"{name}-v0", physical_system_wrappers=(FluxObserver(),) if "SCIM" in name else ())
                for _ in range(SEEDS)
            ]

    def play(self, act: Act, reset: Callable[[int], None], steps: int) -> Played:
        """`steps` steps of every seed; `reset(i)` tells that i starts an episode."""
        seen = [env.reset(seed=seed)[0] for seed, env in enumerate(self.envs)]
        for i in range(SEEDS):
            reset(i)
        errors, ends = np.zeros((steps, SEEDS)), np.zeros((steps, SEEDS), bool)
        which = np.asarray(self.envs[0].unwrapped.reference_generator.referenced_states)
        for step in range(steps):
            actions = act([state for state, _ in seen], [reference for _, reference in seen])
            for i, env in enumerate(self.envs):
                reference = np.asarray(seen[i][1])
                seen[i], _, terminated, truncated, _ = env.step(actions[i])
                errors[step, i] = np.abs(np.asarray(seen[i][0])[which] - reference).mean()
                ends[step, i] = terminated or truncated
                if ends[step, i]:
                    seen[i] = env.reset()[0]
                    reset(i)
        return errors, ends


def run(budget: float) -> list[dict[str, Any]]:
    """Rows {case, peer, ours, theirs, unit, ratio}; takes ids in turn until `budget` seconds are spent.

    All ids take about ten minutes.

    Raises:
      MissingExtraError: gym-electric-motor is not installed.
    """
    _require_peer()
    begin, rows = time.perf_counter(), []
    for family, action, task in motor_ids():
        if family not in FAMILIES or (action == "Finite" and task != "CC"):
            continue
        if time.perf_counter() - begin > budget:
            break
        rows += compare(family, action, task, STEPS)
    return rows


def compare(family: str, action: str, task: str, steps: int) -> list[dict[str, Any]]:
    """Rows of one id."""
    seeds = Seeds(f"{action}-{task}-{family}")
    theirs = _theirs(seeds, steps)
    rows = []
    for kind in ("pi", "deadbeat") if action == "Cont" else ("mpc",):
        ours = _ours(seeds, family, action, task, kind, steps)
        rows += _rows(f"{seeds.name}, {kind}", ours, *(() if theirs is None else (theirs,)))
    return rows


def _rows(case: str, *played: Played) -> list[dict[str, Any]]:
    """Rows from our steps and, where there are any, the peer's; a ratio of terminations below 1 is a good one."""
    errors, ends = zip(*played, strict=True)
    figures = {"mean |e|": [error.mean() for error in errors]}
    ended = np.any(ends, axis=0)
    if ended.any():
        shared = np.cumsum(ended, axis=0) == 0
        if len(played) == 2 and shared.any():
            figures["mean |e| until an end"] = [error[shared].mean() for error in errors]
        figures["terminations"] = [end.sum() for end in ends]
    return [_row(case, unit, *map(float, values)) for unit, values in figures.items()]


def _row(case: str, unit: str, ours: float, theirs: float | None = None) -> dict[str, Any]:
    peer = PEER if theirs is not None else f"{PEER}: does not run"
    return row(case, peer, ours, theirs, unit)


def _ours(seeds: Seeds, family: str, action: str, task: str, kind: str, steps: int) -> Played:
    env = make_motor(family, action, task, compat="gem")
    controller = make_controller(env, kind)
    fresh, measured = controller.init(), len(env.layout.names)
    memory = jax.tree.map(lambda x: np.stack([np.asarray(x)] * SEEDS), fresh)
    start = jax.tree.map(np.asarray, fresh)
    held = {"memory": memory}
    begun = np.ones(SEEDS, bool)

    @jax.jit
    def step(memory: Any, obs: jax.Array, begun: jax.Array) -> tuple[Any, jax.Array]:
        def one(memory: Any, obs: jax.Array, begins: jax.Array) -> tuple[Any, jax.Array]:
            memory = jax.tree.map(lambda old, new: jnp.where(begins, jnp.asarray(new, old.dtype), old), memory, start)
            return controller.act(memory, obs)

        return jax.vmap(one)(memory, obs, begun)

    def act(states: list[Any], references: list[Any]) -> list[Any]:
        rows = [np.concatenate([s[:measured], r]) for s, r in zip(states, references, strict=True)]
        held["memory"], actions = step(held["memory"], np.asarray(rows, np.float32), begun.copy())
        begun[:] = False
        values = np.asarray(actions)
        return [values[i].astype(np.float64) if action == "Cont" else _whole(values[i]) for i in range(SEEDS)]

    def reset(i: int) -> None:
        begun[i] = True

    return seeds.play(act, reset, steps)


def _whole(action: np.ndarray) -> Any:
    return int(action) if action.ndim == 0 else action.astype(int)


def _theirs(seeds: Seeds, steps: int) -> Played | None:
    """The peer's steps; None where it raises."""
    import gem_controllers

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Tuning one for the externally excited machine takes most of a minute; equal environments share it.
            first = gem_controllers.GemController.make(
                seeds.envs[0], f"{seeds.name}-v0", plot_references=False, block_diagram=False
            )
            made = [first, *(copy.deepcopy(first) for _ in range(SEEDS - 1))]

            def act(states: list[Any], references: list[Any]) -> list[Any]:
                return [c.control(s, r) for c, s, r in zip(made, states, references, strict=True)]

            return seeds.play(act, lambda i: made[i].reset(), steps)
    except Exception as error:  # the peer fails in many ways, with many exceptions
        print(f"{PEER} with {seeds.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def _require_peer() -> None:
    from ...envs.errors import missing_extra

    try:
        import gym_electric_motor  # noqa: F401
    except ImportError:
        raise missing_extra("gym-electric-motor", "gem", "This comparison") from None
    if "control_block_diagram" not in sys.modules:
        stand_in = mock.MagicMock()
        for name in ("", ".components", ".predefined_components"):
            sys.modules[f"control_block_diagram{name}"] = stand_in
