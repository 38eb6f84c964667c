# What a person does with this project, one target each. Everything lives in .venv and build/.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help tutorial test test-browser test-sdks lab runtime bench compare check translations clean
help:
	@echo "make tutorial   run the lesson on this machine and print its scores"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make test       every test"
	@echo "make test-browser   run the notebooks in JupyterLab, in the Chromium or Chrome of this computer"
	@echo "make test-sdks  run the lesson's calls with three versions of the SDK; needs python3.11"
	@echo "make runtime    the local watsonx.ai runtime in the foreground"
	@echo "make bench      measure speed, each figure against its rival in turn"
	@echo "make compare    compute what is missing of the comparison of methods; takes about two hours"
	@echo "make check      ruff and mypy"
	@echo "make translations   copy changed code cells to the other languages, and name the prose to translate"
	@echo "make clean      remove .venv and build/"

# pip first, since old ones cannot show or resume a download.
$(VENV)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check "$$(grep -o '^pip==[0-9.]*' requirements.txt)"
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: model
model: $(VENV)/.ready
	$(RUN) -m prompt_tuning_helpers.engine fetch

tutorial: $(VENV)/.ready model
	$(RUN) tools/execute.py

test: $(VENV)/.ready model check
	$(RUN) -m pytest

$(VENV)/.browser: $(VENV)/.ready tests/browser/requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check -r tests/browser/requirements.txt
	@touch $@

# Keeps a picture of each notebook in build/browser.
test-browser: $(VENV)/.browser
	$(RUN) -m pytest tests/browser

# Installs each version into build/sdks.
test-sdks: $(VENV)/.ready
	$(RUN) -m pytest tests/sdks/other_sdks.py

lab: $(VENV)/.ready model
	$(VENV)/bin/jupyter lab notebooks

runtime: $(VENV)/.ready model
	$(RUN) -m prompt_tuning_helpers.runtime serve

bench: $(VENV)/.ready model
	$(RUN) -m benchmarks

# Keeps the results that still fit the settings and the code, and goes on where it was interrupted.
compare: $(VENV)/.ready model
	PYTHONPATH=notebooks $(RUN) -m comparison

check: $(VENV)/.ready
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

translations: $(VENV)/.ready
	$(RUN) tools/sync_translations.py

clean:
	rm -rf $(VENV) build
