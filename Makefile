# Everything sets itself up: `make demo` and `make test` need Python 3.9 to 3.13 and nothing else.
PYTHON ?= python3
VENV ?= .venv
BARE := $(VENV)-bare
FLOOR := 3.9
INTERPRETERS ?= 3.9 3.10 3.11 3.12 3.13

PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := constraints/python$(PYTHON_VERSION).txt
READY := $(VENV)/.ready-$(PYTHON_VERSION)
BARE_READY := $(BARE)/.ready-$(PYTHON_VERSION)
BIN := $(VENV)/bin

# A virtual environment of this Python: the one that is there is kept.
new_venv = $(1)/bin/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(PYTHON_VERSION)")' \
	2> /dev/null || $(PYTHON) -m venv --clear $(1)

.PHONY: help setup demo test test-bare test-slow test-floor test-runtime test-interpreters lint docs site constraints clean

help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(READY) ## Make .venv with pinned versions (quick when it is there)

$(READY): pyproject.toml $(CONSTRAINTS)
	@echo "setting up $(VENV) with Python $(PYTHON_VERSION) and $(CONSTRAINTS); the first time this takes some minutes"
	@$(call new_venv,$(VENV))
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) \
		--editable '.[train,embedded,report,serve,ray,docs,dev]'
	@touch $@
	@echo "$(VENV) is ready"

$(CONSTRAINTS):
	@echo "sentilora is for Python 3.9 to 3.13, and $(PYTHON) is $(PYTHON_VERSION): name another with make PYTHON=python3.11" >&2; exit 1

demo: setup ## Train, evaluate, prove and use a classifier, without a network
	@HF_HUB_OFFLINE=1 $(BIN)/sentilora quickstart $(TEXTS)

test: setup lint test-bare ## Lint, types, contracts, and the tests (those marked real too, where ../shared is)
	@$(BIN)/python -m pytest

test-bare: $(BARE_READY) ## The core alone, in an environment without torch
	@$(BARE)/bin/python tests/bare/check.py

$(BARE_READY): pyproject.toml $(CONSTRAINTS)
	@$(call new_venv,$(BARE))
	@$(BARE)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable .
	@touch $@

test-floor: ## Training and runtime on Python 3.9, which must be on the PATH or in pyenv; the rest is set up from nothing
	@python=$$(scripts/find_python.sh $(FLOOR)) && \
		$(MAKE) --no-print-directory PYTHON=$$python VENV=.venv-$(FLOOR) setup test-bare && \
		.venv-$(FLOOR)/bin/python -m pytest $(FLOOR_TESTS)

FLOOR_TESTS := $(patsubst %,tests/test_%.py,artifacts audit bases bundles calibration checkpoints cli config evaluation \
	explain gate insights models packed pretrain processes scoring serving suggest tables training)

test-interpreters: build/bundle/sentilora.json ## The runtime, without torch, on each Python that is here
	@for version in $(INTERPRETERS); do \
		python=$$(scripts/find_python.sh $$version) || continue; \
		$(MAKE) --no-print-directory PYTHON=$$python VENV=.venv-$$version test-bare test-runtime || exit 1; \
	done

test-runtime: $(BARE_READY)
	@$(BARE)/bin/python tests/bare/runtime.py build/bundle

build/bundle/sentilora.json: $(READY)
	@mkdir -p build && HF_HUB_OFFLINE=1 $(BIN)/python tests/bare/make_bundle.py build/bundle

lint: setup ## Format, lint, types, import contracts
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache

test-slow: setup ## The tests that take minutes
	@$(BIN)/python -m pytest -m slow

docs: setup ## Write the generated parts of the documentation
	@$(BIN)/python scripts/generate_docs.py

site: setup ## Build the documentation as a site, in build/site; a warning is an error
	@$(BIN)/python -m sphinx --builder dirhtml --fail-on-warning --keep-going --quiet docs build/site
	@echo "the documentation is in build/site/index.html"

constraints: setup ## Resolve the newest versions for every Python
	@scripts/update_constraints.sh

clean: ## Remove what setup made
	rm -rf $(VENV) $(BARE) .venv-3.* build .mypy_cache .ruff_cache .pytest_cache .hypothesis
