"""Teaching apparatus: run Python with these arguments, and once more whenever somebody kills it.

In production, systemd, Docker or Kubernetes is what starts the next worker.
"""

import signal
import subprocess
import sys


def run() -> int:
    """Run Python until it ends, and return how; SIGTERM, which ends this script, ends it, too."""
    process = subprocess.Popen([sys.executable, *sys.argv[1:]])  # noqa: S603
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


status = run()
while status == -signal.SIGKILL:
    print("killed; here is the next one", flush=True)
    status = run()
sys.exit(status)
