"""`palaestra report RUN...`: one HTML file about runs."""

import argparse

from ..output import Answer
from .plot import runs_and_out


def run(flags: argparse.Namespace) -> Answer:
    runs, single, out = runs_and_out(flags, "report.html")
    from ..report import write_report

    file = write_report(runs, out)
    return Answer({"file": str(file)}, str(file), single)
