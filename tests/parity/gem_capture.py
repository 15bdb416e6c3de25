"""Runs gym-electric-motor beside ours: its simulation with a tight integrator, recorded step by step.

Its default `solve_ivp` wrapper hands SciPy a shared buffer and is wrong; `ode("dop853")` at 1e-12 is used instead.
"""

import dataclasses
import warnings

import numpy as np

STEPS = 2000
UNSTABLE_STEPS = 300  # of the externally excited machine, whose default parameters make it diverge


@dataclasses.dataclass(frozen=True)
class Recording:
    """One episode without limits: T steps.

    Attributes:
      actions: (T, A) or (T,).
      states: (T + 1, S) normalised, the first after the reset.
      references: (T + 1, R) shown beside them.
      rewards: (T,).
    """

    actions: np.ndarray
    states: np.ndarray
    references: np.ndarray
    rewards: np.ndarray


def gem_id(family: str, action: str, task: str) -> str:
    """GEM's name for one of the sixty ids."""
    return f"{action}-{task}-{family}-v0"


def make_gem(family: str, action: str, task: str, **kwargs):
    """GEM's environment with a tight integrator and, unless given, without limits."""
    import gym_electric_motor as gem
    from gym_electric_motor.physical_systems.solvers import ScipyOdeSolver

    solver = ScipyOdeSolver("dop853", rtol=1e-12, atol=1e-12, nsteps=100000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gem.make(gem_id(family, action, task), ode_solver=solver, **({"constraints": ()} | kwargs))
    return env.unwrapped


def random_actions(env, family: str, steps: int) -> np.ndarray:
    """Actions that excite the drive without driving it off at once."""
    rng = np.random.default_rng(0)
    space = env.action_space
    if hasattr(space, "low"):
        low = np.zeros(space.shape) if family == "SeriesDc" else 0.6 * space.low
        return rng.uniform(low, 0.6 * space.high, (steps, *space.shape))
    if hasattr(space, "nvec"):
        return rng.integers(0, space.nvec, (steps, len(space.nvec)))
    return rng.integers(0, space.n, steps)


def record(env, actions: np.ndarray) -> Recording:
    """Plays `actions` from a reset with seed 1."""
    (state, reference), _ = env.reset(seed=1)
    states, references, rewards = [np.array(state)], [np.array(reference)], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for action in actions:
            (state, reference), reward, *_ = env.step(action)
            states.append(np.array(state))
            references.append(np.array(reference))
            rewards.append(reward)
    return Recording(actions, np.array(states), np.array(references), np.array(rewards))
