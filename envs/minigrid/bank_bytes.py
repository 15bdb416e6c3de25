"""A bank of levels as the bytes of one npz archive, with all that is needed to know and to trust it.

Letters: N levels.
"""

import dataclasses
import io
import json
import zipfile
import zlib
from typing import Any

import jax
import numpy as np
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict

from ..errors import PalaestraError, short
from . import instructions, rules
from .bank import LevelBank
from .level import Level
from .words import WORDS

FORMAT = 2
_BROKEN = (zipfile.BadZipFile, zlib.error)
_PROVENANCE = ("name", "options", "version", "see_through")
_LEVEL = "level/"

# A file names its rule; only these are made from a name.
_RULES: dict[str, type[rules.ReachGoal]] = {
    rule.__name__: rule
    for rule in (
        *(rules.ReachGoal, rules.PickUpObject, rules.OpenDoor, rules.FetchLook, rules.DoneNearby, rules.PutNear),
        *(rules.ChooseFork, rules.OpenInOrder, rules.DodgeObstacles, instructions.FollowInstruction),
    )
}


class BankFileError(PalaestraError, ValueError):
    """Bytes that are no bank of levels, or not the one they say they are."""

    code = 4


def bank_to_bytes(bank: LevelBank) -> bytes:
    """The archive: the levels' arrays, the seeds, and where they come from with the digest of it all.

    The words are in it, too, since missions are numbers into their list, which another version may have changed.
    """
    told = {name: getattr(bank, name) for name in _PROVENANCE}
    told |= {"format": FORMAT, "rule": type(bank.rule).__name__, "digest": bank.digest, "words": WORDS}
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
      BankFileError: not such an archive, another format or vocabulary, or contents that do not match their digest.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        told: Any = json.loads(str(arrays.pop("about")))
        seeds = arrays.pop("seeds")
    except (ValueError, TypeError, KeyError, OSError, EOFError, RuntimeError, MemoryError, *_BROKEN) as error:
        raise BankFileError(
            f"{where}: not a bank of levels ({error}); expected an archive of `bank_to_bytes`"
        ) from None
    return _checked_bank(told, seeds, arrays, where)


def _checked_bank(told: Any, seeds: np.ndarray, arrays: dict[str, np.ndarray], where: str) -> LevelBank:
    if not isinstance(told, dict):
        raise BankFileError(f"{where}: about; got {short(told)}; expected an object of JSON")
    if told.get("format") != FORMAT:
        raise BankFileError(f"{where}: format; got {told.get('format')!r}; expected {FORMAT}")
    if told.get("words") != list(WORDS):
        raise BankFileError(
            f"{where}: words; got {short(told.get('words'))}; expected the {len(WORDS)} of this version: "
            f"missions would say something else"
        )
    if told.get("rule") not in list(_RULES):
        raise BankFileError(f"{where}: rule; got {told.get('rule')!r}; expected one of {sorted(_RULES)}")
    rule = _RULES[told["rule"]]()
    provenance: dict[str, Any] = {name: told.get(name) for name in _PROVENANCE}
    bank = LevelBank(**provenance, seeds=seeds, rule=rule, levels=_levels(arrays, rule, where))
    if bank.digest != told.get("digest"):
        raise BankFileError(f"{where}: digest; got {bank.digest}; expected {told.get('digest')}: the contents changed")
    return bank


def _levels(arrays: dict[str, np.ndarray], rule: rules.ReachGoal, where: str) -> Level:
    goal: Any = rule.goal
    blank = {field.name: 0 for field in dataclasses.fields(Level)}
    template = Level(**blank | {"goal": goal(**{field.name: 0 for field in dataclasses.fields(goal)})})
    try:
        tree = unflatten_dict({name.removeprefix(_LEVEL): array for name, array in arrays.items()}, sep="/")
        tree.setdefault("goal", {})
        levels: Level = serialization.from_state_dict(template, tree)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise BankFileError(f"{where}: arrays; got {sorted(arrays)}; expected those of a level ({error})") from None
    if jax.tree.structure(levels) != jax.tree.structure(template):  # type: ignore[operator]
        raise BankFileError(f"{where}: arrays; got {sorted(arrays)}; expected those of a level")
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(levels)}
    if len(counts) != 1:
        raise BankFileError(f"{where}: arrays of {sorted(counts)} rows; expected one number of levels")
    return levels
