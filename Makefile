# Two commands: `make run` starts a session here and attaches to it, `make test` tests everything.
# Both install what they need into .venv and need no more than make and a python3 (>= 3.11) that has venv.
# `make lock` pins the requirements anew.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SUFFIXES:
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
EXAMPLE := docs/examples/analysis.py

.PHONY: run test lock install-run install-test

# With a terminal: attach (this starts the session). Without one: run the example and print what came out.
run: install-run
	@if [ -t 0 ] && [ -t 1 ]; then
	    exec $(BIN)/zmqkernel attach
	fi
	$(BIN)/zmqkernel start
	$(BIN)/zmqkernel run $(EXAMPLE)
	echo "The session goes on. Back to it: $(BIN)/zmqkernel attach    End it: $(BIN)/zmqkernel shutdown"

test: install-test
	@$(BIN)/python -m pytest

install-run: .venv/run.stamp
	@$(compile)

install-test: .venv/test.stamp
	@$(compile)
	tests/install-tools

# The checkout is installed editable: an edit is there at the next start. Its bytecode is written here, because with
# PYTHONDONTWRITEBYTECODE in the environment every start of a process would compile everything again.
compile = $(BIN)/python -m compileall -q zmqkernel lsp_bridge

# No index is named here or in requirements/: pip uses the one of this machine, the hashes say what is right.
define install
	@$(BIN)/python -c 1 2>/dev/null || $(PYTHON) -m venv --clear .venv
	echo "installing requirements/$(1).txt into .venv"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/$(1).txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch .venv/$(1).stamp
endef

.venv/run.stamp: requirements/run.txt pyproject.toml
	$(call install,run)

.venv/test.stamp: requirements/test.txt requirements/run.txt pyproject.toml
	$(call install,test)
	touch .venv/run.stamp

# test.txt holds everything in run.txt, in the same versions.
lock: install-test
	@lock() { $(BIN)/uv pip compile pyproject.toml --no-config --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --quiet --upgrade --group build --group example "$$@"; }
	lock --output-file requirements/run.txt
	lock --group test --constraint requirements/run.txt --output-file requirements/test.txt
