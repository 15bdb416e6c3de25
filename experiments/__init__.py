"""Compositions: studies, runner, command line, evaluation, plots, report, bench. The only floor that touches disk."""
