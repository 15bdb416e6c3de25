"""`palaestra record RUN`: a film of one episode, with the actions that the run is judged by."""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ...envs.errors import MissingExtraError
from ..backend import prepare_jax
from ..errors import UsageError, problem
from ..film import film
from ..flags import whole_number
from ..foreign import ForeignEnv
from ..host_film import film_outside
from ..movie import FORMATS, write_movie
from ..output import Answer
from ..policy import Policy, load_policy
from .eval import named_task


def run(flags: argparse.Namespace) -> Answer:
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    seed, limit = whole_number(flags.seed, "--seed", least=0), whole_number(flags.max_steps, "--max-steps")
    run_dir = Path(flags.run)
    policy = load_policy(run_dir, flags.checkpoint)
    out = Path(flags.out) if flags.out else run_dir / "videos" / f"step_{policy.step:09d}.mp4"
    if out.suffix not in FORMATS:
        raise UsageError(problem("bad value", "--out", str(out), "a name that ends with .mp4 or .gif"), key="--out")
    seed = policy.setup.run.seed if seed is None else seed
    frames, return_ = _film(policy, flags.task, seed, None if limit is None else limit - 1)
    try:
        write_movie(out, frames, policy.agent.env.render_fps)
    except ImportError as error:
        raise MissingExtraError(f"{out.suffix} needs {error.name}", hint="Use --out FILE.gif.", key="--out") from error
    result = {"file": str(out), "frames": len(frames), "return": return_, "step": policy.step}
    return Answer(result, f"{out}: {len(frames)} frames, return {return_:.4g}", run_dir, warnings=policy.warnings)


def _film(policy: Policy, assignments: list[str], seed: int, steps: int | None) -> tuple[list[np.ndarray], float]:
    """Frames and return of one episode, on the default task unless `--task` says otherwise."""
    env, drawn = policy.agent.env, policy.setup.run.eval_actions == "drawn"
    if isinstance(env, ForeignEnv):
        return film_outside(policy.agent, policy.learner(), seed, steps, deterministic=not drawn)
    task = named_task(env, assignments) if assignments else env.task_space.default
    tasks = jax.tree.map(lambda x: jnp.asarray(x)[None], task)
    frames, returns = film(policy.agent, policy.learner(), tasks, seed, steps, deterministic=not drawn)
    return frames, float(returns[0])
