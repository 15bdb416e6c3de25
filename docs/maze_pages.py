"""The page of the point mazes: what their class says, their ids, their task and the controller that knows the way."""

import inspect
import pathlib

from palaestra.envs.maze.env import PointMaze
from palaestra.envs.maze.maps import MAZES
from palaestra.envs.registration import make_functional

PAGE = "pointmaze"

CONTROLLER = """\
## A controller that knows the way

`WaypointController` goes from cell to cell along a shortest way, as the one did that made the point maze data sets of
Minari. It reads observations alone and runs inside compiled programs as well as beside gymnasium-robotics' own
environments:

```python
import gymnasium as gym
import jax

import palaestra
from palaestra.envs.maze.waypoints import WaypointController

env = gym.make("palaestra/PointMaze_Medium-v0", continuing_task=False)
controller = WaypointController("Medium")
act = jax.jit(controller.act)
obs, info = env.reset(seed=0)
plan, key, ended = controller.init(jax.random.key(0), obs), jax.random.key(1), False
while not ended:
    key, key_act = jax.random.split(key)
    plan, action = act(key_act, plan, obs)
    obs, reward, terminated, truncated, info = env.step(action)
    ended = terminated or truncated
print(info["success"], reward)
```
"""

PRECISION = """\
## Precision

In 64 bits, states stay within 1e-6 of MuJoCo's over 500 steps along walls and around corners, in every maze, and
within 1e-7 where its solver does not stop early. In 32 bits a step is off by rounding (1e-6 m, 1e-5 m/s), and a ball
that grazes an outer corner multiplies differences as a billiard does: after some hundred steps of random pushing two
simulations of the same actions may be in different places.
`Params.margin` is 0.004 m for MuJoCo 4, which adds the margins of both bodies; 0.002 m reproduces earlier versions.
"""


def page_text(entries, headed, task_table) -> str:
    """The page.

    Args:
      entries: its ids.
      headed, task_table: how `environment_pages` makes headings and tables.
    """
    lines = ["# Point mazes", "", *_picture(), "## Ids", "", *_id_table(entries), ""]
    lines += [headed(inspect.getdoc(PointMaze)), "", "## Maps", "", *_maps(), "", "## Task", ""]
    lines += ["Of `palaestra/PointMaze_Large-v0`; other mazes have shorter ways:", ""]
    lines += [*task_table(make_functional("palaestra/PointMaze_Large-v0").task_space), ""]
    return "\n".join([*lines, CONTROLLER, PRECISION])


def _picture() -> list[str]:
    picture = pathlib.Path(__file__).parent / "_static" / f"{PAGE}.gif"
    return [f"![The controller in the maze Large](../_static/{picture.name})", ""] if picture.exists() else []


def _id_table(entries) -> list[str]:
    rows = ["| id | reward | rows x columns | steps at most | longest way |", "|---|---|---|---|---|"]
    for entry in entries:
        env = make_functional(entry.id)
        size = " x ".join(map(str, env.plan.walls.shape))
        rows.append(f"| `{entry.id}` | {env.reward_type} | {size} | {env.horizon} | {env.placement.longest} cells |")
    return rows


def _maps() -> list[str]:
    lines = ["```text"]
    for name, (rows, _) in MAZES.items():
        lines += [f"{name}", *("  " + row for row in rows), ""]
    return [*lines[:-1], "```"]
