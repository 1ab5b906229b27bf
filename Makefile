# Every target makes or updates .venv itself. A stamp file makes this fast when nothing changed.
# The first Python from 3.11 to 3.13 that is found.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell $(name) -c \
	"import sys; v = sys.version_info[:2]; v in ((3, 11), (3, 12), (3, 13)) and print('$(name)')" 2>/dev/null)))
SEEDS ?= 0
SUITE ?= table3
# QUICK=1: fewer films and columns, in separate folders, so that they do not mix with the full ones. FULL=1: more columns.
QUICK ?=
FULL ?=
OUTPUTS ?= $(if $(QUICK),outputs/quick,outputs)
# SCALE=paper needs DATA (stores) and WEIGHTS (folder of PubMedCLIP's files). SUITE=table3_rn50 uses the second backbone.
# PLAN=1 only prints the plan. PRICE= is the price of a GPU hour.
SCALE ?= laptop
WEIGHTS ?= weights
PRICE ?= null
TABLE3_RUN = $(OUTPUTS)/table3/pmc_msa/seed_$(firstword $(subst $(COMMA), ,$(SEEDS)))
COLUMNS := pmc pmc_m pmc_ms pmc_msa
COMMA := ,
FUZZ_FILES ?= 20000
# REAL_DATA: a folder of real CT and MR files with a labels.csv, for one more test set. REAL_SLICES: a folder of labelled pictures
# with a labels.csv (`make real-stores` makes training stores of both). REAL_FILMS: a folder of real films in NIH's layout.
REAL_DATA ?=
REAL_SLICES ?=
REAL_FILMS ?=
POOLED = $(subst $() ,$(COMMA),$(strip $(if $(REAL_SLICES),slices) $(if $(REAL_DATA),volumes)))
DATA ?= $(if $(QUICK),data/quick,data)
PRETRAINED := $(if $(QUICK),random simclr clip convirt,\
	random simclr moco contrastive_binary caption_lstm caption_transformer clip convirt gloria supervised)
# The fine-tuning runs, as task_percent_draw.
FINETUNED := pneumonia_1_0 pneumonia_10_0
ifdef FULL
FINETUNED := $(foreach task,pneumonia findings covid fracture,$(task)_100_0 \
	$(foreach percent,1 10,$(foreach draw,0 1 2 3 4,$(task)_$(percent)_$(draw))))
endif
# 210 of the 700 training patients.
PATIENTS_30 := 210

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PY := $(BIN)/python
# By default, glibc returns freed memory and requests it again at every step. Keeping it makes a step on a CPU 10 % faster.
RUN := MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864 \
	$(PY) experiments/run.py
PATHS := paths.outputs=$(OUTPUTS) paths.data=$(DATA)
PREPARE := $(PY) experiments/prepare.py paths.data=$(DATA)
# The same slices in several windows, with the same ids, in stores of their own.
WINDOWS := display=several paths.data=$(DATA)/windows source.salt_file=$(DATA)/.salt

export NO_ALBUMENTATIONS_UPDATE := 1
export HF_HUB_OFFLINE := 1
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup lint test fuzz soak parity data real-stores imagenet-weights reproduce-real bundle films film-stores reproduce-table3 table3-plus reproduce-pretraining \
	reproduce-imagenet results benchmark gpu clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 24

setup: $(STAMP) ## Make .venv and install the project into it

$(STAMP): pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "no Python from 3.11 to 3.13 was found: install one, or set PYTHON="; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (the first time this downloads some gigabytes)"
	@$(PY) -m pip install -q -e '.[dev]'
	@touch $@

lint: $(STAMP) ## Run ruff (check and format) and strict mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## Run lint, then all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

fuzz: $(STAMP) ## Damage FUZZ_FILES (20000) DICOM and NIfTI files and read them; then describe the same number of files
	OMP_NUM_THREADS=1 FUZZ_FILES=$(FUZZ_FILES) $(BIN)/pytest tests/fuzz -s

soak: $(STAMP) ## Kill 40 runs and 100 checkpoint writes at random moments, and run a sweep of 4 x 3 runs
	OMP_NUM_THREADS=1 SOAK_KILLS=20 SOAK_WRITES=100 CLUSTER_TESTS=1 $(BIN)/pytest -rP \
		tests/integration/test_restarts.py tests/integration/test_multirun.py tests/training/test_checkpoints.py \
		tests/integration/test_cluster.py

parity: $(STAMP) ## Compare models of the paper's size with transformers and open_clip, for import and export
	OMP_NUM_THREADS=2 FULL_SIZE=1 $(BIN)/pytest tests/models/test_full_size.py

data: $(STAMP) ## Make the phantom cohorts, and download the real sample volumes (test data only)
	$(PREPARE) source=phantom
	@$(PREPARE) source=samples || { test $$? -eq 3 && echo "continuing without the real sample volumes"; }
	@test -z "$(REAL_DATA)" || REAL_DATA="$(REAL_DATA)" $(PREPARE) source=real

real-stores: $(STAMP) ## Make the folds of real slices, by patient and by source (REAL_DATA=, REAL_SLICES=)
	@test -n "$(POOLED)" || \
		{ echo "give a folder of volumes, a folder of pictures, or both: make $@ REAL_DATA=FOLDER REAL_SLICES=FOLDER"; exit 1; }
	@set -e; for by in patient source; do for more in "" "$(WINDOWS)"; do \
		REAL_DATA="$(REAL_DATA)" REAL_SLICES="$(REAL_SLICES)" $(PREPARE) source=pool source.by=$$by source.only=[$(POOLED)] $$more; \
	done; done

imagenet-weights: $(STAMP)
	$(BIN)/anatomy-clip download imagenet $(WEIGHTS)

reproduce-real: real-stores imagenet-weights ## Cross-validate on real slices, over patients and over sources (two hours on two cores)
	$(PREPARE) source=phantom
	$(PREPARE) source=phantom_close display=several paths.data=$(DATA)/windows
	$(RUN) --multirun sweep=real seed=$(SEEDS) $(PATHS) paths.weights=$(WEIGHTS)
	$(RUN) --multirun experiment=real/phantoms seed=$(SEEDS) $(PATHS) paths.weights=$(WEIGHTS)
	$(RUN) --multirun sweep=real experiment=real/probe $(PATHS) paths.weights=$(WEIGHTS)
	$(PY) experiments/results.py suite=real_pool_0 table=real $(PATHS)
	$(PY) experiments/results.py suite=real_pool_by_source_0 table=real_sources $(PATHS)

bundle: reproduce-real ## Train on all real slices, and make the bundle for describe (REAL_DATA=, REAL_SLICES=)
	$(RUN) experiment=real/bundle $(PATHS) paths.weights=$(WEIGHTS)
	$(BIN)/anatomy-clip export $(OUTPUTS)/real/bundle/seed_0 --data $(DATA) --onnx --half --overwrite

film-stores: $(STAMP)
	$(PREPARE) source=films side=96 $(if $(QUICK),source.share=0.34)
	@test -z "$(REAL_FILMS)" || REAL_FILMS="$(REAL_FILMS)" $(PREPARE) source=real_films side=96

films: film-stores ## Make simulated radiographs with findings and reports (about 3,500; QUICK=1: 1,200), show and check them
	@$(PY) experiments/film_sheets.py $(DATA)/films
	@$(PY) experiments/check.py stores=films paths.data=$(DATA)
	@$(PY) experiments/film_shortcuts.py $(DATA)/films/train $(DATA)/films/test

ifeq ($(SCALE),laptop)
ifdef PLAN
$(error PLAN=1 needs SCALE=paper: there is no plan for the runs of a laptop)
endif
reproduce-table3: data ## Train and evaluate PMC, PMC-M, PMC-MS, PMC-MSA; print Table III
	$(RUN) experiment=table3/stand_in $(PATHS)
	$(RUN) --multirun sweep=table3 seed=$(SEEDS) $(PATHS)
	$(PY) experiments/results.py suite=table3 $(PATHS)
	@test $(TABLE3_RUN)/bundle/SHA256SUMS -nt $(TABLE3_RUN)/decisions.json || \
		$(BIN)/anatomy-clip export $(TABLE3_RUN) --data $(DATA) --overwrite
else
# One run after the other, because with several GPUs each process of a multirun would start the whole sweep.
reproduce-table3: $(STAMP)
	@$(PY) experiments/estimate.py suite=$(SUITE) at_scale=$(SCALE) 'seeds=[$(SEEDS)]' price_per_gpu_hour=$(PRICE) \
		$(PATHS) paths.weights=$(WEIGHTS) plan_only=$(if $(PLAN),true,false)
ifndef PLAN
	@set -e; for seed in $(subst $(COMMA), ,$(SEEDS)); do for column in $(COLUMNS); do \
		$(RUN) sweep=$(SUITE) scale=$(SCALE) experiment=table3/$$column seed=$$seed $(PATHS) paths.weights=$(WEIGHTS); \
	done; done
	$(PY) experiments/results.py suite=$(SUITE) table=$(SCALE) $(PATHS)
endif
endif

table3-plus: data ## Train and evaluate the columns beyond the paper, with three seeds (some hours on two cores)
	$(RUN) experiment=table3/stand_in $(PATHS)
	$(RUN) --multirun sweep=table3_plus $(PATHS)
	$(PY) experiments/results.py suite=table3_plus table=table3_plus $(PATHS)

ifdef QUICK
ifdef FULL
$(error QUICK=1 and FULL=1 can't be used together)
endif
endif
joined = $(subst $() ,$(COMMA),$(strip $(1)))

reproduce-pretraining: film-stores ## Pretrain on radiographs by ten methods, fine-tune, and test them (SEEDS=, QUICK=1, FULL=1)
	$(RUN) --multirun sweep=pretraining experiment=$(call joined,$(PRETRAINED:%=pretraining/%)) seed=$(SEEDS) $(PATHS)
ifdef FULL
	$(RUN) --multirun experiment=pretraining/simclr,pretraining/convirt suite=pretraining_30 'stages=[fit]' \
		+data.train_patients=$(PATIENTS_30) seed=$(SEEDS) $(PATHS)
	$(RUN) --multirun experiment=pretraining/simclr_30,pretraining/convirt_30 seed=$(SEEDS) $(PATHS)
endif
	@set -e; for one in $(FINETUNED); do \
		task=$${one%%_*}; rest=$${one#*_}; percent=$${rest%_*}; draw=$${rest#*_}; \
		share=$$(echo "$$percent" | awk '{print $$1 / 100}'); \
		echo "fine-tuning: $$task, $$percent % of the labels, draw $$draw"; \
		$(RUN) --multirun sweep=finetune experiment=$(call joined,$(PRETRAINED:%=finetune/%)) suite=finetune_$$one \
			data=labelled_films task=$$task data.label_share=$$share data.label_draw=$$draw seed=$(SEEDS) $(PATHS); \
	done
	$(PY) experiments/results.py suite=pretraining table=pretraining $(PATHS)

reproduce-imagenet: film-stores ## Evaluate ImageNet's weights, and MoCo v2 and ConVIRT from them, on radiographs (downloads one network)
	@set -e; columns=imagenet/random; \
	if $(BIN)/anatomy-clip download imagenet $(WEIGHTS); \
	then columns=$$columns,imagenet/imagenet,imagenet/moco,imagenet/convirt; \
	else echo "continuing without ImageNet's weights: the columns imagenet, moco and convirt are left out"; fi; \
	$(RUN) --multirun sweep=imagenet experiment=$$columns seed=$(SEEDS) $(PATHS) paths.weights=$(WEIGHTS)
	$(PY) experiments/results.py suite=imagenet table=imagenet $(PATHS)

results: $(STAMP) ## Make a suite's tables, plots and page again from its predictions (SUITE=table3)
	$(PY) experiments/results.py suite=$(SUITE) $(PATHS)

benchmark: $(STAMP) ## Compare the speed of the pipeline's parts, as ratios
	$(PY) experiments/benchmark.py
	$(PY) experiments/benchmark_training.py
	$(PY) experiments/benchmark_methods.py
	$(PY) experiments/benchmark_threads.py
	REAL_DATA="$(REAL_DATA)" $(PY) experiments/benchmark_data.py
	$(PY) experiments/benchmark_describe.py

gpu: $(STAMP) ## Check and time training on one GPU in under 8 minutes (without a GPU, it only says so)
	@$(PY) experiments/gpu.py out=$(OUTPUTS)/gpu.json

clean: ## Remove stores and runs (not .venv)
	rm -rf data outputs
