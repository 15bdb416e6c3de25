"""Measurements of this project beside its peers, in one process."""
