# `make` alone lists what can be made. `make setup TORCH=cpu` takes PyTorch's CPU build.
PYTHON ?= python3
TORCH ?=
WORKERS ?= 2
# Releases younger than this are left out of the locks: time for a bad one to be found.
LOCK_BEFORE ?= $(shell $(PYTHON) -c "import datetime as d; print(d.date.today() - d.timedelta(days=7))")
# uv reads no pip setting: for torch, let it see the folder of wheels that this machine's pip sees, if any.
WHEELS = $${UV_FIND_LINKS-$$($(PYTHON) -m pip config get global.find-links 2>/dev/null)}

BIN := .venv/bin
LOCKS := requirements/bootstrap.lock requirements/dev.lock
PINNED := torch==2.13.0
# A file's tests stay on one worker: what its fixtures train is trained once.
PYTEST = $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --durations=20
BOOTSTRAP = $(PYTHON) -m venv .venv && \
	$(BIN)/python -m pip install -qq --require-hashes -r requirements/bootstrap.lock
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --exclude-newer $(LOCK_BEFORE) $(UPGRADE)
# Present only when a set-up of just this kind, from just these files, came to its end.
KIND := $(shell $(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2])")$(TORCH)
READY := .venv/ready-$(KIND)-$(shell cat $(LOCKS) pyproject.toml Makefile | cksum | cut -d ' ' -f 1)
ADVISORIES = $(BIN)/pip-audit --strict --disable-pip --format json --output
# What the benchmarks compare with, in an environment of its own: its pins differ from ours.
PEERS := .venv-peers/ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test release-check coverage check lint typing format bench docs package audit lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F '|' '{ printf "make %-14s %s\n", $$1, $$2 }'

setup: $(READY) ## make .venv with everything for development (TORCH=cpu for the CPU build)

$(READY):
	@$(PYTHON) -c "import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else 'tocsin needs Python 3.11 to 3.13: make setup PYTHON=python3.12')"
	@ls .venv/ready-$(KIND)-* >/dev/null 2>&1 || rm -rf .venv
	@rm -f .venv/ready-*
	$(BOOTSTRAP)
	VIRTUAL_ENV=.venv UV_FIND_LINKS="$(WHEELS)" $(BIN)/uv pip install --quiet $(PINNED) \
		--constraints requirements/dev.lock $(if $(TORCH),--torch-backend $(TORCH))
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	VIRTUAL_ENV=.venv $(BIN)/uv pip check
	@touch $@

demo: setup ## the whole way on made data: audit, train, prove, package, serve, report
	$(BIN)/tocsin demo

test: setup ## run the tests
	$(PYTEST)

release-check: setup ## run every test at full size, release suites included
	$(PYTEST) -m "release or not release"

coverage: setup ## run the tests and list the lines and branches that none of them reaches
	$(PYTEST) --cov

check: lint typing ## formatting, lint, import directions, types

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

typing: setup
	$(BIN)/mypy

format: setup ## format the code and mend what the linter can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup $(PEERS) ## measure ourselves beside the peers
	$(BIN)/python -m benchmarks

$(PEERS): benchmarks/peers.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-peers
	VIRTUAL_ENV=.venv-peers UV_FIND_LINKS="$(WHEELS)" $(BIN)/uv pip install --quiet $(PINNED) \
		-r benchmarks/peers.txt $(if $(TORCH),--torch-backend $(TORCH))
	@touch $@

docs: setup ## write docs/reference from the code
	$(BIN)/python tools/reference.py docs/reference

package: setup ## build wheel, source archive and bills of materials
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	for set in dev serve; do $(BIN)/cyclonedx-py requirements requirements/$$set.lock --pyproject pyproject.toml \
		--output-reproducible --output-file dist/tocsin-$$set.cdx.json || exit 1; done

audit: setup ## look the locked versions up in the advisory databases (needs the network)
	mkdir -p build
	$(ADVISORIES) build/advisories.json --require-hashes -r requirements/dev.lock
	echo $(PINNED) | $(ADVISORIES) build/advisories-torch.json --no-deps -r /dev/stdin
	@echo 'evidence for tocsin ready: --evidence O1=build/advisories.json --evidence O1=build/advisories-torch.json'

$(BIN)/uv:
	$(BOOTSTRAP)

lock: $(BIN)/uv ## fit the locks to pyproject.toml (UPGRADE=--upgrade: choose every version anew)
	UV_FIND_LINKS= $(COMPILE) pyproject.toml --extra serve --extra train --extra track --extra pretrained --extra dev \
		--group torch-needs --overrides requirements/overrides.txt --output-file requirements/dev.lock
	UV_FIND_LINKS= $(COMPILE) pyproject.toml --extra serve --constraints requirements/dev.lock \
		--output-file requirements/serve.lock
	UV_FIND_LINKS= $(COMPILE) --group bootstrap --constraints requirements/dev.lock \
		--output-file requirements/bootstrap.lock

clean: ## remove what was made here
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist
