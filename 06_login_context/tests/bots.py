"""Bots for tests: the demo accounts at other speeds. BOT_CLASS names them."""

import os
from pathlib import Path

from network import DemoBot


class QuickBot(DemoBot):
    delay = 0.0
    opened: list[str] = []  # noqa: RUF012  (the accounts, in this process)

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.opened.append(account)


class SlowBot(DemoBot):
    delay = 0.5


class SteadyBot(DemoBot):
    delay = 0.02


class FlakyBot(DemoBot):
    """Fails the first FLAKY_FAILS times that contacts are fetched, in whatever process."""

    delay = 0.0

    def count(self) -> int:
        runs = Path(os.environ["FLAKY_RUNS"])  # has a byte for each run
        with runs.open("ab") as file:
            file.write(b"1")
        if runs.stat().st_size <= int(os.environ["FLAKY_FAILS"]):
            raise ConnectionResetError("the network is away")
        return super().count()


class OneSlowBot(DemoBot):
    """The contacts of omar take a second, those of the others no time."""

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.delay = 0.15 if account == "omar" else 0.0


class BrokenBot(DemoBot):
    def count(self) -> int:
        raise ValueError("a bug of the client")
