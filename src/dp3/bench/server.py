"""The real program under test, as a child process."""

import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

import psutil

from dp3.bench.application import Application
from dp3.bench.engines import EMBEDDED, Engine
from dp3.bench.report import BenchFailed

T = TypeVar("T")

READY_S = 30
STOP_S = 90
DRAIN_POLL_S = 0.01
POLLS_PER_WAIT = 50
"""Looking costs the machine something, so a long wait looks less often."""

PAGES = 50

LAST_LINES = 20
"""Of what the program said, when a benchmark fails."""


class ServerFailed(BenchFailed):
    """The program did not start or did not finish."""


class Server:
    """`dp3 run` with a benchmark's application, in a directory of its own. `token`: for the API, None while
    there are no tokens. `start_s`: how long the latest start took."""

    def __init__(self, directory: Path, workers: int = 1, engine: Engine = EMBEDDED) -> None:
        self.engine = engine
        self.data = directory / "data"
        self.output = directory / "output"
        self._directory = directory
        self._workers = workers
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.token: str | None = None
        self.start_s = 0.0
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self, application: Application) -> None:
        """Start the program and wait until it is ready. Raises `ServerFailed`."""
        config = self._install(application)
        command = [sys.executable, "-m", "dp3", "run", str(config), "--port", str(self._port)]
        begun = time.monotonic()
        with self.output.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*command, "--data-dir", str(self.data), "--workers", str(self._workers)], stderr=stderr
            )
        self._wait_ready()
        self.start_s = time.monotonic() - begun

    def make_token(self, application: Application) -> None:
        """Have all requests need a token from now on, and have one. Raises `ServerFailed`."""
        config = self._install(application)
        command = [sys.executable, "-m", "dp3", "token", "create", str(config), "bench", "--role", "admin"]
        made = subprocess.run([*command, "--data-dir", str(self.data)], capture_output=True, text=True)
        if made.returncode != 0:
            raise ServerFailed(f"no token could be made: {made.stderr}")
        self.token = made.stdout.split()[-1]

    def _install(self, application: Application) -> Path:
        return application.with_settings(self.engine.settings).install(self._directory)

    def commits(self) -> tuple[float, int]:
        """Seconds that the commits of batches have computed in the workers, and the number of these, as the
        module `commit_cost` has noted them."""
        notes = [
            struct.unpack("=dq", note.read_bytes())
            for note in self._directory.glob("commits-*")
            if note.stat().st_size
        ]
        return sum(seconds for seconds, _ in notes), sum(count for _, count in notes)

    def stop(self) -> None:
        """Let it finish in order. Raises `ServerFailed` if it does not."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        if process.wait(STOP_S) != 0:
            raise ServerFailed(f"the program ended with status {process.returncode}")
        self._process = None

    def restart(self, application: Application, workers: int | None = None) -> None:
        """Stop it and start it with the same data and another configuration; `workers`: their new number."""
        self.stop()
        self._workers = workers or self._workers
        self.start(application)

    def end(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(STOP_S)

    def get(self, path: str) -> Any:
        """A JSON answer of the API."""
        return json.loads(self._text("GET", path, None))

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric over all its labels, or those with one (`worker="0"`); 0 if there is none."""
        text = self._text("GET", "/metrics", None)
        lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith(name))
        wanted = (line for line in lines if label in line[0])
        return sum(float(value) for series, _, value in wanted if series.partition("{")[0] == name)

    def post(self, path: str, body: bytes = b"") -> Any:
        """A JSON answer of the API to something it is told."""
        return json.loads(self._text("POST", path, body))

    def connect(self) -> HTTPConnection:
        """A connection to the API; for one thread."""
        return HTTPConnection("127.0.0.1", self._port, timeout=60)

    def _wait_ready(self) -> None:
        process, end = self._running(), time.monotonic() + READY_S
        while time.monotonic() < end and process.poll() is None:
            try:
                if self.get("/health/ready")["status"] == "ready":
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise ServerFailed("the program did not get ready")

    def wait_drained(self, limit_s: float = 600) -> None:
        """Wait until every accepted data-point has been committed."""
        started = time.monotonic()
        while self.get("/telemetry/log")["unprocessed_bytes"] > 0:
            waited_s = time.monotonic() - started
            if waited_s > limit_s:
                raise ServerFailed(f"data-points were left unprocessed after {limit_s} s")
            time.sleep(max(DRAIN_POLL_S, waited_s / POLLS_PER_WAIT))

    def processes(self) -> dict[str, psutil.Process]:
        """The program's processes by role: `api`, `worker 0`, …"""
        found = {}
        for process in psutil.Process(self._running().pid).children(recursive=True):
            words = process.cmdline()
            if "api" in words:
                found["api"] = process
            elif "worker" in words:
                found[f"worker {words[words.index('worker') + 3]}"] = process
        return found

    def in_background(self, work: Callable[[], T]) -> Future[T]:
        """Do something beside the caller, in a thread."""
        executor = ThreadPoolExecutor(1)
        try:
            return executor.submit(work)
        finally:
            executor.shutdown(wait=False)

    def _text(self, method: str, path: str, body: bytes | None) -> str:
        connection = self.connect()
        try:
            connection.request(method, path, body, credentials(self.token))
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if 400 <= response.status < 500:
            raise ServerFailed(f"{method} {path} was answered with {response.status}: {text[:200]!r}")
        return text.decode()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerFailed("the program was not started")
        return self._process


@contextmanager
def running(
    application: Application = Application(),
    workers: int = 1,
    *,
    tokens: bool = False,
    engine: Engine = EMBEDDED,
) -> Iterator[Server]:
    """Start the program with an empty data directory; stop it and remove its data at the end. `tokens`: all
    requests need one.

    What it said last is added to a `BenchFailed`."""
    directory = Path(tempfile.mkdtemp(prefix="dp3-bench-"))
    server = Server(directory, workers, engine)
    try:
        if tokens:
            server.make_token(application)
        server.start(application)
        yield server
    except BenchFailed as error:
        last = server.output.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise BenchFailed("\n".join([str(error), "What the program said last:", *last])) from error
    finally:
        server.end()
        shutil.rmtree(directory)


def credentials(token: str | None) -> dict[str, str]:
    """The header of requests with a token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_s(process: psutil.Process) -> float:
    """Seconds that a process has computed, exact where the system tells that of other processes."""
    if sys.platform == "linux":
        # The clock of a process by its number, see clock_getcpuclockid(3); psutil has hundredths of seconds.
        return time.clock_gettime(~process.pid << 3 | 2)
    times = process.cpu_times()
    return float(times.user + times.system)


def wal_bytes(directory: Path) -> int:
    """Bytes of all write-ahead logs below a directory at this moment."""
    size = 0
    for path in directory.rglob("*-wal"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def median_fdatasync_ms(directory: Path) -> float:
    """The time that the disk under a directory takes to make 4 KiB durable."""
    path = directory / "fdatasync"
    times = []
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        for page in range(PAGES):
            os.pwrite(descriptor, bytes(4096), page * 4096)
            started = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times) * 1e3
