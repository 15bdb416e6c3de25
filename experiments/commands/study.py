"""`palaestra study NAME`: a study's `main` with a configuration from the command line."""

import argparse
from collections.abc import Mapping

from .. import catalog, config
from ..backend import prepare_jax
from ..flags import whole_number
from ..output import Answer
from ..own_flags import settings_from


def run(flags: argparse.Namespace) -> Answer:
    entry = catalog.find("study", flags.name, catalog.STUDIES)
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"), device_per_core=True)
    setup = settings_from(entry.load_config(), flags.rest, flags.set, f"palaestra study {flags.name}")
    found = entry.load().main(setup)
    result = dict(found) if isinstance(found, Mapping) else {}
    return Answer({"name": flags.name, "config": config.to_plain(setup), **result}, str(result.get("text", "")))
