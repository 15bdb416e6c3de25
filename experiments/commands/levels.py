"""`palaestra levels make|show|check`: banks of the minigrid package's levels."""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ..errors import CheckFailedError, UsageError, problem, unknown
from ..flags import flag_name, whole_number
from ..level_files import load_bank, save_bank
from ..output import Answer, table

ACTIONS = ("make", "show", "check")


def run(flags: argparse.Namespace) -> Answer:
    if flags.action not in ACTIONS:
        raise unknown("action", flags.action, ACTIONS)
    if flags.action != "make":
        _refuse_flags_of_make(flags)
    return {"make": _make, "show": _show, "check": _check}[flags.action](flags)


def _refuse_flags_of_make(flags: argparse.Namespace) -> None:
    """A flag that changes nothing would be a promise that is not kept."""
    for name in ("count", "first", "out"):
        if getattr(flags, name) is not None:
            flag = flag_name(name)
            raise UsageError(
                problem("flag without a use", flag, getattr(flags, name), "it with `palaestra levels make` alone"),
                hint=f"Remove {flag}.",
                key=flag,
            )


def _make(flags: argparse.Namespace) -> Answer:
    from ...envs.minigrid.bank import import_bank

    count, first = whole_number(flags.count, "--count"), whole_number(flags.first, "--first", least=0)
    if not flags.out:
        raise UsageError(problem("no file given", "--out", flags.out, "the name of the file to write"), key="--out")
    name = flags.target.removeprefix("palaestra/")
    bank = import_bank(name, range(first or 0, (first or 0) + (count or 1000)))
    save_bank(Path(flags.out), bank)
    return Answer(_about(bank) | {"file": flags.out}, f"{flags.out}: {len(bank)} levels of {name}")


def _show(flags: argparse.Namespace) -> Answer:
    about = _about(load_bank(Path(flags.target)))
    return Answer(about, table([[key, str(value)] for key, value in about.items()]))


def _check(flags: argparse.Namespace) -> Answer:
    """Reads the levels of the file's seeds from the installed package again."""
    from ...envs.minigrid.bank import import_bank

    bank = load_bank(Path(flags.target))
    again = import_bank(bank.name, bank.seeds.tolist(), **json.loads(bank.options))
    pairs = zip(jax.tree.leaves(bank.levels), jax.tree.leaves(again.levels), strict=True)
    if not all(np.array_equal(ours, theirs) for ours, theirs in pairs):
        raise CheckFailedError(
            f"{flags.target}: minigrid {again.version} makes other levels of these seeds than {bank.version} did",
            hint="Install the version that made the file.",
            file=flags.target,
        )
    return Answer(_about(bank), f"{flags.target}: the same {len(bank)} levels as minigrid {again.version} makes")


def _about(bank: Any) -> dict[str, Any]:
    return {
        "id": bank.name,
        "levels": len(bank),
        "seeds": f"{bank.seeds.min()} to {bank.seeds.max()}",
        "size": f"{bank.width} x {bank.height}",
        "minigrid": bank.version,
        "sha256": bank.digest,
    }
