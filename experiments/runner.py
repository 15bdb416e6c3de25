"""The training loop on the host: compiled chunks, and between them metrics, evaluation, checkpoints and signals.

Everything that decides a number is in the agent's state or in the step counter, and chunk boundaries depend on the
step counter alone. So a run that was interrupted and resumed ends with the same bits as one that was not.
"""

import dataclasses
import functools
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from ..envs.errors import PalaestraError
from .checkpoint import CheckpointStore, Loaded, MismatchError
from .config import to_plain
from .config_files import dump_yaml
from .errors import ExitCode, ResourceError, usage_errors
from .evaluation import summarize_scores
from .files import write_atomic
from .guard import MAX_ROLLBACKS, Guard, find_fault
from .journal import Journal
from .metrics import summarize
from .plan import Plan
from .program import Chunk
from .programs import program_for
from .progress import Progress, Silent
from .redaction import redact
from .run_config import check_same_config, config_digest
from .run_folder import RunFolder, now, open_run, versions
from .settings import RunSettings
from .signals import StopFlag, stop_on_signals


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
      status: "finished", or "interrupted" by a signal, a time limit or a callback; then it can be resumed.
      exit_code: what a process that only did this should return.
      state: the agent's state; leading seed axis when there are several seeds.
      metrics: the latest value of everything that was logged, per seed.
      warnings: what the user should know.
    """

    status: Literal["finished", "interrupted"]
    exit_code: int
    run_dir: Path
    steps: int
    state: Any
    metrics: list[dict[str, Any]]
    warnings: tuple[str, ...] = ()


class Callback:
    """Hooks on the host between chunks; override what is needed.

    `on_chunk_end` returning False saves and stops. A state shown to a hook is only valid until the hook returns: the
    next chunk reuses its memory.
    """

    def on_train_start(self, run_dir: Path, steps: int, state: Any) -> None: ...

    def on_chunk_end(self, rows: list[dict[str, Any]], state: Any) -> bool | None: ...

    def on_eval(self, rows: list[dict[str, Any]]) -> None: ...

    def on_checkpoint(self, path: Path) -> None: ...

    def on_train_end(self, result: Result) -> None: ...


def train(
    agent: Any,
    settings: RunSettings,
    run_dir: Path | str,
    *,
    resume: Literal["auto", "never", "must"] = "never",
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    config_input: str | None = None,
    progress: Progress | None = None,
    callbacks: Iterable[Callback] = (),
) -> Result:
    """Trains an agent in a run folder.

    Args:
      agent: an `OnlineAgent` with a field `env`.
      resume: what to do when the folder already has a run; see `open_run`.
      config: what `config.yaml` is to hold; the settings alone when it is not given.
      config_input: what `config.input.yaml` is to hold: the configuration as the user gave it.

    Raises:
      PalaestraError: see `errors.py`; the run folder then says "failed".
    """
    settings, progress = settings.resolved(), progress or Silent()
    with open_run(Path(run_dir), resume=resume, overwrite=overwrite) as folder, stop_on_signals() as stop:
        run = None
        try:
            config = dict(config or {"run": to_plain(settings)})
            check_same_config(folder.path, config)
            _begin(folder, config, config_input)
            run = _Run(agent, settings, folder, progress, tuple(callbacks), stop, config_digest(config))
            result = run.to_the_end()
        except BaseException as error:
            failure = _record_failure(folder, error)
            if failure is error:
                raise
            raise failure from error
        finally:
            if run is not None:
                run.close()
        folder.update(status=result.status, end=now())
    for callback in run.callbacks:
        callback.on_train_end(result)
    return result


class _Run:
    """One process's share of a run: the host-side counters, the open files and the compiled program."""

    def __init__(
        self,
        agent: Any,
        settings: RunSettings,
        folder: RunFolder,
        progress: Progress,
        callbacks: tuple[Callback, ...],
        stop: StopFlag,
        config_digest: str,
    ):
        self.settings, self.folder, self.progress = settings, folder, progress
        self.callbacks, self.stop = callbacks, stop
        self.warnings: list[str] = []
        self.plan = Plan.of(settings, agent.steps_per_iteration)
        self.guard = Guard(settings.nan_policy, folder.path / "events.log")
        self.program = program_for(
            agent,
            settings.num_seeds,
            self.plan.log,
            settings.nan_policy == "skip",
            progress.busy,
            draws_actions=settings.eval_actions == "drawn",
        )
        self.counts_updates = getattr(agent, "step_unit", "steps") == "updates"
        with usage_errors():
            self.template = self.program.template()
        extra = {"versions": versions(), "config_sha256": config_digest}
        self.store = CheckpointStore(folder.path / "checkpoints", settings.keep, self.warn, extra)
        self.journal = Journal(folder.path, settings.seed, settings.num_seeds, self.warn)
        self.host = _new_host(settings.seed)
        self.last_rows: list[dict[str, Any]] = [{} for _ in range(settings.num_seeds)]
        self.begin = self.last_save = self.restored = time.monotonic()
        self.first_chunk: tuple[int, float] | None = None

    @property
    def iteration(self) -> int:
        return self.host["iteration"]

    @property
    def step(self) -> int:
        """Environment steps of each learner."""
        return self.iteration * self.plan.steps_per_iteration

    @property
    def finished(self) -> bool:
        return self.iteration >= self.plan.total

    @functools.cached_property
    def tasks(self) -> Any:
        return self.program.draw_test_tasks(self.settings.eval_episodes, self.settings.eval_tasks)

    def to_the_end(self) -> Result:
        """Restores or starts, trains, saves."""
        self.store.clean()
        loaded = self.store.load_latest(self.template)
        if loaded is None or loaded.host["iteration"] < self.plan.total:
            self.program.compile_ahead(self.tasks if self.plan.eval else None)
        state = self._restore(loaded)
        for callback in self.callbacks:
            callback.on_train_start(self.folder.path, self.step, state)
        self.progress.start(self.plan.total * self.plan.steps_per_iteration, self.step)
        if loaded is None and self.plan.eval and self.settings.eval_first:
            self._evaluate(state)
        exit_code, wanted = self._reason_to_stop(), True
        while not self.finished and wanted and not exit_code:
            state, wanted = self._chunk(state)
            exit_code = self._reason_to_stop()
        if self.host["saved_step"] != self.step:
            self._save(state)
        if self.finished:
            return self._result("finished", 0, state)
        self._say_interrupted(exit_code)
        return self._result("interrupted", exit_code, state)

    def _result(self, status: Literal["finished", "interrupted"], exit_code: int, state: Any) -> Result:
        return Result(status, exit_code, self.folder.path, self.step, state, self.last_rows, tuple(self.warnings))

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.folder.event("warning", text)
        self.progress.message(f"warning: {redact(text)}")

    def close(self) -> None:
        self.journal.close()
        self.progress.stop()

    def _restore(self, loaded: Loaded | None, retry: int = 0) -> Any:
        """Takes up a checkpoint, or starts afresh where there is none, and cuts every record to that step."""
        if loaded is None:
            self.host = _new_host(self.settings.seed)
            state = self.program.init(self.settings.seed, retry)
        else:
            _check_seed(loaded, self.settings.seed)
            self.host, state = dict(loaded.host), self.program.place(loaded.state)
            self.folder.event("info", f"continuing from {loaded.path.name}")
        self.journal.reopen(self.step)
        self.restored, self.first_chunk = time.monotonic(), None
        return state

    def _chunk(self, state: Any) -> tuple[Any, bool]:
        """Trains to the next boundary and does all that is due there. Returns (state, whether to go on)."""
        count = self.plan.next_boundary(self.iteration) - self.iteration
        was_compiled, begin = "train_step" in self.program.compiled, time.monotonic()
        state, chunk = self.program.advance(state, count)
        reported: Any = jax.tree.map(lambda x: np.asarray(x)[:count], chunk)
        seconds = time.monotonic() - begin
        fault = self._fault_to_undo(reported)
        if fault is not None:
            return self._roll_back(fault), True
        self.host["iteration"] += count
        rows = self._record(state, reported, count, seconds if was_compiled else None)
        wanted = all([callback.on_chunk_end(rows, state) is not False for callback in self.callbacks])
        improved = self.plan.is_due(self.iteration, self.plan.eval) and self._evaluate(state)
        overdue = time.monotonic() - self.last_save > self.settings.save_seconds
        if improved or overdue or self.plan.is_due(self.iteration, self.plan.save):
            self._save(state, improved)
        self._show(count)
        return state, wanted

    def _record(self, state: Any, chunk: Chunk, count: int, seconds: float | None) -> list[dict[str, Any]]:
        """Writes the rows, the episodes and the teacher's snapshot of one chunk."""
        rows = self._rows(summarize(chunk.metrics))
        if seconds is not None:  # the first chunk's time is the compiler's
            steps = count * self.plan.steps_per_iteration * self.settings.num_seeds
            name = "time/ups" if self.counts_updates else "time/fps"
            rows = [row | {name: steps / max(seconds, 1e-9)} for row in rows]
        self._write("metrics", rows)
        if chunk.episodes is not None:
            self.journal.add_episodes(chunk.episodes, self.step)
        snapshot = self.program.snapshot(state)
        if snapshot:
            self.journal.add_snapshot(snapshot, self.step)
        return rows

    def _evaluate(self, state: Any) -> bool:
        """Evaluates; True when no earlier evaluation was as good."""
        scores = self.program.evaluate(state, self.tasks, self.settings.seed)
        rows = self._rows(summarize_scores(scores))
        self.journal.add_scores(self.tasks, scores, self.step)
        self._write("evals", rows)
        for callback in self.callbacks:
            callback.on_eval(rows)
        score = float(np.mean([row["eval/mean_reward"] for row in rows]))
        best = self.host["best_score"]
        if not np.isfinite(score) or (best is not None and score <= best):
            return False
        self.host |= {"best_score": score, "best_step": self.step}
        return True

    def _save(self, state: Any, is_best: bool = False) -> None:
        copies = [name for name, wanted in (("best", is_best), ("final", self.finished)) if wanted]
        self.journal.flush(self.step)
        host = self.host | {"saved_step": self.step, "wall_s": self._wall()}
        if self.store.save(self.step, state, host, copies):
            self.host["saved_step"] = self.step
            self.folder.update(last_good_step=self.step)
            for callback in self.callbacks:
                callback.on_checkpoint(self.store.path(self.step))
        self.last_save = time.monotonic()

    def _fault_to_undo(self, chunk: Chunk) -> str | None:
        """What in this chunk forbids going on from it; None when it may stand."""
        fault = find_fault(chunk)
        if fault is None:
            self.guard.relax()
            return None
        where = fault.at(
            (self.iteration + fault.row + 1) * self.plan.steps_per_iteration, self.settings.seed + fault.seed
        )
        self.folder.event("warning", f"not finite: {where}", statistics=fault.statistics)
        if not self.guard.tolerates(chunk, where):
            return where
        self.warn(f"{fault.count} updates skipped, not finite; first: {where}")
        return None

    def _roll_back(self, where: str) -> Any:
        retry = self.host["retries"] + 1
        if retry > MAX_ROLLBACKS:
            raise self.guard.error(where, f"{MAX_ROLLBACKS} rollbacks did not help")
        loaded = self.store.load_latest(self.template)
        state = self._restore(loaded, retry)
        self.host["retries"] = retry
        self.warn(f"not finite: {where}; back to step {self.step}, attempt {retry}")
        return state if loaded is None else self.program.reseed(state, retry)

    def _reason_to_stop(self) -> int:
        """The exit code of whatever asks to stop now; 0 to go on."""
        if self.stop.signal is not None:
            return self.stop.exit_code
        limit = self.settings.max_seconds
        return int(ExitCode.RESOURCE) if limit and time.monotonic() - self.begin > limit else 0

    def _say_interrupted(self, exit_code: int) -> None:
        reasons = {0: "by a callback", ExitCode.RESOURCE: "by --max-seconds"}
        why = reasons.get(exit_code) or f"by {self.stop.signal.name if self.stop.signal else exit_code}"
        self.folder.event("info", f"interrupted {why} at step {self.step}")
        self.progress.message(f"interrupted {why}, saved at step {self.step}; palaestra resume {self.folder.path}")

    def _rows(self, per_seed: list[dict[str, float]]) -> list[dict[str, Any]]:
        """Adds what every row begins with."""
        env_steps = 0 if self.counts_updates else self.step * self.settings.num_seeds
        index = {"step": self.step, "env_steps": env_steps, "iteration": self.iteration}
        wall = round(self._wall(), 3)
        return [index | {"seed": self.settings.seed + i, "wall_s": wall} | row for i, row in enumerate(per_seed)]

    def _write(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.journal.write(name, rows)
        self.last_rows = [last | row for last, row in zip(self.last_rows, rows, strict=True)]

    def _show(self, count: int) -> None:
        """Tells progress; speed counts all work but that of the first chunk, which is the compiler's."""
        if self.first_chunk is None:
            self.first_chunk = (self.iteration, time.monotonic())
            first, begin = self.iteration - count, self.restored
        else:
            first, begin = self.first_chunk
        speed = (self.iteration - first) / max(time.monotonic() - begin, 1e-9)
        keys = {key for row in self.last_rows for key in row}
        mean = {key: float(np.mean([row[key] for row in self.last_rows if key in row])) for key in keys}
        mean["remaining_s"] = (self.plan.total - self.iteration) / speed if speed else 0.0
        self.progress.update(self.step, mean, speed * self.plan.steps_per_iteration * self.settings.num_seeds)

    def _wall(self) -> float:
        return self.host["wall_s"] + time.monotonic() - self.restored


def _new_host(seed: int) -> dict[str, Any]:
    """The runner's own numbers in a checkpoint; `saved_step` is the step of the newest one."""
    host = {"iteration": 0, "saved_step": None, "wall_s": 0.0, "seed": seed}
    return host | {"retries": 0, "best_score": None, "best_step": None}


def _check_seed(loaded: Loaded, seed: int) -> None:
    if loaded.host["seed"] != seed:
        raise MismatchError(
            f"checkpoint of another seed: {loaded.path}; got {loaded.host['seed']}; expected {seed}", file=loaded.path
        )


def _begin(folder: RunFolder, config: Mapping[str, Any], config_input: str | None) -> None:
    device = jax.devices()[0]
    folder.update(
        status="running",
        pid=os.getpid(),
        start=now(),
        end=None,
        device={"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        versions=versions(),
        error=None,
    )
    texts = {"config.yaml": dump_yaml(dict(config)), "config.input.yaml": redact(config_input or "")}
    for name, text in texts.items():
        if text and not (folder.path / name).exists():
            write_atomic(folder.path / name, text)


def _record_failure(folder: RunFolder, error: BaseException) -> BaseException:
    """Notes the failure in the folder; returns what to raise."""
    if isinstance(error, OSError):
        error = ResourceError(f"run folder cannot be written: {folder.path}; {error.strerror}", file=folder.path)
    code = error.code if isinstance(error, PalaestraError) else ExitCode.BUG
    text = redact(f"{type(error).__name__}: {error}")
    try:
        folder.event("error", text)
        folder.update(status="failed", end=now(), error={"code": int(code), "message": text[:2000]})
    except OSError as disk:
        return ResourceError(f"run folder cannot be written: {folder.path}; {disk.strerror}", file=folder.path)
    return error
