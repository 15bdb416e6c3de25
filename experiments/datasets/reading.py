"""Opening a data set of anybody's: its metadata checked, its episodes one by one.

Nothing is fetched and nothing is run: spaces come from the metadata, and an environment is made only by its id, never
by an entry point that stands in a file.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space, spaces
from gymnasium.envs.registration import EnvSpec

from ...envs.errors import PalaestraError, missing_extra
from ..errors import InputFileError, nearest, problem
from . import hdf5
from .episodes import SUCCESS, Episode, EpisodeError, check_fields
from .names import PATTERN, folder_of, root

METADATA = "metadata.json"
LARGEST_METADATA = 1 << 26  # bytes
FORMATS = ("hdf5", "arrow", "parquet")
STEPS_PER_BYTE = 1000  # more than any compression makes true


@dataclasses.dataclass(frozen=True)
class Stored:
    """A data set on disk whose metadata make sense.

    Attributes:
      id: by its metadata.
      path: folder of the arrays and `metadata.json`.
      metadata: as it is in the file.
      observation_space, action_space: of one environment, dicts in the order of the environment's own.
      env_spec: None where there is none that Gymnasium reads.
      format: "hdf5", "arrow" or "parquet".
      num_episodes, num_steps: by the metadata.
      warnings: sentences.
    """

    id: str
    path: Path
    metadata: Mapping[str, Any]
    observation_space: Space
    action_space: Space
    env_spec: EnvSpec | None
    format: str
    num_episodes: int
    num_steps: int
    warnings: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """What errors about arrays name."""
        return self.path / hdf5.FILE if self.format == "hdf5" else self.path

    @property
    def ours(self) -> Mapping[str, Any]:
        """What this library wrote beside Minari's fields; empty for other people's."""
        found = self.metadata.get("palaestra")
        return found if isinstance(found, Mapping) else {}

    def episodes(self) -> Iterator[Episode]:
        """All of them in order, each checked; of infos success alone is read.

        An episode both terminated and truncated counts as terminated.

        Raises:
          InputFileError: naming the file, the episode and the field.
        """
        raw = self._raw()
        for index in range(self.num_episodes):
            try:
                episode = _episode(next(raw))
                check_fields("observations", self.observation_space, episode.observations)
                check_fields("actions", self.action_space, episode.actions)
            except EpisodeError as error:
                raise error.within(self.file, index) from None
            except PalaestraError:
                raise
            except Exception as error:  # a damaged file makes the libraries fail in every way they can
                raise _damaged(self.file, f"episode {index}", error) from error
            yield episode

    def _raw(self) -> Iterator[dict[str, Any]]:
        jpeg = bool(self.metadata.get("jpeg_encoding", True))
        if self.format == "hdf5":
            return hdf5.read_episodes(self.file, self.num_episodes, self.observation_space, self.action_space, jpeg)
        return _arrow_episodes(self.path, self.num_episodes)


def open_dataset(dataset: str | Path, download: bool = False) -> Stored:
    """Finds a data set by id or folder and checks its metadata.

    Args:
      dataset: an id of Minari's folder, or the path of a data set's folder.
      download: fetch an id that is not there from Minari's server.

    Raises:
      InputFileError: there is none, or one whose metadata are missing, damaged or wrong, naming the field.
    """
    path = _find(str(dataset), download)
    file = path / METADATA
    metadata = _metadata(file)
    warnings: list[str] = []
    spec = _env_spec(metadata.get("env_spec"), warnings)
    seen, done = (_space(file, metadata, name, spec) for name in ("observation_space", "action_space"))
    stored = Stored(
        id=_field(file, metadata, "dataset_id", str),
        path=path,
        metadata=metadata,
        observation_space=seen,
        action_space=done,
        env_spec=spec,
        format=_field(file, metadata, "data_format", str),
        num_episodes=_field(file, metadata, "total_episodes", int),
        num_steps=_field(file, metadata, "total_steps", int),
        warnings=tuple(warnings),
    )
    _check_plausible(stored, file)
    return stored


def reference_scores(metadata: Mapping[str, Any]) -> tuple[float, float] | None:
    """(ref_min_score, ref_max_score) where both are there and differ."""
    found = [metadata.get(name) for name in ("ref_min_score", "ref_max_score")]
    if any(isinstance(score, bool) or not isinstance(score, int | float) for score in found):
        return None
    low, high = (float(score) for score in found)  # type: ignore[arg-type]
    return (low, high) if np.isfinite([low, high]).all() and low < high else None


def unfit(stored: Stored, what: str, got: Any, expected: str, hint: str, field: str = "action_space") -> InputFileError:
    """The error of a data set that is whole but not what is needed; `field` is of the metadata."""
    file = stored.path / "metadata.json"
    return InputFileError(problem(what, f"{file}, {field}", got, expected), hint=hint, file=file, key=field)


def _find(dataset: str, download: bool) -> Path:
    for folder in (Path(dataset), Path(dataset) / "data"):
        if (folder / METADATA).is_file():
            return folder
    if Path(dataset).is_dir() or not PATTERN.fullmatch(dataset):
        raise InputFileError(
            problem("no data set", "path", dataset, f"a folder with data/{METADATA}, or an id such as a/b-v0"),
            hint="Check the path.",
            file=dataset,
            key=METADATA,
        )
    folder = folder_of(dataset) / "data"
    if not folder.is_dir() and download:
        _download(dataset)
    if not folder.is_dir():
        close = ", ".join(nearest(dataset, local_ids()))
        raise InputFileError(
            problem("no such data set", dataset, str(folder), "a data set in Minari's folder"),
            hint=f"Nearest here: {close}; or download it." if close else "Make it, or download it.",
            file=folder,
        )
    return folder


def local_ids() -> list[str]:
    """Ids of everything in Minari's folder that has arrays, whatever state it is in."""
    found = (path.parent for path in root().rglob("data") if path.is_dir())
    ids = (path.relative_to(root()).as_posix() for path in found)
    return sorted(id for id in ids if PATTERN.fullmatch(id))


def _download(id: str) -> None:
    import minari

    try:
        minari.download_dataset(id)
    except Exception as error:  # whatever network and server come to
        raise InputFileError(
            f"cannot download the data set: {id}; {error}", hint="Check the id and the connection.", file=id
        ) from error


def _metadata(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST_METADATA:
            raise ValueError("more than 64 MiB")
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise InputFileError(
            problem("no metadata", str(file), "no file", f"{METADATA} beside the arrays"),
            hint="Make the data set again.",
            file=file,
            key=METADATA,
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, METADATA, error) from error
    if not isinstance(found, dict):
        raise _damaged(file, METADATA, TypeError("no JSON object"))
    return found


def _field(file: Path, metadata: Mapping[str, Any], name: str, kind: type) -> Any:
    value = metadata.get(name)
    if isinstance(value, float) and kind is int and value.is_integer():
        value = int(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _wrong(file, name, value, {int: "a whole number", str: "a text"}[kind])
    return value


def _wrong(file: Path, field: str, got: Any, expected: str) -> InputFileError:
    return InputFileError(
        problem("bad metadata", f"{file}, {field}", got, expected),
        hint="Make the data set again.",
        file=file,
        key=field,
    )


def _damaged(file: Path, where: str, error: BaseException) -> InputFileError:
    said = " ".join(str(error).split())[:160]
    return InputFileError(
        f"damaged file: {file}, {where}; got {type(error).__name__}: {said}; expected a whole Minari data set",
        hint="Make or fetch the data set again.",
        file=file,
        key=where,
    )


def _check_plausible(stored: Stored, file: Path) -> None:
    """Numbers decide about memory, so they must be possible."""
    if stored.format not in FORMATS:
        raise _wrong(file, "data_format", stored.format, f"one of {FORMATS}")
    size = sum(path.stat().st_size for path in stored.path.rglob("*") if path.is_file())
    if not 1 <= stored.num_episodes <= stored.num_steps:
        raise _wrong(file, "total_episodes", stored.num_episodes, f"1 to total_steps = {stored.num_steps}")
    if stored.num_steps > STEPS_PER_BYTE * size:
        raise _wrong(file, "total_steps", stored.num_steps, f"what {size} bytes can hold")
    if stored.format == "hdf5" and not stored.file.is_file():
        raise InputFileError(
            problem("no arrays", str(stored.file), "no file", f"{hdf5.FILE} beside {METADATA}"),
            hint="Make or fetch the data set again.",
            file=stored.file,
            key=hdf5.FILE,
        )


def _env_spec(text: Any, warnings: list[str]) -> EnvSpec | None:
    """The spec without what other versions of Gymnasium wrote into it; nothing in it is run."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        known = {field.name for field in dataclasses.fields(EnvSpec) if field.init}
        return EnvSpec.from_json(json.dumps({name: value for name, value in found.items() if name in known}))
    except Exception as error:  # as many ways as there are versions
        warnings.append(f"env_spec cannot be read and was left out: {' '.join(str(error).split())[:160]}")
        return None


def _space(file: Path, metadata: Mapping[str, Any], name: str, spec: EnvSpec | None) -> Space:
    """By the metadata; else by the environment that is registered here under the spec's id."""
    text = metadata.get(name)
    if text is None and spec is not None:
        with contextlib.suppress(Exception):
            return getattr(gymnasium.make(spec.id), name)  # type: ignore[no-any-return]
    try:
        return _read_space(json.loads(text))  # type: ignore[arg-type]
    except Exception as error:
        raise _wrong(file, name, text if text is None else str(error), "a space in Minari's form") from error


def _read_space(form: Any) -> Space:
    """Dicts keep the order they were written in, which is the environment's; Gymnasium would sort them."""
    from minari.serialization import deserialize_space

    if form["type"] == "Dict":
        return spaces.Dict([(name, _read_space(sub)) for name, sub in form["subspaces"].items()])
    if form["type"] == "Tuple":
        return spaces.Tuple([_read_space(sub) for sub in form["subspaces"]])
    return deserialize_space(form)  # type: ignore[no-any-return]


def _arrow_episodes(path: Path, count: int) -> Iterator[dict[str, Any]]:
    """By Minari's own storage."""
    from minari.dataset.minari_storage import MinariStorage

    try:
        storage = MinariStorage.read(path)
    except ImportError as error:
        raise missing_extra("pyarrow", "arrow", f"the data set {path}") from error
    yield from storage.get_episodes(range(count))


def _episode(raw: Mapping[str, Any]) -> Episode:
    if np.ndim(raw["rewards"]) != 1:
        raise EpisodeError("wrong shape", "rewards", np.shape(raw["rewards"]), "(T,) with at least one step")
    terminations, truncations = (_flags(raw, name) for name in ("terminations", "truncations"))
    steps = len(raw["rewards"])
    ended = np.flatnonzero(terminations | truncations)
    if not len(ended) or ended[0] != steps - 1:
        got = f"step {ended[0]} of {steps}" if len(ended) else "none"
        raise EpisodeError("no end where the episode ends", "terminations, truncations", got, "the last step alone")
    terminated = bool(terminations[-1])
    return Episode(
        observations=raw["observations"],
        actions=raw["actions"],
        rewards=np.asarray(raw["rewards"]),
        terminated=terminated,
        truncated=not terminated,
        infos=_success(raw.get("infos") or {}, steps + 1),
    )


def _success(infos: Mapping[str, Any], rows: int) -> dict[str, np.ndarray] | None:
    found = {name: np.asarray(infos[name]) for name in SUCCESS if name in infos}
    return {name: column.reshape(rows) for name, column in found.items() if column.size == rows} or None


def _flags(raw: Mapping[str, Any], name: str) -> np.ndarray:
    column = np.asarray(raw[name])
    if column.shape != np.shape(raw["rewards"]) or column.dtype.kind not in "biu":
        raise EpisodeError("wrong shape", name, (column.shape, column.dtype), "(T,) bool, one per reward")
    return column.astype(bool)
