"""Options of drives: what is refused, what is equal, what runs."""

import math
import pickle

import jax
import numpy as np
import palaestra  # noqa: F401  (registers the ids)
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.motors import converters, loads, references, supplies
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, TASK_NAMES
from palaestra.envs.motors.limits import Limit
from palaestra.envs.registration import MOTOR_FAMILIES, MOTOR_TASKS

from .motor_play import play

NAN, INF = math.nan, math.inf


REFUSED = [
    ({"family": "PMSN"}, "family='PMSN'", "'PMSM'"),
    ({"action": "cont"}, "action='cont'", "'Cont'"),
    ({"task": "XX"}, "task='XX'", "'TC'"),
    ({"compat": "old"}, "compat='old'", "'gem'"),
    ({"solver": "rk5"}, "solver='rk5'", "'rk4'"),
    ({"noise": "pink"}, "noise='pink'", "'normal'"),
    ({"control": "abc"}, "control='abc'", "'dq'"),
    ({"extras": ("wear",)}, "extras='wear'", "'heating'"),
    ({"supply": "dc"}, "supply='dc'", "'ideal'"),
    ({"supply": 3}, "supply=3", "'ideal'"),
    ({"load": "pump"}, "load='pump'", "'polynomial'"),
    ({"load": 3}, "load=3", "'polynomial'"),
    ({"reference": "zigzag"}, "reference='zigzag'", "'wiener'"),
    ({"reference": ("wiener",) * 3}, "3 generators", "1 or 2"),
    ({"converter": "B7"}, "converter='B7'", "'B6'"),
    ({"converter": "4QC"}, "('4QC',) has 1 terminals", "PMSM needs 3"),
    ({"family": "EESM", "converter": "B6"}, "has 3 terminals", "EESM needs 4"),
    ({"supply": "ac3"}, "3 voltages", "'direct'"),
    ({"converter": "direct"}, "1 voltages", "three phases"),
    ({"machine": {"l_d": -1.0}}, "machine['l_d']=-1.0", "positive"),
    ({"machine": {"l_d": 0.0}}, "machine['l_d']=0.0", "positive"),
    ({"machine": {"l_d": NAN}}, "machine['l_d']=nan", "finite"),
    ({"machine": {"l_d": INF}}, "machine['l_d']=inf", "finite"),
    ({"machine": {"l_d": "x"}}, "machine['l_d']='x'", "finite"),
    ({"machine": {"l_x": 1.0}}, "unknown 'l_x'", "'l_q'"),
    ({"family": "EESM", "machine": {"l_m": 3e-3}}, "l_m=0.003", "less than sqrt(l_d l_e)"),
    ({"limits": {"i": 0.0}}, "limits['i']=0.0", "positive"),
    ({"limits": {"k": 1.0}}, "unknown 'k'", "'omega'"),
    ({"nominal": {"i": 500.0}}, "nominal['i']=500.0", "400"),
    ({"interlocking_time": 1e-4}, "interlocking_time=0.0001", "less than a control period"),
    ({"interlocking_time": -1.0}, "interlocking_time=-1.0", "[0, 0.0001)"),
    ({"interlocking_time": NAN}, "interlocking_time=nan", "finite"),
    ({"dead_time": 4}, "dead_time=4", "[0, 3]"),
    ({"dead_time": 1.5}, "dead_time=1.5", "whole"),
    ({"dead_time": True}, "dead_time=True", "whole"),
    ({"tau": 0.0}, "tau=0.0", "positive"),
    ({"tau": NAN}, "tau=nan", "finite"),
    ({"supply_voltage": -1.0}, "supply_voltage=-1.0", "positive"),
    ({"supply_parameters": {"resistance": -1.0}}, "supply_parameters['resistance']=-1.0", "positive"),
    ({"supply": "rc", "supply_parameters": {"capacitance": 0.0}}, "supply_parameters['capacitance']=0.0", "positive"),
    ({"load_parameters": {"j_load": 0.0}}, "load_parameters['j_load']=0.0", "positive"),
    ({"load_parameters": {"theta": 0.0}}, "load_parameters['theta']=0.0", "positive"),
    ({"load_parameters": {"b": -1.0}}, "load_parameters['b']=-1.0", "at least 0"),
    ({"load_parameters": {"d": 1.0}}, "unknown 'd'", "'j_load'"),
    ({"load_parameters": {"speed": 1e4}}, "load_parameters['speed']=10000.0", "418.879"),
    ({"weights": {"i": 1.0}}, "unknown 'i'", "'i_sd'"),
    ({"weights": {"i_sd": -1.0}}, "weights['i_sd']=-1.0", "at least 0"),
    ({"powers": {"i_sd": 0.0}}, "powers['i_sd']=0.0", "positive"),
    ({"reward_offset": "large"}, "reward_offset='large'", "finite"),
    ({"substeps": 0}, "substeps=0", "at least 1"),
    ({"substeps": 1.5}, "substeps=1.5", "whole"),
    ({"preview": -1}, "preview=-1", "at least 0"),
    ({"preview": 1.5}, "preview=1.5", "whole"),
    ({"horizon": 0}, "horizon=0", "at least 1"),
    ({"referenced": ("flux",)}, "referenced='flux'", "'torque'"),
    ({"referenced": ()}, "referenced=()", "at least one"),
    ({"referenced": ("i_sd", "i_sd")}, "('i_sd', 'i_sd')", "none twice"),
    ({"angle": "degrees"}, "angle='degrees'", "'cos_sin'"),
    ({"watched": [Limit(("flux",))]}, "watched='flux'", "'i_sd'"),
    ({"watched": ["i_sd"]}, "watched: got 'i_sd'", "Limit"),
    ({"action": "Finite", "control": "dq"}, "control='dq' with Finite-PMSM", "continuous"),
    ({"family": "DFIM", "control": "dq"}, "control='dq' with Cont-DFIM", "one frame"),
    ({"flux_observer": True}, "flux_observer=True", "induction"),
    ({"start": {"i_d": 1.0}}, "unknown 'i_d'", "'i_sd'"),
    ({"start": {"i_sd": NAN}}, "start['i_sd']=nan", "finite"),
    ({"extras": ("load_step",)}, "'constant_speed'", "'load_step'"),
]


@pytest.mark.parametrize("options, wrong, right", REFUSED, ids=[f"{i} {case[1]}" for i, case in enumerate(REFUSED)])
def test_options_that_do_not_fit_are_named_with_what_would(options, wrong, right):
    with pytest.raises(OptionError) as caught:
        make_motor(**options)
    assert wrong in str(caught.value) and right in str(caught.value)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="pole_pairs"):
        make_motor(pole_pairs=3)


def test_the_gem_form_takes_the_exciter_data_that_the_physical_form_refuses():
    assert make_motor("EESM", compat="gem", machine={"l_m": 3e-3}).gem


SETTINGS = {
    "plain": {},
    "options": {
        "family": "ExtExDc",
        "action": "Finite",
        "task": "SC",
        "converter": ("2QC", "4QC"),
        "interlocking_time": 1e-6,
        "dead_time": 2,
        "supply": "rc",
        "load": "two_mass",
        "reference": "switched",
        "preview": 2,
        "extras": ("noise", "heating"),
        "watched": (Limit(("i_a",), soft=0.9),),
        "start": {"i_a": 3.0, "omega": 1.0},
    },
    "objects": {
        "supply": supplies.AC(1, 0.3),
        "load": loads.SpeedProfile((0.0, 1.0), 1e-3),
        "reference": (references.Wave("sinus"), references.Constant(0.2)),
    },
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_equal_settings_are_equal_hash_alike_and_survive_pickling(setting):
    first, second = make_motor(**SETTINGS[setting]), make_motor(**SETTINGS[setting])
    assert first == second and hash(first) == hash(second)
    assert pickle.loads(pickle.dumps(first)) == first


def test_other_settings_are_other_drives():
    plain = make_motor()
    for options in ({"tau": 5e-5}, {"solver": "euler"}, {"machine": {"l_d": 4e-4}}, {"compat": "gem"}, {"preview": 1}):
        assert make_motor(**options) != plain


@pytest.mark.parametrize("kind", [*loads.LOADS])
def test_every_load_runs(kind):
    env = make_motor("PermExDc", "Cont", "SC", load=kind)
    _, states = play(env, [[0.1]] * 3)
    assert np.isfinite(states[-1].measured).all()


@pytest.mark.parametrize("kind", [*supplies.SUPPLIES])
def test_every_supply_runs(kind):
    env = make_motor("SCIM", "Cont", "CC", supply=kind, converter="direct" if kind == "ac3" else None)
    actions = [np.zeros(env.action_space.shape)] * 3
    first, states = play(env, actions)
    assert np.isfinite(states[-1].measured).all()
    names = [n for n in env.layout.names if n.startswith("u_sup")]
    assert len(names) == (3 if kind == "ac3" else 1)
    assert env.observation_space.contains(np.asarray(env.observation(first, jax.random.key(0))))


def test_one_quadrant_drives_reference_what_they_can_reach():
    env = make_motor("ExtExDc", "Cont", "SC", converter=("1QC", "1QC"))
    low = dict(zip(env.layout.names, env.layout.low, strict=True))
    assert all(low[name] == 0.0 for name in ("omega", "torque", "i_a", "i_e", "u_a", "u_e"))
    assert env.nominal.margins == ((0.0, 0.75),)
    assert converters.Converter(("1QC", "1QC"), False).action_space == env.action_space


def test_the_registry_which_imports_no_family_calls_them_as_the_data_sheets_do():
    assert {name: sheet.title for name, sheet in FAMILIES.items()} == MOTOR_FAMILIES
    assert TASK_NAMES == MOTOR_TASKS
