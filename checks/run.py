"""Run tests and add them up: ``run.py 01_static_files 02_cors checks`` or ``run.py drills``.

Each folder gets a pytest process of its own. Several folders run side by side, so their output is
kept back and only shown for those that fail. In ``checks``, the tests that are marked as drills are
left to ``run.py drills``. ``run.py drills test_make.py`` runs that one file, and
``run.py drills faults abuse`` runs these two groups of drills.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from book import COMBINED, STEPS, title

CHECKS = Path(__file__).parent
ROOT = CHECKS.parent

# More at once doesn't pay on two cores. With fewer the cores are idle, because many tests wait.
AT_ONCE = 3
# Tests of chapter 06 that mostly wait, for a timeout or a worker: beside the others.
WAITING = ["test_tasks.py", "test_sse.py"]
# The drills in groups, each a process of its own, because Playwright keeps an event loop running
# that other tests shouldn't meet. What needs packages of Node is in one group, because two
# processes mustn't install them at once. The files that aren't listed here form one more group,
# and each file in the folder drills is a group of its own.
DRILLS = {
    "exercises": ["test_exercises.py", "test_lies.py"],
    "reader": ["test_reader.py"],
    "browser": [
        "test_uploads_browser.py",
        "test_cors_browser.py",
        "test_step_pages.py",
        "test_use.py",
        "test_use_steps.py",
    ],
    "desk": ["test_desk.py", "test_nginx.py"],
    "processes": ["test_processes.py"],
    "make": ["test_make.py"],
    "traps": ["test_traps.py"],
}
LONGEST = [
    "desk",
    "processes",
    "others",
    "faults",
    "browser",
    "reader",
    "make",
]  # so they begin first
# The traps keep all cores busy by themselves, and they use the packages of Node as well. So they
# run last, beside nothing else.
ALONE = "traps"


@dataclass
class Part:
    """What one pytest process runs."""

    name: str
    folder: Path
    arguments: list[str]


class Run:
    """A pytest process. Its output goes into *log*, or straight to the terminal if that is None."""

    def __init__(self, part: Part, report: Path, log: Path | None) -> None:
        self.part = part
        self.report = report
        self.log = log
        self.started = time.monotonic()

        # The reader's shell may have settings for running a chapter; they aren't for its tests.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "PYTHONPATH"))}
        env["NO_PROXY"] = env["no_proxy"] = "127.0.0.1,localhost"
        # No test uses the plugins of Celery, anyio and Hypothesis. Loading them takes longer than
        # pytest itself, and the checks start it some three hundred times.
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        command = [sys.executable, "-m", "pytest", "-q", "-rfEs", f"--junit-xml={report}"]
        command += part.arguments
        if log is None:
            self.process = subprocess.Popen(command, cwd=part.folder, env=env)
        else:
            command += ["-p", "no:cacheprovider"]  # two processes would write the same cache
            with log.open("wb") as file:
                self.process = subprocess.Popen(
                    command, cwd=part.folder, env=env, stdout=file, stderr=subprocess.STDOUT
                )

    def seconds(self) -> int:
        return round(time.monotonic() - self.started)

    def count(self) -> Counter[str]:
        """Return how many tests passed, failed and were skipped."""
        status = self.process.wait()
        suites = list(ET.parse(self.report).iter("testsuite")) if self.report.exists() else []
        count: Counter[str] = Counter()
        for suite in suites:
            count["failed"] += int(suite.attrib["failures"]) + int(suite.attrib["errors"])
            count["skipped"] += int(suite.attrib["skipped"])
            count["passed"] += int(suite.attrib["tests"])
        count["passed"] -= count["failed"] + count["skipped"]
        if status and not count["failed"]:  # there were no tests at all, or pytest itself crashed
            count["failed"] = 1
        return count

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log else ""

    def latest(self) -> str:
        """Return what a drill has said last about its progress."""
        said = re.findall("^drill: (.*)", self.output(), re.MULTILINE)
        return f": {said[-1]}" if said else ""


def in_words(count: Counter[str]) -> str:
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    return f"{count['passed']} passed, {count['failed']} failed{skipped}"


def tests(name: str) -> list[Part]:
    """Return what runs the tests of a folder: more than one process if they wait a lot."""
    folder = ROOT / name
    if folder == CHECKS:
        return [Part(name, folder, ["-m", "not drill"])]
    slow = [f"tests/{file}" for file in WAITING if name == COMBINED.name]
    rest = Part(name, folder, [f"--ignore={file}" for file in slow])
    return [*(Part(f"{name}/{file}", folder, [file]) for file in slow), rest]


def drills() -> list[Part]:
    listed = [module for modules in DRILLS.values() for module in modules]
    others = [path.name for path in sorted(CHECKS.glob("test_*.py")) if path.name not in listed]
    files = sorted(CHECKS.glob("drills/test_*.py"))
    groups = {"others": others, **DRILLS}
    groups |= {path.stem.removeprefix("test_"): [f"drills/{path.name}"] for path in files}
    last = [name for name in groups if name not in LONGEST and name != ALONE]
    order = [*LONGEST, *last, ALONE]
    return [Part(name, CHECKS, [*groups[name], "-m", "drill"]) for name in order]


class Progress:
    """Says what begins and ends, and every half minute what still runs."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def say(self, line: str) -> None:
        print(line, flush=True)
        self.last = time.monotonic()

    def ended(self, run: Run, count: Counter[str]) -> None:
        for line in run.output().splitlines():
            if count["failed"] or line.startswith("SKIPPED"):
                self.say(line)
        self.say(f"{run.part.name}: {in_words(count)} in {run.seconds()} s")

    def still(self, running: list[Run]) -> None:
        if time.monotonic() - self.last > 30:
            for run in running:
                self.say(f"still running: {run.part.name} ({run.seconds()} s){run.latest()}")


def may_start(part: Part, running: list[Run]) -> bool:
    if part.name == ALONE:
        return not running
    return len(running) < AT_ONCE


def run_all(parts: list[Part], folder: Path) -> Counter[str]:
    """Run the parts and return the sum of their counts; *folder* is for reports and output."""
    total: Counter[str] = Counter()
    failed: list[str] = []
    progress = Progress()
    waiting = list(parts)
    running: list[Run] = []
    live = len(parts) == 1

    while waiting or running:
        while waiting and may_start(waiting[0], running):
            part = waiting.pop(0)
            file = part.name.replace("/", " ")  # a step's name is a path
            log = None if live else folder / f"{file}.log"
            progress.say(f"{part.name}: running")
            running.append(Run(part, folder / f"{file}.xml", log))

        try:
            time.sleep(0.1)
        except KeyboardInterrupt:  # the tests hear of Ctrl-C, too, and stop their servers
            for run in running:
                run.process.wait()
            raise

        for run in list(running):
            if run.process.poll() is not None:
                running.remove(run)
                count = run.count()
                progress.ended(run, count)
                total += count
                if count["failed"]:
                    failed.append(run.part.name)
        if not live:
            progress.still(running)

    if failed and not live:
        progress.say(f"\nSomething failed in {', '.join(failed)}; the output is above.")
    return total


def main(names: list[str]) -> int:
    groups = {part.name: part for part in drills()}
    if names == ["drills"]:
        parts = list(groups.values())
    elif names[0] == "drills" and groups.keys() >= set(names[1:]):
        parts = [groups[name] for name in names[1:]]
    elif names[0] == "drills":
        parts = [Part(" ".join(names[1:]), CHECKS, names[1:])]
    else:
        # What takes longest begins first: chapter 06, its last step, and the checks.
        long = (COMBINED.name, title(STEPS[-1]), "checks")
        longest = [name for name in names if name in long]
        names = longest + [name for name in reversed(names) if name not in longest]
        parts = [part for name in names for part in tests(name)]
    try:
        with tempfile.TemporaryDirectory() as temporary:
            total = run_all(parts, Path(temporary))
    except KeyboardInterrupt:
        return 130
    print(f"\ntotal: {in_words(total)}")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
