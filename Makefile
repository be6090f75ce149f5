# make run   sets everything up and serves http://localhost:8000
# make test  sets everything up and runs the tests
PYTHON ?= python3.11
BIN := .venv/bin
RUN := .venv/.run-installed
DEV := .venv/.dev-installed
# A lock file is complete: without --no-deps, pip asks for the newest release where a package is wanted with an extra, and
# refuses it, because the lock holds another.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
LOCKED := $(PIP) --no-deps --require-hashes -r

.DEFAULT_GOAL := run
.PHONY: setup run test check fix bench pool lock clean

run: $(RUN)
	@command -v bwrap >/dev/null || $(call install_system,bubblewrap,bubblewrap,bubblewrap) || echo "bubblewrap is missing: challenges will not run code. See: $(BIN)/tooloo doctor"
	@$(BIN)/tooloo serve

setup: $(DEV)

test: $(DEV) system-for-tests
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(DEV)
	@$(BIN)/python -m pip check >/dev/null || { $(BIN)/python -m pip check; exit 1; }
	@$(BIN)/ruff check app graph tests
	@$(BIN)/ruff format --check --quiet app graph tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fix: $(DEV)
	@$(BIN)/ruff check --fix app graph tests
	@$(BIN)/ruff format app graph tests

bench: $(DEV) system-for-tests
	@$(BIN)/python -m tests.bench

# Every solution of the pool in every language, and wrong ones of each: half an hour. The tests take a part of it.
pool: $(DEV) system-for-tests
	@$(BIN)/tooloo challenge check app/learning/pool/challenges

lock: $(DEV)
	@$(PIP) uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group build pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .files test-results

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is missing (no '$(PYTHON)' here). Install it, or say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv

$(RUN): .venv/bin/python requirements.lock pyproject.toml
	@echo "Installing what TooLoo needs. This takes a few minutes the first time."
	@$(LOCKED) requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $(RUN)

$(DEV): $(RUN) requirements-dev.lock
	@echo "Installing what the tests need."
	@$(LOCKED) requirements-dev.lock
	@touch $(DEV)

# Sandbox, browser and the languages of challenges come from the system's package manager; a browser of Playwright's own is
# the last resort. Languages are looked for where the sandbox sees them.
SANDBOX_PATH := /usr/local/bin:/usr/bin:/bin
.PHONY: system-for-tests
system-for-tests:
	@command -v bwrap >/dev/null || $(call install_system,bubblewrap,bubblewrap,bubblewrap) || { echo "Install bubblewrap with your package manager, then run again."; exit 1; }
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || $(call install_system,chromium,chromium,chromium) || $(BIN)/playwright install chromium \
	  || { echo "Install Chromium with your package manager, then run again."; exit 1; }
	@$(call language,node,nodejs,nodejs,nodejs)
	@$(call language,gcc,gcc libc6-dev,gcc,gcc)
	@$(call language,g++,g++,gcc-c++,gcc)
	@$(call language,javac,default-jdk-headless,java-devel,jdk-openjdk)
	@$(call language,go,golang-go,golang,go)
	@$(call language,rustc,rustc,rust,rust)
	@$(call language,ruby,ruby,ruby,ruby)

define language
PATH=$(SANDBOX_PATH) command -v $(1) >/dev/null || $(call install_system,$(2),$(3),$(4)) || { echo "Install $(1) with your package manager, then run again: challenges are solved in it."; exit 1; }
endef

define install_system
{ echo "Installing $(1)."; \
  as_root=""; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
  if command -v apt-get >/dev/null; then $$as_root apt-get update -qq >/dev/null 2>&1; DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq --no-install-recommends $(1) >/dev/null 2>&1; \
  elif command -v dnf >/dev/null; then $$as_root dnf install -y -q $(2) >/dev/null 2>&1; \
  elif command -v pacman >/dev/null; then $$as_root pacman -S --noconfirm --quiet $(3) >/dev/null 2>&1; \
  else false; fi; }
endef
