"""Worlds: the environment contract, the doors through which they are used, and one folder per family."""
