# Two commands do everything, what they need they install:
#   make demo    the main job, from minting to refusing, then stays up (ONCE=1: exits)
#   make test    every test of every language
# The rest: lint, format, bench, fuzz, vectors, clean.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test test-rust test-python lint format bench fuzz fuzz-seeds vectors setup setup-demo python clean

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
	cargo build -p queue-issuer -p queue-sidecar -p queue-tests -p queue-examples --bins \
		--features queue-issuer/aws-ssm
	$(PYTHON) tests/vectors/generate.py --check
	cd bindings && ../$(PYTHON) -m pytest
	$(PYTHON) -m pytest -q tests/e2e

python: setup
	$(VENV)/bin/maturin develop --quiet -m bindings/Cargo.toml

lint: python
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p queue-issuer --features aws-ssm --all-targets -- -D warnings
	cargo clippy -p queue-verifier --no-default-features --features ring -- -D warnings
	cargo clippy -p queue-verifier --no-default-features --features aws-lc-rs -- -D warnings
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	cd bindings && ../$(VENV)/bin/ruff check . && ../$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	cd bindings && ../$(VENV)/bin/mypy

format: setup
	cargo fmt --all
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	cd bindings && ../$(VENV)/bin/ruff check --fix . && ../$(VENV)/bin/ruff format .

# BENCH=--dry leaves docs/reference/benchmarks.md as it is, BENCH=--quick asks only if it works.
bench:
	.ci/setup bench
	$(VENV)/bin/maturin develop --quiet --release -m bindings/Cargo.toml
	$(PYTHON) tests/bench/run.py $(BENCH)

# Each target for SECONDS on end; one alone: make fuzz-claims SECONDS=60. What a run finds new goes to
# target/fuzz/corpus, a crash to verifier/fuzz/artifacts.
FUZZ_TARGETS := compact_jws protected_header jwk_set claims status_list validate_session
FUZZ         := cd verifier && RUSTC_BOOTSTRAP=1 cargo fuzz
SECONDS      ?= 600

fuzz: $(FUZZ_TARGETS:%=fuzz-%)

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%:
	.ci/setup fuzz
	mkdir -p target/fuzz/corpus/$*
	$(FUZZ) run --target-dir ../target/fuzz $* ../target/fuzz/corpus/$* fuzz/seeds/$* -- \
		-max_total_time=$(SECONDS) -dict=fuzz/jose.dict -timeout=10 -print_final_stats=1

# The seeds anew from the vectors, each that reaches no new line left out.
fuzz-seeds:
	.ci/setup fuzz
	python3 verifier/fuzz/seeds.py
	for target in $(FUZZ_TARGETS); do \
		($(FUZZ) cmin --target-dir ../target/fuzz $$target fuzz/seeds/$$target -- -use_counters=0) || exit; \
	done

vectors: setup
	$(PYTHON) tests/vectors/generate.py
	UPDATE_OUTCOMES=1 cargo test -q -p queue-tests --test it -- outcomes_are_those_committed

setup:
	.ci/setup test

# Without a person there is a browser instead.
setup-demo:
	.ci/setup demo $(if $(ONCE),browser)

clean:
	rm -rf target $(VENV) tests/foreign/node_modules
