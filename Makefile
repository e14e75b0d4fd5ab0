# From nothing to a built book: `make book`. Everything below installs into .venv and nowhere else.

PYTHON ?= python3
# The environment's programs. One of your own: make book BIN=$CONDA_PREFIX/bin
BIN ?= .venv/bin
# The folder that holds the built book's _build; another one leaves the book at hand alone.
OUTPUT ?= .
BUILD := $(OUTPUT)/_build
ENV := $(if $(filter .venv/bin,$(BIN)),.venv/ready)

stop = { echo "nearsight: $(1)" >&2; exit 1; }

.PHONY: help env book pictures test lab runs reproduce verify run-named bench clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

env: $(ENV) ## make .venv from requirements.lock (again only when the lock or pyproject.toml changed)

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		$(call stop,$(PYTHON) is not Python 3.11 or newer; name one that is: make book PYTHON=python3.12)
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || \
		$(call stop,$(PYTHON) could not make an environment; on Debian or Ubuntu install python3-venv.)
	@echo "Installing the packages of requirements.lock into .venv: a few minutes."
	@.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock || \
		$(call stop,a package of requirements.lock could not be installed; the lines above say which and why.)
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . || \
		$(call stop,the nearsight package itself could not be installed; the lines above say why.)
	@touch $@

book: $(ENV) ## build the book into _build/html (executes the chapters whose inputs changed)
	@$(BIN)/python book/_ext/executed.py $(BUILD) || \
		$(call stop,the book was not built: a chapter failed where the line above says.)
# A build that did not end is begun anew: its pages would be taken for good, and their warnings not be seen again.
	@test -f $(BUILD)/whole || rm -rf $(BUILD)/.doctrees $(BUILD)/html
	@rm -f $(BUILD)/whole
	@$(BIN)/jupyter-book build . --path-output $(OUTPUT) -n -W --keep-going 2>$(BUILD)/warnings.log || \
		{ sed '/^Traceback/,$$d' $(BUILD)/warnings.log >&2; \
		$(call stop,the book was not built; the lines above say why. All of it is in $(BUILD)/warnings.log.) }
	@$(BIN)/python tools/check_book.py $(BUILD)
	@touch $(BUILD)/whole

pictures: book ## renew the pictures in book/_static that chapters draw, where they are no longer alike
	@$(BIN)/python tools/pictures.py $(BUILD)

test: $(ENV) ## test everything on all cores: the library and the chapters and the built book in a browser
	@$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder $(ARGS) || \
		$(call stop,a test failed; the summary above says which.)

lab: $(ENV) ## open JupyterLab: right-click a chapter and Open With > Notebook
	@$(BIN)/jupyter lab

runs: $(ENV) ## list the recorded runs
	@$(BIN)/python -m nearsight runs

reproduce: run-named $(ENV) ## compute recorded runs again from nothing: make reproduce RUN='name or pattern'
	@$(BIN)/python -m nearsight reproduce '$(RUN)' $(ARGS)

verify: $(ENV) ## check stale runs by the stages that stand for them, or one: make verify RUN=name
	@$(BIN)/python -m nearsight verify $(if $(RUN),'$(RUN)') $(ARGS)

run-named:
	@test -n "$(RUN)" || $(call stop,say which run with RUN=name; make runs lists the names.)

bench: $(ENV) ## time the library against its peers
	@for script in $(wildcard benchmarks/*.py); do $(BIN)/python $$script || $(call stop,$$script failed.); done

clean: ## remove what was built (and leave .venv)
	@rm -rf _build .pytest_cache .hypothesis
	@find lib tests book tools -name __pycache__ -prune -exec rm -rf {} +
