"""A connection to the server that is lost at the worst moment: while a transaction ends."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import psycopg
import pytest

from dp3.clock import FakeClock
from dp3.log.port import Append, Appended, Lane, Log, LogFull, LogUncertain, OutboxSlice, Producer
from dp3.log.postgres import open_log
from kit.backends import server_url
from kit.limits import constants

CHUNK = 1 << 16


class Cutter:
    """Stands between clients and a server. Once it is `armed` it cuts the connection on which the next COMMIT
    comes: before the server gets it, or after. `refuses`: no other connection is let through then."""

    def __init__(self, target: str, directory: Path) -> None:
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / ".s.PGSQL.5432"))
        self._listener.listen()
        self.url = f"postgresql://postgres@/postgres?host={directory}"
        self.armed = ""
        self.refuses = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(CHUNK):
                if self.armed and b"COMMIT" in data:
                    after, self.armed = self.armed == "after", ""
                    client.shutdown(socket.SHUT_RDWR)
                    if after:
                        server.sendall(data)
                        server.recv(CHUNK)  # it has happened
                    break
                server.sendall(data)
        _end(client, server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(CHUNK):
                client.sendall(data)
        _end(client, server)

    def close(self) -> None:
        self._listener.close()


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.fixture
def cutter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cutter]:
    (host,) = parse_qs(urlsplit(server_url()).query)["host"]
    directory = tmp_path_factory.mktemp("s")
    found = Cutter(f"{host}/.s.PGSQL.5432", directory)
    yield found
    found.close()


@pytest.fixture
def log(cutter: Cutter, request: pytest.FixtureRequest) -> Iterator[Log]:
    found = open_log(cutter.url, f"cut_{abs(hash(request.node.name))}", FakeClock())
    yield found
    found.close()


def tasks(*items: str) -> bytes:
    return msgspec.msgpack.encode(list(items))


def an_append(text: str, key: str | None = None) -> Append:
    return Append([{0: tasks(text)}], None if key is None else (key, b"d"))


def test_an_append_that_the_server_has_committed_counts_though_the_answer_is_lost(
    cutter: Cutter, log: Log
) -> None:
    cutter.armed = "after"
    (added,) = log.append([an_append("a", key="k")])
    assert isinstance(added, Appended) and added.offset == 1
    assert log.append([an_append("a", key="k")]) == [added._replace(repeated=True)]
    assert log.head(Lane.MAIN).offset == 1


def test_an_append_of_which_the_server_never_heard_the_end_is_refused(cutter: Cutter, log: Log) -> None:
    cutter.armed = "before"
    with pytest.raises(LogFull, match="nothing was added"):
        log.append([an_append("a", key="k")])
    assert log.head(Lane.MAIN).offset == 0
    (again,) = log.append([an_append("a", key="k")])
    assert isinstance(again, Appended) and not again.repeated


def test_a_drain_whose_answer_is_lost_adds_nothing_when_it_comes_again(cutter: Cutter, log: Log) -> None:
    parts = [OutboxSlice(Producer(3, 0), 1, {0: tasks("a")})]
    cutter.armed = "after"
    assert log.append_outbox(parts, 0) is not None
    assert log.append_outbox(parts, 0) is None
    assert log.head(Lane.DERIVED).offset == 1


def test_what_can_not_be_found_out_is_said(cutter: Cutter, log: Log) -> None:
    cutter.armed, cutter.refuses = "after", True
    with constants("dp3.log.postgres", FOUND_OUT_S=0.5), pytest.raises(LogUncertain, match="stored or not"):
        log.append([an_append("a", key="k")])
    cutter.refuses = False
    assert log.append([an_append("a", key="k")])[0].repeated  # type: ignore[union-attr]


def test_a_server_that_ends_the_connection_is_reached_again(cutter: Cutter, log: Log) -> None:
    log.append([an_append("a")])
    with psycopg.connect(server_url(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'dp3 cut_%' AND pid <> pg_backend_pid()"
        )
    offsets = []
    for _ in range(3):
        with suppress(LogFull):
            offsets += [one.offset for one in log.append([an_append("b")]) if isinstance(one, Appended)]
    assert offsets
    assert log.head(Lane.MAIN).offset == offsets[-1]
