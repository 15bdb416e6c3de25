"""The path that is walked as fast as it is mastered."""

import jax
import numpy as np
import pytest
from palaestra.curricula import Mastery
from palaestra.envs.tasks import Outcome, Parameter, TaskError, TaskSpace

SPACE = TaskSpace(
    (Parameter("alpha", 0, 1, 0.2), Parameter("doors", 1, 5, 1, kind="integer"), Parameter("mass", 1, 9, 3))
)
KEY = jax.random.key(0)


def play(teacher, state, share, episodes):
    """One batch of episodes on the present stage, of which a share succeeds."""
    state, tasks, meta = teacher.sample(state, KEY, episodes)
    success = (np.arange(episodes) < share * episodes).astype(np.float32)
    valid = np.ones(episodes, bool)
    return teacher.update(state, Outcome(tasks, success, np.ones(episodes, np.int32), success, valid, meta))


def task(teacher, state):
    return SPACE.to_dict(teacher.sample(state, KEY, 1)[1][0])


def test_the_path_moves_with_mastery_alone_and_ends_where_it_should():
    teacher = Mastery(("alpha", "doors"), begin=(0.2, 1), end=(0.0, 5), threshold=0.8, episodes=20, step=0.25)
    state = teacher.init(KEY, SPACE)
    assert task(teacher, state) == pytest.approx({"alpha": 0.2, "doors": 1, "mass": 3})
    state = play(teacher, state, 0.75, 20)
    assert float(state.stage) == 0 and float(state.rate) == 0.75
    for stage in (0.25, 0.5, 0.75, 1.0, 1.0):
        state = play(teacher, state, 0.8, 20)
        assert float(state.stage) == stage
    assert task(teacher, state) == pytest.approx({"alpha": 0.0, "doors": 5, "mass": 3})


def test_a_stage_is_decided_on_its_own_episodes():
    teacher = Mastery(("alpha",), end=(0.0,), episodes=10, step=0.5)
    state = teacher.init(KEY, SPACE)
    old = teacher.sample(state, KEY, 10)
    state = play(teacher, state, 1.0, 9)
    assert float(state.stage) == 0
    state = play(teacher, state, 1.0, 1)
    assert float(state.stage) == 0.5
    success = np.ones(10, np.float32)
    late = Outcome(old[1], success, np.ones(10, np.int32), success, np.ones(10, bool), old[2])
    assert float(teacher.update(state, late).stage) == 0.5  # begun before the stage moved


def test_a_threshold_of_nothing_is_a_schedule():
    teacher = Mastery(("mass",), end=(9,), threshold=0.0, episodes=5, step=0.5)
    state = teacher.init(KEY, SPACE)
    for mass in (6.0, 9.0, 9.0):
        state = play(teacher, state, 0.0, 5)
        assert task(teacher, state)["mass"] == mass


@pytest.mark.parametrize(("step", "decisions"), [(0.02, 50), (0.1, 10), (0.3, 4), (1 / 3, 3), (1.0, 1), (0.001, 1000)])
def test_small_steps_do_not_drift(step, decisions):
    teacher = Mastery(("alpha",), end=(0.0,), threshold=0.0, episodes=1, step=step)
    update = jax.jit(lambda state: play(teacher, state, 0.0, 1))
    state = teacher.init(KEY, SPACE)
    for number in range(1, decisions):
        state = update(state)
        assert float(state.stage) == pytest.approx(number * step, abs=1e-7) and float(state.stage) < 1
    state = update(update(state))
    assert float(state.stage) == 1 and int(state.moves) == decisions
    assert task(teacher, state)["alpha"] == 0.0


def test_a_step_too_small_to_count_is_no_error():
    teacher = Mastery(("alpha",), end=(0.0,), threshold=0.0, episodes=1, step=1e-12)
    assert float(play(teacher, teacher.init(KEY, SPACE), 0.0, 1).stage) == pytest.approx(1e-12)


def test_bad_paths_are_refused():
    for options, message in (
        ({"end": (1.0,)}, "expected a number for each"),
        ({"parameters": ("mass",), "end": (2.0,), "begin": (1.0, 2.0)}, "expected a number for each"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"episodes": 0}, "episodes=0"),
        ({"step": 0.0}, "step=0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            Mastery(**options)
    with pytest.raises(TaskError, match="'speed'"):
        Mastery(("speed",), end=(1.0,)).init(KEY, SPACE)
    with pytest.raises(TaskError, match="'mass'"):
        Mastery(("mass",), end=(10.0,)).init(KEY, SPACE)
