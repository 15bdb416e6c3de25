"""Learners: the agent contract, shared mathematics, one file per algorithm."""
