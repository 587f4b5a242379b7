"""The command `dp3 demo` as a plain function."""

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from dp3.client import ClientError
from dp3.demo.display import line, tables
from dp3.demo.findings import Findings
from dp3.demo.platform import Platform, PlatformFailed
from dp3.demo.runner import Demonstration, WatcherFailed

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(seconds: int | None, port: int | None, data_dir: Path | None, keep: bool) -> int:
    """Keep profiles of this machine until Ctrl-C, or for `seconds` seconds; returns the exit status.

    The API listens on `port` of the loopback (default: a free one). Data go to `data_dir`, where they stay,
    or to a temporary directory, which is removed at the end unless `keep`. With `seconds` the status is 0
    only if the profiles were really built, otherwise 1 and the output says what is missing; without, a stop
    by the user is a success. Must be called in the main thread, because it handles signals.
    """
    console = Console()
    with _stop_event() as stop, _directory(data_dir, keep, console) as directory:
        try:
            return _run(console, stop, seconds, Platform(directory, port))
        except (PlatformFailed, WatcherFailed, ClientError) as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            return 1


def _run(console: Console, stop: threading.Event, seconds: int | None, platform: Platform) -> int:
    with platform:
        console.print("starting the platform …")
        if not platform.wait_ready(stop):
            return 0
        _say_where_to_look(console, platform)
        findings = Demonstration(platform, console, stop, seconds).run()
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
