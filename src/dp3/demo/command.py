"""The command `dp3 demo` as a plain function: platform, watcher and display together."""

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.live import Live

from dp3.client import Client, ClientError
from dp3.demo.findings import Findings, line, read_findings, tables
from dp3.demo.platform import Platform, PlatformFailed
from dp3.demo.watch import Watcher

REFRESH_S = 1.0
LINE_EVERY_S = 5.0
SETTLE_S = 15.0


class WatcherFailed(Exception):
    """The watcher ended by itself; the message says why."""


class Demonstration:
    """Runs on `platform` until `stop` is set or `seconds` are over; shows on `console`. `token` is for the
    API."""

    def __init__(
        self,
        platform: Platform,
        console: Console,
        stop: threading.Event,
        seconds: int | None,
        token: str | None = None,
    ) -> None:
        self._platform = platform
        self._console = console
        self._stop = stop
        self._seconds = seconds
        self._client = Client(platform.url, token=token)
        self._watcher = Watcher(platform.url, token=token)

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


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    seconds: int | None, port: int | None, data_dir: Path | None, keep: bool, token: str | None = None
) -> int:
    """Keep profiles of this machine until Ctrl-C, or for `seconds` seconds; returns the exit status.

    The API listens on `port` of the loopback (default: a free one). Data go to `data_dir`, where they stay,
    or to a temporary directory, which is removed at the end unless `keep`. `token` is for the API, if there
    were tokens in `data_dir` before. With `seconds` the status is 0
    only if the profiles were really built, otherwise 1 and the output says what is missing; without, a stop
    by the user is a success. Must be called in the main thread, because it handles signals.
    """
    console = Console()
    with _stop_event() as stop, _directory(data_dir, keep, console) as directory:
        try:
            return _run(console, stop, seconds, token, Platform(directory, port))
        except (PlatformFailed, WatcherFailed, ClientError) as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            return 1


def _run(
    console: Console, stop: threading.Event, seconds: int | None, token: str | None, platform: Platform
) -> int:
    with platform:
        console.print("starting the platform …")
        if not platform.wait_ready(stop):
            return 0
        _say_where_to_look(console, platform)
        findings = Demonstration(platform, console, stop, seconds, token).run()
        return _summary(console, findings, checked=seconds is not None)


def _say_where_to_look(console: Console, platform: Platform) -> None:
    for path, what in (
        ("/docs", "the HTTP API, to try out"),
        ("/entities", "entity types and attributes"),
        ("/entity/ip/127.0.0.1/master", "a profile"),
        ("/telemetry/log", "how far the workers have got"),
    ):
        console.print(f"  {platform.url}{path:29} {what}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"  {platform.log_file} – what the platform says", markup=False, highlight=False, soft_wrap=True
    )
    console.print("looking at this machine every two seconds; Ctrl-C ends")


def _summary(console: Console, findings: Findings, *, checked: bool) -> int:
    if checked:
        console.print(tables(findings))
    else:
        console.print(line(findings))
    missing = findings.missing() if checked else []
    for sentence in missing:
        console.print(f"missing: {sentence}", style="red")
    if checked and not missing:
        console.print("all profiles were built and read back", style="green")
    return 1 if missing else 0


@contextmanager
def _stop_event() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C, SIGTERM and the end of the terminal (unless started with `nohup`)."""
    stop = threading.Event()
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in STOP_SIGNALS
        if number not in ignored
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _directory(data_dir: Path | None, keep: bool, console: Console) -> Iterator[Path]:
    if data_dir is not None:
        data_dir.mkdir(parents=True, exist_ok=True)
        yield data_dir
    elif keep:
        made = Path(tempfile.mkdtemp(prefix="dp3-demo-"))
        yield made
        console.print(f"data kept in {made}", markup=False, highlight=False)
    else:
        with tempfile.TemporaryDirectory(prefix="dp3-demo-") as temporary:
            yield Path(temporary)
