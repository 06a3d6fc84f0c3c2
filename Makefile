# make demo   set up, then play agents on real pictures and show where asking pays
# make laptop set up, then train a tiny policy and compare it: runs/laptop/report.html
# make test   set up, then run the tests
# All need Python 3.11 or newer and a package index, no GPU and no key.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
DATA := experiments/data/realvqa

.PHONY: demo laptop test check bench clean

demo: .venv/.demo
	$(BIN)/vt eval --data $(DATA) --out runs/demo --overwrite \
		--agent direct --agent request --agent random:p=0.3 --agent size-threshold \
		--agent ocr --agent oracle

laptop: .venv/.laptop
	$(BIN)/vt demo --out runs/laptop --overwrite

test: .venv/.dev
	$(BIN)/python -m pytest -n auto

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

bench: .venv/.dev
	$(BIN)/python benchmarks/environment.py
	$(BIN)/python benchmarks/first_look.py --images $(DATA)/images

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable ".[demo]"
	touch $@

.venv/.laptop: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable ".[demo,train]"
	touch $@ .venv/.demo

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable ".[dev]"
	touch $@ .venv/.demo .venv/.laptop

clean:
	rm -rf .venv runs
