"""`palaestra record RUN`: a film of one deterministic episode."""

import argparse
import functools
import warnings
from pathlib import Path
from typing import Any

import jax

from ...envs.compilation import compile_for
from ...envs.errors import MissingExtraError
from ...envs.stepping import begin, step
from ..backend import prepare_jax
from ..errors import UsageError, problem
from ..files import TEMPORARY
from ..flags import whole_number
from ..output import Answer
from ..policy import Policy, load_policy
from .eval import named_task


def run(flags: argparse.Namespace) -> Answer:
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    seed, limit = whole_number(flags.seed, "--seed", least=0), whole_number(flags.max_steps, "--max-steps")
    run_dir = Path(flags.run)
    policy = load_policy(run_dir, flags.checkpoint)
    out = Path(flags.out) if flags.out else run_dir / "videos" / f"step_{policy.step:09d}.mp4"
    if out.suffix not in (".mp4", ".gif"):
        raise UsageError(problem("bad value", "--out", str(out), "a name that ends with .mp4 or .gif"), key="--out")
    env = policy.agent.env
    task = named_task(env, flags.task) if flags.task else env.task_space.default
    frames, return_ = _episode(policy, task, policy.setup.run.seed if seed is None else seed, limit)
    write_film(out, frames, env.render_fps)
    result = {"file": str(out), "frames": len(frames), "return": return_, "step": policy.step}
    return Answer(result, f"{out}: {len(frames)} frames, return {return_:.4g}", run_dir, warnings=policy.warnings)


def _episode(policy: Policy, task: Any, seed: int, limit: int | None) -> tuple[list[Any], float]:
    """Pictures of one episode of the first learner, and its return."""
    env, agent = policy.agent.env, policy.agent
    learner = policy.state if policy.setup.run.num_seeds == 1 else jax.tree.map(lambda x: x[0], policy.state)
    act = compile_for(env, functools.partial(agent.act, deterministic=True))
    take = compile_for(env, functools.partial(step, env))
    key, key_begin = jax.random.split(jax.random.key(seed))
    lane = compile_for(env, functools.partial(begin, env))(key_begin, task)
    episode, obs, frames, ended = lane.episode, lane.obs, [_picture(env, lane.episode.env, lane.params)], False
    while not ended and (limit is None or len(frames) < limit):
        key, key_act, key_step = jax.random.split(key, 3)
        episode, timestep = take(key_step, episode, act(key_act, learner, obs), lane.params)
        obs, ended = timestep.obs, bool(timestep.ended)
        frames.append(_picture(env, episode.env, lane.params))
    return frames, float(episode.return_)


def _picture(env: Any, state: Any, params: Any) -> Any:
    return env.render_image(state, None, params)[1]


def write_film(path: Path, frames: list[Any], fps: int) -> None:
    """Writes frames as .mp4 or .gif, whole or not at all."""
    import imageio.v2 as imageio

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        if path.suffix == ".gif":
            imageio.mimwrite(temporary, frames, format="GIF", duration=1000 / fps, loop=0)
        else:
            with warnings.catch_warnings():  # JAX warns of every fork; this one becomes ffmpeg at once
                warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
                imageio.mimwrite(temporary, frames, format="FFMPEG", fps=fps, macro_block_size=2)
        temporary.replace(path)
    except ImportError as error:
        raise MissingExtraError(f"{path.suffix} needs {error.name}", hint="Use --out FILE.gif.", key="--out") from error
    finally:
        temporary.unlink(missing_ok=True)
