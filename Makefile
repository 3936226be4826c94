# Everything a person or CI does with this repository. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PYTEST = $(PY) -m pytest -q --junitxml=.local/reports/$@.xml
# `local` starts a Kubernetes of its own on this machine; `current` uses the current kube context
# (then IMAGE_REGISTRY and IMAGE_TAG name images that its nodes can pull).
CLUSTER ?= local
export CLUSTER

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[1mmake %-17s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  CLUSTER=current uses the current kube context instead of a local Kubernetes (docs/local-cluster.md)"

##@ Use
.PHONY: demo up status clean distclean
demo: $(STAMP) ## Train a small model through POST /start on a real Kubernetes and download best.pt
	@$(PY) -m demo run
up: $(STAMP) ## The same without a training, writes .local/env for your shell; NODES=2 GPUS=4: simulated GPUs; KUEUE=1: a queue
	@$(PY) -m demo up $(if $(NODES),--nodes $(NODES)) $(if $(GPUS),--gpus $(GPUS)) $(if $(KUEUE),--kueue)
status: $(STAMP) ## What runs now: cluster, pods, trainings
	@$(PY) -m demo status
clean: ## Remove everything but the per-user cache: clusters, state, virtual environment
	@.ci/teardown $(PY) $(PYTHON)
	@rm -rf .local $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
distclean: clean ## `clean`, and the per-user cache of built binaries and images too
	@rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/yolo-operator"

##@ Develop
.PHONY: venv generate format check lint unit test test-chart test-runfolder faults-runfolder test-integration test-trainer test-ranks faults-trainer test-cluster test-cluster-soak test-e2e test-e2e-other test-remedies test-ways-out test-queue test-simulated-gpus test-gpu test bench-cluster bench-operator bench-data bench-train images programs
venv: $(STAMP) ## The virtual environment with all development tools
$(STAMP): pyproject.toml
	@.ci/venv $(PYTHON) $(VENV)
	@touch $@
generate: $(STAMP) ## Write the CRD, its chart copy and the reference from the models
	@$(PY) -m yolo_crds.generate
format: $(STAMP) ## Format and mend what can be mended
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .
check: $(STAMP) ## Format, lint, types, layers, generated files, unit tests: no cluster, under 2 minutes
	@$(MAKE) -j3 unit-trainer unit-others lint
lint: $(STAMP) ## All of `check` but the tests
	@$(VENV)/bin/ruff format --check . && $(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PY) -m yolo_crds.generate --check
unit: $(STAMP) ## Unit tests alone, in two halves side by side
	@$(MAKE) -j2 unit-trainer unit-others
.PHONY: unit-trainer unit-others
unit-trainer: $(STAMP)
	@$(PYTEST) tests/unit/trainer
unit-others: $(STAMP)
	@$(PYTEST) tests/unit --ignore=tests/unit/trainer
images: $(STAMP) ## Build the three images (cached by content)
	@$(PY) -m cluster.images build
programs: $(STAMP) ## Build Kubernetes and all else that the local cluster is made of (cached, 10 minutes at first)
	@$(PY) -m cluster build >/dev/null
test-chart: $(STAMP) ## Chart tests (helm, no cluster)
	@$(PYTEST) tests/chart
test-trainer: $(STAMP) ## Tests with torch and ultralytics, inside the built trainer image; TORCH=pypi: with the torch that ships
	@$(PY) -m cluster.images test-trainer -q
test-runfolder: $(STAMP) ## The run folder under deaths, faults and overtakings: a seeded sample, one at every step
	@$(PY) -m runfolder_harness
faults-runfolder: $(STAMP) ## The same at every pair of steps, and 43 seeded faults that it must find (an hour)
	@$(PY) -m runfolder_mutants
	@$(PY) -m runfolder_harness --level 2
test-ranks: $(STAMP) ## Several ranks and several nodes: all of their tests, and two ranks beside one process, in numbers (5 minutes)
	@$(PY) -m cluster.images test-trainer -q -s -m "image or soak" tests/trainer/test_ranks_real.py tests/trainer/test_nodes_real.py
faults-trainer: $(STAMP) ## Kill, stop, fill the disk of and overtake 200 toy trainings, and resume each (POINTS=N, SEED=N)
	@$(PY) -m cluster.images faults-trainer --points $(or $(POINTS),200) --seed $(or $(SEED),0)
test-integration: programs ## Tests on a real API server without nodes
	@$(PYTEST) tests/integration
test-cluster: programs ## Tests of the local Kubernetes itself: starting, breaking, policies, nothing left behind
	@$(PYTEST) tests/e2e/test_cluster_*.py
test-cluster-soak: programs ## Ten starts, ten ends and ten killed starts of two nodes leave nothing (SOAK_SEED=N repeats)
	@$(PY) -m pytest tests/e2e/test_cluster_lifecycle.py -m soak -q -s
# Two halves, so that `make test` runs them side by side.
OTHER_E2E := $(patsubst %,tests/e2e/test_%.py,data* docs earlier_run further_namespace gpus gpu_faults gpu_waiting other_user uninstall current_context)
test-e2e: programs ## Trainings from start to end on a local Kubernetes of their own
	@$(PYTEST) tests/e2e --ignore-glob='*/test_cluster_*' $(OTHER_E2E:%=--ignore-glob='%')
test-e2e-other: programs ## The same for data sets of all kinds, the documentation, installations, and simulated GPUs
	@YOLO_TEST_CLUSTER=other $(PYTEST) $(OTHER_E2E)
bench-cluster: programs ## Times of the local Kubernetes and sizes of the images beside what is promised (2 minutes, idle machine)
	@$(PY) -m bench.cluster
bench-operator: programs ## The operator's throughput, CPU, requests and memory beside a bare loop and an idiomatic kopf operator (10 minutes, idle machine); TRAININGS=100 ROUNDS=1: a quick look
	@$(PY) -m bench.reconciling $(if $(TRAININGS),--trainings $(TRAININGS)) $(if $(ROUNDS),--rounds $(ROUNDS))
bench-data: $(STAMP) ## Prepare against Ultralytics' scan, and its memory; IMAGES=2000 for a quick look
	@$(PY) -m bench.data $(IMAGES)
test-queue: programs ## Jobs and trainings in a queue of the real Kueue, built at first (3 minutes)
	@$(PY) -m cluster build --kueue >/dev/null
	@$(PYTEST) tests/e2e tests/integration -m queue
test-simulated-gpus: programs ## Trainings on simulated GPUs of one and two nodes: those too that `make test` leaves out (12 minutes)
	@$(PYTEST) tests/e2e/test_gpu*.py -m "e2e or soak"
GPU_PYTEST := -m pytest -q -ra -W default -m "gpu or image or soak" tests/gpu
test-gpu: ## On a machine with a GPU and torch for it, no cluster: CUDA, AMP, resume, no memory, NCCL, NVML; DRY=1: what a CPU can show of it
ifdef DRY
	@$(MAKE) $(STAMP)
	@$(PY) -m cluster.images test-trainer -q -m "gpu or image or soak" tests/gpu
else
	@mkdir -p .local
	@.ci/gpu-venv $(PYTHON) .local/gpu-venv
	@PYTHONPATH=crds:operator:api:trainer-image:tests:. .local/gpu-venv/bin/python $(GPU_PYTEST)
endif
test-ways-out: programs ## Ends that a person can mend, each made to happen and its hint followed (6 minutes)
	@$(PYTEST) tests/e2e/test_ways_out.py -m "e2e or soak"
test-remedies: programs ## What failures change for the next attempt, host memory too, which `make test` leaves out (5 minutes)
	@$(PYTEST) tests/e2e/test_remedies.py -m "e2e or soak"
bench-train: $(STAMP) ## A training beside stock `yolo train`: speed, first batch, memory (7 minutes, idle machine); ROUNDS=1 EPOCHS=2: a quick look; STEPS=1: steps by threads
	@$(PY) -m bench.train $(if $(STEPS),--steps) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(EPOCHS),--epochs $(EPOCHS))
test: $(STAMP) ## All tests; what CI runs (two at a time, since most of them wait)
	@rm -rf .local/reports
	@$(MAKE) check
	@$(MAKE) -j2 programs images
	@$(MAKE) -j2 test-trainer test-light
	@$(MAKE) -j2 test-e2e test-e2e-other
	@$(PY) tests/slowest.py .local/reports/*.xml
# Beside the trainer's tests, which keep one CPU busy.
.PHONY: test-light
test-light: test-chart test-runfolder test-integration test-cluster
