"""The walker environments: track, physics and senses put together.

Source: Gymnasium 1.4 `box2d/bipedal_walker.py` on Box2D 2.3; stump tracks of teachDeepRL (Portelas et al. 2019).
Differs: non-finite actions count as 0.

Letters: J joints, L legs, N bodies.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from ..contract import TaskEnv
from ..tasks import Parameter, TaskSpace
from . import sensing
from .bodies import BIPED, BodyPlan, geometry, hull_outline, joint_reference
from .dynamics import COMPILER_OPTIONS, DISCRETE, EXACT, FAST, Solver, advance, initial_physics, settle
from .lidar import DIRECTIONS, lidar, reach_of
from .terrain import FlatTrack, HardcoreTrack, StumpTrack, Track
from .types import INITIAL_PUSH, LIDAR_COUNT, SCALE, Geometry, Params, Physics, State, Terrain

SOLVERS: dict[str, Solver] = {"exact": EXACT, "exact_no_ccd": DISCRETE, "fast": FAST}
LEG_BOUND = (np.pi, 5.0, np.pi, 5.0)  # hip angle, hip speed, knee angle, knee speed as observed


def observation_space(plan: BodyPlan) -> spaces.Box:
    """Bounds as in the original; the ground flag alone has different lower and upper ones."""
    hull = (np.pi, 5.0, 5.0, 5.0)
    low = (*(-x for x in hull), *(*(-x for x in LEG_BOUND), -0.0) * plan.num_legs, *(-1.0,) * LIDAR_COUNT)
    high = (*hull, *(*LEG_BOUND, 5.0) * plan.num_legs, *(1.0,) * LIDAR_COUNT)
    return spaces.Box(np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class Walker(TaskEnv):
    """What all walkers share; a registered environment adds its track, its task and its page.

    Attributes:
      solver: "exact" repeats Box2D's solver iteration for iteration, impacts within a step included;
        "exact_no_ccd" leaves the impacts out; "fast" does a ninth of the work, is stable, and is not the same physics.
      horizon: steps until truncation.
    """

    solver: str = "exact"
    horizon: int = 1600

    plan: ClassVar[BodyPlan] = BIPED
    action_space = spaces.Box(-1.0, 1.0, (BIPED.num_joints,), np.float32)
    observation_space = observation_space(BIPED)
    reward_range_hint: ClassVar[tuple[float, float]] = (-150.0, 350.0)  # teachDeepRL's bounds
    compiler_options: ClassVar[dict[str, dict[str, str | bool]]] = COMPILER_OPTIONS
    render_fps: ClassVar[int] = 50
    end_reasons = ("the hull touched something", "the walker left the track", "the walker passed the finish line")

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise ValueError(f"solver={self.solver!r}; expected one of {list(SOLVERS)}")

    @property
    def track(self) -> Track:
        """The generator of the environment's terrain."""
        raise NotImplementedError

    def task_params(self, task: jax.Array) -> Params:
        assert isinstance(self.task_space, TaskSpace)
        return Params(**{name: task[..., i] for i, name in enumerate(self.task_space.names)})

    def initial(self, rng: jax.Array, params: Params | None = None) -> State:
        """A new track, and the walker after one step without torque under a random push, as in the original."""
        params = self.default_params if params is None else params
        key_track, key_push = jax.random.split(rng)
        terrain = self.track(key_track, params)
        push = jax.random.uniform(key_push, (), minval=-INITIAL_PUSH, maxval=INITIAL_PUSH)
        shape = geometry(params, self.plan)
        created = initial_physics(params, self.plan, shape=shape)
        physics, touch = settle(created, terrain, push, params, self.plan, SOLVERS[self.solver], shape)
        return State(
            physics=physics,
            shape=shape,
            terrain=terrain,
            hull_touched=touch.hull_began,
            ground_flag=touch.update_flags(jnp.zeros((self.plan.num_legs,), bool)),
            ground_touch=touch.shin_touch,
            lidar=self._lidar(terrain, physics, shape, params),
            overflow=terrain.overflow | touch.overflow,
        )

    def transition(self, state: State, action: jax.Array, rng: jax.Array, params: Params | None = None) -> State:
        del rng  # deterministic
        params = self.default_params if params is None else params
        solver = SOLVERS[self.solver]
        physics, touch = advance(
            state.physics, state.terrain, finite(action), 0.0, params, self.plan, solver, state.shape
        )
        return state.replace(
            physics=physics,
            hull_touched=state.hull_touched | touch.hull_began,
            ground_flag=touch.update_flags(state.ground_flag),
            ground_touch=touch.shin_touch,
            lidar=self._lidar(state.terrain, physics, state.shape, params),
            overflow=state.overflow | touch.overflow,
        )

    def observation(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        del rng, params  # deterministic
        physics = state.physics
        parent, child = (np.array(side) for side in zip(*self.plan.joint_bodies, strict=True))
        return sensing.observe(
            angle=physics.angle[0],
            spin=physics.spin[0],
            velocity=physics.velocity[0],
            joint_angle=physics.angle[child] - physics.angle[parent] - joint_reference(self.plan),
            joint_speed=physics.spin[child] - physics.spin[parent],
            ground_flag=state.ground_flag,
            lidar=state.lidar,
        )

    def reward_terms(self, state: State, action: jax.Array, next_state: State, params: Params) -> dict[str, jax.Array]:
        """The reward is the sum of these."""
        x, next_x = _hull_x(state), _hull_x(next_state)
        return sensing.reward_terms(
            x=x,
            angle=state.physics.angle[0],
            next_x=next_x,
            next_angle=next_state.physics.angle[0],
            action=finite(action),
            failed=sensing.has_failed(next_x, next_state.hull_touched),
        )

    def reward(
        self, state: State, action: jax.Array, next_state: State, rng: jax.Array, params: Params | None = None
    ) -> jax.Array:
        params = self.default_params if params is None else params
        return sum(self.reward_terms(state, action, next_state, params).values(), start=jnp.zeros(()))

    def terminal(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        return sensing.terminal(_hull_x(state), state.hull_touched, state.terrain.finish)

    def end_reason(self, state: State, params: Params | None = None) -> jax.Array:
        return jnp.where(state.hull_touched, 0, jnp.where(_hull_x(state) < 0, 1, 2)).astype(jnp.int32)

    def transition_info(
        self, state: State, action: jax.Array, next_state: State, params: Params | None = None
    ) -> dict[str, Any]:
        """Feet on the ground (L,) without the original's event semantics, ignored action entries, and whether
        terrain or contacts ran out of room."""
        return {
            "ground_touch": next_state.ground_touch,
            "invalid_action": jnp.any(~jnp.isfinite(action)),
            "terrain_overflow": next_state.overflow,
        }

    def render_image(
        self, state: State, render_state: Any = None, params: Params | None = None
    ) -> tuple[Any, np.ndarray]:
        from .render import draw_walker

        params = self.default_params if params is None else params
        origins = np.array(_origins(state.physics, state.shape.center))
        rays = origins[0] + np.array(state.lidar)[:, None] * np.array(DIRECTIONS) * float(params.lidar_range)
        angles = np.array(state.physics.angle)
        return render_state, draw_walker(state.terrain, _outlines(self.plan, state.shape), origins, angles, rays)

    def _lidar(self, terrain: Terrain, physics: Physics, shape: Geometry, params: Params) -> jax.Array:
        origin = sensing.hull_origin(physics.position[0], physics.angle[0], shape.center[0])
        return lidar(terrain, origin, params.lidar_range, reach_of(self.track))


def _hull_x(state: State) -> jax.Array:
    physics = state.physics
    return sensing.hull_origin(physics.position[0], physics.angle[0], state.shape.center[0])[0]


def finite(action: jax.Array) -> jax.Array:
    """Actions with 0 in place of NaN and infinities."""
    return jnp.where(jnp.isfinite(action), action, 0.0)


@jax.jit
def _origins(physics: Physics, center: jax.Array) -> jax.Array:
    """(N, 2) [m] origins of all body frames."""
    return jax.vmap(sensing.hull_origin)(physics.position, physics.angle, center)


def _outlines(plan: BodyPlan, shape: Geometry) -> list[np.ndarray]:
    """Body polygons (V, 2) [m] in body frames."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    return [hull_outline(plan), *(corners * half for half in np.array(shape.leg_half))]


@dataclasses.dataclass(frozen=True)
class BipedalWalker(Walker):
    """Walk to the end of an uneven track on two legs.

    Description:
      Gymnasium's BipedalWalker-v3 (with `hardcore=True, horizon=2000` BipedalWalkerHardcore-v3): a hull on two legs of
      two segments, four motors, ten lidar rays. The task scales body and physics; the default task is the original. The
      default solver repeats Box2D's operation by operation; `solver="fast"` is for training at scale.

    Action space: `Box(-1, 1, (4,), float32)`

      | index | meaning | range |
      |---|---|---|
      | 0 | hip of the first leg: sign is the direction, size the share of the motor's torque | -1 .. 1 |
      | 1 | knee of the first leg | -1 .. 1 |
      | 2 | hip of the second leg | -1 .. 1 |
      | 3 | knee of the second leg | -1 .. 1 |

      Larger numbers saturate; NaN and infinities count as 0 and set `info["invalid_action"]`.

    Observation space: `Box((24,), float32)`

      | index | meaning | unit |
      |---|---|---|
      | 0 | hull angle | rad |
      | 1 | hull angular velocity | 25 rad/s |
      | 2 | horizontal velocity | 8.33 m/s |
      | 3 | vertical velocity | 12.5 m/s |
      | 4, 9 | hip angle of the first, second leg | rad |
      | 5, 10 | hip speed | 4 rad/s |
      | 6, 11 | knee angle + 1 | rad |
      | 7, 12 | knee speed | 6 rad/s |
      | 8, 13 | ground flag: set when the shin begins a contact, cleared when it ends any | 0 or 1 |
      | 14 .. 23 | lidar fractions of 5.33 m, from straight down to 77 degrees forward | 1 |

    Reward: 4.33 per metre forward, minus 5 per rad of hull tilt gained, minus 0.028 per joint at full torque; a step
      that ends in a fall pays -100 and nothing else. About 300 for a full track.

    Start: at rest in the air over the start pad, after one step without torque under a random push of up to 5 N.

    End: terminated when the hull touches anything, moves left of the track, or passes the finish line (88.7 m);
      truncated after `horizon` steps (1600; 2000 for BipedalWalkerHardcore).

    Example:
      ```python
      import gymnasium as gym
      env = gym.make("palaestra/BipedalWalker-v0", solver="fast")
      obs, info = env.reset(seed=0, options={"task": {"gravity": 6.0, "friction": 1.0}})
      obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
      ```

    Version history:
      v0: first version.

    Source: Gymnasium 1.4 `box2d/bipedal_walker.py`, Box2D 2.3. Differs: contacts of one body are solved
      from right to left, the order in which Box2D solves those of a walker that moves forward; one that stumbles
      backward can have another (5 % of steps under random actions, none of Gymnasium's heuristic gait). On the others
      of 2,742 recorded steps velocities agree to the last bit, or to 1e-5 if a foot hits the ground within the step.
    """

    hardcore: bool = False

    success_return: ClassVar[float] = 300.0
    task_space = TaskSpace(
        (
            Parameter("gravity", 5.0, 15.0, 10.0, "m/s^2", doc="Gravitational acceleration."),
            Parameter("friction", 0.25, 5.0, 2.5, "1", "log", doc="Friction of the ground."),
            Parameter("motor_torque", 40.0, 120.0, 80.0, "N m", doc="Torque of a motor at full action."),
            Parameter("leg_height", 20 / SCALE, 44 / SCALE, 34 / SCALE, "m", doc="Length of a leg segment."),
        )
    )

    @property
    def track(self) -> Track:
        return HardcoreTrack() if self.hardcore else FlatTrack()


@dataclasses.dataclass(frozen=True)
class StumpTracks(Walker):
    """Walk over flat ground with stumps whose height and distance are the task.

    Description:
      The benchmark of Portelas et al. 2019: BipedalWalker's body on a track of stumps. Much of the task space is too
      hard for an untrained walker and some of it for any, so what is trained on decides what is learned.

    Action space: `Box(-1, 1, (4,), float32)`

      As BipedalWalker: hip and knee of the first leg, hip and knee of the second.

    Observation space: `Box((24,), float32)`

      As BipedalWalker: hull, two legs, ten lidar fractions. The task is not part of the observation.

    Reward: as BipedalWalker. An episode whose return exceeds 230 counts as mastered.

    Start: as BipedalWalker.

    End: terminated when the hull touches anything, moves left of the track, or passes the finish line (88.7 m);
      truncated after `horizon` steps (2000).

    Example:
      ```python
      import gymnasium as gym
      env = gym.make("palaestra/StumpTracks-v0", solver="fast")
      obs, info = env.reset(seed=0, options={"task": {"stump_height": 1.5, "obstacle_spacing": 4.0}})
      obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
      ```

    Version history:
      v0: first version.

    Source: teachDeepRL `bipedal_walker_continuous.py` (Portelas et al. 2019, section 4). Differs: as BipedalWalker,
      and the ground reaches past the finish line for every spacing.
    """

    horizon: int = 2000

    success_return: ClassVar[float] = 230.0
    task_space = TaskSpace(
        (
            Parameter("stump_height", 0.0, 3.0, 0.5, "0.47 m", doc="Mean height of the stumps."),
            Parameter("obstacle_spacing", 0.0, 6.0, 3.0, "m", doc="Distance between stumps."),
        )
    )

    @property
    def track(self) -> Track:
        return StumpTrack()
