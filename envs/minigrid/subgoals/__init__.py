"""Levels taken apart into subgoals, and environments that show and reward them.

Source of the scheme and of its defaults: Ruiz-Gonzalez et al., "Words as Beacons" (arXiv 2410.08632; Machine Learning
and Knowledge Extraction 7(4), 126, 2025), and the authors' public code.
"""
