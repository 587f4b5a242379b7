"""The real program under test, as a child process."""

import json
import os
import shutil
import signal
import socket
import statistics
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
from dp3.bench.failure import BenchFailed

T = TypeVar("T")

READY_S = 30
PAGES = 50

LAST_LINES = 20
"""Of what the program said, when a benchmark fails."""


class ServerFailed(BenchFailed):
    """The program did not start or did not finish."""


class Server:
    """`dp3 run` with a benchmark's application and an empty data directory."""

    def __init__(self, directory: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.data = directory / "data"
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._process = process

    def get(self, path: str) -> Any:
        """A JSON answer of the API."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes = b"") -> Any:
        """A JSON answer of the API to something it is told."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        connection = self.connect()
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if 400 <= response.status < 500:
            raise ServerFailed(f"{method} {path} was answered with {response.status}: {text[:200]!r}")
        return json.loads(text)

    def connect(self) -> HTTPConnection:
        """A connection to the API; for one thread."""
        return HTTPConnection("127.0.0.1", self._port, timeout=60)

    def wait_ready(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.get("/health/ready")["status"] == "ready":
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise ServerFailed("the program did not get ready")

    def wait_drained(self, limit_s: float = 600) -> None:
        """Until every accepted data-point has been committed."""
        end = time.monotonic() + limit_s
        while self.get("/telemetry/log")["unprocessed_bytes"] > 0:
            if time.monotonic() > end:
                raise ServerFailed(f"data-points were left unprocessed after {limit_s} s")
            time.sleep(0.01)

    def processes(self) -> dict[str, psutil.Process]:
        """The program's processes by role: `api`, `worker 0`, …"""
        found = {}
        for process in psutil.Process(self._process.pid).children(recursive=True):
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

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(90) != 0:
            raise ServerFailed(f"the program ended with status {self._process.returncode}")


@contextmanager
def running(application: Application = Application(), workers: int = 1) -> Iterator[Server]:
    """Start the program; stop it and remove its data at the end.

    What it said last is added to a `BenchFailed`."""
    directory = Path(tempfile.mkdtemp(prefix="dp3-bench-"))
    output = directory / "output"
    try:
        with _process(application.install(directory), directory, output, workers) as server:
            server.wait_ready()
            yield server
    except BenchFailed as error:
        last = output.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise BenchFailed("\n".join([str(error), "What the program said last:", *last])) from error
    finally:
        shutil.rmtree(directory)


@contextmanager
def _process(config: Path, directory: Path, output: Path, workers: int) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, "-m", "dp3", "run", str(config), "--port", str(port)]
    with output.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--data-dir", str(directory / "data"), "--workers", str(workers)], stderr=stderr
        )
    try:
        yield Server(directory, port, process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def disk_bytes(directory: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def wal_bytes(directory: Path) -> int:
    """Bytes of all write-ahead logs below a directory at this moment."""
    size = 0
    for path in directory.rglob("*-wal"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def median_fdatasync_ms(directory: Path) -> float:
    """What it takes the disk under a directory to make 4 KiB durable."""
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
