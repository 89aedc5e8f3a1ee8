# The commands of this checkout; `make` alone lists them. Everything lives in .venv, made by `setup`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

DEVICE ?=
CONFIG ?= configs/smollm2-cpu.yaml
PORT ?=
BIN := .venv/bin
# Without bytecode on disk every start compiles torch, vLLM and Ray anew: 10 s and more of CPU.
unexport PYTHONDONTWRITEBYTECODE
FAST := tests/admission tests/docs tests/loadtests tests/serve
CODE := admission serve loadtests tests
# A `kill -9` of make must not leave the gateway behind; Linux tells the child when its parent ends.
WITH_MAKE := $(if $(shell command -v setpriv),setpriv --pdeathsig TERM --)

.PHONY: help setup environment serve test clients check lint bench same docs lock format clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | while IFS=$$'\t' read -r name what; do printf '  make %-8s %s\n' "$$name" "$$what"; done

environment:
	@DEVICE=$(DEVICE) deploy/install.sh

setup: environment ## create .venv from the lock (DEVICE=cpu or gpu) and prepare the embedded model
	@$(BIN)/python -m serve.embedded.model >/dev/null

serve: setup ## start the gateway (CONFIG=configs/smollm2-cpu.yaml PORT=8000); Ctrl-C stops it
	@exec $(WITH_MAKE) $(BIN)/sluice serve --config $(CONFIG) $(if $(PORT),--port $(PORT))

test: setup ## every test: those with a gateway on a real engine, the others beside them
	@$(if $(PYTEST_ARGS),$(BIN)/pytest $(PYTEST_ARGS),tests/run.sh)

clients: setup ## ten client libraries, installed apart, against a gateway
	@$(BIN)/pytest -m clients tests/live/http/test_clients.py

check: lint ## format, lint, types, import contracts, fast tests on all cores: no engine
	@$(BIN)/pytest -q -n auto --maxprocesses 8 --dist loadfile -m "not alone" $(FAST)
	@$(BIN)/pytest -q -m alone $(FAST)

lint: environment
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: setup ## measure, and write the tables of the README into bench-results/
	@$(BIN)/python -m tests.bench.run

same: setup ## compare decisions, the lab's small grid and plans with tests/bench/same.json, bit for bit
	@$(BIN)/python -m tests.bench.same 2>/dev/null

docs: setup ## build the documents into build/docs/site, readable offline; every link is checked
	@$(BIN)/python -m tests.docs.site

lock: environment ## resolve pyproject.toml anew into deploy/lock-cpu.txt and deploy/lock-gpu.txt
	@deploy/lock.sh

format: environment ## format the code and mend what ruff can mend
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

clean: ## remove .venv and caches of this checkout (the prepared model stays in its cache folder)
	@rm -rf .venv *.egg-info build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
