"""`palaestra resume RUN`: the same run, from its last good checkpoint to its end."""

import argparse
import dataclasses
from pathlib import Path

from .. import assemble, config
from ..backend import prepare_jax
from ..flags import whole_number
from ..output import Answer
from .train import train_setup


def run(flags: argparse.Namespace) -> Answer:
    run_dir = Path(flags.run)
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    setup = assemble.read_setup(run_dir)
    limit = 0.0  # a limit that ended the run once is not meant for its continuation
    if flags.max_seconds is not None:
        limit = config.convert(float, config.parse_value(flags.max_seconds), "--max-seconds")
    setup = dataclasses.replace(setup, run=dataclasses.replace(setup.run, max_seconds=limit))
    flags.resume, flags.overwrite = "must", False
    return train_setup(flags, setup, run_dir, None)
