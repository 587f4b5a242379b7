"""Cuts connections to a server at the worst moment."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from kit.backends import server_url

CHUNK = 1 << 16

LONGEST_S = 1.0


class Cutter:
    """Stands between clients and a server. Once it is `armed` it cuts the connection on which the next COMMIT
    comes, or the next statement with the words `at`: before the server gets it, or after. `refuses`: no other
    connection is let through then."""

    def __init__(self, target: str, directory: Path) -> None:
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / ".s.PGSQL.5432"))
        self._listener.listen()
        self.url = f"postgresql://postgres@/postgres?host={directory}"
        self.armed, self.at = "", b"COMMIT"
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
                if self.armed and self.at in data:
                    after, self.armed = self.armed == "after", ""
                    client.shutdown(socket.SHUT_RDWR)
                    if after:
                        server.sendall(data)
                        server.settimeout(LONGEST_S)
                        server.recv(CHUNK)  # it has happened, unless the rest of a pipeline is missing
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


@contextmanager
def a_cutter(url: str | None = None) -> Iterator[Cutter]:
    """One that stands before a server, that of the tests by default."""
    (host,) = parse_qs(urlsplit(url or server_url()).query)["host"]
    with TemporaryDirectory() as directory:
        found = Cutter(f"{host}/.s.PGSQL.5432", Path(directory))
        yield found
        found.close()
