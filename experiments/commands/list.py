"""`palaestra list`: everything that has a name."""

import argparse

from ...envs.registration import ENVIRONMENTS
from .. import catalog
from ..errors import unknown
from ..output import Answer, table

KINDS = ("envs", "agents", "teachers", "studies", "benchmarks")


def run(flags: argparse.Namespace) -> Answer:
    if flags.what is not None and flags.what not in KINDS:
        raise unknown("kind", flags.what, KINDS)
    kinds = KINDS if flags.what is None else (flags.what,)
    found = {kind: _entries(kind) for kind in kinds}
    blocks = [_block(kind, entries) for kind, entries in found.items() if entries]
    return Answer(found, "\n\n".join(blocks))


def _entries(kind: str) -> list[dict[str, str]]:
    if kind == "envs":
        return [{"id": entry.id, "summary": entry.summary} for entry in ENVIRONMENTS]
    if kind == "benchmarks":
        return [{"name": name, "summary": ""} for name in catalog.benchmarks()]
    entries = {"agents": catalog.AGENTS, "teachers": catalog.TEACHERS, "studies": catalog.STUDIES}[kind]
    return [{"name": entry.name, "summary": entry.summary} for entry in entries.values()]


def _block(kind: str, entries: list[dict[str, str]]) -> str:
    return f"{kind}\n" + table([["", *entry.values()] for entry in entries])
