"""The client of benchmarks, against a server that answers as a test wants."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from dp3.bench.sender import Sender

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"detail":"OK"}'
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}"


class Answering:
    """Answers the requests of one connection, each with some pieces, then ends it."""

    def __init__(self, answers: Sequence[Sequence[bytes]]) -> None:
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []

    def serve(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, self._listener:
            for pieces in self._answers:
                self.requests.append(connection.recv(1 << 16))
                for piece in pieces:
                    connection.sendall(piece)


@contextmanager
def answering(*answers: Sequence[bytes]) -> Iterator[Answering]:
    server = Answering(answers)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    thread.join(30)
    assert not thread.is_alive()


def test_a_request_is_complete_http_with_its_token() -> None:
    with answering([OK]) as server, Sender(server.url, "secret") as sender:
        assert sender.post(b"[]").text == b'{"detail":"OK"}'
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert (line, body) == (b"POST /datapoints HTTP/1.1", b"[]")
    assert {b"Host: " + server.url[7:].encode(), b"Authorization: Bearer secret"} <= {*fields}
    assert {b"Content-Type: application/json", b"Content-Length: 2"} <= {*fields}


def test_an_answer_is_read_to_its_end_in_whatever_pieces_it_comes() -> None:
    pieces = [[OK[at : at + 1] for at in range(len(OK))], [OK]]
    with answering(*pieces) as server, Sender(server.url, None) as sender:
        assert [sender.post(b"[]")[:2] for _ in pieces] == [(200, b'{"detail":"OK"}')] * 2


def test_what_is_refused_for_the_moment_is_sent_again() -> None:
    with answering([BUSY], [BUSY], [OK]) as server, Sender(server.url, None) as sender:
        assert sender.post(b"[1]").status == 200
    assert len({*server.requests}) == 1
    assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", OK[:-1]])
def test_an_answer_without_an_end_fails_the_load(answer: bytes) -> None:
    with answering([answer]) as server, Sender(server.url, None) as sender, pytest.raises(OSError):
        sender.post(b"[]")
