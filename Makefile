# `make` alone says what there is. Needed: Python 3.10 or newer, make, git, and a package index that pip can reach.
#   PYTHON=python3.12   the interpreter to use        VENV=.venv   where everything is installed
#   TESTS=tests/unit    which tests to run            PYTEST=-x    more options for pytest
#   JOBS=0              tests at a time: a number, or auto for one on each processor; 0 for a debugger
#   SEEDS=1000..2000    which schedules to simulate: a count or a range

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test coverage dist lowest simulate lint docs bench compare clean

VENV ?= .venv
TESTS ?=
SEEDS ?= 3000
PYTEST ?=
JOBS ?= auto
NEWEST := python3 python3.14 python3.13 python3.12 python3.11 python3.10 python
IS_NEW := import sys; sys.exit(sys.version_info < (3, 10))
LOWEST := from importlib.metadata import requires; print(*(r.replace(">=", "==") for r in requires("deploystep")))
PYTHON ?= $(shell for p in $(NEWEST); do "$$p" -c '$(IS_NEW)' >/dev/null 2>&1 && echo "$$p" && break; done)

# What the caller's shell says about Python, pip's targets, CircleCI and git must not change what happens here.
CALLERS := PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONWARNINGS PIP_TARGET PIP_PREFIX PIP_USER PIP_NO_DEPS \
	PIP_REQUIRE_VIRTUALENV PIP_REQUIRE_HASHES PIP_NO_BUILD_ISOLATION PIP_CONSTRAINT \
	GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE $(filter CIRCLE% DEPLOYSTEP_% COVERAGE_%,$(shell env | sed -n 's/=.*//p'))
CLEAN := env $(addprefix -u ,$(CALLERS)) PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
BIN := $(VENV)/bin
PIP := $(CLEAN) $(BIN)/python -m pip install --quiet --quiet
CONFIGS := .circleci/config.yml $(addprefix examples/,$(addsuffix /.circleci/config.yml,minimal environments monorepo))

help:
	@echo 'make demo      a parallel job decides and deploys, against a mock CircleCI server on this machine'
	@echo 'make test      every test'
	@echo 'make coverage  every test against the built wheel, and how much of the code they reach'
	@echo 'make dist      build the wheel, the sdist and deploystep.pyz, with their checksums, into dist'
	@echo 'make lowest    quick tests with the lowest versions of the dependencies that pyproject.toml allows'
	@echo 'make simulate  schedules of builds, pushes, reruns and faults, in virtual time'
	@echo 'make lint      style, types, layers, CircleCI configs (Python 3.11 or newer)'
	@echo 'make docs      write the generated parts of README.md, docs/, schema/ and orb/'
	@echo 'make bench     measure what a step costs, beside what it is compared with; writes docs/benchmarks.md'
	@echo 'make compare   try other ways to trigger on the same faults; writes docs/compare.md (needs PyPI, npm and curl)'
	@echo 'make clean     remove what these have made'

demo: $(VENV)/.installed
	@$(CLEAN) $(BIN)/python scripts/demo.py

test: $(VENV)/.test
	@$(CLEAN) $(BIN)/python -m pytest -n $(JOBS) $(PYTEST) $(TESTS)

# The tests find the package where it is installed, and `src` is not there.
coverage: $(VENV)/.installed
	@rm -rf dist $(VENV)-wheel
	@$(CLEAN) "$(PYTHON)" -m venv $(VENV)-wheel
	@$(CLEAN) $(BIN)/python -m pip wheel --quiet --quiet --no-deps --wheel-dir dist .
	@$(CLEAN) $(VENV)-wheel/bin/python -m pip install --quiet --quiet --upgrade 'pip>=25.1'
	@$(CLEAN) $(VENV)-wheel/bin/python -m pip install --quiet --quiet dist/*.whl --group test
	@$(CLEAN) $(VENV)-wheel/bin/python -c 'import deploystep; assert "site-packages" in deploystep.__file__'
	@$(CLEAN) $(VENV)-wheel/bin/python -m pytest -n $(JOBS) --cov --cov-report=term $(PYTEST) $(TESTS)

# In an environment of its own: the file holds the libraries that are installed there.
dist:
	@rm -rf dist $(VENV)-dist
	@$(CLEAN) "$(PYTHON)" -m venv $(VENV)-dist
	@$(CLEAN) $(VENV)-dist/bin/python -m pip install --quiet --quiet --upgrade 'pip>=25.1'
	@$(CLEAN) $(VENV)-dist/bin/python -m pip install --quiet --quiet --group dist
	@$(CLEAN) $(VENV)-dist/bin/python -m hatchling build
	@$(CLEAN) $(VENV)-dist/bin/python scripts/build_pyz.py $(PYZ) dist/deploystep.pyz

lowest:
	@$(MAKE) --no-print-directory VENV=$(VENV)-lowest $(VENV)-lowest/.test
	@$(CLEAN) $(VENV)-lowest/bin/python -m pip install --quiet --quiet $$($(VENV)-lowest/bin/python -c '$(LOWEST)')
	@$(CLEAN) $(VENV)-lowest/bin/python -m pytest -n $(JOBS) $(PYTEST) tests/unit tests/http

simulate: $(VENV)/.installed
	@$(CLEAN) PYTHONPATH=tests $(BIN)/python -m simulation.simulate $(SEEDS)

lint: $(VENV)/.lint
	@$(CLEAN) $(BIN)/ruff check
	@$(CLEAN) $(BIN)/ruff format --check
	@$(CLEAN) $(BIN)/mypy
	@$(CLEAN) $(BIN)/lint-imports
	@$(CLEAN) $(BIN)/check-jsonschema --builtin-schema vendor.circle-ci $(CONFIGS)

docs: $(VENV)/.installed
	@$(CLEAN) $(BIN)/python scripts/docs.py --write
	@$(CLEAN) $(BIN)/python scripts/pack_orb.py

bench: $(VENV)/.installed
	@env -u PYTHONDONTWRITEBYTECODE $(CLEAN) $(BIN)/python scripts/bench.py

compare: $(VENV)/.installed
	@$(CLEAN) $(BIN)/python scripts/compare.py

clean:
	rm -rf $(VENV) $(VENV)-wheel $(VENV)-dist $(VENV)-lowest dist results .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment of its own; a pip that knows dependency groups (25.1); the package, editable.
$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo 'no Python 3.10 or newer found: name one with PYTHON=…' >&2; exit 1; }
	@$(CLEAN) "$(PYTHON)" -c '$(IS_NEW)' || { echo '$(PYTHON) is older than Python 3.10: name another with PYTHON=…' >&2; exit 1; }
	@test -x $(BIN)/python || $(CLEAN) "$(PYTHON)" -m venv $(VENV)
	@echo 'installing deploystep into $(VENV)'
	@$(PIP) --upgrade 'pip>=25.1'
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test $(VENV)/.lint: $(VENV)/.%: $(VENV)/.installed
	@echo 'installing what make $* needs into $(VENV)'
	@$(PIP) --group $*
	@touch $@
