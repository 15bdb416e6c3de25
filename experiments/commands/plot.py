"""`palaestra plot RUN...`: the curves of runs as pictures."""

import argparse
from pathlib import Path

from ..output import Answer
from ..run_folder import read_run


def run(flags: argparse.Namespace) -> Answer:
    runs = [Path(run) for run in flags.runs]
    for path in runs:
        read_run(path)
    single = runs[0] if len(runs) == 1 else None
    out = Path(flags.out) if flags.out else (single or Path()) / "plots"
    from ..plots import plot_runs

    files = plot_runs(runs, out)
    return Answer({"files": [str(file) for file in files]}, "\n".join(map(str, files)), single)
