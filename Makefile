# Two commands do everything on a fresh machine with Python 3.11+ and make: `make demo`, `make test`.

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is 3.11 or newer; `make PYTHON=/path/to/python demo` to choose.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$p && break; done)
# More than there are cores: much of the time the tests wait, for servers and for disks.
WORKERS ?= 4
SESSIONS ?= 260

.PHONY: help demo test check bench lock clean

help:
	@echo 'make demo    real sessions become money that adds up; leaves the page up'
	@echo 'make test    sets everything up and runs all checks and tests'
	@echo 'make check   lint, types and the import contract only'
	@echo 'make bench   measures, as ratios against floors of the same run'

demo: $(VENV)/.runtime
	@$(BIN)/wattledger demo --sessions $(SESSIONS) --stay

# By file, because some files tell one story in the order of its time; the long ones first
# (tests/conftest.py), so that none of them is left for the end.
# The browser tests install Debian's Chromium themselves where they can, and say so where not.
test: check
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev
	@$(BIN)/python bench/run.py

# New versions of everything, with hashes; no index is named in the files.
lock: $(VENV)/.dev
	@$(BIN)/pip install -q uv
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --upgrade --extra embedded --extra demo --extra build pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --upgrade --all-extras pyproject.toml -o requirements-dev.lock

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed: install it, or make PYTHON=/path/to/python'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'Python can not make a virtual environment: on Debian, apt-get install python3-venv'; exit 1; }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo 'Installing (once) …'
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo 'Installing what the tests need (once) …'
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

clean:
	rm -rf $(VENV) .wattledger .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
