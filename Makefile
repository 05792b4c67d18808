# graphnn: `make demo` shows it, `make test` tests it. Everything is installed into .venv, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BENCH  ?= $(VENV)/bench
QUIET  := --disable-pip-version-check --quiet --no-input
PIP    := $(BIN)/python -m pip $(QUIET)
NPM    := $(VENV)/npm

# What checks and formats JavaScript; tests/tools/javascript says how strictly.
PRETTIER := $(BIN)/node $(NPM)/node_modules/prettier/bin/prettier.cjs --log-level warn "**/*.js"
TSC      := $(BIN)/node $(NPM)/node_modules/typescript/bin/tsc --project tests/tools/javascript

# pytest on all cores. Tests start many processes: the compiled modules that they share are kept beside the environment,
# whatever PYTHONDONTWRITEBYTECODE says.
BYTECODE := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX="$(abspath $(VENV))/bytecode"
PYTEST := $(BYTECODE) $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# Arguments for pytest: make test ARGS="-k floors"
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lowest dist page katex dap torch jax lint javascript format types docs bench bench-quick bench-scale fuzz satellites clean distclean

help:
	@echo "make demo         run the demo, some seconds: evaluate, train, draw, replay and play with a network"
	@echo "make test         run the tests, some minutes   (ARGS=... is handed to pytest)"
	@echo "make lowest       run the tests with the oldest versions of what graphnn depends on; give it a VENV of its own"
	@echo "make dist         build wheel and sdist into dist/, check them, and try the wheel in an empty environment"
	@echo "make page         try the replay page in a browser: Chromium must be here"
	@echo "make katex        hand formulas to KaTeX, which it installs: node and npm must be here"
	@echo "make dap          try the debug adapter with VS Code's test client, which it installs: node and npm must be here"
	@echo "make torch        hold modules read from PyTorch against PyTorch, which it installs: some minutes"
	@echo "make jax          hold steps compiled for XLA against NumPy, with JAX, which it installs: some minutes"
	@echo "make bench        time training steps in graphnn and in other engines; rewrites docs/benchmarks.md"
	@echo "make bench-quick  the same with NumPy and HIPS autograd only; writes nothing"
	@echo "make bench-scale  run the benchmarks that are tests: a million nodes   (ARGS=... is handed to pytest)"
	@echo "make fuzz         compare, forge and interrupt at length, for hours   (ARGS='--share 0.01' for minutes)"
	@echo "make satellites   delete each satellite in a copy, and test the rest   (ALL=1: all at once)"
	@echo "make lint         check style, format, imports, spelling and workflows, and JavaScript"
	@echo "make javascript   of that, JavaScript only: its types and its format"
	@echo "make format       mend style and format where a tool can"
	@echo "make types        check types"
	@echo "make docs         build the documentation into docs/_build/html"
	@echo "make clean        remove what the above have made; distclean removes .venv too"
	@echo
	@echo "PYTHON=...        the interpreter .venv is made with (3.11 or later; default: python3)"
	@echo "VENV=...          another environment than .venv: make test PYTHON=python3.13 VENV=.venv/3.13"
	@echo "BENCH=...         the environment that the other engines are installed into (default: .venv/bench)"

demo: $(VENV)/demo.stamp
	@$(BIN)/graphnn demo

test: $(VENV)/test.stamp
	@echo "Running the tests, the examples of the docstrings and the code of the documentation, on all cores: some minutes."
	@echo "For some of them only, say which: make test ARGS='tests/core -x'"
	@$(PYTEST) $(ARGS)

lowest: $(VENV)/lowest.stamp
	@$(BIN)/python -c 'import graphviz, networkx, numpy; \
	  print("numpy", numpy.__version__, "networkx", networkx.__version__, "graphviz", graphviz.__version__)'
	@$(PYTEST) $(ARGS)

dist: $(VENV)/dist.stamp
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist >/dev/null
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/python tests/built/check.py dist

page: $(VENV)/page.stamp
	@$(PYTEST) tests/satellites/pages/browser --override-ini "norecursedirs=.*" $(ARGS)
	@$(BIN)/python tests/satellites/pages/browser/measure.py

katex: $(VENV)/test.stamp
	@$(BIN)/python tests/tools/katex.py --folder $(VENV)/katex $(ARGS)

dap: $(VENV)/dap.stamp
	@NODE_PATH="$(abspath $(VENV)/dap/node_modules)" GRAPHNN="$(abspath $(BIN)/graphnn)" \
	  node $(VENV)/dap/node_modules/mocha/bin/mocha.js tests/tools/dap/adapter.test.js $(ARGS)
	@if command -v tmux >/dev/null && emacs --batch --eval "(require 'dape)" 2>/dev/null; \
	  then $(BIN)/python tests/tools/dap/emacs.py --graphnn "$(abspath $(BIN)/graphnn)" >/dev/null && echo "  Emacs: seen"; \
	  else echo "not tried in Emacs: tmux, or Emacs with dape (Debian: emacs-nox, elpa-dape), is not here"; fi

torch: $(VENV)/torch.stamp
	@$(PYTEST) tests/satellites/torch $(ARGS)

jax: $(VENV)/jax.stamp
	@$(PYTEST) tests/satellites/jax $(ARGS)

bench: $(BENCH)/bench.stamp
	@$(BENCH)/bin/python tests/benchmarks/training_step.py --json docs/benchmarks/training_step.json $(ARGS)
	@$(BENCH)/bin/python tests/benchmarks/training_step.py --json docs/benchmarks/two_cores.json \
	  --cores 2 --dtypes float32 --processes 1
	@$(BENCH)/bin/python tests/benchmarks/networks.py --json docs/benchmarks/networks.json
	@$(BENCH)/bin/python tests/benchmarks/trainings.py --json docs/benchmarks/trainings.json
	@$(BENCH)/bin/python tests/benchmarks/jacobians.py --json docs/benchmarks/jacobians.json
	@$(BENCH)/bin/python tests/benchmarks/costs.py --json docs/benchmarks/costs.json
	@$(BENCH)/bin/python tests/benchmarks/report.py

bench-quick: $(VENV)/test.stamp
	@$(BIN)/python tests/benchmarks/training_step.py --quick $(ARGS)

bench-scale: $(VENV)/test.stamp
	@$(BIN)/python -m pytest tests/benchmarks --override-ini "norecursedirs=.*" $(ARGS)

fuzz: $(VENV)/test.stamp
	@$(BIN)/python tests/fuzz/at_length.py $(ARGS)

satellites: $(VENV)/test.stamp $(VENV)/lint.stamp
	@$(BIN)/python tests/tools/satellites.py $(if $(ALL),--all) $(ARGS)

lint: $(VENV)/lint.stamp javascript
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@if test -x $(BIN)/actionlint; then $(BIN)/actionlint; \
	  else $(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml && \
	  echo "the workflows were held against their schema only: actionlint could not be installed"; fi

javascript: $(VENV)/npm.stamp
	@$(TSC)/engine.json
	@$(TSC)/replay.json
	@$(TSC)/live.json
	@$(PRETTIER) --check

format: $(VENV)/lint.stamp $(VENV)/npm.stamp
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(PRETTIER) --write

types: $(VENV)/lint.stamp
	@$(BIN)/mypy --strict graphnn

docs: $(VENV)/docs.stamp
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@$(BIN)/python tests/built/check_site.py docs/_build/html
	@echo "docs/_build/html/index.html"

# The environment. A stamp is younger than pyproject.toml when what it stands for is installed.

$(VENV)/made.stamp:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "graphnn needs Python 3.11 or later, and there is no '$(PYTHON)' here; say which to use: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "graphnn needs Python 3.11 or later; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1); say which to use: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version) ..."
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed; some systems keep it in a package of its own (python3-venv)" >&2; exit 1; }
	@$(PIP) install --upgrade "pip>=25.1"
	@touch $@

$(VENV)/demo.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn for the demo into $(VENV), 250 MB: the first time only, a minute or two ..."
	@$(PIP) install --editable ".[dot,plot,cli]"
	@touch $@

$(VENV)/test.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn and what its tests need into $(VENV): the first time only, a minute or two ..."
	@$(PIP) install --editable ".[all]" --group test
	@touch $@

# Pins what `dependencies` of pyproject.toml says at least.
$(VENV)/lowest.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn with the oldest versions of what it depends on ..."
	@$(BIN)/python -c 'import tomllib; from pathlib import Path; \
	  needs = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]["dependencies"]; \
	  print(*[each.replace(">=", "==") for each in needs], sep="\n")' >$(VENV)/lowest.txt
	@$(PIP) install --editable ".[all]" --group test --constraint $(VENV)/lowest.txt
	@touch $@

$(VENV)/dist.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing what builds and checks wheels ..."
	@$(PIP) install --group dist
	@touch $@

$(VENV)/page.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn and what drives a browser ..."
	@$(PIP) install --editable ".[all]" --group page
	@touch $@

$(VENV)/torch.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn and PyTorch ..."
	@$(PIP) install --editable ".[all]" --group torch
	@touch $@

$(VENV)/jax.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn and JAX ..."
	@$(PIP) install --editable ".[all]" --group jax
	@touch $@

$(VENV)/lint.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn, and what checks style and types ..."
	@$(PIP) install --editable ".[all]" --group lint
	@$(PIP) install --group workflows 2>/dev/null || echo "not installed: actionlint, which checks the workflows" >&2
	@touch $@

$(VENV)/npm.stamp: tests/tools/javascript/package.json $(VENV)/lint.stamp
	@echo "Installing what checks JavaScript ..."
	@mkdir -p $(NPM)
	@cp tests/tools/javascript/package.json $(NPM)
	@$(BIN)/npm install --prefix $(NPM) --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null || { \
	  echo "TypeScript and Prettier, which check the JavaScript of pages, could not be installed: npm says why above" >&2; exit 1; }
	@touch $@

$(VENV)/dap.stamp: tests/tools/dap/package.json $(VENV)/test.stamp
	@echo "Installing VS Code's test client and Mocha ..."
	@mkdir -p $(VENV)/dap
	@cp tests/tools/dap/package.json $(VENV)/dap
	@npm install --prefix $(VENV)/dap --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null || { \
	  echo "VS Code's test client and Mocha could not be installed: npm says why above, or it is not here" >&2; exit 1; }
	@touch $@

$(VENV)/docs.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "Installing graphnn and Sphinx ..."
	@$(PIP) install --editable ".[dot]" --group docs
	@touch $@

# What cannot be installed gets a row that says so.
$(BENCH)/bench.stamp: pyproject.toml $(VENV)/made.stamp
	@test -x $(BENCH)/bin/python || "$(PYTHON)" -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip $(QUIET) install --upgrade "pip>=25.1"
	@echo "Installing graphnn and the engines it is compared with ..."
	@$(BENCH)/bin/python -m pip $(QUIET) install --editable ".[plot]"
	@$(BENCH)/bin/python -m pip $(QUIET) install --group bench || \
	  $(BENCH)/bin/python tests/benchmarks/engines/wanted.py | while read -r engine; do \
	    $(BENCH)/bin/python -m pip $(QUIET) install "$$engine" || echo "not installed: $$engine" >&2; \
	  done
	@touch $@

clean:
	rm -rf build dist docs/_build docs/reference graphnn-demo htmlcov .coverage .coverage.* .benchmarks
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find graphnn tests examples docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
