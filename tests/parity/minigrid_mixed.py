"""Episodes of the `minigrid` package of which plans solve about half, and all of which are played to their end."""

import contextlib
import itertools

from palaestra.envs.minigrid import reference
from palaestra.envs.minigrid.planner import UnsolvableError, plan

from .minigrid_play import gather, play_one, random_policy

LEFT, RIGHT, FORWARD = 0, 1, 2
EAST, SOUTH = 0, 1
PLANLESS = ("MiniGrid-Playground-v0",)  # nothing ends it but time


def mixed_play(name, count):
    """As `play`, whole episodes of seeds from 0: solved ones or failed ones, whichever there are fewer of.

    A seed whose level has no plan is left out where one is wanted.
    """
    env, episodes, solved = reference.make_reference(name), {}, 0
    failing = itertools.cycle((random_policy, turning) if name in PLANLESS else (astray, turning, all_but_solving))
    for seed in itertools.count():
        if len(episodes) == count:
            return gather(name, episodes)
        policy = solving if 2 * solved <= len(episodes) and name not in PLANLESS else next(failing)
        with contextlib.suppress(UnsolvableError):
            episodes[seed] = play_one(env, seed, policy, limit=None)
            solved += episodes[seed][2][-1]["reward"] > 0


def solving(env, rng):
    """A solution, with looks to either side where there is time for them."""
    for action, left in solution(env):
        if rng.random() < 0.2 and env.step_count + left + 2 <= env.max_steps:
            yield from (LEFT, RIGHT) if rng.random() < 0.5 else (RIGHT, LEFT)
        yield action


def astray(env, rng):
    """Random play from somewhere on the way."""
    for action, left in solution(env):
        if left < 3 or rng.random() < 0.1:
            break
        yield action
    yield from random_policy(env, rng)


def all_but_solving(env, rng):
    """A solution but for its last action, then turns."""
    yield from (action for action, _ in itertools.takewhile(lambda step: step[1] > 0, solution(env)))
    yield from turning(env, rng)


def turning(env, rng):
    """Nothing but left turns."""
    while True:
        yield LEFT


def solution(env):
    """(action, how many follow it) that solve a level.

    Raises:
      UnsolvableError: there is no plan.
    """
    if hasattr(env, "obstacles"):
        yield from careful(env)
        return
    actions = plan(reference.import_level(env), reference.rule_of(env)).actions
    yield from zip(actions, reversed(range(len(actions))), strict=True)


def careful(env):
    """Towards the goal in the lower right corner, never forward where something stands."""
    while True:
        x, y = map(int, env.agent_pos)
        right, down = env.width - 2 - x, env.height - 2 - y
        ahead = env.grid.get(*env.front_pos)
        wanted = (EAST, SOUTH) if right and down else (EAST,) if right else (SOUTH,)
        clear = ahead is None or ahead.type == "goal"
        yield (FORWARD if env.agent_dir in wanted and clear else LEFT), right + down - 1
