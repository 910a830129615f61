# make run     learn the digits task by task      make test   every test
# make lint    style, types, import contract      make docs   build the site
# make help    this list with all targets

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
# Kedro's own settings for a run: make run ARGS="--params model.edition=M"
ARGS ?=
comma := ,

.DEFAULT_GOAL := help
.PHONY: help install install-dev run benchmark study bench mlflow viz test image-test lint format docs audit lock clean-runs

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# A stamp a lock file, so that nothing is installed twice.
$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --requirement requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --requirement requirements-dev.lock
	@touch $@

install: $(VENV)/.installed ## make .venv with the pinned dependencies

install-dev: $(VENV)/.installed-dev ## the same, with what tests and linters need

run: install ## learn the embedded digits task by task
	$(BIN)/kedro run $(ARGS)

# make benchmark PROTOCOL=cifar100_10-10 ORDERS=1,2,3 EDITIONS=S,M BASELINES=none,replay
#   SEEDS=0,1,2 ARGS="--params source.path=DIR"; all but PROTOCOL may be left out
benchmark: install ## every run of a grid, finished ones excepted, and their table
	$(BIN)/python -m daformer_kedro sweep $(if $(PROTOCOL),--protocol $(PROTOCOL)) \
	  $(if $(ORDERS),--orders $(ORDERS)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(EDITIONS),--editions $(EDITIONS)) $(if $(BASELINES),--baselines $(BASELINES)) $(ARGS)

# make study TRIALS=30 PROTOCOL=cifar100_mini JOBS=2
study: install-dev ## search for settings on validation images; resumes
	$(BIN)/kedro run --pipelines study $(if $(PROTOCOL),--env $(PROTOCOL)) \
	  --params study.trials=$(or $(TRIALS),20),study.jobs=$(or $(JOBS),1)$(if $(PARAMS),$(comma)$(PARAMS)) $(ARGS)

bench: install-dev ## measure steps, augmentation, evaluation, herding, ingestion and overhead
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/ingestion.py
	$(BIN)/python benchmarks/overhead.py

mlflow: export PATH := $(CURDIR)/$(BIN):$(PATH)
mlflow: install ## compare runs in the browser
	$(BIN)/kedro mlflow ui $(ARGS)

viz: install ## build the pipelines as a static site in build/, which needs no network
	$(BIN)/kedro viz build --include-previews
	sed -i.bak '/fonts\.g[a-z]*\.com/d' build/index.html build/404.html
	rm build/index.html.bak build/404.html.bak
	@echo "Look at it with: $(BIN)/python -m http.server --directory build"

# make clean-runs KEEP=3 does not ask
clean-runs: install ## remove results of older settings, and say how much that frees
	$(BIN)/python -m daformer_kedro clean-runs $(if $(KEEP),--keep $(KEEP)) $(ARGS)

# Each worker has one thread: two with two each on two cores would only wait.
test: install-dev ## run every test, in two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

# Needs root, debootstrap and bubblewrap, and 15 GB in that folder.
image-test: install-dev ## follow the Dockerfile in a file system of its own, and use it
	DAFORMER_IMAGE=$(or $(FOLDER),/var/tmp/daformer-image) OMP_NUM_THREADS=1 \
	  $(BIN)/python -m pytest tests/container $(ARGS)

lint: install-dev ## style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev ## apply the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install-dev ## build docs/ and the API pages as a site in site/, which needs no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Look at it with: $(BIN)/python -m http.server --directory site"

# Fails where PyPI's list of vulnerabilities does not answer, so it is no part of CI.
audit: | $(VENV)/bin/uv ## look the pinned packages up among known vulnerabilities
	for lock in requirements.lock requirements-dev.lock; do \
	  $(BIN)/uv tool run pip-audit==$(PIP_AUDIT_VERSION) --strict --no-deps --disable-pip \
	    --requirement $$lock || exit 1; \
	done

lock: | $(VENV)/bin/uv ## pin the newest versions that fit pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --universal --python-version 3.11 \
	  --no-header --no-annotate --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra dev --extra docs --extra export --extra heif --extra ray --extra s3 --extra server --extra study --universal --python-version 3.11 \
	  --no-header --no-annotate --constraint requirements.lock --output-file requirements-dev.lock
