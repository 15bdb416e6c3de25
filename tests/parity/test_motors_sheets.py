"""Data sheets, rewards and reference ranges of every id against gym-electric-motor's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors import references
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, motor_ids
from scipy.stats import ks_2samp

from .gem_capture import make_gem, sheet
from .gem_comparison import QC1, QC2, QC4, both, bridge, compare

pytestmark = pytest.mark.usefixtures("double_precision")


pytest.importorskip("gym_electric_motor", reason="the extra gem is not installed")


def test_rewards_with_weights_powers_and_offset_are_the_originals():
    from gym_electric_motor.reward_functions import WeightedSumOfErrors

    weights, powers = {"i_sd": 0.3, "i_sq": 0.9}, {"i_sd": 2.0, "i_sq": 0.5}
    theirs = WeightedSumOfErrors(weights, reward_power=powers, bias="positive")
    ours = {"weights": weights, "powers": powers, "reward_offset": "positive"}
    compare("PMSM", "Cont", "CC", ours=ours, theirs={"reward_function": theirs}, steps=200).assert_equal()


@pytest.mark.parametrize("family", FAMILIES)
def test_data_sheets_are_the_originals(family):
    """Limits, nominal values, ranges, supply, load, references, reward, limits that end episodes, action spaces.

    Only the physical form differs: it watches the doubly fed machine's rotor current, too.
    """
    for action, task in ((a, t) for f, a, t in motor_ids() if f == family):
        theirs = sheet(make_gem(family, action, task, constraints=None))
        assert_same_sheet(make_motor(family, action, task, compat="gem"), theirs)
    extra = set(make_motor(family).limits) - set(make_motor(family, compat="gem").limits)
    assert [limit.names for limit in extra] == ([("i_rd", "i_rq")] if family == "DFIM" else [])


@pytest.mark.parametrize("action", ["Cont", "Finite"])
@pytest.mark.parametrize(
    "family, bridges", [(f, (b,)) for f in ("PermExDc", "SeriesDc", "ShuntDc") for b in ("1QC", "2QC")]
)
def test_ranges_of_other_converters_are_the_originals(family, bridges, action):
    import gym_electric_motor.physical_systems as ps

    converter = bridge(ps, action, {"1QC": QC1, "2QC": QC2}[bridges[0]])
    theirs = sheet(make_gem(family, action, "TC", constraints=None, converter=converter))
    assert_same_sheet(make_motor(family, action, "TC", compat="gem", converter=bridges), theirs)


@pytest.mark.parametrize(
    "bridges", [("1QC", "1QC"), ("2QC", "2QC"), ("4QC", "1QC"), ("1QC", "4QC"), ("2QC", "4QC")], ids="-".join
)
def test_ranges_of_two_converters_are_the_originals(bridges):
    import gym_electric_motor.physical_systems as ps

    names = [{"1QC": QC1, "2QC": QC2, "4QC": QC4}[b] for b in bridges]
    theirs = sheet(make_gem("ExtExDc", "Cont", "SC", constraints=None, converter=both(ps, "Cont", *names)))
    assert_same_sheet(make_motor("ExtExDc", "Cont", "SC", compat="gem", converter=bridges), theirs)


def assert_same_sheet(env, theirs):
    layout, nominal, reward = env.layout, env.nominal, env.reward_terms
    machine, load = dict(nominal.machine), dict(nominal.load)
    assert layout.names == theirs["names"]
    assert env.observed.references == theirs["referenced"]
    assert {layout.names[i]: w for i, w in zip(reward.indices, reward.weights, strict=True)} == theirs["weights"]
    assert {frozenset(limit.names) for limit in env.limits} == watched_sets(theirs)
    inertia = machine["j_rotor"] + load["j_load"] * env.load.moves
    for ours, other in (
        (layout.limits, theirs["limits"]),
        (layout.nominal, theirs["nominal"]),
        (layout.low, theirs["low"]),
        (np.ones(len(layout.names)), theirs["high"]),
        (env.tau, theirs["tau"]),
        (nominal.supply, theirs["supply"]),
        ([*machine.values()], [theirs["machine"][name] for name in machine]),
        ([load[name] for name in theirs["load"]], [*theirs["load"].values()]),
        (inertia, theirs["inertia"]),
        (nominal.margins, theirs["margins"]),
        ([nominal.sigma] * len(theirs["sigma"]), theirs["sigma"]),
        ([(500, 2000)] * len(theirs["lengths"]), theirs["lengths"]),
        (reward.violation, theirs["violation"]),
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-12)
    assert_same_actions(env.action_space, theirs["action_space"])


def watched_sets(theirs):
    """GEM watches several currents of a commutator machine in one constraint; ours has one limit for each."""
    return {
        frozenset(part)
        for kind, names in theirs["watched"]
        for part in ([names] if kind == "SquaredConstraint" else [(name,) for name in names])
    }


def assert_same_actions(ours, theirs):
    if hasattr(ours, "low"):
        np.testing.assert_array_equal([ours.low, ours.high], [theirs.low, theirs.high])
    else:
        assert ours == theirs


WAVES = {"sinus": "Sinusoidal", "triangle": "Triangular", "sawtooth": "Sawtooth", "step": "Step"}


@pytest.mark.parametrize("form", WAVES)
def test_waves_are_drawn_as_the_originals(form):
    """Amplitude, frequency and offset within one-sided margins, 3000 of each, by Kolmogorov and Smirnov."""
    import gym_electric_motor.reference_generators as rg

    gem = make_gem("SeriesDc", "Cont", "SC")
    generator = getattr(rg, f"{WAVES[form]}ReferenceGenerator")(reference_state="omega")
    generator.set_modules(gem.physical_system)
    generator.seed(np.random.SeedSequence(0))
    generator._current_episode_length = 2
    theirs = []
    for _ in range(3000):
        generator._reset_reference()
        theirs.append((generator._amplitude, generator._frequency, generator._offset))
    low, high = generator._limit_margin
    params = references.Params(low=jnp.full(3000, low), high=jnp.full(3000, high))
    drawn = references.References((references.Wave(form, gem=True),), 3000)
    ours = drawn.initial(jax.random.key(0), params, 1e-4).generators[0]
    for name, column in zip(("amplitude", "frequency", "offset"), np.array(theirs).T, strict=True):
        assert ks_2samp(getattr(ours, name), column).pvalue > 0.01, name
