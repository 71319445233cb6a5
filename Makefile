# One file does all set-up: a virtual environment with pinned dependencies, made once.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
CONFIGS ?= configs/crm_cohort_retention.yaml configs/crm_churn_definitions.yaml \
           configs/crm_hazard_ratios.yaml configs/crm_churn_rate.yaml

.DEFAULT_GOAL := help
.PHONY: help setup experiment test check format clean

help:  ## Say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY)  ## Make .venv with the pinned dependencies (every other target does this itself)

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11 to 3.13 is needed; $(PYTHON) is $$($(PYTHON) --version). Name another one: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,prediction]'
	@touch $@

experiment: $(READY) data/crm/truth.json  ## The main job: simulate a company, run its experiments into results/
	$(BIN)/survival run $(CONFIGS)

data/crm/truth.json: | $(READY)
	$(BIN)/survival simulate --scenario crm --customers 5000 --seed 7 --out data/crm

test: $(READY)  ## All tests
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(READY)  ## Lint, format, types, and the architecture test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

format: $(READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment, simulated data, results and kept episodes
	rm -rf $(VENV) data/crm results/crm_* results/index.html .survival_cache
