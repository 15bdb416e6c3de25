"""Language models as teachers' voices: a client for any OpenAI-compatible server, and sentences as vectors.

Questions are asked before training and answers kept in a file, so nothing of this runs inside a compiled loop.
`Client` asks; `HashEmbedder` and its siblings embed; `calibrate` says how often a teacher is right; `local.serve` puts
a small model on this machine.
"""

from .calibration import Calibration, Share, calibrate
from .client import Client, Reply, Request
from .config import Config
from .counters import Usage
from .embedding import Embedder, HashEmbedder, embedding_table
from .pretrained import MiniLM, WordLlama
from .remote_embedding import HTTPEmbedder

__all__ = [
    "Calibration",
    "Client",
    "Config",
    "Embedder",
    "HTTPEmbedder",
    "HashEmbedder",
    "MiniLM",
    "Reply",
    "Request",
    "Share",
    "Usage",
    "WordLlama",
    "calibrate",
    "embedding_table",
]
