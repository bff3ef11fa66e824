# Everything a fresh machine needs is Python 3.11 or newer and make: each target sets up what it uses, once.

PYTHON ?= $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p"; done))
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUN := $(VENV)/.run-stamp
DEV := $(VENV)/.dev-stamp
UV = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
GRAFANA_SDK := $(VENV)/grafana-sdk
CHDB := $(VENV)/chdb
SPARK := $(VENV)/spark
KAFKA := $(VENV)/kafka
# A file's tests stay together, and so do what they share: a server, a browser, what is built or read once.
# They start many programs: what is compiled once is kept, also where the environment says not to.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist loadfile --randomly-seed=$(SEED) --ignore=tests/stack --ignore=tests/beside --ignore=tests/frameworks
PYTEST_ARGS ?=
# The order of the tests, and what is drawn at random in them; a change must not fail by what chance finds elsewhere.
SEED ?= 1
FUZZ_ARGS ?=
BENCH := .venv-bench
OTHERS := .venv-others
BENCH_ARGS ?=
COMPOSE ?= docker compose

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-slow check check-tests docs bench stack stack-demo test-stack engines format lock clean phases fuzz compat

help:  ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r t d; do printf '%-16s %s\n' "$$t" "$$d"; done

demo: $(RUN)  ## recorded Groq traffic, traced and audited in the terminal; no key, no network
	@$(BIN)/groqscope demo

test: $(DEV)  ## the tests
	$(PYTEST) -m 'not slow' $(PYTEST_ARGS)

test-slow: $(DEV)  ## those that take their time: browser, packaging, examples, floods, forks, crashes, an outage, the benchmark
	$(PYTEST) -m slow $(PYTEST_ARGS)

coverage: $(DEV)  ## the tests, and how much of src they run
	$(MAKE) test PYTEST_ARGS="--cov --cov-report=term $(PYTEST_ARGS)"

phases: $(DEV)  ## delays injected into every phase, and what the accounting finds
	@cd tests && ../$(BIN)/python -m support.ground_truth

bench: $(BENCH)/.stamp $(OTHERS)/.stamp  ## CPU per chunk and per request beside the bare SDK and the other instrumentations (about 20 minutes)
	$(BENCH)/bin/python -m bench --json build/bench.json $(BENCH_ARGS)

compat: $(DEV)  ## a part of the tests with the oldest and the newest versions, beside other instrumentations, below frameworks
	$(BIN)/python tests/compat

fuzz: $(DEV)  ## ten million mutated inputs for every reader (FUZZ_ARGS="--runs N --seconds N", or --atheris)
	$(BIN)/python fuzz $(FUZZ_ARGS)

check: $(DEV)  ## lint, format, types, the arrows between rooms, and where tests stand
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python tests/layout.py

check-tests: $(DEV)  ## the types of the tests and of the benchmarks
	$(BIN)/pyright --project tests/pyrightconfig.json --pythonpath $(BIN)/python

stack:  ## the bundled services: collector, Tempo, Prometheus, Grafana on http://127.0.0.1:3000 (needs Docker)
	$(COMPOSE) up -d --wait
	@echo "Grafana: http://127.0.0.1:3000   Send to: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"

stack-demo:  ## the same with a simulated Groq and an application that talks to it
	$(COMPOSE) --profile demo build
	$(COMPOSE) --profile demo up -d --wait
	@echo "Grafana: http://127.0.0.1:3000   First figures in half a minute. To end it: $(COMPOSE) --profile demo down"

test-stack: $(DEV) $(GRAFANA_SDK)/.stamp $(CHDB)/.stamp  ## tests of the bundled services, with the programs that are given
	GRAFANA_SDK=$(GRAFANA_SDK) CHDB=$(CHDB) SPARK=$(patsubst %/.stamp,%,$(wildcard $(SPARK)/.stamp)) \
		KAFKA=$(patsubst %/.stamp,%,$(wildcard $(KAFKA)/.stamp)) \
		$(BIN)/python -m pytest -q --randomly-seed=$(SEED) tests/stack $(PYTEST_ARGS)

engines: $(SPARK)/.stamp $(KAFKA)/.stamp  ## Spark and a Kafka broker, for test-stack (needs Java and Maven; half a gigabyte)

format: $(DEV)  ## mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

lock: $(DEV)  ## pin the dependencies of pyproject.toml anew (takes the index of uv's own settings)
	$(UV) --upgrade --all-extras --group dev -o requirements-dev.txt
	$(UV) --extra pydantic-ai --extra ui --group build -c requirements-dev.txt -o requirements.txt

docs: $(DEV)  ## the documentation, into site/
	$(BIN)/python docs/generate_reference.py --check
	$(BIN)/python docs/generate_schema.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BENCH)/.stamp: requirements-dev.txt bench/requirements.txt pyproject.toml
	@echo "Installing groqscope and what it is measured beside into $(BENCH) (once) ..."
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements-dev.txt
	@$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install -r bench/requirements.txt
	@$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
	@mkdir -p build
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "groqscope needs Python 3.11 or newer; none found. Install it, or: make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }

$(RUN): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing groqscope into $(VENV) (once) ..."
	@$(PIP) install --no-compile --no-deps --require-hashes -r requirements.txt  # what is imported is compiled then
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing the development environment into $(VENV) (once) ..."
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(RUN)

$(GRAFANA_SDK)/.stamp: tests/stack/grafana-sdk.txt | $(DEV)
	@rm -rf $(GRAFANA_SDK)
	@$(PIP) install --no-deps --require-hashes --target $(GRAFANA_SDK) -r tests/stack/grafana-sdk.txt
	@touch $@

$(CHDB)/.stamp: tests/stack/chdb.txt | $(DEV)
	@rm -rf $(CHDB)
	@$(PIP) install --no-deps --require-hashes --target $(CHDB) -r tests/stack/chdb.txt
	@touch $@

$(SPARK)/.stamp: tests/stack/spark.txt | $(DEV)
	@java -version 2>/dev/null || { echo "Spark needs Java 17 or newer" >&2; exit 2; }
	@rm -rf $(SPARK)
	@$(PIP) install --no-deps --require-hashes --target $(SPARK) -r tests/stack/spark.txt
	@touch $@

$(KAFKA)/.stamp: tests/stack/kafka/pom.xml | $(DEV)
	@rm -rf $(KAFKA)
	@mvn --quiet --batch-mode --file $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(abspath $(KAFKA))
	@touch $@

$(OTHERS)/.stamp: bench/others.txt
	@echo "Installing what wants other versions into $(OTHERS) (once) ..."
	@$(PYTHON) -m venv $(OTHERS)
	@$(OTHERS)/bin/python -m pip --disable-pip-version-check --quiet install -r bench/others.txt
	@touch $@
