import numpy as np
import pytest
from palaestra.curricula import ALPGMM, HostTeacher, Random
from palaestra.envs.tasks import Parameter, TaskError, TaskSpace

SPACE = TaskSpace((Parameter("height", 0.0, 3.0, 0.0), Parameter("gap", 0.0, 6.0, 6.0)))
SMALL = ALPGMM(fit_rate=50, components=(2, 4), history=128)


def teach(host, episodes):
    """Returns move where `height` is small only; gives the tasks and metas handed out."""
    drawn = []
    for n in range(episodes):
        task, meta = host.sample_task()
        host.report(task, meta, return_=float(n % 7) if task[0] < 1.0 else 0.0, length=10, success=False)
        drawn.append((task, meta))
    return drawn


def test_refits_come_exactly_every_fit_rate_episodes():
    host = HostTeacher(SMALL, SPACE, seed=0)
    for n in range(1, 161):
        teach(host, 1)
        assert host.refits == n // 50
    assert host.metrics()["fits"] == 3


def test_no_draw_made_before_a_refit_is_served_after_it():
    host = HostTeacher(SMALL, SPACE, seed=0)
    before = teach(host, 50)
    after = [host.sample_task() for _ in range(64)]
    assert all(int(meta) == -1 for _, meta in before)
    assert np.mean([int(meta) >= 0 for _, meta in after]) > 0.5


def test_equal_seeds_teach_alike_and_other_seeds_differently():
    first, again, other = (np.stack([t for t, _ in teach(HostTeacher(SMALL, SPACE, seed=s), 80)]) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_returns_that_are_not_finite_are_counted_and_dropped():
    host = HostTeacher(SMALL, SPACE, seed=0)
    task, meta = host.sample_task()
    host.report(task, meta, return_=float("nan"), length=1, success=False)
    assert host.metrics()["dropped"] == 1 and host.metrics()["episodes"] == 0


def test_foreign_tasks_are_checked():
    host = HostTeacher(Random(), SPACE, seed=0)
    host.report({"height": 1.0}, (), return_=0.0, length=1, success=True)
    with pytest.raises(TaskError, match="height"):
        host.report([9.0, 0.0], (), return_=0.0, length=1, success=True)
    assert host.metrics()["episodes"] == 1


def test_closed_teachers_refuse_and_still_tell():
    host = HostTeacher(Random(), SPACE, seed=0)
    host.close()
    host.close()
    with pytest.raises(RuntimeError, match="closed"):
        host.sample_task()
    assert host.metrics()["episodes"] == 0 and host.snapshot()["random_share"] == 1.0
