"""The demonstration: platform, watcher and display together."""

import threading
import time
from contextlib import nullcontext

from rich.console import Console
from rich.live import Live

from dp3.client import Client
from dp3.demo.display import line, tables
from dp3.demo.findings import Findings, read_findings
from dp3.demo.platform import Platform
from dp3.demo.watch import Watcher

REFRESH_S = 1.0
LINE_EVERY_S = 5.0
SETTLE_S = 15.0


class WatcherFailed(Exception):
    """The watcher ended by itself; the message says why."""


class Demonstration:
    """Runs on `platform` until `stop` is set or `seconds` are over; shows on `console`."""

    def __init__(
        self, platform: Platform, console: Console, stop: threading.Event, seconds: int | None
    ) -> None:
        self._platform = platform
        self._console = console
        self._stop = stop
        self._seconds = seconds
        self._client = Client(platform.url)
        self._watcher = Watcher(platform.url)

    def run(self) -> Findings:
        """Watch, show, and return what was found at the end.

        Raises `PlatformFailed`, `WatcherFailed`, `ClientError`.
        """
        self._watcher.start()
        try:
            self._show_until_the_end()
            return self._settled()
        finally:
            self._watcher.stop()

    def _show_until_the_end(self) -> None:
        end = None if self._seconds is None else time.monotonic() + self._seconds
        live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        with live if live is not None else nullcontext():
            while not self._stop.is_set() and (end is None or time.monotonic() < end):
                self._check()
                findings = read_findings(self._client)
                if live is not None:
                    live.update(tables(findings), refresh=True)
                else:
                    self._console.print(line(findings))
                pause = REFRESH_S if live is not None else LINE_EVERY_S
                self._stop.wait(pause if end is None else min(pause, max(0.0, end - time.monotonic())))

    def _check(self) -> None:
        self._platform.check()
        if self._watcher.failure is not None:
            raise WatcherFailed(f"the watcher ended: {self._watcher.failure}") from self._watcher.failure

    def _settled(self) -> Findings:
        """The findings once watcher and modules have had their say, which takes a few seconds: two looks at
        the machine, and what the modules derive from them. Not longer than `SETTLE_S`."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            self._check()
            findings = read_findings(self._client)
            if not findings.missing() or time.monotonic() > deadline or self._stop.is_set():
                return findings
            self._stop.wait(0.2)
