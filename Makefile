# The project's verbs. `make` alone prints them; each does the set-up it needs.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test check bench bench-peers serve clean

help:  ## Print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## Put the project and its development tools into .venv

$(READY): pyproject.toml requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Pasture needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "python3 -m venv failed. On Debian: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/pasture runtimes install --found
	@touch $@

demo: $(READY)  ## Start a server, deploy real functions, invoke them, show the results
	$(BIN)/python examples/demo/run.py

test: $(READY)  ## Run every test
	$(BIN)/python -m pytest

check: $(READY)  ## Lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## Measure, each figure beside the floor of the same run; ROWS=cold,warm ARGS=--quick
	$(BIN)/python benchmarks/run.py $(if $(ROWS),--rows $(ROWS)) $(ARGS)

bench-peers: $(READY)  ## Measure beside what else runs Lambda functions, installed into a throw-away environment
	$(BIN)/python benchmarks/peers.py $(ARGS)

serve: $(READY)  ## Start a server on port 9600
	$(BIN)/pasture serve

clean:  ## Remove what the other verbs made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
