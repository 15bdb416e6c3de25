"""Offline data sets in Minari's format: written whole, checked when read, made by named generators."""
