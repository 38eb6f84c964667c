# What a person does with this project, one target each. Everything lives in .venv and build/.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# What else pytest is told: make test ARGS="-k name"
ARGS ?=
# Processes that test, each a file at a time, in the order that tests/conftest.py gives.
WORKERS ?= 2
# The base model of the lesson; empty for its own.
MODEL ?=
INSTALL := pip install --quiet --disable-pip-version-check
RESOLVE := $(VENV)/bin/uv pip compile --quiet --python-version 3.11 --extra local --group dev
LOCKED := --universal --generate-hashes --constraint requirements-torch.txt --no-emit-package torch pyproject.toml \
	--output-file requirements.txt
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help
help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target what; do \
		printf 'make %-14s %s\n' "$$target" "$$what"; done

# pip first, since old ones cannot show or resume a download.
# Then PyTorch, which stays as it is where it is installed already.
$(VENV)/.ready: requirements.txt requirements-torch.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m $(INSTALL) "$$(grep -o '^pip==[0-9.]*' requirements.txt)"
	$(RUN) -m $(INSTALL) -r requirements-torch.txt
	$(RUN) -m $(INSTALL) --no-deps --require-hashes -r requirements.txt
	$(RUN) -m $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready model  ## make .venv, fetch the base model, and run the quick checks before each commit
	$(VENV)/bin/pre-commit install

.PHONY: model
model: $(VENV)/.ready
	$(RUN) -m prompt_tuning_helpers.engine fetch $(MODEL)

.PHONY: tutorial
tutorial: $(VENV)/.ready model  ## run the lesson and print its scores; MODEL=ibm-granite/granite-4.0-350m takes another base model
	$(RUN) tools/execute.py $(if $(MODEL),--model $(MODEL))

.PHONY: lab
lab: $(VENV)/.ready model  ## open the notebooks in JupyterLab
	$(VENV)/bin/jupyter lab notebooks

.PHONY: runtime
runtime: $(VENV)/.ready model  ## the local watsonx.ai runtime in the foreground
	$(VENV)/bin/local-watsonx serve

.PHONY: test
test: check pytest  ## lint, types and every test; ARGS="-k name" goes to pytest, here and below

.PHONY: test-fast
test-fast: check pytest-fast  ## lint, types and the tests that take a moment each

.PHONY: pytest
pytest: $(VENV)/.ready model
	$(RUN) -m pytest $(PARALLEL) $(ARGS)

.PHONY: pytest-fast
pytest-fast: $(VENV)/.ready
	$(RUN) -m pytest $(PARALLEL) -m "not slow" $(ARGS)

$(VENV)/.browser: $(VENV)/.ready tests/browser/requirements.txt
	$(RUN) -m $(INSTALL) -r tests/browser/requirements.txt
	@touch $@

# Keeps a picture of each notebook in build/browser.
.PHONY: test-browser
test-browser: $(VENV)/.browser  ## run the notebooks in JupyterLab, in the Chromium or Chrome of this computer
	$(RUN) -m pytest tests/browser $(ARGS)

# Installs each version into build/sdks.
.PHONY: test-sdks
test-sdks: $(VENV)/.ready  ## run the lesson's calls with three versions of the SDK; needs python3.11
	$(RUN) -m pytest tests/sdks/other_sdks.py $(ARGS)

# Installs each into build/clients; where a client's language is missing, its test is skipped and says so.
.PHONY: test-clients
test-clients: $(VENV)/.ready  ## use the runtime through langchain-ibm, llama-index, litellm, Node and curl
	$(RUN) -m pytest tests/clients/every_client.py $(ARGS)

# Environments in build/packages that have nothing but what pip installs there.
.PHONY: test-packages
test-packages: $(VENV)/.ready  ## install wheel and source distribution, and run the lesson's first cells with each
	$(RUN) -m pytest tests/packages/empty_environments.py $(ARGS)

# An environment in build/lowest; needs python3.11, which the lowest versions were made for.
.PHONY: test-lowest
test-lowest: $(VENV)/.ready  ## run the fast tests with the lowest versions that pyproject.toml allows
	mkdir -p build
	$(RESOLVE) --resolution lowest-direct pyproject.toml --output-file build/lowest.txt
	python3.11 -m venv --clear build/lowest
	build/lowest/bin/python -m $(INSTALL) "$$(grep '^torch==' build/lowest.txt)"
	build/lowest/bin/python -m $(INSTALL) --no-deps -r build/lowest.txt
	build/lowest/bin/python -m $(INSTALL) --no-deps --no-build-isolation --editable .
	build/lowest/bin/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

# The lock holds for each system and each Python that pyproject.toml names. What is locked stays as it is where it can.
.PHONY: lock
lock: $(VENV)/.ready  ## lock what pyproject.toml asks for, with hashes, after a change of it
	$(RESOLVE) $(LOCKED) $(UPGRADE)

.PHONY: upgrade
upgrade: UPGRADE := --upgrade
upgrade: $(VENV)/.ready newest-torch lock  ## the same with the newest versions there are

.PHONY: newest-torch
newest-torch: $(VENV)/.ready
	{ sed -n '/^#/p' requirements-torch.txt; echo torch | $(VENV)/bin/uv pip compile --quiet --no-deps --no-header \
		--no-annotate -; } > requirements-torch.new
	mv requirements-torch.new requirements-torch.txt

.PHONY: dist
dist: $(VENV)/.ready  ## build what is published into dist/, and check that a package index would take it
	rm -rf dist
	$(RUN) -m hatchling build
	$(RUN) -m twine check --strict dist/*

.PHONY: check
check: $(VENV)/.ready  ## lint, format, who may import whom, and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(VENV)/bin/mypy

.PHONY: format
format: $(VENV)/.ready  ## mend what ruff can mend, and format
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

.PHONY: bench
bench: $(VENV)/.ready model  ## measure speed, each figure against its rival in turn; ARGS="lesson" measures a part
	$(RUN) -m benchmarks $(ARGS)

# Writes build/growth.jsonl, the table of docs/growth.md and its plots.
.PHONY: growth
growth: $(VENV)/.ready model  ## measure how time and memory grow with rows, with what a runtime keeps, and with prompts
	$(RUN) -m benchmarks.growth $(ARGS)

# Keeps the results that still fit the settings and the code, and resumes where it was interrupted.
.PHONY: compare
compare: $(VENV)/.ready model  ## compute what is missing of the comparison of methods and of its controls; all of it takes hours, on a GPU minutes
	PYTHONPATH=notebooks $(RUN) -m comparison
	PYTHONPATH=notebooks:. $(RUN) -m comparison.controls

.PHONY: translations
translations: $(VENV)/.ready  ## copy changed code cells to the other languages, and name the prose to translate
	$(RUN) tools/sync_translations.py

.PHONY: clean
clean:  ## remove build/ and what tools keep
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean  ## remove .venv, too, which takes minutes to make again
	rm -rf $(VENV)
