# Holdfast: `make run` and `make test` are the two that matter; `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
TEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --junitxml .reports/$@.xml

# TRAINING and THRESHOLDS are YAML or JSON, as text or as a file; quotes inside survive the shell.
option = $(if $($(1)),--$(2) '$(subst ','\'',$($(1)))')
RUN_OPTIONS = $(call option,SOURCE,source) $(call option,MAPPING,mapping) $(call option,TRAINING,training) $(call option,THRESHOLDS,thresholds) $(call option,LABEL,label) $(call option,HORIZON_DAYS,horizon-days) $(call option,ACTIVITY_DAYS,activity-days) $(call option,GRACE_DAYS,grace-days) $(call option,SERVE,serve)

.PHONY: help run test test-long test-simulations test-nightly test-image score-card check audit serve image up env bench bench-serving bench-monitoring bench-shops bench-scale figures settings clean lock

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

.venv/.ready: requirements.lock requirements-bootstrap.lock
	@command -v $(PYTHON) >/dev/null || { echo "Holdfast needs Python 3.11 to 3.13: '$(PYTHON)' is not on PATH. Set it with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Holdfast needs Python 3.11 to 3.13; {sys.executable} is {v[0]}.{v[1]}. Choose another: make PYTHON=python3.12 ...")'
	echo "Setting up .venv from requirements.lock (one to three minutes)" >&2
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	touch $@

run: .venv/.ready ## Run the main job on CDNOW, or on your data: SOURCE=export.csv [MAPPING= TRAINING= THRESHOLDS= LABEL= HORIZON_DAYS= ACTIVITY_DAYS= GRACE_DAYS= SERVE=base-rate]
	@eval "$$($(BIN)/python -m deploy.local.lock)"  # the Prefect server of a running make up
	PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL=WARNING $(BIN)/python -m flows.lifecycle $(RUN_OPTIONS)

test: .venv/.ready ## Run the tests, except the longest
	@$(TEST) -m "not long and not image and not simulation"

test-long: .venv/.ready ## Run the longest tests: the main job, a real backtest, approvals by a worker, killed processes
	@$(TEST) --numprocesses 3 -m long  # most of them wait for servers and workers

test-simulations: .venv/.ready ## Inject faults into a running Holdfast: each must be detected and repaired automatically
	@$(TEST) -m "simulation and not nightly"

test-nightly: .venv/.ready ## Simulate days of drift, with and without the fault; about ten minutes
	@$(TEST) -m nightly

score-card: .venv/.ready ## Compare docs/ml-test-score.md with the last reports of the tests above
	@$(BIN)/python -m tests.support.score_card

test-image: .venv/.ready ## Build and run the container image; on Debian as root also without Docker
	@$(BIN)/python -m tests.e2e.image --junitxml .reports/$@.xml

check: .venv/.ready ## Check format, lint, types, import contracts, words, secrets and workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.word_list
	$(BIN)/python -m tests.support.secret_scan
	$(BIN)/zizmor --offline --quiet --no-progress --persona auditor .github/workflows

audit: .venv/.ready ## Compare the lock files with the known vulnerabilities of PyPI (needs the network)
	@$(UV) venv --quiet --clear .venv/audit
	$(UV) pip install --quiet --python .venv/audit/bin/python --require-hashes -r requirements-audit.lock
	for lock in requirements.lock requirements-serving.lock requirements-bootstrap.lock requirements-bench.lock; do
		echo "$$lock" >&2
		.venv/audit/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r "$$lock"
	done

serve: .venv/.ready ## Serve the champion's bento on port 3000
	@eval "$$($(BIN)/python -m feature_repo.settings)"
	umask 027
	export HOLDFAST_KEYLESS="$${HOLDFAST_KEYLESS-loopback}"  # the service listens on this machine only
	exec $(BIN)/bentoml serve holdfast:latest --host 127.0.0.1 --port $${PORT:-3000}

image: .venv/.ready ## Build the container image of the latest bento; options: IMAGE=name:tag ENGINE=podman BASE_IMAGE=image
	@$(BIN)/python -m flows.image $(if $(IMAGE),--name "$(IMAGE)") $(if $(ENGINE),--engine "$(ENGINE)") $(if $(BASE_IMAGE),--base-image "$(BASE_IMAGE)")

up: .venv/.ready ## Run all components until Ctrl-C: Prefect with a worker, MLflow, Feast, Evidently, service, status page
	@exec $(BIN)/python -m deploy.local

env: .venv/.ready ## Print the environment for the commands of the tools: eval "$(make -s env)"
	@$(BIN)/python -m feature_repo.settings
	$(BIN)/python -m holdfast.runtime.prefect_access
	$(BIN)/python -m deploy.local.lock

bench: .venv/.ready ## Time ingest beside a DuckDB query, and the model search beside a naive one
	@$(BIN)/python -m benchmarks.bench_ingest
	$(BIN)/python -m benchmarks.bench_search

bench-serving: .venv/.ready ## Time serving beside a no-op, a naive service, feast serve and mlflow: QUICK=1, MEMORY=1
	@$(BIN)/python -m benchmarks.bench_serving $(if $(QUICK),--quick) $(if $(MEMORY),--memory)

bench-monitoring: .venv/.ready ## Count false alarms and detected faults of monitoring on four months of CDNOW
	@$(BIN)/python -m benchmarks.bench_monitoring

bench-shops: .venv/.ready ## Train and evaluate on many shops at three dates: SHOPS=names MONTHS=0 QUICK=1 TOSSES=200 JOBS=2 DOCS=1
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-bench.lock || echo "The data sets of requirements-bench.lock cannot be installed: their shops are skipped." >&2
	$(BIN)/python -m benchmarks.bench_shops $(if $(SHOPS),--shops "$(SHOPS)") $(if $(MONTHS),--months "$(MONTHS)") $(if $(QUICK),--quick) $(if $(TOSSES),--tosses $(TOSSES)) $(if $(JOBS),--jobs $(JOBS)) $(if $(DOCS),--docs)

bench-scale: .venv/.ready ## Time the works of a generated shop beside their references: SIZE=100000 FILE_TYPE=parquet
	@$(BIN)/python -m benchmarks.bench_scale $(if $(SIZE),--size $(SIZE)) $(if $(FILE_TYPE),--file-type $(FILE_TYPE))

figures: .venv/.ready ## Update docs/images from the champion's test period and the last backtest
	@$(BIN)/python -m docs.export_figures

settings: .venv/.ready ## Write docs/settings.md from the settings classes
	@$(BIN)/python -m docs.export_settings

clean: ## Remove all state (data/), caches and the virtual environment
	rm -rf data .venv .reports .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## Resolve the dependencies into the lock files (versions and hashes only)
	test -x $(UV) || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --require-hashes -r requirements-bootstrap.lock; }
	compile() { $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url "$$@"; }
	compile pyproject.toml --extra flows --extra dev -o requirements.lock
	compile pyproject.toml -c requirements.lock -o requirements-serving.lock
	compile --group bench -c requirements.lock -o requirements-bench.lock
	compile --group audit -c requirements.lock -o requirements-audit.lock
	echo uv | compile - -c requirements.lock -o requirements-bootstrap.lock
