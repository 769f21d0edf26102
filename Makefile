# Two commands on a fresh machine: `make demo` and `make test`. Both create and reuse $(VENV).
VENV ?= .venv
PYTHON ?= python3
OUT ?= demo
WORK ?= build/bench

bin := $(VENV)/bin
key := $(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
sources := $(shell find src pyproject.toml -type f -not -name '*.pyc')
pip := $(bin)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
dev := accelerate basedpyright build datasets hatchling hypothesis import-linter lightning pytest pytest-xdist ruff transformers
extras := cmaes jinja2 matplotlib optuna pillow scikit-learn scipy torchmetrics

.PHONY: demo test test-full test-pythons check check-systems browser bench docs format clean

demo: $(VENV)/.package-$(key)
	$(bin)/stockpot demo --out $(OUT)

test: check browser
	$(bin)/python -m pytest -m "not full" -n 2 --dist loadscope

test-full: check check-systems browser $(VENV)/.docs-$(key) $(VENV)/.timm-package-$(key) $(VENV)/.flower-package-$(key)
	$(bin)/python -m pytest -n 2 --dist loadscope
	$(bin)/python -m bench.reliability
	$(bin)/python -m bench.processors
	$(MAKE) test-pythons
	$(VENV)/timm/bin/python -m pytest tests/networks/sources/test_timm.py tests/test_paper.py
	$(VENV)/flower/bin/python -m pytest tests/federated/test_flower.py tests/federated/test_records.py tests/federated/test_strategies.py

# The spine with other versions of Python, where they are found; says which were tried.
test-pythons: $(VENV)/.dev-$(key) $(VENV)/.package-$(key)
	$(bin)/python -m bench.pythons --environments $(VENV)

# No name is used that macOS or Windows lacks, as far as a type checker knows.
check-systems: $(VENV)/.dev-$(key)
	$(bin)/basedpyright --pythonpath $(bin)/python --pythonplatform Darwin
	$(bin)/basedpyright --pythonpath $(bin)/python --pythonplatform Windows

# The browser that pages are looked at with.
browser: .axe/axe.min.js
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

# What looks for pages that cannot be read by everyone: one file of a pinned npm package.
.axe/axe.min.js:
	@command -v npm >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends npm; }
	mkdir -p .axe
	cd .axe && npm pack --silent axe-core@4.14.1 && tar xzf axe-core-4.14.1.tgz --strip-components 1 package/axe.min.js
	cd .axe && echo '29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c  axe.min.js' | sha256sum --check --quiet || { rm axe.min.js; exit 1; }

# Everything that needs no test run: format, lint, types, layers.
check: $(VENV)/.dev-$(key) $(VENV)/.package-$(key)
	$(bin)/ruff format --check src tests bench docs
	$(bin)/ruff check src tests bench docs
	$(bin)/basedpyright --pythonpath $(bin)/python
	$(bin)/lint-imports

bench: $(VENV)/.package-$(key) $(VENV)/.mergekit-$(key)
	$(bin)/python -m bench.against_mergekit --work $(WORK) --mergekit-python $(VENV)/mergekit/bin/python

docs: $(VENV)/.docs-$(key) $(VENV)/.package-$(key)
	$(bin)/python -m sphinx -W -q -b html docs docs/_build
	@echo "docs/_build/index.html"

format: $(VENV)/.dev-$(key)
	$(bin)/ruff check --fix src tests bench docs
	$(bin)/ruff format src tests bench docs

clean:
	rm -rf $(VENV) build dist demo docs/_build

# The environment is made once for each state of pyproject.toml and constraints.txt.
$(VENV)/.libraries-$(key):
	$(PYTHON) -m venv $(VENV)
	$(pip) torch numpy safetensors blake3 annotated-types pyyaml cyclopts docstring-parser rich $(extras) hatchling
	touch $@

$(VENV)/.dev-$(key): $(VENV)/.libraries-$(key)
	$(pip) $(dev)
	touch $@

$(VENV)/.docs-$(key): $(VENV)/.libraries-$(key)
	$(pip) sphinx myst-parser furo
	touch $@

# timm imports torchvision, whose wheels fit another build of torch than the one that is pinned.
$(VENV)/.timm-$(key): $(VENV)/.libraries-$(key)
	$(PYTHON) -m venv $(VENV)/timm
	$(VENV)/timm/bin/python -m pip --disable-pip-version-check install --quiet torch torchvision timm pytest hypothesis numpy safetensors blake3 annotated-types pyyaml cyclopts docstring-parser rich $(extras)
	touch $@

$(VENV)/.timm-package-$(key): $(VENV)/.timm-$(key) $(sources)
	rm -rf $(VENV)/wheel
	$(bin)/python -m pip --disable-pip-version-check wheel --quiet --no-build-isolation --no-deps -w $(VENV)/wheel .
	$(VENV)/timm/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --force-reinstall $(VENV)/wheel/*.whl
	touch $@

# Flower wants older versions of rich, typer and packaging than those that are pinned.
$(VENV)/.flower-$(key): $(VENV)/.libraries-$(key)
	$(PYTHON) -m venv $(VENV)/flower
	$(VENV)/flower/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0 'flwr[simulation]==1.42.0' pytest hypothesis numpy safetensors blake3 annotated-types pyyaml cyclopts docstring-parser rich $(extras)
	touch $@

$(VENV)/.flower-package-$(key): $(VENV)/.flower-$(key) $(sources)
	rm -rf $(VENV)/flower-wheel
	$(bin)/python -m pip --disable-pip-version-check wheel --quiet --no-build-isolation --no-deps -w $(VENV)/flower-wheel .
	$(VENV)/flower/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --force-reinstall $(VENV)/flower-wheel/*.whl
	touch $@

$(VENV)/.mergekit-$(key): $(VENV)/.libraries-$(key)
	$(PYTHON) -m venv $(VENV)/mergekit
	$(VENV)/mergekit/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0 mergekit==0.1.5
	touch $@

# The package is installed as the wheel that users get.
$(VENV)/.package-$(key): $(VENV)/.libraries-$(key) $(sources)
	$(pip) --no-build-isolation --no-deps --force-reinstall .
	touch $@
