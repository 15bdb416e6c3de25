"""`palaestra study NAME`: a study's `main` with a configuration from the command line."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from .. import catalog, config
from ..backend import prepare_jax
from ..errors import UsageError, unknown
from ..flags import flag_name, refuse, whole_number
from ..output import Answer


def run(flags: argparse.Namespace) -> Answer:
    entry = catalog.find("study", flags.name, catalog.STUDIES)
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"), device_per_core=True)
    cls = entry.load_config()
    known = config.key_names(cls)
    assignments = dict(config.parse_assignment(text) for text in flags.set) | _own_flags(flags.rest, flags.name, known)
    for key in assignments:
        if key not in known and not any(name.startswith(f"{key}.") for name in known):
            raise unknown("key", key, known)
    setup = config.build(cls, config.nest(assignments))
    found = entry.load().main(setup)
    result = dict(found) if isinstance(found, Mapping) else {}
    return Answer({"name": flags.name, "config": config.to_plain(setup), **result}, str(result.get("text", "")))


def _own_flags(rest: Sequence[str], name: str, known: Sequence[str]) -> dict[str, Any]:
    """`--key value` and `--key=value` as settings of the study."""
    by_flag = {flag_name(key): key for key in known}
    words, found = list(rest), {}
    while words:
        flag, equals, value = words.pop(0).partition("=")
        if flag not in by_flag:
            refuse([flag], f"palaestra study {name}", list(by_flag))
        if not equals:
            if not words:
                raise UsageError(f"no value given: {flag}", hint=f"Write {flag} VALUE.", key=flag)
            value = words.pop(0)
        found[by_flag[flag]] = config.parse_value(value)
    return found
