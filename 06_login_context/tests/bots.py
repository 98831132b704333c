"""Bots for tests: the demo accounts at other speeds. BOT_CLASS names them."""

import os
from pathlib import Path

from wx import DemoBot


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
    """Fails the first time that contacts are fetched, in whatever process."""

    delay = 0.0

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.marker = Path(os.environ.get("FLAKY_MARKER", "/nonexistent"))

    def count(self) -> int:
        if not self.marker.exists():
            self.marker.touch()
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
