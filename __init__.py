"""palaestra: environments, agents and teachers that compile into one program.

Importing this package registers every `palaestra/...` id with Gymnasium and does nothing else.
"""

from palaestra.envs.registration import register_all

__version__ = "0.1.0"

register_all()
