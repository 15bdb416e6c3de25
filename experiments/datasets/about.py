"""Who made a data set, on what, how, and how good the behaviour was: the metadata beside the arrays."""

import dataclasses
import importlib.metadata
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium import Space, spaces
from gymnasium.envs.registration import EnvSpec

from .trees import space_leaves

AUTHOR = "The palaestra authors"
CODE = "experiments/datasets"


@dataclasses.dataclass(frozen=True)
class About:
    """What a data set says about itself; the writer adds counts, the digest and the quality report.

    Attributes:
      observation_space, action_space: of one environment; every array is checked against them and cast to their dtype.
      env_spec: of the environment, None where Gymnasium cannot make it.
      algorithm_name: what acted.
      description: one or two sentences.
      code_permalink: where the code that acted can be read.
      author, author_email: who answers questions.
      requirements: "name==version" of what decides about dynamics.
      ref_min_score, ref_max_score: returns that count as 0 and 100, None if unknown.
      seed: of the generator.
      details: further plain values, kept as they are.
    """

    observation_space: Space
    action_space: Space
    env_spec: EnvSpec | None = None
    algorithm_name: str = ""
    description: str = ""
    code_permalink: str = ""
    author: str = AUTHOR
    author_email: str = ""
    requirements: tuple[str, ...] = ()
    ref_min_score: float | None = None
    ref_max_score: float | None = None
    seed: int | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def minari(self) -> dict[str, Any]:
        """The fields that Minari knows, without those of its storage."""
        fields: dict[str, Any] = {
            "algorithm_name": self.algorithm_name,
            "description": self.description,
            "code_permalink": self.code_permalink,
            "author": [self.author] if self.author else [],
            "author_email": [self.author_email] if self.author_email else [],
            "requirements": list(self.requirements),
        }
        scores = {"ref_min_score": self.ref_min_score, "ref_max_score": self.ref_max_score}
        return fields | {name: float(score) for name, score in scores.items() if score is not None}

    def ours(self) -> dict[str, Any]:
        """What goes into the metadata's "palaestra" entry."""
        from ... import __version__

        return {
            "version": __version__,
            "revision": revision(),
            "seed": self.seed,
            "observation_fields": observation_fields(self.observation_space),
            **self.details,
        }


def about_env(env_id: str, env_kwargs: Mapping[str, Any] | None = None, **fields: Any) -> About:
    """`About` with spaces, spec and requirements of a Gymnasium id; `fields` are further attributes.

    Args:
      env_kwargs: arguments of the environment, which its spec keeps.

    Raises:
      gymnasium.error.Error: no such id, or one that cannot be made.
    """
    env = gymnasium.make(env_id, **(env_kwargs or {}))
    try:
        given = {
            "observation_space": env.observation_space,
            "action_space": env.action_space,
            "env_spec": env.spec,
            "requirements": requirements(env_id),
        }
        return About(**given | fields)
    finally:
        env.close()


def requirements(env_id: str) -> tuple[str, ...]:
    """Exact versions of the packages that decide about an environment's dynamics."""
    if env_id.startswith("palaestra/"):
        from ... import __version__

        return (f"palaestra=={__version__}", *_pinned("jax", "gymnasium"))
    entry = str(gymnasium.spec(env_id).entry_point)
    own = entry.split(":")[0].split(".")[0]
    packages = {name for name in ("mujoco",) if name in entry or own == "gymnasium_robotics"}
    distributions = importlib.metadata.packages_distributions().get(own, [])
    return _pinned(*sorted({"gymnasium", *packages, *distributions}))


def observation_fields(space: Space) -> list[str]:
    """The parts of an observation in the order of the space: paths within, [""] for a single array."""
    if not isinstance(space, spaces.Dict):
        return [path.removeprefix("observations") for path, _ in space_leaves(space, "observations")]
    return [path.removeprefix("/") for name, sub in space.spaces.items() for path, _ in space_leaves(sub, f"/{name}")]


def revision() -> str | None:
    """Git revision of the checkout this code runs from, marked "+" where files were changed; None elsewhere."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        head, changes = (_git(here, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno")))
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changes else "")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _pinned(*packages: str) -> tuple[str, ...]:
    return tuple(f"{name}=={importlib.metadata.version(name)}" for name in packages)
