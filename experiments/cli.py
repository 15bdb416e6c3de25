"""The command `palaestra`: reads the command line, runs one verb, and says how it went.

stdout carries the result and nothing else; progress, warnings and errors go to stderr. Every failure is one line and an
exit code of `errors.ExitCode`; a traceback appears only with `--debug`.
"""

import argparse
import contextlib
import importlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from ..envs.errors import PalaestraError
from . import flags
from .errors import ExitCode, UsageError
from .output import Answer, envelope, error_envelope
from .redaction import redact


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's) and returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    wants_json, debug = "--json" in words, "--debug" in words
    verb, said = "", list[dict[str, str]]()
    try:
        namespace = flags.parse(words)
        verb = namespace.verb
        with _captured(said, namespace):
            answer = _run(namespace)
    except SystemExit as ending:  # argparse has printed help or the version
        return int(ending.code or 0)
    except BrokenPipeError:
        return _reader_left()
    except BaseException as error:
        return _fail(verb, error, said, wants_json, debug)
    try:
        _show(verb, answer, said, wants_json)
    except BrokenPipeError:
        return _reader_left()
    return int(answer.exit_code)


def _run(namespace: argparse.Namespace) -> Answer:
    """Imports and runs the verb; whatever a library prints meanwhile goes to stderr."""
    if namespace.verbose:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        return importlib.import_module(f".commands.{namespace.module}", __package__).run(namespace)


def _show(verb: str, answer: Answer, said: Sequence[dict[str, str]], wants_json: bool) -> None:
    if wants_json:
        print(envelope(verb, answer, said))
    elif answer.text:
        print(answer.text)
    sys.stdout.flush()


def _fail(verb: str, error: BaseException, said: list[dict[str, str]], wants_json: bool, debug: bool) -> int:
    error = _as_known(error)
    code = _exit_code(error)
    if debug:
        text = "".join(traceback.format_exception(error))
    elif isinstance(error, PalaestraError):
        text = f"palaestra: {error}\n"
    elif code == ExitCode.SIGINT:
        text = "palaestra: interrupted\n"
    else:
        text = f"palaestra: internal error: {type(error).__name__}: {error}. Run with --debug and report this.\n"
    with contextlib.suppress(OSError):
        print(redact(" ".join(text.split()) + "\n" if not debug else text), file=sys.stderr, end="", flush=True)
        if wants_json:
            print(error_envelope(verb, error, code, said), flush=True)
    return code


def _as_known(error: BaseException) -> BaseException:
    """Errors of the lower floors that stand for a bad argument, as such."""
    tasks = sys.modules.get(__package__.rpartition(".")[0] + ".envs.tasks")
    if tasks is not None and isinstance(error, tasks.TaskError):
        known = UsageError(str(error), hint="Change the value.", key="task")
        known.__cause__ = error
        return known
    return error


def _exit_code(error: BaseException) -> int:
    if isinstance(error, PalaestraError):
        return int(error.code)
    if isinstance(error, KeyboardInterrupt):
        return int(ExitCode.SIGINT)
    return int(ExitCode.RESOURCE if isinstance(error, MemoryError) else ExitCode.BUG)


@contextlib.contextmanager
def _captured(said: list[dict[str, str]], namespace: argparse.Namespace) -> Iterator[None]:
    """Python warnings as lines on stderr and entries of the JSON object."""

    def show(message: Any, category: type[Warning], *place: Any) -> None:
        said.append({"code": category.__name__, "message": redact(" ".join(str(message).split()))})
        if not namespace.json and not namespace.quiet:
            print(f"palaestra: warning: {said[-1]['message']}", file=sys.stderr)

    with warnings.catch_warnings():
        if not namespace.verbose:
            warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _reader_left() -> int:
    """`palaestra list | head` is no error; the interpreter must not complain about the pipe at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
