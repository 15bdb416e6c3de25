"""`palaestra dataset make|list|show|check`: offline data sets in Minari's format."""

import argparse
from collections.abc import Mapping
from typing import Any

from ..config import nest, parse_assignment
from ..errors import CheckFailedError, InputFileError, UsageError, problem, unknown
from ..flags import flag_name, whole_number
from ..output import Answer, jsonable, table

FLAGS = {
    "make": (
        *("env", "quality", "steps", "seed", "tasks", "env_kwargs", "id", "run", "train_steps", "format", "overwrite"),
    ),
    "list": (),
    "show": ("target",),
    "check": ("target", "env"),
}
CLOSE = 1e-6  # relative: sums of the same numbers in another order


def run(flags: argparse.Namespace) -> Answer:
    if flags.action not in FLAGS:
        raise unknown("action", flags.action, FLAGS)
    _refuse_flags_of_others(flags)
    return {"make": _make, "list": _list, "show": _show, "check": _check}[flags.action](flags)


def _refuse_flags_of_others(flags: argparse.Namespace) -> None:
    """A flag that changes nothing would be a promise that is not kept."""
    for name in {name for names in FLAGS.values() for name in names} - set(FLAGS[flags.action]):
        if getattr(flags, name) not in (None, False, []):
            flag = "ID" if name == "target" else flag_name(name)
            users = [action for action, names in FLAGS.items() if name in names]
            raise UsageError(
                problem("argument without a use", flag, getattr(flags, name), f"it with {' or '.join(users)} alone"),
                hint=f"Remove {flag}.",
                key=flag,
            )


def _make(flags: argparse.Namespace) -> Answer:
    from ..backend import prepare_jax
    from ..datasets.generators import make
    from ..datasets.reading import open_dataset

    for name in ("env", "quality", "steps"):
        if not getattr(flags, name):
            raise UsageError(f"no value given: {flag_name(name)}", hint=f"Write {flag_name(name)} X.", key=name)
    steps, seed = whole_number(flags.steps, "--steps"), whole_number(flags.seed, "--seed", least=0)
    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    path = make(
        flags.env,
        flags.quality,
        steps or 0,
        seed or 0,
        flags.tasks or "default",
        env_kwargs=nest(dict(parse_assignment(text, "--env-kwargs") for text in flags.env_kwargs)),
        id=flags.id,
        run=flags.run,
        train_steps=whole_number(flags.train_steps, "--train-steps"),
        format=flags.format or "hdf5",
        overwrite=flags.overwrite,
    )
    about = _about(open_dataset(path))
    return Answer(about | {"path": str(path)}, f"{about['id']}: {about['steps']} steps, {about['episodes']} episodes")


def _list(flags: argparse.Namespace) -> Answer:
    from ..datasets.reading import local_ids, open_dataset

    rows, warnings = [], []
    for id in local_ids():
        try:
            rows.append(_about(open_dataset(id)))
        except InputFileError as error:
            warnings.append(f"{id}: {error}")
    columns = ("id", "steps", "episodes", "return_mean", "return_sd", "ref_min_score", "ref_max_score")
    text = table([[row[name] for name in columns] for row in rows], columns) if rows else "no data sets"
    return Answer({"datasets": rows}, "\n".join([text, *warnings]), warnings=warnings)


def _show(flags: argparse.Namespace) -> Answer:
    from ..datasets.reading import open_dataset

    stored = open_dataset(_target(flags))
    plain = {name: value for name, value in stored.metadata.items() if name != "palaestra"} | {"path": str(stored.path)}
    rows = [[name, _shortened(value)] for name, value in plain.items()]
    rows += [[name, _shortened(value)] for name, value in stored.ours.items() if name != "quality"]
    rows += _quality_rows(stored.ours.get("quality"))
    about = {**plain, "palaestra": dict(stored.ours)}
    return Answer(jsonable(about), table(rows), warnings=stored.warnings)


def _check(flags: argparse.Namespace) -> Answer:
    """Reads everything; a fault in the files ends in its own error."""
    from ..backend import prepare_jax
    from ..datasets.fit import check_fits
    from ..datasets.load import load

    prepare_jax(flags.device, whole_number(flags.devices, "--devices"))
    loaded = load(_target(flags), discrete="one_hot")
    if flags.env:
        check_fits(loaded, *_spaces(flags.env))
    recorded = loaded.metadata.get("palaestra")
    faults = _differences(recorded if isinstance(recorded, Mapping) else {}, loaded)
    if faults:
        raise CheckFailedError(
            f"{loaded.id}: not what its metadata say: {'; '.join(faults)}",
            hint="Make or fetch the data set again.",
            file=loaded.path,
        )
    about = {
        "id": loaded.id,
        "steps": len(loaded),
        "episodes": loaded.episodes,
        "sha256": loaded.digest,
        "observation": loaded.transitions.obs.shape[1],
        "action": loaded.transitions.action.shape[1],
        "quality": loaded.quality,
    }
    text = table([[name, value] for name, value in about.items() if name != "quality"] + _quality_rows(loaded.quality))
    return Answer(about, "\n".join([text, *loaded.warnings]), warnings=loaded.warnings)


def _target(flags: argparse.Namespace) -> str:
    if not flags.target:
        raise UsageError("no data set given: ID", hint="See `palaestra dataset list`.", key="ID")
    return str(flags.target)


def _spaces(env_id: str) -> tuple[Any, Any]:
    import gymnasium

    from ..datasets.generators import full_id

    env = gymnasium.make(full_id(env_id))
    try:
        return env.observation_space, env.action_space
    finally:
        env.close()


def _differences(recorded: Mapping[str, Any], loaded: Any) -> list[str]:
    """Where arrays and metadata disagree; nothing is recorded in data sets of others."""
    faults = []
    if recorded.get("sha256") not in (None, loaded.digest):
        faults.append(f"sha256 {loaded.digest[:12]}… of the arrays, {str(recorded['sha256'])[:12]}… recorded")
    said, found = _flat(recorded.get("quality") or {}), _flat(loaded.quality)
    for name, value in said.items():
        if not _equal(value, found.get(name)):
            faults.append(f"quality {name} {found.get(name)}, {value} recorded")
    return faults


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= CLOSE * max(1.0, abs(a), abs(b))
    return bool(a == b)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    return {k: v for name, sub in tree.items() for k, v in _flat(sub, f"{prefix} {name}".strip()).items()}


def _about(stored: Any) -> dict[str, Any]:
    quality = stored.ours.get("quality") or {}
    returns = quality.get("returns") or {}
    return {
        "id": stored.id,
        "steps": stored.num_steps,
        "episodes": stored.num_episodes,
        "format": stored.format,
        "env": None if stored.env_spec is None else stored.env_spec.id,
        "algorithm": stored.metadata.get("algorithm_name"),
        "return_mean": returns.get("mean"),
        "return_sd": returns.get("sd"),
        "success": quality.get("success"),
        "ref_min_score": stored.metadata.get("ref_min_score"),
        "ref_max_score": stored.metadata.get("ref_max_score"),
    }


def _quality_rows(quality: Any) -> list[list[Any]]:
    return [[name, value] for name, value in _flat(quality or {}).items()]


def _shortened(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 100 else text[:97] + "..."
