"""`palaestra doctor`: what is installed, what it can use, and what is missing."""

import argparse

from ..backend import prepare_jax
from ..doctor import examine
from ..errors import ExitCode
from ..flags import whole_number
from ..output import Answer, table


def run(flags: argparse.Namespace) -> Answer:
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    found = examine()
    blocks = [f"{title}\n" + table([["", *row] for row in rows.items()]) for title, rows in found.items() if rows]
    faults = found["faults"]
    return Answer(found, "\n\n".join(blocks), exit_code=ExitCode.CHECK_FAILED if faults else ExitCode.OK)
