# Bare `make` explains itself. Every target that needs Python makes .venv first.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help rehearse test test-faults lab lint bench lock generated clean

help: ## Show this
	@echo "Dataflow runbooks. The two commands for a fresh machine are make rehearse and make test."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

rehearse: .venv/installed ## See the whole life of a release on a practice cluster (first time up to 20 minutes)
	@$(BIN)/runbooks rehearse

test: .venv/installed .venv/s3/installed lint ## Lint, then all tests; builds the practice cluster's programs when they are missing
	@$(BIN)/runbooks sandbox toolchain
	@$(PYTEST)

test-faults: .venv/installed ## The slow fault tests, besides those of make test
	@$(BIN)/runbooks sandbox toolchain
	@$(PYTEST) -m faults

lab: .venv/installed ## Open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir=. notebooks/00_start_here.ipynb

lint: .venv/installed ## ruff (notebooks too), mypy --strict, the layers, the line budget
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/budget.py

bench: .venv/installed ## Measure speed and size, as ratios of one run
	@$(BIN)/python tests/bench.py

lock: ## Renew requirements.lock from pyproject.toml and requirements.in
	@$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
	  --extra sandbox --extra portal --extra s3 --extra dev --output-file requirements.lock pyproject.toml requirements.in
	@$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
	  --output-file tests/integration/s3/requirements.lock tests/integration/s3/requirements.in

generated: .venv/installed ## Renew parameters/schema.json and docs/checks.md from what they are made of
	@$(BIN)/python parameters/schema.py
	@$(BIN)/python docs/checks.py

clean: ## Take practice clusters down; remove .venv, caches and the project's Helm home (records stay)
	@if [ -x $(BIN)/runbooks ]; then $(BIN)/runbooks sandbox down --all; fi
	@rm -rf .venv .runbooks .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: requirements.lock pyproject.toml bootstrap.sh
	@PYTHON="$(PYTHON)" sh bootstrap.sh

.venv/s3/installed: .venv/installed tests/integration/s3/requirements.lock
	@$(PYTHON) -m venv --clear .venv/s3
	@.venv/s3/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/integration/s3/requirements.lock
	@touch $@
