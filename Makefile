PYTHON ?= python3
PYTHON_VERSION := $(shell cat .python-version)
PY := .venv/bin/python
READY := .venv/ready
# Nothing if .venv has no pip, as after an interrupted set-up.
VENV_VERSION := $(shell $(PY) -c 'import pip, sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
MAILBIND := .venv/bin/mailbind
NODE_MODULES := infra/local/node_modules/.package-lock.json
CHECKOV := .local/checkov/ready
KUSTO := infra/checks/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help setup new-venv run demo browser test check format lock connector pictures costs bench audit clean

help:            ## List these targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(READY) $(MAILBIND) $(NODE_MODULES) ## Create .venv and download Azurite (needs only Python 3.13)

# Old Pythons understand this too. The virtual environment of checkov uses the Python of .venv.
new-venv:
	@found=$$($(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null); \
	case "$$found" in $(PYTHON_VERSION).*) ;; *) \
	  echo "Mailbind needs Python $(PYTHON_VERSION), but $(PYTHON) is $${found:-missing}: install Python $(PYTHON_VERSION) and run PYTHON=python$(PYTHON_VERSION) make $(MAKECMDGOALS)" >&2; \
	  exit 1;; \
	esac
	@echo "Setting up .venv ..."
	@rm -rf .venv .local/checkov
	@$(PYTHON) -m venv .venv

$(READY): requirements.txt requirements-dev.txt constraints.txt constraints-dev.txt $(if $(filter $(PYTHON_VERSION),$(VENV_VERSION)),,new-venv)
	@echo "Downloading packages ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# The operators' command. uv builds it itself: nothing is downloaded.
$(MAILBIND): pyproject.toml $(READY)
	@.venv/bin/uv pip install --quiet --offline --no-cache --no-deps --python .venv --editable .
	@touch $@

$(NODE_MODULES): infra/local/package.json infra/local/package-lock.json | $(READY)
	@echo "Downloading Azurite ..."
	@cd infra/local && PATH="$(CURDIR)/.venv/bin:$$PATH" ../../.venv/bin/npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

run: setup       ## Start everything locally and print a link to click
	@$(PY) -m infra.local.run

demo: setup      ## Run the whole journey, step by step
	@$(PY) -m infra.local.demo

# Before the first test, so that a missing browser is not found out at the end.
browser: setup
	@$(PY) -m tests.browser.chromium

# One worker more than cores, because some tests wait most of their time.
test: setup browser ## Run all tests against the real local parts
	@$(PY) -m pytest --numprocesses $$($(PY) -c "import os; print(os.process_cpu_count() + 1)") --dist loadfile --no-loadscope-reorder --durations 25

# checkov needs a hundred packages that conflict with ours, so it has a virtual environment of its own, which only make check installs.
$(CHECKOV): infra/checks/constraints.txt | $(READY)
	@echo "Downloading checkov ..."
	@$(PY) -m venv .local/checkov
	@.local/checkov/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(KUSTO): infra/checks/package.json infra/checks/package-lock.json | $(READY)
	@echo "Fetching the query parser ..."
	@cd infra/checks && PATH="$(CURDIR)/.venv/bin:$$PATH" ../../.venv/bin/npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

check: setup $(CHECKOV) $(KUSTO) ## Check style, types, layers, infrastructure, queries, descriptions
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@.local/checkov/bin/checkov --config-file infra/checks/checkov.yaml
	@.venv/bin/node infra/checks/queries.js infra/monitoring/*.kql
	@$(PY) -m pytest -q tests/repo tests/infra/test_bicep.py tests/infra/test_claims.py tests/connector/test_rules.py tests/description/test_description.py

format: setup    ## Format the code
	@$(PY) -m ruff check --fix --quiet .
	@$(PY) -m ruff format .

# Compiles constraints*.txt, with hashes, after a change of the requirements. Versions stay the same if the requirements allow it: delete a
# file to get newer ones. It does not depend on setup, which fails while requirements and constraints differ.
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-annotate --custom-compile-command "make lock"
lock:
	@grep -v '^-r' requirements.txt | $(LOCK) --output-file constraints.txt -
	@cat requirements.txt requirements-dev.txt | grep -v '^-r' | $(LOCK) --constraints constraints.txt --output-file constraints-dev.txt -
	@$(LOCK) --no-deps --output-file infra/checks/constraints.txt infra/checks/requirements.txt

# Writes the files that Power Platform imports to .local/connector.
connector: setup
	@$(PY) -m infra.connector

# Draws the pictures of README.md.
pictures: setup browser
	@$(PY) -m tests.browser.pictures

# Writes the table of docs/costs.md.
costs: setup
	@MAILBIND_WRITE_COSTS=true $(PY) -m pytest --quiet tests/journey/test_storage_requests.py

bench: setup     ## Measure, as ratios within one run
	@$(PY) -m tests.bench

# Not part of the tests: it asks the advisory service about every package, so the result depends on the day and the network. If the
# service cannot be reached, pip-audit fails and names what it could not audit.
audit: setup     ## Known vulnerabilities of packages, secrets in the history
	@$(PY) -m tests.repo.history
	@$(PY) -m pip_audit --disable-pip --no-deps --strict --progress-spinner off -r constraints-dev.txt

clean:           ## Remove what setup and run created
	rm -rf .venv .local infra/local/node_modules infra/checks/node_modules
