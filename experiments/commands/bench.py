"""`palaestra bench NAME`: this project beside its peers, measured in one process."""

import argparse
import importlib

from .. import catalog, config
from ..backend import prepare_jax
from ..errors import UsageError, problem, unknown
from ..flags import whole_number
from ..output import Answer, table

COLUMNS = ("case", "peer", "ours", "theirs", "unit", "ratio")


def run(flags: argparse.Namespace) -> Answer:
    known = catalog.benchmarks()
    if flags.name not in known:
        raise unknown("benchmark", flags.name, known)
    budget = config.convert(float, config.parse_value(flags.budget), "--budget")
    if budget <= 0:
        raise UsageError(problem("bad value", "--budget", budget, "more than 0 seconds"), key="--budget")
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"), device_per_core=True)
    module = importlib.import_module(known[flags.name], catalog.__package__)
    rows = module.run(budget)
    lines = [[row.get(column) for column in COLUMNS] for row in rows]
    return Answer({"name": flags.name, "budget": budget, "rows": rows}, table(lines, COLUMNS))
