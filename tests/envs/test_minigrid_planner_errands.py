"""Plans without search."""

import numpy as np
import pytest
from palaestra.envs.minigrid import cells
from palaestra.envs.minigrid.planner import (
    plan,
)
from palaestra.envs.minigrid.planner.errands import StuckError, run_errands
from palaestra.envs.minigrid.planner.tasks import task_of

from .minigrid_planned import CHOSEN, level_of, levels, start_of

pytest.importorskip("minigrid")


@pytest.mark.parametrize("name", CHOSEN)
def test_errands_solve_what_they_should_and_are_no_shorter(name):
    for env, level, rule in levels(name, range(2, 5)):
        task = task_of(level, rule)
        if len(task.clauses) > 1:
            continue
        found = run_errands(task, start_of(task), 0, task.world.max_steps)
        for action in found.actions:
            _, reward, terminated, _, _ = env.step(action)
        assert terminated and reward > 0
        assert len(found.actions) >= plan(level, rule).length


def test_errands_make_room_where_something_is_to_be_put():
    """The red key goes beside a box in a corner, and keys lie on either side of it."""
    level, rule = level_of("BabyAI-MoveTwoAcrossS8N9-v0", 38)
    task = task_of(level, rule)
    found = run_errands(task, start_of(task), 0, 1000)
    assert found.config.pending == 0b10


def test_errands_that_lead_nowhere_say_so():
    level, rule = level_of("MiniGrid-DoorKey-5x5-v0")
    kinds = cells.kind(level.grid)
    task = task_of(level.replace(grid=np.where(kinds == cells.KEY, cells.WALL, level.grid)), rule)
    with pytest.raises(StuckError):
        run_errands(task, start_of(task), 0, 1000)
