# Lifeboat: `make demo` on a fresh Debian machine is all it takes.
#
# include/lab/setup.sh installs what is missing, then runs a command as an unprivileged user (PostgreSQL refuses root)
# with the project's Python first in PATH.
.DEFAULT_GOAL := help
.PHONY: help demo demo-down test bench soak demands docs lint format requirements

RUN := ./include/lab/setup.sh run
# For what writes into this tree: the same Python, as the user who called make.
HERE := PYTHONPATH="$(CURDIR):$(CURDIR)/plugins" ./include/lab/setup.sh here

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## Install and start everything, back up, drill and rehearse; leaves the web UI open.
	@$(RUN) python -m include.lab demo

demo-down: ## Stop everything that `make demo` started.
	@$(RUN) python -m include.lab down

test: ## ruff, mypy, and all tests on real servers; ARGS go to pytest.
	@[ -n "$(ARGS)" ] || [ "$$(id -u)" != 0 ] || $(HERE) python -m pytest -p no:cacheprovider -q -m as_root tests/integration/files
	@$(RUN) python -m include.lab.check $(ARGS)

bench: ## Measure against the classic scripts; writes tests/benchmarks/results.json.
	@$(RUN) python -m tests.benchmarks $(ARGS)

soak: ## Restore to ten random seconds of the demo's windows, each checked by heartbeat; red when one fails.
	@$(RUN) python -m tests.soak $(ARGS)

demands: ## Show which demands are proven by which tests; writes docs/demands.md.
	@$(HERE) python -m tests.fixtures.demands_report

docs: ## Write again every page and schema that is generated.
	@$(HERE) python -m include.recovery.policy.generate
	@$(HERE) python -m recovery_airflow.dag_catalogue
	@$(HERE) python -m tests.fixtures.demands_report --quiet

lint: ## ruff and mypy.
	@$(HERE) ruff check .
	@$(HERE) mypy

format: ## Sort imports and lay out the code.
	@$(HERE) ruff check --select I --fix --quiet .
	@$(HERE) ruff format .

requirements: ## Pin the whole closure of pyproject.toml again, with hashes.
	@$(HERE) sh -c '"$$LIFEBOAT_HOME/uv/bin/uv" pip compile --quiet --extra dev --python-version 3.11 --generate-hashes \
		--custom-compile-command "make requirements" --output-file requirements.txt pyproject.toml'
