# make lab        JupyterLab on the first lesson
# make check      unit tests, but for the thorough ones, and lint: no browser, no kernel
# make test       the same, and every lesson, one of them in JupyterLab, its page, and the kernel's short tests
# make thorough   everything that CI runs: also what goes through many cases, and every lesson and page in a browser
# make notebooks  run every lesson again and save it
# make site       the lessons as static pages, in site/
# make bench      benchmarks, each against what a user would do instead
#
# Each builds .venv by itself when it is missing or older than the files it is made from.

PYTHON ?= python3
BIN := .venv/bin
JUPYTER_FLAGS ?=
# Jupyter refuses to run as root (a container, say) unless told to.
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab check test thorough notebooks site bench clean

FIRST_LESSON := 00_start_here.ipynb

lab: .venv/lab
	$(BIN)/jupyter lab --ip 127.0.0.1 --ServerApp.root_dir notebooks --LabApp.default_url /lab/tree/$(FIRST_LESSON) \
		$(ROOT) $(JUPYTER_FLAGS)

check: .venv/test
	$(BIN)/python -m ruff check
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not thorough' tests/unit

test: .venv/test
	$(BIN)/python tests/parts.py

thorough: .venv/test
	$(BIN)/python tests/parts.py --thorough

notebooks: .venv/test
	$(BIN)/python tools/save_notebooks.py

site: .venv/test
	$(BIN)/python tools/make_site.py site

bench: .venv/test
	$(BIN)/python benchmarks/counting.py
	$(BIN)/python benchmarks/slider_latency.py
	$(BIN)/python benchmarks/training.py

clean:
	rm -rf .venv

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "This course needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
		       "Name another: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/lab: .venv/made pyproject.toml constraints.txt resnote/jupyterlab.json
	@echo "Installing into .venv; the first time this takes a minute or more."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab]'
	touch $@

.venv/test: .venv/lab
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab,test]'
	touch $@
