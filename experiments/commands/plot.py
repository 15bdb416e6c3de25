"""`palaestra plot RUN...`: the curves of runs as pictures."""

import argparse
from pathlib import Path

from ..output import Answer
from ..run_folder import read_run


def run(flags: argparse.Namespace) -> Answer:
    runs, single, out = runs_and_out(flags, "plots")
    from ..plots import plot_runs

    files = plot_runs(runs, out)
    return Answer({"files": [str(file) for file in files]}, "\n".join(map(str, files)), single)


def runs_and_out(flags: argparse.Namespace, name: str) -> tuple[list[Path], Path | None, Path]:
    """What RUN... and `--out` mean: (run folders, the only one, where to write).

    Args:
      name: what is written, in the run folder or, for several runs, in the current one.
    """
    runs = [Path(run) for run in flags.runs]
    for path in runs:
        read_run(path)
    single = runs[0] if len(runs) == 1 else None
    return runs, single, Path(flags.out) if flags.out else (single or Path()) / name
