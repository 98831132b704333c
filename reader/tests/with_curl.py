"""Send every transcript of a chapter by the reader and by real curl, and print what differs.

``with_curl.py 03 4100``: chapter 03, for a reader at port 4100 (which isn't started).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import comparing
import curl
import pages
from contents import Book
from running import Runner


def printed_by_curl(command: str) -> str:
    """Return what the shell prints; in an empty folder, where no file can have a role."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
    return done.stdout.decode().replace("\r", "")


def main(number: str, port: str) -> int:
    book = Book(Path(__file__).parent.parent.parent, int(port))
    [chapter] = [one for one in book.chapters if one.number == number]
    runner = Runner(book.chapters)
    sent = differing = 0
    try:
        for page in (chapter.readme, *chapter.more):
            for side in [side for card in pages.cards(page) for side in card.sides]:
                for one in side.exchanges:
                    command = chapter.ports.live(one.command)
                    request = curl.parse(command)
                    answer = runner.version(number, side.version).send(request)
                    ours = curl.output(request, answer.head, answer.status, answer.body)
                    theirs = printed_by_curl(command)
                    sent += 1
                    if comparing.stable(ours) != comparing.stable(theirs):
                        differing += 1
                        print(f"{side.block}: {command}\n--- reader\n{ours}--- curl\n{theirs}")
    finally:
        runner.stop()
    print(f"{sent} requests, {differing} printed otherwise by curl")
    return 1 if differing or not sent else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
