"""Draws `_static/motor-<family>.png`: a classical controller on every family, following steps of its reference.

python docs/motor_pictures.py [family ...]
"""

import io
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.control import make_controller, rollout
from palaestra.envs.motors.families import FAMILIES, TASK_NAMES
from palaestra.envs.motors.scope import DPI, plot_episode

FOLDER = pathlib.Path(__file__).parent / "_static"
CURRENT = ("CC", 600, {"reference_frequency_low": 25.0, "reference_frequency_high": 50.0, "reference_amplitude": 0.9})
# The flux of a squirrel cage follows its current too slowly for that.
SHOWN = {
    "SCIM": ("SC", 2000, {"reference_frequency_low": 5.0, "reference_frequency_high": 10.0, "reference_amplitude": 0.9})
}


def picture(family: str, seed: int = 0) -> bytes:
    """A PNG of one family under its default continuous controller.

    Raises:
      RuntimeError: the controller does not keep the episode from ending.
    """
    aim, steps, task = SHOWN.get(family, CURRENT)
    env = make_motor(family, "Cont", aim, reference="step")
    task = jnp.asarray(env.task_space.from_dict(task))
    run = jax.device_get(rollout(env, make_controller(env), jax.random.key(seed), steps, task))
    if run.terminated.any():
        raise RuntimeError(f"{family}: an episode ended under the controller; expected none")
    count = len(env.layout.names)
    references = run.obs[:, count : count + len(env.observed.references)]
    figure = plot_episode(
        env, run.next_obs[:, :count], references, title=f"{FAMILIES[family].title}: {TASK_NAMES[aim]}"
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=1.5 * DPI, metadata={"Software": None})
    return _few_colors(buffer.getvalue())


def _few_colors(png: bytes) -> bytes:
    """The picture with a palette: a third of the size, no visible difference."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(96, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        path = FOLDER / f"motor-{name.lower()}.png"
        path.write_bytes(picture(name))
        print(path.name, np.round(path.stat().st_size / 1000), "kB")
