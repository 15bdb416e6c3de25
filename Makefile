# The two commands of a newcomer are `make quickstart` and `make test`; both build .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Exact versions hold on Python 3.11, for which they were made; newer Pythons take the newest JAX.
CONSTRAINTS := $(shell $(PYTHON) -c "import sys; print('-c constraints.txt' if sys.version_info[:2] == (3, 11) else '')")

.PHONY: quickstart test test-slow check docs bench clean

$(VENV)/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(CONSTRAINTS) -e .
	touch $@

$(VENV)/dev: $(VENV)/core
	$(BIN)/pip install --quiet $(CONSTRAINTS) -e ".[test,arrow,box2d,gem,robotics,docs]"
	touch $@

quickstart: $(VENV)/core
	$(BIN)/palaestra study stump_tracks_quick

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --slow

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_structure.py

docs: $(VENV)/dev
	$(BIN)/sphinx-build -W -b html docs docs/_build/html

bench: $(VENV)/dev
	$(BIN)/palaestra bench walker

clean:
	rm -rf $(VENV) docs/_build .pytest_cache .mypy_cache .ruff_cache
