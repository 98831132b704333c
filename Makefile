# GNU make 3.81 or later. `make` alone lists the commands.

PYTHON = python3
HOST = 127.0.0.1
PORT =
DEBUG =
VERBOSE =
ALL =
ONLY =
FULL =
STEP =
# Recipes read them from the environment, "$$HOST" and the like, so that nothing in them is code.
export HOST PORT DEBUG VERBOSE ALL ONLY FULL STEP

VENV = .venv/bin/python

CHAPTERS := $(sort $(wildcard [0-9][0-9]_*))
NUMBERS := $(foreach chapter,$(CHAPTERS),$(firstword $(subst _, ,$(chapter))))
chapter = $(filter $*_%,$(CHAPTERS))

$(foreach goal,$(filter run-% test-% diff-%,$(MAKECMDGOALS)),\
  $(if $(filter $(NUMBERS:%=run-%) $(NUMBERS:%=test-%) $(NUMBERS:%=diff-%),$(goal)),,\
    $(error There is no chapter for "make $(goal)"; the chapters are $(NUMBERS))))

# Chapter 06 is climbed in steps, each an app of its own. The last one, DESK, is the chapter itself.
STEPS := $(sort $(wildcard 06_*/steps/[1-9]_*))
DESK := $(words $(STEPS) 06)
STEP_NUMBERS := $(foreach step,$(STEPS),$(firstword $(subst _, ,$(notdir $(step))))) $(DESK)

ifneq ($(STEP),)
$(foreach goal,$(filter run-% test-% diff-%,$(MAKECMDGOALS)),$(if $(filter-out %-06,$(goal)),\
  $(error Only chapter 06 has steps: make $(firstword $(subst -, ,$(goal)))-06 STEP=1)))
ifneq ($(STEP),$(firstword $(filter $(STEP_NUMBERS),$(STEP))))
$(error There is no step $(STEP); the steps of chapter 06 are $(STEP_NUMBERS))
endif
endif

# Where a chapter or a step is, and from there the way back.
folder = $(or $(wildcard $(chapter)/steps/$(STEP)_*),$(chapter))

.DELETE_ON_ERROR:
.PHONY: help read test drills lint fix carry transcripts bench clean

help:
	@echo "make read         open the book in the browser: http://127.0.0.1:8100"
	@echo "make run-NN       the same at chapter NN, with its two versions served on 81NN and 82NN;"
	@echo "                  run-06 serves the combined app on 8106 (HOST=, PORT=, DEBUG=1, VERBOSE=1)"
	@echo "make diff-NN      show what chapter NN adds to the one it builds on (ALL=1: tests, too)"
	@echo "make test-NN      run the tests of chapter NN"
	@echo "                  with STEP=1 to $(DESK), run-06, diff-06 and test-06 mean that step of chapter 06;"
	@echo "                  step $(DESK) is the chapter itself"
	@echo "make test         run the tests of every chapter and the quick checks of the book"
	@echo "make drills       run the checks that take minutes: browsers, processes, proxies, and every"
	@echo "                  trap without its fix (ONLY=test_make.py: one file of checks/; FULL=1: more"
	@echo "                  rounds and browsers, which takes an hour)"
	@echo "make lint         check style, types and workflows with ruff, mypy and zizmor"
	@echo "make fix          after a change: copy shared files, format, rerun the transcripts"
	@echo "make bench        measure what each technique costs (ONLY=\"cors_hook bots\": these scripts of"
	@echo "                  bench/; FULL=1: longer, and rewrite the tables there)"
	@echo "make clean        remove .venv, caches and whatever the chapters have stored"
	@echo
	@echo "Chapters:" && for chapter in $(CHAPTERS); do echo "  $$chapter"; done

read: .venv/requirements-reader.txt
	@$(VENV) checks/serve.py reader

run-%: .venv/requirements-reader.txt
	@$(VENV) checks/serve.py reader --chapter $*

run-06: .venv/requirements-06.txt
	@$(VENV) checks/serve.py $(or $(wildcard 06_*/steps/$(STEP)_*),06_login_context)

diff-%: $(VENV)
	@$(VENV) checks/diff.py $* "$$ALL" "$$STEP"

test: .venv/requirements-dev.txt
	@$(VENV) checks/run.py $(CHAPTERS) $(STEPS) reader checks

drills: .venv/requirements-dev.txt
	@$(VENV) checks/run.py drills $$ONLY

test-%: .venv/requirements-dev.txt
	@$(VENV) checks/run.py $(if $(STEP),$(folder),$(chapter) $(wildcard $(chapter)/steps/[1-9]_*))

lint: .venv/requirements-dev.txt
	@$(VENV) checks/lint.py $(CHAPTERS) $(STEPS) reader checks bench

fix: .venv/requirements-dev.txt
	@$(VENV) checks/carry.py
	@$(VENV) -m ruff check --quiet --fix . || true
	@$(VENV) -m ruff format --quiet .
	@echo "Rerunning the transcripts: half a minute."
	@$(VENV) checks/transcripts.py
	@echo "make test says what is left to do by hand."

carry: $(VENV)
	@$(VENV) checks/carry.py

transcripts: .venv/requirements-dev.txt
	@$(VENV) checks/transcripts.py

bench: .venv/requirements-bench.txt
	@.venv/bench/bin/python bench/run.py $$ONLY

clean:
	@$(PYTHON) checks/clean.py

# Setup. The copy of a lock file in .venv says that it is installed.

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	  "Python 3.11 or later is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	  "This Python has no venv module; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear .venv 2>/dev/null || { echo >&2 \
	  "Could not create .venv; is there room, and may you write here?"; exit 1; }

# What each lock adds to the one before (on Linux, Python 3.11: pip download, du -m).
SIZE_requirements.txt = 1 MB
SIZE_requirements-reader.txt = 3 MB
SIZE_requirements-06.txt = 9 MB
SIZE_requirements-dev.txt = 110 MB
SIZE_requirements-bench.txt = 9 MB

# A new .venv/bin/python is a link, and make takes it for as old as the Python that it points to. So
# what was installed before is told in another way that it's lost.
.PHONY: lost
lost:

.venv/requirements.txt .venv/requirements-reader.txt .venv/requirements-06.txt \
.venv/requirements-dev.txt: .venv/%: % $(VENV) $(shell test -x "$(VENV)" || echo lost)
	@echo "Installing $* into .venv: about $(SIZE_$*), once."
	@$(VENV) -m pip install --require-hashes -r $* >.venv/pip.log 2>&1 || { echo >&2 \
	  "Could not install $*. Is there a network? What pip says is in .venv/pip.log"; exit 1; }
	@cp $* $@

# Apart from the others, because some of these packages add commands to Flask's.
.venv/requirements-bench.txt: requirements-bench.txt $(VENV)
	@echo "Installing $< into .venv/bench: about $(SIZE_$<), once."
	@$(PYTHON) -m venv --clear .venv/bench
	@.venv/bench/bin/python -m pip install --require-hashes -r $< >.venv/pip.log 2>&1 || { echo >&2 \
	  "Could not install $<. Is there a network? What pip says is in .venv/pip.log"; exit 1; }
	@cp $< $@

.venv/requirements-06.txt: .venv/requirements.txt
.venv/requirements-reader.txt: .venv/requirements.txt
.venv/requirements-dev.txt: .venv/requirements-06.txt .venv/requirements-reader.txt
