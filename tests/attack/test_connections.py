"""Whatever connections do to the real program, others are answered and its memory is bounded."""

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil
import pytest

from kit.program import App, application, own_time_s, wait_for
from kit.specs import a_type, plain_attr

FILES = 300
"""The program may have so many files open, so there may be fewer connections."""

SILENT = 400
MOST_MB = 512
PROBES = 120
PROBE_EVERY_S = 0.02


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with application(tmp_path_factory.mktemp("connections")) as app:
        app.write(model={"a": a_type("a", {"p": plain_attr("special")})})
        app.program = app.run_ready(files=FILES)
        for _ in range(4):
            app.http.send([{"type": "a", "id": f"{i}", "attr": "p", "v": "x" * 1000} for i in range(2000)])
        app.wait_applied()
        yield app
        app.stop(app.program)


class Probes:
    """`/health/live` is asked again and again, each time on a new connection."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.took_s: list[float] = []
        self.most_mb = 0.0

    def ask(self) -> None:
        """Ask once."""
        api = self._app.child(self._app.program, "api")
        with own_time_s(api) as took_s:
            assert self._app.http.request("GET", "/health/live")[0] == 200
        self.took_s += took_s
        self.most_mb = max(self.most_mb, api.memory_info().rss / 2**20)
        time.sleep(PROBE_EVERY_S)


@contextmanager
def others_are_answered(app: App) -> Iterator[Probes]:
    """While the block attacks and for some time after, 99 of 100 probes take at most half a second."""
    api = app.child(app.program, "api")
    probes, done = Probes(app), threading.Event()

    def probe() -> None:
        while not done.is_set() or len(probes.took_s) < PROBES:
            probes.ask()

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield probes
    finally:
        done.set()
        thread.join()
    p99 = statistics.quantiles(probes.took_s, n=100)[98]
    assert p99 <= 0.5, f"p99 {p99:.3f} s of {len(probes.took_s)} probes"
    assert probes.most_mb <= MOST_MB, f"{probes.most_mb:.0f} MB"
    assert api == app.child(app.program, "api")


def connect(app: App) -> socket.socket:
    return socket.create_connection(("127.0.0.1", app.port), timeout=40)


def send_all(connection: socket.socket, pieces: Iterator[bytes]) -> bytes:
    """Send until the server has had enough; what it says."""
    with suppress(BrokenPipeError, ConnectionResetError):
        for piece in pieces:
            connection.sendall(piece)
    with suppress(ConnectionResetError):
        return connection.recv(1 << 16)
    return b""


HUGE = [
    ("one header of 85 MiB", lambda: (b"a" * (1 << 20) for _ in range(85))),
    ("three million headers", lambda: (b"a: b\r\n" * 30_000 for _ in range(100))),
    ("a URL of 85 MiB", lambda: (b"a" * (1 << 20) for _ in range(85))),
]


@pytest.mark.parametrize(("what", "pieces"), HUGE, ids=[what for what, _ in HUGE])
def test_huge_heads_stop_nobody(app: App, what: str, pieces: Callable[[], Iterator[bytes]]) -> None:
    begin = b"GET /" if "URL" in what else b"GET / HTTP/1.1\r\nX: "
    with others_are_answered(app):
        for _ in range(3):
            with connect(app) as connection:
                connection.sendall(begin)
                assert send_all(connection, pieces())[9:12] in (b"431", b"414")


def test_silent_and_half_sent_connections_lock_nobody_out(app: App) -> None:
    head, body = b"GET / HTTP/1.1\r\nX: ", b"POST /datapoints HTTP/1.1\r\nContent-Length: 9\r\n\r\n["
    halves = [b"", head + b"a" * 60_000, body]
    with others_are_answered(app), ExitStack() as stack:
        for half in halves:
            for _ in range(SILENT):
                connection = stack.enter_context(connect(app))
                with suppress(ConnectionResetError, BrokenPipeError):
                    connection.sendall(half)
    room = FILES - 128
    wait_for("line", lambda: f"the limit is {room}" in app.program.output)
    assert f"at most {room} connections" in app.program.output


def test_heads_that_come_drop_by_drop_stop_nobody(app: App) -> None:
    with others_are_answered(app) as probes, ExitStack() as stack:
        dripping = [stack.enter_context(connect(app)) for _ in range(100)]
        for connection in dripping:
            connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        while len(probes.took_s) < PROBES:
            for connection in dripping:
                with suppress(ConnectionResetError, BrokenPipeError):
                    connection.sendall(b"a")
            time.sleep(0.05)


def test_answers_that_nobody_reads_and_endless_pipelines_stop_nobody(app: App) -> None:
    with others_are_answered(app) as probes, ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(connect(app))
            connection.sendall(b"GET /entity/a/raw/get?limit=0 HTTP/1.1\r\n\r\n" * 20)
        endless = [stack.enter_context(connect(app)) for _ in range(4)]
        for connection in endless:
            connection.setblocking(False)
        while len(probes.took_s) < PROBES:
            for connection in endless:
                with suppress(BlockingIOError, ConnectionResetError, BrokenPipeError):
                    connection.send(b"GET / HTTP/1.1\r\n\r\n" * 1000)
            time.sleep(0.01)


def test_the_program_goes_on_without_a_trace(app: App) -> None:
    assert app.http.send([{"type": "a", "id": "after", "attr": "p", "v": 1}], wait=True)[1]["applied"]
    assert "Traceback" not in app.program.output
    assert psutil.pid_exists(app.program.pid)
