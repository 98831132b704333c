# GNU make 3.81 or later. `make` alone lists the commands.

PYTHON = python3
HOST = 127.0.0.1
PORT = 81$*
DEBUG =
VERBOSE =
ALL =
ONLY =
FULL =
STEP =

VENV = .venv/bin/python
BENCH_VENV = .venv/bench/bin/python
# A .venv that lost its Python or never got its pip is made anew.
$(shell $(VENV) -c 'import pip' 2>/dev/null || rm -f $(VENV) .venv/requirements*.txt)

CHAPTERS := $(sort $(wildcard [0-9][0-9]_*))
NUMBERS := $(foreach chapter,$(CHAPTERS),$(firstword $(subst _, ,$(chapter))))
chapter = $(filter $*_%,$(CHAPTERS))

$(foreach goal,$(filter run-% test-% diff-%,$(MAKECMDGOALS)),\
  $(if $(filter $(NUMBERS:%=run-%) $(NUMBERS:%=test-%) $(NUMBERS:%=diff-%),$(goal)),,\
    $(error There is no chapter for "make $(goal)"; the chapters are $(NUMBERS))))

# Chapter 06 is built up in steps, each an app of its own. The last step is the chapter itself.
STEPS := $(sort $(wildcard 06_*/steps/[1-9]_*))
STEP_NUMBERS := $(foreach step,$(STEPS),$(firstword $(subst _, ,$(notdir $(step))))) 5

ifneq ($(STEP),)
$(foreach goal,$(filter run-% test-% diff-%,$(MAKECMDGOALS)),$(if $(filter-out %-06,$(goal)),\
  $(error Only chapter 06 has steps: make $(firstword $(subst -, ,$(goal)))-06 STEP=1)))
ifneq ($(STEP),$(firstword $(filter $(STEP_NUMBERS),$(STEP))))
$(error There is no step $(STEP); the steps of chapter 06 are $(STEP_NUMBERS))
endif
endif

# Where a chapter or a step is, and from there the way back.
folder = $(or $(wildcard $(chapter)/steps/$(STEP)_*),$(chapter))
back = $(if $(findstring /,$(folder)),../../..,..)

.PHONY: help test drills lint carry transcripts bench clean

help:
	@echo "make run-NN       serve chapter NN on http://127.0.0.1:81NN (PORT=, HOST=, DEBUG=1;"
	@echo "                  chapter 06, VERBOSE=1: all that its processes log)"
	@echo "make diff-NN      show what chapter NN adds to the one before (ALL=1: tests and pages, too)"
	@echo "make test-NN      run the tests of chapter NN (of chapter 06: those of its steps as well)"
	@echo "                  with STEP=1 to 5, run-06, diff-06 and test-06 mean that step of chapter 06;"
	@echo "                  step 5 is the chapter itself, and its diff shows what it adds to step 4"
	@echo "make test         run the tests of every chapter and the quick checks of the book"
	@echo "make drills       run the checks that take minutes: browsers, processes, proxies, and every"
	@echo "                  trap without its fix (ONLY=test_browser.py: one file of checks/;"
	@echo "                  FULL=1: more rounds and browsers, which takes an hour)"
	@echo "make lint         check style and types with ruff and mypy"
	@echo "make carry        copy carried-over files forward from the chapter that owns them"
	@echo "make transcripts  rerun the transcripts in the READMEs and rewrite their output"
	@echo "make bench        measure what each technique costs (ONLY=\"cors_hook logins\": these scripts of"
	@echo "                  bench/; FULL=1: longer, and rewrite the tables and charts there)"
	@echo "make clean        remove .venv, caches and whatever the chapters have stored"
	@echo
	@echo "Chapters:" && for chapter in $(CHAPTERS); do echo "  $$chapter"; done

run-%: .venv/requirements.txt
	@$(VENV) -c "$$check_start" "$(HOST)" "$(PORT)" $(folder)
	@cd $(folder) && if [ -f Procfile ]; then \
	  HOST="$(HOST)" PORT="$(PORT)" FLASK_DEBUG="$(DEBUG)" VERBOSE="$(VERBOSE)" \
	  exec $(back)/$(VENV) -c "$$serve" run.py; fi; \
	  exec $(back)/$(VENV) -c "$$serve" -m flask --app app \
	  $(if $(filter 1,$(DEBUG)),--debug run,--no-debug run --no-debugger) \
	  $(if $(filter 1,$(STEP)),--without-threads) --reload --host $(HOST) --port $(PORT)

diff-%: $(VENV)
	@$(VENV) checks/diff.py $* "$(ALL)" "$(STEP)"

test: .venv/requirements-dev.txt
	@$(VENV) checks/run.py $(CHAPTERS) $(STEPS) checks

drills: .venv/requirements-dev.txt
	@FULL="$(FULL)" $(VENV) checks/run.py drills $(ONLY)

test-%: .venv/requirements-dev.txt
	@$(VENV) checks/run.py $(if $(STEP),$(folder),$(chapter) $(wildcard $(chapter)/steps/[1-9]_*))

lint: .venv/requirements-dev.txt
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@for folder in $(CHAPTERS) $(STEPS) checks bench; do \
	  back=..; case $$folder in */*) back=../../.. ;; esac; \
	  (cd $$folder && $$back/$(VENV) -m mypy --config-file $$back/pyproject.toml \
	  --cache-dir $$back/.mypy_cache/$$folder .) || exit 1; done

carry: .venv/requirements-dev.txt
	@$(VENV) checks/carry.py

transcripts: .venv/requirements-dev.txt
	@$(VENV) checks/transcripts.py

bench: .venv/requirements-bench.txt
	@FULL="$(FULL)" $(BENCH_VENV) bench/run.py $(ONLY)

clean:
	@if [ -x $(VENV) ]; then $(VENV) -c "$$check_idle" */instance/valkey */steps/*/instance/valkey; fi
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache */steps/.pytest_cache
	@find . -name .git -prune -o \( -name __pycache__ -o -name instance -o -name node_modules \) \
	  -prune -exec rm -rf {} +

# Setup. The copy of a lock file in .venv says that it is installed.

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	  "Python 3.11 or later is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	  "This Python has no venv module; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear .venv 2>/dev/null || { echo >&2 \
	  "Could not create .venv; is there room, and may you write here?"; exit 1; }

# Megabytes that each lock adds to the one before (on Linux, Python 3.11: pip download, du -m).
MEGABYTES_requirements.txt = 1
MEGABYTES_requirements-06.txt = 9
MEGABYTES_requirements-dev.txt = 93
MEGABYTES_requirements-bench.txt = 15

.venv/requirements.txt .venv/requirements-06.txt .venv/requirements-dev.txt: .venv/%: % $(VENV)
	@$(VENV) -c "$$install_lock" $* $(MEGABYTES_$*) || { echo >&2 \
	  "Could not install $*. Is there a network? What pip says is in .venv/pip.log"; exit 1; }
	@cp $* $@

# Apart from the others, because some of these packages add commands to Flask's.
.venv/requirements-bench.txt: requirements-bench.txt $(VENV)
	@$(PYTHON) -m venv --clear .venv/bench
	@$(BENCH_VENV) -c "$$install_lock" $< $(MEGABYTES_$<) || { echo >&2 \
	  "Could not install $<. Is there a network? What pip says is in .venv/pip.log"; exit 1; }
	@cp $< $@

.venv/requirements-06.txt: .venv/requirements.txt
.venv/requirements-dev.txt: .venv/requirements-06.txt
ifneq ($(STEP),1)  # which needs Flask alone
run-06: .venv/requirements-06.txt
endif

# Otherwise these mistakes would end in a traceback, or in a message that doesn't say what to do.
define check_start
import errno, os, socket, sys
host, port, chapter = sys.argv[1:]

def fail(reason, advice):
    sys.exit(f"Cannot serve on {host}:{port}: {reason}; {advice}")

if not port.isdecimal() or int(port) > 65535:
    fail("there is no such port", "choose another one with PORT=8000")
try:
    socket.getaddrinfo(host, None)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, int(port)), family=family).close()
except (socket.gaierror, UnicodeError):
    fail("there is no such host", "choose another one with HOST=127.0.0.1")
except OSError as error:
    if error.errno == errno.EADDRNOTAVAIL:
        fail("that isn't an address of this computer", "choose one with HOST=127.0.0.1")
    fail(os.strerror(error.errno), "choose another port with PORT=8000")

instance = os.path.join(chapter, "instance")
folder = instance if os.path.exists(instance) else chapter
if not os.access(folder, os.W_OK) and "FLASK_UPLOAD_FOLDER" not in os.environ:
    sys.exit(f"You may not write to {folder}; name a folder for uploads with FLASK_UPLOAD_FOLDER")
endef
export check_start

# A terminal that is closed tells the first process of its session. If that is make, because there is
# no shell around it, then make waits for the server, and the server is told nothing.
define serve
import os, signal, subprocess, sys, time
make, terminal = os.getppid(), os.isatty(0)
server = subprocess.Popen([sys.executable, *sys.argv[1:]])
signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the server, which this waits for
signal.signal(signal.SIGHUP, lambda *_: None)
signal.signal(signal.SIGTERM, lambda *_: server.terminate())
while server.poll() is None:
    if os.getppid() != make or (terminal and not os.isatty(0)):
        server.terminate()
    time.sleep(0.2)
sys.exit(abs(server.returncode))
endef
export serve

# Chapter 06 holds a lock on its data as long as it runs.
define check_idle
import fcntl, os, sys
for folder in filter(os.path.isdir, sys.argv[1:]):
    try:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"{folder} is in use; stop the chapter first, with Ctrl-C in its terminal")
endef
export check_idle

# pip alone would be silent for as long as a slow line takes. So each package is named when its turn
# comes, a large one with its size, and every few seconds there is a dot.
define install_lock
import re, signal, subprocess, sys, threading
lock, megabytes = sys.argv[1:]
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this script without a traceback
ended = threading.Event()

def show(text):
    print(text, end="", flush=True)

def show_dots():
    while not ended.wait(3):
        show(".")

show(f"Installing {lock} into .venv (about {megabytes} MB, less what pip has cached):")
threading.Thread(target=show_dots, daemon=True).start()
command = [sys.executable, "-m", "pip", "install", "--require-hashes", "-r", lock]
with open(".venv/pip.log", "wb") as log:
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in pip.stdout:
        log.write(line)
        text = line.decode("utf-8", "replace")
        package = re.match(r"Collecting ([\w.-]+)", text)
        size = re.match(r" +Downloading .* (\([\d.]+ MB\))", text)
        if package:
            show(f" {package[1]}")
        if size:
            show(f" {size[1]}")
        if text.startswith("Installing collected packages"):
            show(" ... unpacking")
ended.set()
show("\n")
sys.exit(pip.wait())
endef
export install_lock
