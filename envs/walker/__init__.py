"""Parametric walkers: BipedalWalker's physics as pure functions of arrays, and the tracks they walk on."""
