"""Runs gym-electric-motor beside ours: its simulation with a tight integrator, recorded step by step.

Its default `solve_ivp` wrapper hands SciPy a shared buffer and is wrong; `ode("dop853")` at 1e-12 is used instead.

Letters: T steps, A action entries, S measured quantities, R references.
"""

import dataclasses
import warnings

import numpy as np

STEPS = 2000
UNSTABLE_STEPS = 300  # of the externally excited machine, whose default parameters make it diverge
INTERVAL = 1e-4  # [s] between the samples of `speed_profile`


@dataclasses.dataclass(frozen=True)
class Recording:
    """One episode that goes on beyond its limits.

    Attributes:
      actions: (T, A) or (T,).
      names: (S,) of the measured quantities.
      states: (T + 1, S) normalised, the first after the reset.
      references: (T + 1, R) shown beside them.
      rewards: (T,).
      terminated: (T,) bool.
    """

    actions: np.ndarray
    names: tuple[str, ...]
    states: np.ndarray
    references: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray


def gem_id(family: str, action: str, task: str) -> str:
    """GEM's name for one of the sixty ids."""
    return f"{action}-{task}-{family}-v0"


def make_gem(family: str, action: str, task: str, **kwargs):
    """GEM's environment with a tight integrator and without limits; `constraints=None` keeps its own."""
    import gym_electric_motor as gem
    from gym_electric_motor.physical_systems.solvers import ScipyOdeSolver

    arguments = {"constraints": ()} | kwargs
    if arguments["constraints"] is None:
        del arguments["constraints"]
    solver = ScipyOdeSolver("dop853", rtol=1e-12, atol=1e-12, nsteps=100000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gem.make(gem_id(family, action, task), ode_solver=solver, visualization=(), **arguments)
    return env.unwrapped


def random_actions(env, family: str, steps: int, share: float = 0.6, hold: int = 1) -> np.ndarray:
    """Actions that excite the drive without driving it off at once.

    Args:
      share: of the action space, in which they are uniform.
      hold: steps that each lasts.
    """
    rng, draws = np.random.default_rng(0), -(-steps // hold)
    space = env.action_space
    if hasattr(space, "low"):
        low = np.zeros(space.shape) if family == "SeriesDc" else share * space.low
        actions = rng.uniform(low, share * space.high, (draws, *space.shape))
    elif hasattr(space, "nvec"):
        actions = rng.integers(0, space.nvec, (draws, len(space.nvec)))
    else:
        actions = rng.integers(0, space.n, draws)
    return np.repeat(actions, hold, axis=0)[:steps]


def record(env, actions: np.ndarray) -> Recording:
    """Plays `actions` from a reset with seed 1, through terminations."""
    np.random.seed(0)  # some of GEM's starts draw from NumPy's global stream
    (state, reference), _ = env.reset(seed=1)
    states, references, rewards, ends = [np.array(state)], [np.array(reference)], [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for action in actions:
            (state, reference), reward, terminated, *_ = env.step(action)
            env._terminated = False
            states.append(np.array(state))
            references.append(np.array(reference))
            rewards.append(reward)
            ends.append(terminated)
    return Recording(
        actions=actions,
        names=tuple(env.physical_system.state_names),
        states=np.array(states),
        references=np.array(references),
        rewards=np.array(rewards),
        terminated=np.array(ends),
    )


def inner(env):
    """The physical system without its wrappers."""
    system = env.physical_system
    while hasattr(system, "_physical_system"):
        system = system._physical_system
    return system


def sheet(env) -> dict:
    """What GEM's environment is made of, in one dictionary."""
    env.reset(seed=0)
    system, plant = env.physical_system, inner(env)
    generators = getattr(env.reference_generator, "_sub_generators", [env.reference_generator])
    load, reward = plant.mechanical_load, env.reward_function
    weights = dict(zip(system.state_names, np.ravel(reward._reward_weights).tolist(), strict=True))
    watched = [
        (type(c).__name__, tuple(getattr(c, "_states", None) or c._observed_state_names))
        for c in env.constraint_monitor._constraints
    ]
    return {
        "names": tuple(system.state_names),
        "limits": np.array(system.limits, float),
        "nominal": np.array(system.nominal_state, float),
        "low": np.array(system.state_space.low, float),
        "high": np.array(system.state_space.high, float),
        "tau": plant.tau,
        "supply": plant.supply.u_nominal,
        "machine": dict(plant.electrical_motor.motor_parameter),
        "load": dict(load.load_parameter) if hasattr(load, "load_parameter") else {"speed": load.omega_fixed},
        "inertia": float(load.j_total),
        "referenced": tuple(g._reference_state for g in generators),
        "margins": [tuple(map(float, np.ravel(g._limit_margin))) for g in generators],
        "sigma": [tuple(map(float, g._sigma_range)) for g in generators],
        "lengths": [tuple(map(float, g._episode_len_range)) for g in generators],
        "weights": {name: weight for name, weight in weights.items() if weight},
        "violation": float(reward._violation_reward),
        "watched": watched,
        "action_space": env.action_space,
    }


def speed_profile(t: float, samples: tuple[float, ...] = ()) -> float:
    """Linear interpolation of samples `INTERVAL` apart; GEM asks for the speed as a function of time."""
    return float(np.interp(t, INTERVAL * np.arange(len(samples)), samples))
