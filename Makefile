# Every target makes or refreshes .venv itself; a stamp file keeps that quick when nothing changed.
PYTHON ?= python3.11
SEEDS ?= 0
SUITE ?= table3
OUTPUTS ?= outputs
FUZZ_FILES ?= 20000
# A folder of real CT and MR files with a labels.csv, for one more test set; nothing where there is none.
REAL_DATA ?= $(wildcard ../shared/realdata)
DATA ?= data

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PY := $(BIN)/python
RUN := $(PY) experiments/run.py
PATHS := paths.outputs=$(OUTPUTS) paths.data=$(DATA)
PREPARE := $(PY) experiments/prepare.py paths.data=$(DATA)

export NO_ALBUMENTATIONS_UPDATE := 1
export HF_HUB_OFFLINE := 1

.DEFAULT_GOAL := help
.PHONY: help setup lint test fuzz data reproduce-table3 report benchmark clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(STAMP) ## Make .venv and install the project into it

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or set PYTHON="; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (some gigabytes the first time)"
	@$(PY) -m pip install -q -e '.[dev]'
	@touch $@

lint: $(STAMP) ## ruff (check and format) and strict mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## Lint, then every test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

fuzz: $(STAMP) ## Damage FUZZ_FILES (20000) DICOM and NIfTI files and read them all
	OMP_NUM_THREADS=1 FUZZ_FILES=$(FUZZ_FILES) $(BIN)/pytest tests/fuzz -s

data: $(STAMP) ## Make the phantom cohorts, and fetch the real sample volumes (test data only)
	$(PREPARE) source=phantom
	@$(PREPARE) source=samples || { test $$? -eq 3 && echo "going on without the real sample volumes"; }
	@test -z "$(REAL_DATA)" || REAL_DATA="$(REAL_DATA)" $(PREPARE) source=real

reproduce-table3: data ## Train and evaluate PMC, PMC-M, PMC-MS, PMC-MSA; print Table III
	$(RUN) experiment=table3/stand_in $(PATHS)
	$(RUN) --multirun sweep=table3 seed=$(SEEDS) $(PATHS)
	$(PY) experiments/report.py suite=table3 $(PATHS)

report: $(STAMP) ## Rebuild a suite's tables and figures from its predictions (SUITE=table3)
	$(PY) experiments/report.py suite=$(SUITE) $(PATHS)

benchmark: $(STAMP) ## Time the pipeline's parts side by side, as ratios
	$(PY) experiments/benchmark.py
	REAL_DATA="$(REAL_DATA)" $(PY) experiments/benchmark_data.py

clean: ## Remove stores and runs (not .venv)
	rm -rf data outputs
