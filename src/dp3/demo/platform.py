"""The platform with the demonstration's application, as a program of its own."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from dp3.client import Client, ClientError, Retry

CONFIG = Path(__file__).parent / "app" / "config"
READY_S = 60.0
STOP_S = 65.0
PARENT_FD_ENV = "DP3_PARENT_FD"
SHOWN_LINES = 20


class PlatformFailed(Exception):
    """The program did not start or ended by itself; the message holds the end of what it wrote."""


class Platform:
    """`dp3 run` on a port of the loopback, with its data and its log file in `data_dir`.

    A context manager: the program is stopped when the block is left, however that happens.
    """

    def __init__(self, data_dir: Path, port: int | None = None, config: Path = CONFIG) -> None:
        self.port = port if port is not None else free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = data_dir / "demo.log"
        self._command = [sys.executable, "-m", "dp3", "run", str(config), "--app-name", "demo"]
        self._command += ["--data-dir", str(data_dir), "--port", str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    def __enter__(self) -> "Platform":
        """Start the program. Raises `PlatformFailed` if somebody else listens on the port."""
        _require_free(self.port)
        # The program ends when the other end of this pipe is closed, even if this process is killed.
        read_end, self._lifeline = os.pipe()
        try:
            self._process = self._start(read_end)
        finally:
            os.close(read_end)
        return self

    def _start(self, lifeline: int) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            # Its own session: Ctrl-C reaches only the demonstration, which then stops the program in order.
            return subprocess.Popen(
                self._command,
                env={**os.environ, PARENT_FD_ENV: str(lifeline)},
                pass_fds=[lifeline],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._lifeline)

    @property
    def exit_status(self) -> int | None:
        """None while the program runs."""
        return self._process.poll() if self._process is not None else None

    def check(self) -> None:
        """Raises `PlatformFailed` if the program is not there any more."""
        if self.exit_status is not None:
            raise PlatformFailed(f"dp3 run ended with status {self.exit_status}:\n{self._last_lines()}")

    def wait_ready(self, stop: threading.Event) -> bool:
        """Wait until it takes in data-points; False if `stop` was set before. Raises `PlatformFailed`."""
        client = Client(self.url, timeout_s=2, retry=Retry(total_s=0))
        deadline = time.monotonic() + READY_S
        while not stop.wait(0.1):
            self.check()
            try:
                client.get("/health/ready")
                return True
            except ClientError as error:
                if time.monotonic() > deadline:
                    message = f"dp3 run is not ready after {READY_S:.0f} s ({error}):\n{self._last_lines()}"
                    raise PlatformFailed(message) from error
        return False

    def _last_lines(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-SHOWN_LINES:])


def _require_free(port: int) -> None:
    """Without this check one would find, and use, whatever else answers there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise PlatformFailed(f"cannot listen on port {port} of 127.0.0.1: {error.strerror}") from error


def free_port() -> int:
    """A port of the loopback on which nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
