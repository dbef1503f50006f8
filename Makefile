# What can be done here. `make` alone lists it.

CARGO ?= cargo
PYTHON ?= python3
VENV := .venv-test
# The demo installs a Dovecot where there is none; DEMO_INSTALL=no only says how.
DEMO_INSTALL ?= yes

# ONNX Runtime would report to its maker from the tests and from Python, too.
export ORT_DISABLE_TELEMETRY = 1
export ORT_TELEMETRY_DISABLED = 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup deps build test lint test-python test-rust demo bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Fetch the ONNX Runtime library that the daemon loads, out of its pinned wheel
	@sh daemon/onnxruntime/fetch.sh

deps: ## Install what the tests need (as root, with apt-get), or name it; starts no service
	@sh tests/deps.sh

build: ## Build the daemon, unoptimised
	$(CARGO) build --locked

test: deps setup lint test-python test-rust ## Format, lints, unit, integration and Python tests

lint: ## Formatting, and clippy with warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings

test-python: $(VENV)/ready ## The tests of the training and of the tools, in an environment of their own
	$(VENV)/bin/python -m pytest --quiet -p no:cacheprovider training/tests tests daemon/onnxruntime

$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

test-rust: ## Unit, documentation and integration tests; the latter against a real Dovecot
	$(CARGO) test --locked --workspace --doc --quiet
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -ex; $(CARGO) nextest run --locked --workspace; \
	else \
		set -ex; $(CARGO) test --locked --workspace --lib --bins --tests; \
	fi

demo: ## Label a dozen mails in a throw-away Dovecot and show the result
	@sh tests/dovecot/install.sh $(if $(filter no,$(DEMO_INSTALL)),--print)
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || sh tests/deps.sh python
	@sh daemon/onnxruntime/fetch.sh
	$(CARGO) build --locked
	@DEMO_INSTALL=$(DEMO_INSTALL) $(PYTHON) tests/demo/demo.py --triaged target/debug/triaged

bench: setup ## Compare the release build with Python's onnxruntime over the training data
	$(CARGO) build --locked --release
	$(PYTHON) tests/bench/classify.py

clean: ## Remove everything that was built or fetched here
	$(CARGO) clean
	rm -rf .bench .onnxruntime .tools $(VENV)
