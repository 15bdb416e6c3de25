"""A peer in a process of its own that works when it is asked to, so that its rounds can alternate with ours."""

import json
import pathlib
import subprocess
from typing import Any


class PeerProcess:
    """A program of this folder, run by some Python; calling it does what it does for one line of its input.

    Attributes:
      facts: what the program said about itself at first.
    """

    def __init__(self, program: str, python: str, asked: dict[str, Any]):
        """Raises RuntimeError where the program does not begin or does other work than asked for."""
        path = pathlib.Path(__file__).with_name(program)
        command = [python, str(path), json.dumps(asked)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._compiled: int | None = None
        self.facts = self._read()
        wrong = {name: self.facts[name] for name in asked if name in self.facts and self.facts[name] != asked[name]}
        if wrong or not self.facts.get("same_actor", True):
            self.close()
            raise RuntimeError(f"{asked['peer']} does other work than asked for: {wrong or 'another actor'}")

    def __call__(self) -> int:
        """Raises RuntimeError where the program has compiled something since its first call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        done = self._read()
        if self._compiled not in (None, done["compiled"]):
            raise RuntimeError(f"the peer compiled {done['compiled'] - (self._compiled or 0)} programs while measured")
        self._compiled = done["compiled"]
        return int(done["updates"])

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        while line and not line.startswith("{"):  # what libraries print
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with exit code {self._process.wait()}; its messages are above")
        answer: dict[str, Any] = json.loads(line)
        return answer
