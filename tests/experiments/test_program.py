"""Compiled programs: the same numbers on any devices, and each program compiled once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.ppo import PPO, Config
from palaestra.curricula import Random
from palaestra.envs.classic.pendulum import Pendulum, State
from palaestra.envs.stepping import take_row
from palaestra.experiments.parallel import AXIS, Layout, choose_layout
from palaestra.experiments.program import Program

SMALL = Config(hidden=(8,), num_envs=8, rollout_length=8, epochs=2, num_minibatches=2)
AGENT = PPO(Pendulum(horizon=20), Random(), SMALL)
LAYOUTS = [pytest.param(1, "lanes", id="lanes"), pytest.param(8, "seeds", id="seeds")]
TESTS = 5  # which no number of devices divides


class Hollow(State):
    empty: jax.Array


@dataclasses.dataclass(frozen=True)
class HollowPendulum(Pendulum):
    """A pendulum whose state has an array without elements, as a track without obstacles has."""

    def initial(self, rng, params=None):
        state = super().initial(rng, params)
        return Hollow(angle=state.angle, spin=state.spin, empty=jnp.zeros((0, 4)))

    def transition(self, state, action, rng, params=None):
        after = super().transition(state, action, rng, params)
        return state.replace(angle=after.angle, spin=after.spin)


def agree(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), a, b)


def trained(num_seeds, num_devices, seed=3, count=3):
    """(program, state, value losses (count, S)) after `count` iterations."""
    program = Program(AGENT, num_seeds, count, num_devices=num_devices)
    state, chunk = program.advance(program.init(seed), count)
    return program, state, jax.device_get(chunk.metrics["train/value_loss"])


def scores(program, state, seed=3):
    return jax.device_get(program.evaluate(state, program.draw_test_tasks(TESTS, "space"), seed))


@pytest.mark.parametrize(("num_seeds", "shared"), LAYOUTS)
def test_one_and_eight_devices_agree(num_seeds, shared):
    assert jax.device_count() == 8
    alone, expected, expected_losses = trained(num_seeds, 1)
    together, found, losses = trained(num_seeds, 8)
    assert (alone.layout.shared, len(alone.layout.devices)) == (None, 1)
    assert (together.layout.shared, len(together.layout.devices)) == (shared, 8)
    agree(jax.device_get((expected.params, expected_losses)), jax.device_get((found.params, losses)))
    # The same learner on either: an episode would make more of the last bits in which the trained ones differ.
    evaluated = scores(together, jax.device_get(expected))
    assert evaluated.return_.shape == (num_seeds, TESTS)
    exact = scores(alone, expected)
    # Of the largest, because the unstable pendulum multiplies last bits of the actions by some hundreds in an episode.
    np.testing.assert_allclose(evaluated.return_, exact.return_, rtol=0, atol=1e-5 * np.abs(exact.return_).max())
    agree(exact.replace(return_=0), evaluated.replace(return_=0))


def test_seeds_on_devices_equal_seeds_alone():
    program, together, _ = trained(2, 2)
    assert program.layout == Layout(2, tuple(jax.devices()[:2]), "seeds")
    for row, seed in enumerate([3, 4]):
        _, alone, _ = trained(1, 1, seed)
        agree(*jax.device_get((take_row(together.params, row), alone.params)))
    returns = scores(program, together).return_
    assert not np.allclose(returns[0], returns[1])


@pytest.mark.parametrize(("num_seeds", "num_devices"), [(1, 2), (2, 2)], ids=["lanes", "seeds"])
def test_arrays_without_elements_may_be_part_of_a_state(num_seeds, num_devices):
    program = Program(PPO(HollowPendulum(horizon=20), Random(), SMALL), num_seeds, 1, num_devices=num_devices)
    state = program.init(0)
    for _ in range(3):
        state, _ = program.advance(state, 1)
    assert np.isfinite(program.evaluate(state, program.draw_test_tasks(TESTS, "space"), 0).return_).all()


@pytest.mark.parametrize(("num_seeds", "num_devices"), [(1, 1), (1, 2), (2, 2)], ids=["one", "lanes", "seeds"])
def test_what_is_compiled_ahead_is_what_runs_and_nothing_compiles_twice(monkeypatch, num_seeds, num_devices):
    compiled, compile_one = [], Program._compile

    def counted(self, name, *args, **options):
        compiled.append(name)
        return compile_one(self, name, *args, **options)

    monkeypatch.setattr(Program, "_compile", counted)
    program = Program(AGENT, num_seeds, 3, num_devices=num_devices)
    assert len(program.layout.devices) == num_devices
    tasks = program.draw_test_tasks(TESTS, "space")
    program.compile_ahead(tasks)
    program.compile_ahead(tasks)
    ahead = {name: future.result() for name, future in program._ahead.items()}
    assert set(ahead) == {"train_step", "evaluation"}
    state = program.init(0)
    for count in (1, 3):
        state, _ = program.advance(state, count)
        first = program.evaluate(state, tasks, 0)
        agree(first, program.evaluate(jax.device_get(state), tasks, 0))  # as a state comes from a checkpoint
        state = program.reseed(state, 1)
    assert sorted(compiled) == ["evaluation", "init", "train_step"]
    assert all(program.compiled[name] is ahead[name] for name in ahead)


def test_layout_prefers_whole_seeds_and_never_leaves_lanes_uneven():
    devices = list("abcdefgh")
    assert choose_layout(16, 10, devices).shared == "seeds"
    assert choose_layout(1, 64, devices) == Layout(1, tuple(devices), "lanes")
    assert choose_layout(3, 6, devices[:4]) == Layout(3, tuple("abc"), "seeds")
    assert choose_layout(1, 7, devices[:2]).shared is None
    assert AXIS == "devices"


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="num_devices=0; expected at least 1"):
        Program(AGENT, 1, 1, num_devices=0)
    with pytest.raises(ValueError, match="num_seeds=0; expected at least 1"):
        Program(AGENT, 0, 1)
