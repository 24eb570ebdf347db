# Everything runs in a virtual environment of its own (.venv). It is made on first use and brought
# up to date when pyproject.toml changes, so each command below is enough on a fresh clone.

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LEARNING := $(VENV)/.learning
# One more than the two cores of the CI: a test waits a third of its time, for a process or a deadline.
WORKERS ?= 3
FUZZ_SECONDS ?= 300
# PYTHON=/path/to/python3.12 chooses the interpreter; otherwise the newest suitable one on PATH is
# taken. 3.14 comes last, because Box2D has no wheel for it and the tests of LunarLander fall away.
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python3.14 python)

# A container's root may install into a virtual environment without being told off.
export PIP_ROOT_USER_ACTION := ignore
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYGAME_HIDE_SUPPORT_PROMPT := 1
# Many containers set it. The tests start a hundred interpreters, and each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test quick lint format coverage bench soak fuzz stock envpool trainers clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Serve environments, wrap them back, compare them bit by bit, time them
	@$(BIN)/python -m benchmarks.demo

test: lint stock trainers ## Everything that must hold: lint, then all tests, the slow ones too
	@$(BIN)/python -m pytest -n $(WORKERS)

quick: $(LEARNING) ## The tests without the slow ones
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

lint: $(LEARNING) ## ruff, mypy and the order of the floors
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY) ## Let ruff rewrite what it can
	@$(BIN)/python -m ruff check --fix-only .
	@$(BIN)/python -m ruff format .

coverage: $(LEARNING) stock trainers ## All tests, and the lines that none of them reaches
	@$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term

bench: $(LEARNING) stock envpool ## Steps per second beside the alternatives, and what a first observation takes
	@$(BIN)/python -m benchmarks.single
	@$(BIN)/python -m benchmarks.vector
	@$(BIN)/python -m benchmarks.atari
	@$(BIN)/python -m benchmarks.scaling
	@$(BIN)/python -m benchmarks.slow
	@$(BIN)/python -m benchmarks.sessions
	@$(BIN)/python -m benchmarks.start

soak: $(LEARNING) ## Twenty million steps with cuts, and memory that must stay flat
	@$(BIN)/python -m benchmarks.soak

fuzz: $(READY) ## Atheris on both decoders, FUZZ_SECONDS each; what it finds is put here
	@$(BIN)/python -m tests.fuzz.decoders --seconds $(FUZZ_SECONDS)

# Here and not in the first test that asks for it, whose time limit it would use up.
stock: $(READY)
	@echo "Looking for the stock peer's virtual environment (the first time it is built: a minute or two)"
	@$(BIN)/python -c 'from benchmarks.stock.venv import stock_python; print(stock_python())'

# A peer that cannot be built is left out of the benchmarks, and does not fail them.
envpool: $(READY)
	@echo "Looking for EnvPool's virtual environment (the first time it is built: a minute or two, 1 GB)"
	@-$(BIN)/python -c 'from benchmarks.apart import envpool_python; print(envpool_python())'

trainers: $(READY)
	@echo "Looking for the other trainers' virtual environment (the first time it is built: two or three minutes)"
	@$(BIN)/python -c 'from tests.trainers.venv import trainers_python; print(trainers_python())'

COMMA := ,
# $(call install,requirements,what they are,marker): a dot for each package, and the log where it fails.
define install
printf 'Installing $(2) '; \
	if $(BIN)/python -m pip install -e '$(1)' 2>&1 | tee $(VENV)/install.log | \
	  while IFS= read -r line; do case $$line in (Collecting*) printf .;; esac; done; \
	then echo " done"; touch $(3); \
	else echo " failed; the end of $(VENV)/install.log says:" >&2; tail -n 20 $(VENV)/install.log >&2; exit 1; fi
endef

clean: ## Back to a fresh clone
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@set -o pipefail; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  for python in $(CANDIDATES) ""; do \
	    "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
	      >/dev/null 2>&1 && break; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "openenv-gym needs Python 3.11 or newer, with its venv module; none of these is: $(CANDIDATES)." >&2; \
	    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name one:" \
	      "make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) || exit 1; \
	fi; \
	$(call install,.[dev],openenv-gym and its tools (once$(COMMA) a minute or two),$@)

$(LEARNING): $(READY)
	@set -o pipefail; \
	$(call install,.[dev$(COMMA)learning],PyTorch and Stable-Baselines3 (once),$@)
