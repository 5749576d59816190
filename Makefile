# make demo   simulate, train, evaluate: ends with the path of a report, in about five minutes on two cores
# make test   the tests
# make virtual-arm   from calibration to learning on a virtual arm, through LeRobot's own driver; needs Python 3.12 or later
# make docs   these documents and the API reference as pages, in site/
# Each does all the set-up itself, once, into .venv; what only developers need comes with test, lint and docs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEEDS := pyproject.toml constraints.txt scripts/setup.sh

.PHONY: setup setup-dev demo test lint docs virtual-arm clean

setup: $(VENV)/.ready
setup-dev: $(VENV)/.ready-dev

$(VENV)/.ready: $(NEEDS)
	@PYTHON="$(PYTHON)" sh scripts/setup.sh "$(VENV)"
	@touch $@

$(VENV)/.ready-dev: $(NEEDS)
	@PYTHON="$(PYTHON)" sh scripts/setup.sh "$(VENV)" "--editable .[sim,play,dev]"
	@touch $(VENV)/.ready $@

demo: setup
	@$(BIN)/forearm demo

# One process a core, up to four; each computes in one thread, which would only wait for the other processes' threads.
test: setup-dev
	@OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist worksteal

lint: setup-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: setup-dev
	@$(BIN)/mkdocs build --quiet --strict

virtual-arm: .venv-lerobot/.ready
	@PATH="$(CURDIR)/.venv-lerobot/bin:$$PATH" bash scripts/virtual_arm.sh

.venv-lerobot/.ready: pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" LEROBOT=0.6.1 sh scripts/setup.sh .venv-lerobot
	@touch $@

clean:
	rm -rf $(VENV) .venv-lerobot demo site virtual-arm
