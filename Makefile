# Every target sets up what it needs; the only prerequisites are make, Python ≥ 3.11 and access to packages.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := src scripts tests

# The first interpreter that runs and is new enough; `make PYTHON=…` overrides it.
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14 python
PYTHON ?= $(firstword $(foreach name,$(CANDIDATES),$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))

# Addresses of package indexes and paths of one person's machine have no place in the tree.
# (Each pattern starts with a bracket so that it does not find itself.)
TREE := src scripts tests docs .ci Makefile pyproject.toml MANIFEST.in constraints.txt $(wildcard *.md)
FORBIDDEN := [h]ttps?://[^ ]*(pypi|/simple)|[-]-(extra-)?index-url|[-]-find-links|[f]ile://[/]|[ "'\''=(`][/](work|root|home|tmp|Users)/

.DEFAULT_GOAL := help
SEED ?= $(shell date +%s)

# One more than there are processors: tests of whole programs wait for these now and then.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# What stands on log and state runs on a PostgreSQL server, too; `test` runs their own contracts on both engines.
# Rules in these folders that need neither are left out.
ON_SERVER := tests/engine tests/snapshots tests/http tests/process tests/cli \
	tests/attack/test_bad_hooks.py tests/attack/test_hostile_text.py tests/server
NOT_ON_SERVER := \
	$(patsubst %,tests/engine/test_engine_%.py,attempts call_attempts clock expiry_laws jobs packed_rows) \
	$(patsubst %,tests/snapshots/test_snapshots_%.py,components docs hook_threads keys links schedule values) \
	$(patsubst %,tests/http/test_http_%.py,access access_log appender audit conversion docs_page openapi origin \
		pieces protocol redirect server timestamps unknown_names) \
	$(patsubst %,tests/process/test_%.py,app_name check door dummy_sender left_running log_files web)

# Of the oldest version that is supported, as Debian has it.
OLDEST_SERVER := /usr/lib/postgresql/15/bin

.PHONY: help setup demo test test-server explore check bench lint types layers tree

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
		while IFS="$$(printf '\t')" read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

setup: $(STAMP) ## make .venv with the project and everything that tests and checks need

demo: $(STAMP) ## watch this machine for a while: make demo [SECONDS=30]
	$(BIN)/dp3 demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(STAMP) ## all tests, with coverage: make test [JOBS=3]
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-server: $(STAMP) ## what stands on log and state once more, on a PostgreSQL server that the tests start
	DP3_TEST_ENGINE=postgres $(BIN)/pytest -n $(JOBS) --dist worksteal $(ON_SERVER) $(addprefix --ignore=,$(NOT_ON_SERVER))
	@if [ -x $(OLDEST_SERVER)/postgres ]; then \
		DP3_TEST_POSTGRES_PROGRAMS=$(OLDEST_SERVER) $(BIN)/pytest -n $(JOBS) -k postgres tests/store tests/log tests/postgres; \
	else echo "skipped: contracts on the oldest server, PostgreSQL 15 (apt-get install postgresql-15)"; fi

explore: $(STAMP) ## the tests with random examples once more, with other ones: make explore [SEED=1]
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m hypothesis --hypothesis-seed=$(SEED)

check: lint types layers tree ## style, types, layers

bench: $(STAMP) ## how many data-points a second this machine takes in
	$(BIN)/dp3 bench ingest

lint: $(STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/mypy scripts/*.py
	$(BIN)/mypy --config-file tests/mypy.ini tests

layers: $(STAMP)
	$(BIN)/lint-imports

tree:
	@if grep -rnIE --exclude-dir=__pycache__ --exclude-dir='*.egg-info' '$(FORBIDDEN)' $(TREE); then \
		echo 'make tree: remove the addresses and machine paths above' >&2; exit 1; fi

$(STAMP): pyproject.toml constraints.txt
	@if [ -z '$(PYTHON)' ] || ! '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo 'DP³ needs Python 3.11 or newer; found "$(PYTHON)" among: $(CANDIDATES).' >&2; \
		echo 'Install one, or name it: make PYTHON=/path/to/python3.11 setup' >&2; exit 1; fi
	@[ -x $(BIN)/python ] || '$(PYTHON)' -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
