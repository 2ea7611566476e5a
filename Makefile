# Needs only Python 3.11+, make and git. Every target sets up the virtual environment that it works in.

PYTHON ?= python3
AIRFLOW ?= 3.3
PIP_VERSION := 26.3
# So that "which Airflow" is written in one place, the constraints file.
CONSTRAINTS := constraints/airflow-$(AIRFLOW).txt

# The newest Airflow lives in .venv, where editors look; the others beside it.
ifeq ($(AIRFLOW),3.3)
VENV := .venv
else
VENV := .venv-$(AIRFLOW)
endif
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
CLUSTER := $(VENV)/.cluster-installed
# tests/conftest.py says which tests stay in one process. The slowest are named at the end.
PYTEST := $(BIN)/python -m pytest --no-loadscope-reorder --durations 10
ALL := $(PYTEST) --numprocesses auto
FAST := $(ALL) -m 'not slow'

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests and Airflow's own commands must not find the Airflow of the person who runs this.
# With it, each of the many processes that tests start would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
unexport AIRFLOW_HOME AIRFLOW__CORE__DAGS_FOLDER AIRFLOW__DATABASE__SQL_ALCHEMY_CONN PYTHONPATH
export KEEP YES DEMO_DIR SEED SWAPS SIMULATED ROUNDS PATTERNS MAPPED BATCH MEMORY TURNS

.PHONY: help demo test test-fast test-faults test-batch test-cluster test-matrix bench bench-quick bench-parsing bench-polling bench-overhead \
  bench-quality lint docs format build release-check constraints clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@echo 'make demo          body swaps through a real Airflow, with an emulated Segmind: no account, no cost'
	@echo '                     KEEP=1        leave the UI up afterwards    DEMO_DIR=…  where the pictures go (.demo)'
	@echo '                     SEGMIND_API_KEY=…  one swap from the live API instead; asks first, unless YES=1'
	@echo 'make test          all tests, and 100 % branch coverage of airflow_provider_segmind/api; eleven minutes, twenty on a slow machine'
	@echo '                     CASSETTE=…    only those of the wire, on an emulator that answers like this cassette of the doctor'
	@echo 'make test-fast     the tests that start no Airflow, no browser and no build; two minutes'
	@echo 'make test-faults   kills, resets and locks in a real Airflow, half an hour; renews benchmarks/results.md'
	@echo '                     SEED=1        other random points    SWAPS=200  in the storm'
	@echo '                     MEMORY=1      with a memory of swaps; also with AIRFLOW=3.2 or 3.1'
	@echo '                     SIMULATED=1000000  swaps in virtual time, ten minutes of it'
	@echo 'make test-batch    a batch of 10,000 swaps whose worker is killed half-way    SWAPS=…  other sizes'
	@echo 'make test-cluster  two Celery workers and two triggerers on Redis and PostgreSQL, of which one each is killed'
	@echo '                     MAPPED=500    swaps mapped    BATCH=2000  swaps in a batch'
	@echo 'make bench         what a poll, a task, a parse and a batch cost, and one table of goals, half an hour; renews'
	@echo '                     benchmarks/results.md and the picture in docs/scaling.md'
	@echo 'make bench-quick   the same table from small runs, three minutes; renews nothing'
	@echo 'make bench-parsing   what the imports of a DAG file cost when it is parsed, 5 minutes'
	@echo 'make bench-polling   what it costs to wait for thousands of jobs, beside other ways, 17 minutes'
	@echo 'make bench-overhead  what Airflow itself costs, all patterns, on PostgreSQL, an hour; renews benchmarks/results.md'
	@echo '                     SWAPS=200     in each run     ROUNDS=3        PATTERNS="peer batch" only'
	@echo 'make bench-quality   which bad pictures the checks stop, on photographs that pip fetches, and what a check costs,'
	@echo '                     an hour; renews the limits of the checks     TURNS=6  a sixth of the bad pictures, by turns'
	@echo 'make test-matrix   all tests on the newest Airflow 3.3, 3.2 and 3.1, and beside all pins of managed services; hours'
	@echo '                     PYTHONS="python3.11 python3.12 python3.13"  with each of these'
	@echo 'make test-pins     installs the wheel beside what a managed service pins, and makes a swap there'
	@echo '                     PINS="…"      files of constraints/services/, or empty for all    TESTS=1  also runs tests'
	@echo 'make lint          ruff, mypy and import-linter'
	@echo 'make docs          the documentation as a site, in site/; links are checked'
	@echo 'make format        let ruff rewrite the code'
	@echo 'make build         wheel and sdist in dist/'
	@echo 'make release-check whether what is committed can be released: builds, installs and tries it, 5 minutes'
	@echo '                     KEEP=1        leave the environments that it was tried in'
	@echo 'make constraints   renew $(CONSTRAINTS) (AIRFLOW=3.2 or 3.1 for another)'
	@echo 'make clean         remove everything that make has made'
	@echo
	@echo 'PYTHON=python3.12 chooses the interpreter for a new virtual environment (3.11 or newer).'

demo: $(RUNTIME)
	@$(BIN)/python -m demo

# What takes longest begins, and the many short tests fill the gaps; test-fast is for a quick look. Coverage is measured
# only where it is asked for, by the core's own tests.
test: $(DEV)
ifdef CASSETTE
	CASSETTE='$(abspath $(CASSETTE))' $(PYTEST) tests/emulator/test_emulator_wire.py
else
	$(ALL) tests/api --cov airflow_provider_segmind/api --cov-branch --cov-report term --cov-fail-under 100
	$(ALL) --ignore tests/api
endif

test-fast: $(DEV)
	$(FAST)

# The charges of every fault are counted by the emulator; -s, so that each outcome is seen as soon as it is known.
test-faults: $(DEV)
	FAULTS=1 $(BIN)/python -m pytest tests/faults -s

# A batch whose worker is killed half-way, larger than the 300 swaps of `make test`.
test-batch: $(DEV)
	SWAPS=$${SWAPS:-10000} $(BIN)/python -m pytest tests/system/test_real_batch.py -s

# Its packages come on top of the others only here; the services are the machine's, or installed. Airflow 3.3 only.
test-cluster: $(CLUSTER)
	CLUSTER=1 $(BIN)/python -m pytest tests/cluster -s

# Each part renews its own section of the results, so any of them can also be run alone. bench-quality is apart: it
# measures how good the checks are, not what they cost Airflow, and takes an hour of its own.
bench: $(CLUSTER)
	$(BIN)/python -m benchmarks

bench-quick: $(DEV)
	$(BIN)/python -m benchmarks --quick

bench-parsing: $(DEV)
	$(BIN)/python -m benchmarks --only parsing

bench-polling: $(DEV)
	$(BIN)/python -m benchmarks --only schedule
	$(BIN)/python -m benchmarks --only polling

bench-overhead: $(CLUSTER)
	$(BIN)/python -m benchmarks.overhead

bench-quality: $(DEV)
	$(BIN)/python -m benchmarks.quality

# With PYTHONS, each interpreter has environments of its own.
test-matrix:
	for python in $(or $(PYTHONS),$(PYTHON)); do for airflow in 3.3 3.2 3.1; do \
	  $(MAKE) PYTHON=$$python AIRFLOW=$$airflow $(if $(PYTHONS),VENV=.venv-$$airflow-$$(basename $$python)) test-one || exit 1; \
	done; done
	$(MAKE) test-pins PINS= TESTS=1

# The set with the oldest Airflow, unless others are named; with PINS empty, all.
PINS ?= composer-3.1.0
.PHONY: test-pins
test-pins: $(DEV)
	@$(BIN)/python -m tools.pins $(if $(TESTS),--tests) $(PYTHONS:%=--python=%) $(PINS)

# Without coverage: what the newest Airflow needs is measured there, and older branches differ.
.PHONY: test-one
test-one: $(DEV)
	$(ALL)

lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Links and anchors that lead nowhere are errors.
docs: $(DEV)
	$(BIN)/mkdocs build --strict

format: $(DEV)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

build: $(DEV)
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

# With the oldest and the newest Airflow, each in an environment of its own, outside of the checkout.
release-check: $(DEV)
	@$(BIN)/python -m tools.release

# Airflow 3.2's API server dies at its start with a newer FastAPI; 3.3 declares the same limit itself.
# With a newer svcs its `dags test` fails, since it drops the registry before the first request.
LIMITS_3.2 := 'fastapi<0.137' 'svcs<26.2'

GROUPS_3.3 := --group cluster

# From a clean environment, or leftovers of older pins would be pinned again.
constraints:
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet pip==$(PIP_VERSION)
	.venv-constraints/bin/python -m pip install --quiet --editable '.[excel,heic,provenance,qa]' --group dev --group release --group clouds --group docs --group s3 --group ui $(GROUPS_$(AIRFLOW)) 'apache-airflow==$(AIRFLOW).*' \
	  $(LIMITS_$(AIRFLOW))
	{ echo '# All that make installs for Airflow $(AIRFLOW), pinned. To renew: make constraints AIRFLOW=$(AIRFLOW)'; \
	  .venv-constraints/bin/python -m pip freeze --exclude-editable; } > $(CONSTRAINTS)
	rm -rf .venv-constraints

clean:
	rm -rf .venv .venv-3.* .venv-constraints .demo build dist site .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
	  benchmarks/.pictures .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or newer is needed; $(PYTHON) is '"$$($(PYTHON) --version 2>&1)"'. Try: make PYTHON=python3.11 …' >&2; exit 1; }
	@echo 'Installing Airflow and the provider into $(VENV); about a minute …'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet pip==$(PIP_VERSION)
	$(BIN)/python -m pip install --quiet --editable '.[qa]' --group s3 --constraint $(CONSTRAINTS)
	touch $@

$(DEV): $(RUNTIME)
	$(BIN)/python -m pip install --quiet --editable '.[excel,heic,provenance]' --group dev --group release --group clouds --group docs --group ui --constraint $(CONSTRAINTS)
	touch $@

$(CLUSTER): $(DEV)
	$(BIN)/python -m pip install --quiet --group cluster --constraint $(CONSTRAINTS)
	touch $@
