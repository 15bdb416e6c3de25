"""`palaestra report RUN...`: one HTML file about runs."""

import argparse
from pathlib import Path

from ..output import Answer
from ..run_folder import read_run


def run(flags: argparse.Namespace) -> Answer:
    runs = [Path(run) for run in flags.runs]
    for path in runs:
        read_run(path)
    single = runs[0] if len(runs) == 1 else None
    out = Path(flags.out) if flags.out else (single or Path()) / "report.html"
    from ..report import write_report

    file = write_report(runs, out)
    return Answer({"file": str(file)}, str(file), single)
