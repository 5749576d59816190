# make demo   simulate, train, evaluate: ends with the path of a report, in about five minutes on two cores
# make test   the tests
# make docs   these documents and the API reference as pages, in site/
# Each does all the set-up itself, once, into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint docs clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh "$(VENV)"
	@touch $@

demo: setup
	@$(BIN)/forearm demo

test: setup
	@$(BIN)/pytest

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: setup
	@$(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) demo site
