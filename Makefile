# Two commands do everything, what they need they install:
#   make demo    the main job, from minting to refusing, then stays up (ONCE=1: exits)
#   make test    every test of every language
# The rest: lint, format, bench, vectors, clean.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test test-rust test-python lint format bench vectors setup setup-demo python clean

VENV   := .venv
PYTHON := $(VENV)/bin/python
export CARGO_TERM_COLOR ?= auto
# Everything under test is on loopback: no proxy of the environment stands between.
export NO_PROXY := localhost,127.0.0.1,::1
export no_proxy := $(NO_PROXY)
# maturin installs into the environment that is active: ours.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
unexport CONDA_PREFIX

demo: setup-demo
	cargo build -p queue-issuer -p queue-sidecar
	$(VENV)/bin/maturin develop --quiet -m bindings/Cargo.toml
	$(PYTHON) examples/local_issuer/demo.py $(if $(ONCE),--once)

test: setup test-rust test-python

NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

test-rust: setup
	$(if $(NEXTEST),cargo nextest run --workspace && cargo test --workspace --doc,cargo test --workspace)
	cargo test -p queue-verifier --no-default-features --features ring
	cargo test -p queue-verifier --no-default-features --features aws-lc-rs

test-python: python
	cargo build -p queue-issuer -p queue-sidecar -p queue-tests -p queue-examples --bins
	$(PYTHON) tests/vectors/generate.py --check
	cd bindings && ../$(PYTHON) -m pytest
	$(PYTHON) -m pytest -q tests/e2e

python: setup
	$(VENV)/bin/maturin develop --quiet -m bindings/Cargo.toml

lint: python
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p queue-verifier --no-default-features --features ring -- -D warnings
	cargo clippy -p queue-verifier --no-default-features --features aws-lc-rs -- -D warnings
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	cd bindings && ../$(VENV)/bin/mypy

format: setup
	cargo fmt --all
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# BENCH=--dry leaves docs/reference/benchmarks.md as it is, BENCH=--quick asks only if it works.
bench:
	.ci/setup bench
	$(VENV)/bin/maturin develop --quiet --release -m bindings/Cargo.toml
	$(PYTHON) tests/bench/run.py $(BENCH)

vectors: setup
	$(PYTHON) tests/vectors/generate.py
	UPDATE_OUTCOMES=1 cargo test -q -p queue-tests --test it -- outcomes_are_those_committed

setup:
	.ci/setup test

setup-demo:
	.ci/setup demo

clean:
	rm -rf target $(VENV) tests/foreign/node_modules
