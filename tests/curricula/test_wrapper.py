import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from palaestra.curricula import HostTeacher, Random, TaskWrapper
from palaestra.envs.tasks import Parameter, TaskError, TaskSpace

SPACE = TaskSpace((Parameter("goal", 0.0, 4.0, 1.0), Parameter("wind", -2.0, 2.0, 0.0)))


class Walk(gymnasium.Env):
    """Walks for `steps` steps and gains the goal's value at each."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, steps=3, kind="box", success=None):
        box = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.observation_space = spaces.Dict({"place": box}) if kind == "dict" else box
        self.action_space = spaces.Discrete(2)
        self.kind, self.steps, self.success = kind, steps, success
        self.received, self.options = [], None
        self.goal = 1.0

    def set_task(self, task):
        self.received.append(task)
        self.goal = task["goal"]

    def _obs(self):
        place = np.full(2, self.at, np.float32)
        return {"place": place} if self.kind == "dict" else place

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.options = options
        if options and "task" in options:
            self.set_task(options["task"])
        self.at = 0
        return self._obs(), {}

    def step(self, action):
        self.at += 1
        info = {} if self.success is None else {"success": self.success}
        return self._obs(), self.goal, self.at >= self.steps, False, info


class Supply:
    """Proposes (1, 0), (2, 0), ... and notes what it hears."""

    def __init__(self):
        self.proposed, self.heard = 0, []

    def sample_task(self):
        self.proposed += 1
        return np.array([self.proposed, 0.0], np.float32), self.proposed

    def report(self, task, meta, *, return_, length, success):
        self.heard.append((float(task[0]), meta, return_, length, success))


def finish(env):
    while True:
        obs, _, terminated, truncated, info = env.step(0)
        if terminated or truncated:
            return obs, info


@pytest.mark.parametrize("apply", ["options", "set_task", lambda env, task: env.unwrapped.set_task(task)])
def test_every_episode_gets_the_next_task_and_the_supply_hears_of_it(apply):
    supply = Supply()
    env = TaskWrapper(Walk(), SPACE, apply, supply)
    for n in (1, 2, 3):
        _, info = env.reset()
        np.testing.assert_array_equal(info["task"], np.array([n, 0], np.float32))
        assert info["task_id"] == n - 1 and info["task_id"].dtype == np.int64 and info["task_meta"] == n
        _, info = finish(env)
        assert info["task_outcome"] == {"return": 3.0 * n, "length": 3, "success": False}
        assert info["task_id"] == n - 1 and info["task_meta"] == n
    assert env.unwrapped.received[-1] == {"goal": 3.0, "wind": 0.0}
    assert supply.heard == [(n, n, 3.0 * n, 3, False) for n in (1.0, 2.0, 3.0)]


def test_steps_within_an_episode_carry_no_task():
    env = TaskWrapper(Walk(), SPACE, "options", Supply())
    env.reset()
    assert env.step(0)[4] == {}


@pytest.mark.parametrize(
    "options", [{"task": {"goal": 2.5}}, {"task": [2.5, 0.0]}, {"task_vector": np.array([2.5, 0.0])}]
)
def test_a_task_given_by_option_wins_and_is_not_reported(options):
    supply = Supply()
    env = TaskWrapper(Walk(), SPACE, "set_task", supply)
    _, info = env.reset(options={**options, "other": 1})
    np.testing.assert_array_equal(info["task"], np.array([2.5, 0.0], np.float32))
    assert env.unwrapped.options == {"other": 1} and info["task_meta"] is None
    finish(env)
    assert supply.heard == [] and supply.proposed == 0


def test_without_supply_the_last_task_stays():
    env = TaskWrapper(Walk(), SPACE)
    assert env.reset()[1]["task"][0] == 1.0  # the default
    env.reset(options={"task": {"goal": 3.0}})
    assert env.reset()[1]["task"][0] == 3.0


def test_episodes_broken_off_are_not_reported_and_ends_are_reported_once():
    supply = Supply()
    env = TaskWrapper(Walk(), SPACE, "options", supply)
    env.reset()
    env.step(0)
    env.reset()
    finish(env)
    env.step(0)
    assert [row[0] for row in supply.heard] == [2.0]


def test_success_comes_from_the_environment_before_the_threshold():
    for success, threshold, expected in ((None, 3.0, True), (None, 3.1, False), (False, 3.0, False), (True, 9.0, True)):
        env = TaskWrapper(Walk(success=success), SPACE, success_threshold=threshold)
        env.reset()
        assert finish(env)[1]["task_outcome"]["success"] is expected


def test_observed_tasks_are_unit_tasks():
    box = TaskWrapper(Walk(), SPACE, observe_task=True)
    obs, _ = box.reset(options={"task": {"goal": 3.0}})
    np.testing.assert_allclose(obs, [0.0, 0.0, 0.75, 0.5])
    assert box.observation_space.contains(obs) and box.observation_space.contains(box.step(0)[0])
    dictionary = TaskWrapper(Walk(kind="dict"), SPACE, observe_task=True)
    obs, _ = dictionary.reset(options={"task": {"goal": 3.0}})
    np.testing.assert_allclose(obs["task"], [0.75, 0.5])
    assert dictionary.observation_space.contains(obs) and set(obs) == {"place", "task"}


def test_gymnasium_accepts_the_wrapped_environment():
    """Without a supply: with one, each reset brings another task, which the checker takes for nondeterminism."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a wrapper, and that positions are unbounded
        check_env(TaskWrapper(Walk(), SPACE, observe_task=True))


def test_what_cannot_work_is_refused_early():
    class Plain(Walk):
        set_task = property()

    with pytest.raises(ValueError, match="apply='direct'"):
        TaskWrapper(Walk(), SPACE, "direct")
    with pytest.raises(ValueError, match="no method set_task"):
        TaskWrapper(Plain(), SPACE, "set_task")
    env = Walk()
    env.observation_space = spaces.Discrete(3)
    with pytest.raises(ValueError, match="observe_task"):
        TaskWrapper(env, SPACE, observe_task=True)
    env = TaskWrapper(Walk(), SPACE)
    with pytest.raises(TaskError, match="goal"):
        env.reset(options={"task": {"goal": 9.0}})
    with pytest.raises(ValueError, match="both"):
        env.reset(options={"task": {"goal": 1.0}, "task_vector": [1.0, 0.0]})


def test_a_teacher_hears_of_every_episode_through_the_wrapper():
    teacher = HostTeacher(Random(), SPACE, 0)
    env = TaskWrapper(Walk(), SPACE, "options", teacher)
    for _ in range(5):
        env.reset()
        finish(env)
    assert teacher.metrics()["episodes"] == 5
