# Everything runs in the virtual environment .venv, which `build` makes; nothing has to be activated.
SHELL := /bin/bash
BIN := .venv/bin
DEV_ARGS ?=
PYTEST_ARGS ?=
MINUTES ?= 10
SOAK_ARGS ?=
FUZZ_EXAMPLES ?= 300
LOCK_ARGS ?=
BENCH ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help build demo dev test lint fmt bench fuzz soak lock audit sbom clean docker-up docker-down migrate-up build-runtime-images run-controller run-worker run-clock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: .venv/.stamp ## make the virtual environment .venv from requirements.lock

.venv/.stamp: requirements.lock setup.cfg pyproject.toml .ci/venv
	@.ci/venv

demo: build ## start a stack, deploy and invoke a Python, a Node.js and a Go function, show the records
	@$(BIN)/faas demo

dev: build ## run the whole platform in the foreground (DEV_ARGS="--port 9000 --engine simple")
	@exec $(BIN)/faas dev $(DEV_ARGS)

test: build ## run all tests; as root on Debian or Ubuntu it installs Docker first (FAAS_SKIP_CONTAINERS=1 leaves container tests out)
	@.ci/test $(PYTEST_ARGS)

lint: build ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: build ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: build ## measure speed against bare Celery and docker run, ten minutes at most (BENCH=warm-p50 for one row, BENCH_ARGS=--short)
	@$(BIN)/python -m bench $(BENCH) $(BENCH_ARGS)

fuzz: build ## the API against its own document, with new requests each time (FUZZ_EXAMPLES=300)
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest tests/fuzz --timeout 3600

soak: build ## faults at random under load, a new seed each round (MINUTES=60, FAULT_SEED=17, SOAK_ARGS="--engine container")
	@PYTHONPATH=tests $(BIN)/python -m faults --minutes $(MINUTES) $(SOAK_ARGS)

lock: build ## choose the versions of requirements.lock anew, with hashes (LOCK_ARGS=--keep for a dependency that came or went)
	@.ci/lock $(LOCK_ARGS)

audit: build ## ask PyPI for known vulnerabilities of the locked versions (needs the network)
	@.ci/audit

sbom: build ## write what is in the platform and in the runtime images to build/sbom (CycloneDX)
	@.ci/sbom

clean: ## remove the virtual environment, caches and the data of dev and demo
	rm -rf .venv .faas .faas-demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

docker-up: ## start PostgreSQL and Redis in Docker
	@.ci/services up

docker-down: ## stop them (the data stay in their volume)
	@.ci/services down

migrate-up: build ## bring the database's tables up to date
	@$(BIN)/faas db upgrade

build-runtime-images: ## build the images that functions run in
	@runtime_images/build

run-controller: build ## run the HTTP API
	@exec $(BIN)/gunicorn -c python:faas.web.gunicorn 'faas.web:create_app()'

run-worker: build ## run a worker
	@exec $(BIN)/celery -A faas worker --without-gossip --without-mingle --without-heartbeat

run-clock: build ## run the reconciler
	@exec $(BIN)/faas clock
