# Each target does its own set-up: a virtual environment in .venv, with the package and all it needs.
PYTHON ?= python3
BIN = .venv/bin
# tests start many processes, which would each compile all files anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: fig1 test docs web exhaustive bench bench-full table clean

fig1: .venv/ready
	$(BIN)/python -m paper_figures.fig1

test: .venv/ready
	$(BIN)/pytest -q -n auto --dist loadfile --no-loadscope-reorder

docs: .venv/docs
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going -d docs/_build/doctrees docs docs/_build/html

exhaustive: .venv/ready
	$(BIN)/pytest -q -o faulthandler_timeout=0 -m exhaustive tests
	$(BIN)/python -m tests.fuzz --inputs 100000 --store fuzz-$$(git rev-parse --short HEAD).jsonl --resume

bench: .venv/ready
	$(BIN)/pytest -q --benchmark-only

bench-full: .venv/ready
	$(BIN)/pytest -q --benchmark-only -m "full or not full"

table: .venv/ready
	$(BIN)/python -m bench.table

web: .venv/web
	$(BIN)/python docs/live/make.py

.venv/web: .venv/ready
	$(BIN)/pip install --quiet --editable '.[web]'
	touch $@

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

.venv/docs: .venv/ready
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv docs/_build docs/pages docs/live/build docs/live/.made build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  .benchmarks .coverage fuzz-*.jsonl
	find . -name __pycache__ -prune -exec rm -rf {} +
