"""Runs that stop and go on, and whether they end with the same bits."""

from palaestra.experiments.checkpoint import to_arrays
from palaestra.experiments.runner import Callback


class StopAt(Callback):
    """Stops as soon as a step is reached."""

    def __init__(self, step):
        self.step = step

    def on_chunk_end(self, rows, state):
        return rows[0]["step"] < self.step


def bits(state):
    """{name: bytes} of a state's arrays."""
    return {name: array.tobytes() for name, array in to_arrays(state)[0].items()}
