# forkmaps: everything runs in .venv, which is made from pyproject.toml.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: maps test test-slow bench lint clean

maps: .venv/installed
	$(BIN)/forkmaps render regions/us12.toml

test: .venv/installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow --timeout 1800

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-bench
	$(BIN)/python tests/benchmarks/bench.py

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "forkmaps needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=... to one that is.")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/installed: .venv/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

clean:
	rm -rf .venv out
