"""A bank of levels as the bytes of one npz archive, with all that is needed to know and to trust it.

Letters: N levels.
"""

import dataclasses
import io
import json
import zipfile
from typing import Any

import jax
import numpy as np
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict

from ..errors import PalaestraError
from . import instructions, rules
from .bank import LevelBank
from .level import Level

FORMAT = 1
_PROVENANCE = ("name", "options", "version", "see_through")
_LEVEL = "level/"

# The goal that each rule judges by; a level's file names the rule.
_GOALS: dict[type, type] = {
    rules.ReachGoal: rules.Nothing,
    rules.PickUpObject: rules.ObjectGoal,
    rules.OpenDoor: rules.DoorGoal,
    rules.FetchLook: rules.LookGoal,
    rules.DoneNearby: rules.PlaceGoal,
    rules.PutNear: rules.NearGoal,
    rules.ChooseFork: rules.ForkGoal,
    rules.OpenInOrder: rules.TwoDoorsGoal,
    rules.DodgeObstacles: rules.ObstaclesGoal,
    instructions.FollowInstruction: instructions.Instruction,
}


class BankFileError(PalaestraError, ValueError):
    """Bytes that are no bank of levels, or not the one they say they are."""

    code = 4


def bank_to_bytes(bank: LevelBank) -> bytes:
    """The archive: the levels' arrays, the seeds, and where they come from with the digest of it all."""
    told = {name: getattr(bank, name) for name in _PROVENANCE}
    told |= {"format": FORMAT, "rule": type(bank.rule).__name__, "digest": bank.digest}
    leaves = flatten_dict(serialization.to_state_dict(bank.levels), sep="/")
    arrays: dict[str, Any] = {_LEVEL + path: np.asarray(leaf) for path, leaf in leaves.items()}
    arrays |= {"about": np.array(json.dumps(told, sort_keys=True)), "seeds": bank.seeds}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def bank_from_bytes(data: bytes, where: str = "level bank") -> LevelBank:
    """The bank that `bank_to_bytes` wrote.

    Args:
      where: what messages call the bytes, such as the file's name.

    Raises:
      BankFileError: not such an archive, another format, or contents that do not match their digest.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        told = json.loads(str(arrays.pop("about")))
        seeds = arrays.pop("seeds")
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BankFileError(
            f"{where}: not a bank of levels ({error}); expected an archive of `bank_to_bytes`"
        ) from None
    if told.get("format") != FORMAT:
        raise BankFileError(f"{where}: format; got {told.get('format')!r}; expected {FORMAT}")
    known = {rule.__name__: rule for rule in _GOALS}
    if told.get("rule") not in known:
        raise BankFileError(f"{where}: rule; got {told.get('rule')!r}; expected one of {sorted(known)}")
    rule = known[told["rule"]]()
    bank = LevelBank(
        **{name: told.get(name) for name in _PROVENANCE}, seeds=seeds, rule=rule, levels=_levels(arrays, rule, where)
    )
    if bank.digest != told.get("digest"):
        raise BankFileError(f"{where}: digest; got {bank.digest}; expected {told.get('digest')}: the contents changed")
    return bank


def _levels(arrays: dict[str, np.ndarray], rule: Any, where: str) -> Level:
    goal: Any = _GOALS[type(rule)]
    blank = {field.name: 0 for field in dataclasses.fields(Level)}
    template = Level(**blank | {"goal": goal(**{field.name: 0 for field in dataclasses.fields(goal)})})
    tree = unflatten_dict({name.removeprefix(_LEVEL): array for name, array in arrays.items()}, sep="/")
    tree.setdefault("goal", {})
    try:
        levels: Level = serialization.from_state_dict(template, tree)
    except ValueError as error:
        raise BankFileError(f"{where}: arrays; got {sorted(arrays)}; expected those of a level ({error})") from None
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(levels)}
    if len(counts) != 1:
        raise BankFileError(f"{where}: arrays of {sorted(counts)} rows; expected one number of levels")
    return levels
