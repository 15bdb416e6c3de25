import jax
import numpy as np
import pytest
from palaestra.curricula import Fixed, HostTeacher, Random
from palaestra.envs.tasks import Parameter, TaskError, TaskSpace

SPACE = TaskSpace((Parameter("height", 0.0, 3.0, 1.5), Parameter("mass", 0.1, 10.0, 1.0, scale="log")))


def test_random_covers_the_space_uniformly_along_each_scale():
    state = Random().init(jax.random.key(0), SPACE)
    _, task, _ = Random().sample(state, jax.random.key(1), 20_000)
    unit = np.stack([np.asarray(task)[:, 0] / 3.0, (np.log10(np.asarray(task)[:, 1]) + 1) / 2], 1)
    for column in unit.T:
        assert np.abs(np.histogram(column, 10, (0, 1))[0] / 20_000 - 0.1).max() < 0.01


def test_host_twin_of_random_equals_the_functional_core_bitwise():
    host = HostTeacher(Random(), SPACE, seed=7)
    key, key_init = jax.random.split(jax.random.key(7))
    state = Random().init(key_init, SPACE)
    for _ in range(2):
        key, key_sample = jax.random.split(key)
        _, tasks, _ = Random().sample(state, key_sample, 64)
        drawn = np.stack([host.sample_task()[0] for _ in range(64)])
        np.testing.assert_array_equal(drawn, np.asarray(tasks))


def test_fixed_takes_the_default_unless_told_otherwise():
    for teacher, expected in ((Fixed(), [1.5, 1.0]), (Fixed((3.0, 0.5)), [3.0, 0.5])):
        state = teacher.init(jax.random.key(0), SPACE)
        _, task, _ = teacher.sample(state, jax.random.key(0), 3)
        np.testing.assert_array_equal(task, np.array([expected] * 3, np.float32))
        np.testing.assert_array_equal(teacher.distribution(state, task), np.ones(3))


def test_fixed_refuses_a_task_outside_the_space():
    with pytest.raises(TaskError, match="height"):
        Fixed((4.0, 1.0)).init(jax.random.key(0), SPACE)
