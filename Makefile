# What can be done here. `make` alone lists it.

CARGO ?= cargo
PYTHON ?= python3
VENV := .venv-test
# The training has an environment of its own: with PyTorch it takes 6 GB, on Linux CUDA included.
TRAIN_VENV := .venv-train
# A folder of .jsonl files to train on besides those of training/data.
TRAIN_EXTRA ?=
TRAIN_WORK ?= training/runs/$(if $(TRAIN_EXTRA),extra,default)
# The card shows the figures of the run on the committed mails alone, too, where it was made first.
TRAIN_BESIDE = $(if $(TRAIN_EXTRA),$(patsubst %/figures.json,--beside %,$(wildcard training/runs/default/figures.json)))
# The demo installs a Dovecot where there is none; DEMO_INSTALL=no only says how.
DEMO_INSTALL ?= yes

# ONNX Runtime would report to its maker from the tests and from Python, too.
export ORT_DISABLE_TELEMETRY = 1
export ORT_TELEMETRY_DISABLED = 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup deps build test lint test-python test-rust test-training demo bench soak clean \
	train-env train train-smoke bench-retrain bench-idle bench-latency bench-throughput

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Fetch the ONNX Runtime library that the daemon loads, out of its pinned wheel
	@sh daemon/onnxruntime/fetch.sh

deps: ## Install what the tests need (as root, with apt-get), or name it; starts no service
	@sh tests/deps.sh

build: ## Build the daemon, unoptimised
	$(CARGO) build --locked

test: deps setup lint test-python test-training test-rust ## Format, lints, unit, integration and Python tests

lint: ## Formatting, and clippy with warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings

test-python: $(VENV)/ready setup build ## The tests of the training and of the tools, in an environment of their own
	$(VENV)/bin/python -m pytest --quiet -rs -p no:cacheprovider training/tests tests daemon/onnxruntime

$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

test-training: ## The training in small, where `make train-env` was run; says so where it was not
	@if [ -e $(TRAIN_VENV)/ready ]; then \
		$(MAKE) --no-print-directory train-smoke; \
	else \
		echo "************************************************************************"; \
		echo "*** NOT RUN: the tests of the training that need PyTorch, and its smoke"; \
		echo "*** run. \`make train-env\` fetches what they need (about 3 GB)."; \
		echo "************************************************************************"; \
	fi

test-rust: ## Unit, documentation and integration tests; the latter against a real Dovecot and Cyrus
	$(CARGO) test --locked --workspace --doc --quiet
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -ex; $(CARGO) nextest run --locked --workspace; \
	else \
		set -ex; $(CARGO) test --locked --workspace --lib --bins --tests; \
	fi

train-env: $(TRAIN_VENV)/ready ## The environment of the training, every wheel pinned by its hash

$(TRAIN_VENV)/ready: training/requirements.txt
	$(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
		--require-hashes --only-binary :all: --requirement $<
	@touch $@

train: $(TRAIN_VENV)/ready setup ## The default model, from the mails to models/default; goes on where it ended
	$(CARGO) build --locked --release
	$(TRAIN_VENV)/bin/python -m training.run --triaged target/release/triaged --work $(TRAIN_WORK) \
		--out models/default $(if $(TRAIN_EXTRA),--extra $(TRAIN_EXTRA)) $(TRAIN_BESIDE)

train-smoke: $(TRAIN_VENV)/ready setup ## Every step of the training with tiny random models
	$(CARGO) build --locked
	OMP_NUM_THREADS=1 $(TRAIN_VENV)/bin/python -m pytest --quiet -rs -p no:cacheprovider training/tests
	OMP_NUM_THREADS=1 $(TRAIN_VENV)/bin/python -m training.smoke --triaged target/debug/triaged

demo: ## Label a dozen mails in a throw-away Dovecot and show the result
	@sh tests/dovecot/install.sh $(if $(filter no,$(DEMO_INSTALL)),--print)
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || sh tests/deps.sh python
	@sh daemon/onnxruntime/fetch.sh
	$(CARGO) build --locked
	@DEMO_INSTALL=$(DEMO_INSTALL) $(PYTHON) tests/demo/demo.py --triaged target/debug/triaged

bench: setup ## Compare the release build with Python's onnxruntime over the training data
	$(CARGO) build --locked --release
	$(PYTHON) tests/bench/classify.py

soak: setup ## Minutes-long tests with figures: 200 kills, 2,000 messages on each database, a backfill, a backlog
	$(CARGO) test --locked --release --test it -- --ignored --nocapture --test-threads 1 soak:: sharing::

bench-retrain: $(TRAIN_VENV)/ready setup ## The long honest run of `triaged retrain`: one set accepted, one refused
	$(CARGO) build --locked --release
	$(PYTHON) tests/bench/retrain.py

bench-idle: setup ## The memory of 2,000 accounts that are watched and get no mail
	$(CARGO) build --locked --release
	$(PYTHON) tests/bench/idle.py

bench-latency: setup ## From delivery to keyword with 200 watched mailboxes and 20 mails a second
	$(CARGO) build --locked --release
	$(PYTHON) tests/bench/latency.py

bench-throughput: setup ## Messages a second end to end, and the store's share of the time, on each database
	$(CARGO) build --locked --release
	$(PYTHON) tests/bench/throughput.py

clean: ## Remove everything that was built or fetched here
	$(CARGO) clean
	rm -rf .bench .onnxruntime .tools $(VENV) $(TRAIN_VENV)
