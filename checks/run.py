"""Run tests and add them up: ``run.py 01_static_files 02_cors checks`` or ``run.py drills``.

Each folder gets a pytest process of its own. Several folders run side by side, so their output is
kept back and only shown for those that fail. In ``checks``, the tests that are marked as drills are
left to ``run.py drills``. ``run.py drills test_make.py`` runs that one file, and
``run.py drills faults abuse`` runs these two groups of drills.
"""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from book import COMBINED, ROOT, STEPS, title

CHECKS = ROOT / "checks"

# More at once doesn't pay on two cores. With fewer the cores are idle, because many tests wait.
AT_ONCE = 3
# What takes longest begins first: the checks, chapter 06, and the steps that wait for processes.
LONGEST = ["checks", COMBINED.name, title(STEPS[-1]), title(STEPS[2])]
# Tests of chapter 06 that mostly wait, for a timeout or a worker: beside the others.
WAITING = ["tests/test_tasks.py", "tests/test_sse.py"]
# The drills in groups, each a process of its own, because Playwright keeps an event loop running
# that other tests shouldn't meet. What needs packages of Node is in one group, because two
# processes mustn't install them at once. What takes longest begins first.
DRILLS = {
    "browser": [
        "test_uploads_browser.py",
        "test_cors_browser.py",
        "test_step_pages.py",
        "test_use.py",
        "test_use_steps.py",
    ],
    "desk": ["test_desk.py", "test_nginx.py"],
    "others": [],  # the files that aren't listed here
    "reader": ["test_reader.py"],
    "faults": ["drills/test_faults.py"],
    "processes": ["test_processes.py"],
    "make": ["test_make.py"],
    "requests": ["drills/test_requests.py"],
    "exercises": ["test_exercises.py", "test_lies.py"],
    "traps": ["test_traps.py"],
}
# The traps keep all cores busy by themselves, and they use the packages of Node as well. So they
# run last, beside nothing else.
ALONE = "traps"


@dataclass
class Part:
    """What one pytest process runs. Without a *log*, its output goes straight to the terminal."""

    name: str
    folder: Path
    arguments: list[str]
    report: Path = Path()
    log: Path | None = None
    started: float = 0
    count: Counter[str] = field(default_factory=Counter)  # of tests passed, failed and skipped

    def run(self) -> None:
        self.started = time.monotonic()
        print(f"{self.name}: running\n", end="", flush=True)  # at once, beside other threads
        # The reader's shell may have settings for running a chapter; they aren't for its tests.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "PYTHONPATH"))}
        env["NO_PROXY"] = env["no_proxy"] = "127.0.0.1,localhost"
        # A process that is killed leaves its temporary files. These go with the report.
        env["TMPDIR"] = str(self.report.parent)
        # No test uses the plugins of Celery, anyio and Hypothesis. Loading them takes longer than
        # pytest itself, and the checks start it some three hundred times.
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        # Without a cache, because two processes would write the same one.
        command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider"]
        command += [f"--junit-xml={self.report}", *self.arguments]
        with self.log.open("wb") if self.log else nullcontext() as log:
            done = subprocess.run(command, cwd=self.folder, env=env, stdout=log, stderr=log)

        count = self.count
        for suite in ET.parse(self.report).iter("testsuite") if self.report.exists() else []:
            count["failed"] += int(suite.attrib["failures"]) + int(suite.attrib["errors"])
            count["skipped"] += int(suite.attrib["skipped"])
            count["passed"] += int(suite.attrib["tests"]) - count["failed"] - count["skipped"]
        if done.returncode and not count["failed"]:  # there were no tests, or pytest itself crashed
            count["failed"] = 1

    def said(self) -> list[str]:
        """Return the lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log else ""
        return text.splitlines()

    def time(self) -> str:
        return f"{time.monotonic() - self.started:.0f} s"


def in_words(count: Counter[str]) -> str:
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    return f"{count['passed']} passed, {count['failed']} failed{skipped}"


def tests(name: str) -> list[Part]:
    """Return what runs the tests of a folder: more than one process if they wait a lot."""
    folder = ROOT / name
    if folder == CHECKS:
        return [Part(name, folder, ["-m", "not drill"])]
    slow = WAITING if name == COMBINED.name else []
    rest = Part(name, folder, [f"--ignore={file}" for file in slow])
    return [*(Part(f"{name}/{file}", folder, [file]) for file in slow), rest]


def drills() -> dict[str, Part]:
    """Return the groups of drills by name; each further file in the folder drills is one."""
    listed = [file for files in DRILLS.values() for file in files]
    others = [path.name for path in sorted(CHECKS.glob("test_*.py")) if path.name not in listed]
    groups = {**DRILLS, "others": others}
    for path in sorted(CHECKS.glob("drills/test_*.py")):
        groups.setdefault(path.stem.removeprefix("test_"), [f"drills/{path.name}"])
    return {name: Part(name, CHECKS, [*files, "-m", "drill"]) for name, files in groups.items()}


def chosen(names: list[str]) -> list[Part]:
    """Return what the arguments of this script name."""
    if names[0] != "drills":
        order = [name for name in [*LONGEST, *reversed(names)] if name in names]
        return [part for name in dict.fromkeys(order) for part in tests(name)]
    groups = drills()
    if groups.keys() >= set(names[1:]):
        return [groups[name] for name in names[1:] or groups]
    return [Part(" ".join(names[1:]), CHECKS, names[1:])]


def run_all(parts: list[Part]) -> None:
    """Say what begins and ends, and what still runs if nothing has ended for half a minute."""
    pool = ThreadPoolExecutor(AT_ONCE)
    running = {pool.submit(part.run): part for part in parts}
    try:
        while running:
            ended, _ = wait(running, timeout=30, return_when=FIRST_COMPLETED)
            for future in ended:
                part = running.pop(future)
                future.result()  # nothing, or what went wrong in this script
                for line in part.said():
                    if part.count["failed"] or line.startswith("SKIPPED"):
                        print(line)
                print(f"{part.name}: {in_words(part.count)} in {part.time()}", flush=True)
            for future, part in running.items():
                if part.log and future.running() and not ended:
                    # A drill says how far it is.
                    latest = [line for line in part.said() if line.startswith("drill: ")][-1:]
                    print("still running:", part.name, part.time(), *latest, flush=True)
    finally:  # also on Ctrl-C, which the tests hear of as well: they stop their servers
        pool.shutdown(cancel_futures=True)


def main(names: list[str]) -> int:
    parts = chosen(names)
    alone = [part for part in parts if part.name == ALONE]
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            for number, part in enumerate(parts):
                part.report = Path(temporary, f"{number}.xml")
                part.log = part.report.with_suffix(".log") if len(parts) > 1 else None
            run_all([part for part in parts if part not in alone])
            run_all(alone)
    except KeyboardInterrupt:
        return 130

    failed = [part.name for part in parts if part.count["failed"]]
    if failed and len(parts) > 1:
        print(f"\nSomething failed in {', '.join(failed)}; the output is above.")
    print(f"\ntotal: {in_words(sum((part.count for part in parts), Counter()))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
