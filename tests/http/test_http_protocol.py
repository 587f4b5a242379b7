"""One connection keeps the server neither busy nor waiting, whatever comes on it."""

import json
import logging
import os
import re
import resource
import socket
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dp3.http.listener import tls_context
from dp3.http.protocol import MAX_FIELDS, MAX_HEAD, MAX_PATH, MAX_PIPELINED
from kit.limits import connection_times, unread_bytes
from kit.program import wait_for
from kit.raw_http import LIMIT_S
from kit.served import LARGE, Served, rest_of, served
from kit.tls import certificate

GET = b"GET / HTTP/1.1\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as server:
        yield server


@pytest.fixture(scope="module")
def impatient() -> Iterator[Served]:
    """Nothing is waited for any longer than a moment."""
    with connection_times(0.5, 0.25, 0.3), served() as server:
        yield server


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def detail(answer: bytes) -> str:
    said: str = json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    return said


def told(answer: bytes) -> list[dict[str, str]]:
    """What the application said to each of the pipelined requests."""
    return [json.loads(part[: part.index(b"}}") + 2]) for part in answer.split(b"\r\n\r\n")[1:]]


# -- heads -------------------------------------------------------------------------------------------------
LONG = b"a" * (MAX_HEAD + 1)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nX: " + LONG + b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\nX: ", *[b"a" * 1000] * 70],
        [b"GET / HTTP/1.1\r\n" + b"".join(b"%d: b\r\n" % i for i in range(20_000))],
        [b"GET / HTTP/1.1\r\n", *[b"X: b\r\n" * 1000] * 20],
        [b"\r\n" * MAX_HEAD],
        [GET, b"GET / HTTP/1.1\r\nX: ", *[b"a" * 1000] * 700],
        [b"GET / HTTP/1.1\r\nX: " + b"a" * (40 << 20)],
    ],
    ids=["complete", "endless", "many fields", "endless fields", "blank lines", "second", "huge"],
)
def test_a_head_that_is_too_large_is_refused_with_the_limit_and_ends_the_connection(
    server: Served, pieces: list[bytes]
) -> None:
    answer = server.exchange(*pieces)
    refused = answer[answer.rindex(b"HTTP/1.1") :]
    assert status(refused) == 431
    assert str(MAX_HEAD) in detail(refused) or f"more than {MAX_FIELDS} header fields" in detail(refused)


def test_a_head_of_the_largest_size_is_taken(server: Served) -> None:
    around = len(b"/") + len(b"x") + 4 + len(b"connection") + len(b"close") + 4
    head = b"GET / HTTP/1.1\r\nX: %s\r\nConnection: close\r\n\r\n"
    assert status(server.exchange(head % (b"a" * (MAX_HEAD - around)))) == 200
    assert status(server.exchange(head % (b"a" * (MAX_HEAD - around + 1)))) == 431


def test_a_url_that_is_too_long_is_refused_with_a_hint_at_bodies(server: Served) -> None:
    for sent in (b"GET /?" + LONG + b" HTTP/1.1\r\n\r\n", b"GET /?" + LONG * 3):
        answer = server.exchange(sent)
        assert status(answer) == 414
        assert "body of a POST" in detail(answer)


def test_a_path_that_is_too_long_is_refused_before_it_is_decoded(server: Served) -> None:
    for path, expected in (
        (b"/x" + b"%7F" * 20_000, 414),
        (b"/" + b"a" * MAX_PATH, 414),
        (b"/" + b"a" * (MAX_PATH - 1), 200),
        (b"/?" + b"a" * (2 * MAX_PATH), 200),
    ):
        assert status(server.exchange(b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % path)) == expected


def test_a_request_has_a_hundred_fields_at_most(server: Served) -> None:
    fields = [b"X%d: a\r\n" % i for i in range(MAX_FIELDS - 1)]
    head = b"GET / HTTP/1.1\r\nConnection: close\r\n"
    assert status(server.exchange(head + b"".join(fields) + b"\r\n")) == 200
    answer = server.exchange(head + b"".join(fields) + b"Y: a\r\n\r\n")
    assert (status(answer), detail(answer)) == (431, "the request has more than 100 header fields")


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nA B: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        CHUNKED + b"\r\n2\r\nab\r\nzz\r\n",
    ],
)
def test_what_is_not_a_request_or_could_be_read_in_two_ways_is_a_bad_request(
    server: Served, sent: bytes
) -> None:
    answer = server.exchange(sent + LAST)
    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (400, 1)
    assert detail(answer).startswith("this is not a request of HTTP/1.1: ")


# -- bodies ------------------------------------------------------------------------------------------------
def test_trailers_are_no_headers(server: Served) -> None:
    (said,) = told(
        server.exchange(CHUNKED + b"Connection: close\r\n\r\n2\r\nab\r\n0\r\nAuthorization: x\r\n\r\n")
    )
    assert (said["body"], "authorization" in said["headers"]) == ("ab", False)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"2;" + b"x" * 1000, *[b"x" * 1000] * 700],
        [b"2\r\nab\r\n0\r\nX: ", *[b"x" * 1000] * 700],
        [b"2\r\nab\r\n0\r\n", *[b"X: a\r\n" * 200] * 700],
    ],
    ids=["extension", "trailer", "trailers"],
)
def test_parts_of_a_body_that_carry_no_data_are_bounded(server: Served, pieces: list[bytes]) -> None:
    answer = server.exchange(CHUNKED + b"\r\n", *pieces)
    # Which bound is reached first depends on how much the server finds when it reads.
    bounds = {431: str(MAX_HEAD), 400: "chunks of a few bytes"}
    assert bounds[status(answer)] in detail(answer)


def small_chunks(size: int, total: int) -> bytes:
    """Data of so many bytes in chunks of `size`."""
    return b"%x\r\n%s\r\n" % (size, b"a" * size) * (total // size)


def test_a_body_in_chunks_of_a_byte_is_refused_and_in_chunks_of_a_line_taken(server: Served) -> None:
    answer = server.exchange(CHUNKED + b"\r\n" + small_chunks(1, 100_000))
    assert (status(answer), "chunks of a few bytes" in detail(answer)) == (400, True)
    (said,) = told(
        server.exchange(CHUNKED + b"Connection: close\r\n\r\n" + small_chunks(50, 1_000_000) + b"0\r\n\r\n")
    )
    assert len(said["body"]) == 1_000_000


EARLY = b"POST /early HTTP/1.1\r\n"


def test_the_rest_of_a_body_that_was_answered_already_is_skipped(server: Served) -> None:
    for head, body in (
        (b"Content-Length: 20000000\r\n", b"a" * 20_000_000),
        (b"Transfer-Encoding: chunked\r\n", small_chunks(10_000, 20_000_000) + b"0\r\n\r\n"),
    ):
        with server.connect() as connection:
            connection.sendall(EARLY + head + b"\r\n")
            assert status(connection.recv(1 << 16)) == 200
            connection.sendall(body + LAST)
            assert told(rest_of(connection))[0]["path"] == "/last"


def test_the_rest_in_chunks_of_a_few_bytes_ends_the_connection(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(EARLY + b"Transfer-Encoding: chunked\r\n\r\n")
        assert status(connection.recv(1 << 16)) == 200
        connection.sendall(small_chunks(8, 1_000_000) + b"0\r\n\r\n" + LAST)
        assert rest_of(connection) == b""


@pytest.mark.parametrize("path", [b"/early", b"/chunks"])
def test_bodies_in_small_chunks_do_not_hold_others_up(path: bytes) -> None:
    flood = small_chunks(6, 20_000_000)
    with served() as server, ExitStack() as stack:
        done = threading.Event()

        def send() -> None:
            with server.connect() as connection, suppress(OSError):
                connection.sendall(b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % path)
                for start in range(0, len(flood), 1 << 20):
                    if done.is_set():
                        return
                    connection.sendall(flood[start : start + (1 << 20)])

        stack.callback(done.set)
        senders = [threading.Thread(target=send) for _ in range(10)]
        for sender in senders:
            sender.start()
        wait_for("requests", lambda: len(server.app.begun) == len(senders))
        took_s = []
        for _ in range(10):
            began = time.monotonic()
            server.ask()
            took_s.append(time.monotonic() - began)
        done.set()
        for sender in senders:
            sender.join()
    assert statistics.median(took_s) < 0.25, took_s


UPGRADE = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n\r\n"
BODIES = [(b"Content-Length: 4", b"body"), (b"Transfer-Encoding: chunked", b"4\r\nbody\r\n0\r\n\r\n")]


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("apart", [False, True])
def test_a_wish_to_speak_another_protocol_is_ignored(
    server: Served, protocol: bytes, body: tuple[bytes, bytes], apart: bool
) -> None:
    head, content = UPGRADE % (protocol, body[0]), body[1] + LAST
    pieces = [head, content] if apart else [head + content]
    with server.connect() as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05 * apart)  # so that they are read one by one; a fast reader changes nothing
        first, second = told(rest_of(connection))
    assert (first["body"], second["path"]) == ("body", "/last")


def test_the_server_is_no_proxy(server: Served) -> None:
    answer = server.exchange(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
    assert (status(answer), detail(answer)) == (405, "this is not a proxy")


# -- several requests --------------------------------------------------------------------------------------
def test_requests_before_a_bad_one_are_answered_first(server: Served) -> None:
    answer = server.exchange(GET * 3 + b"nonsense\r\n\r\n" + GET)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"200", b"200", b"400"]


def test_too_many_requests_at_once_are_not_taken(server: Served) -> None:
    answer = server.exchange(GET * (MAX_PIPELINED + 1) + LAST * 10)
    assert answer.count(b"200 OK") == MAX_PIPELINED + 1
    assert f"more than {MAX_PIPELINED} requests wait" in detail(answer[answer.rindex(b"HTTP/1.1") :])


def test_too_many_requests_that_wish_another_protocol_are_refused_like_others(server: Served) -> None:
    answer = server.exchange(GET + UPGRADE % (b"h2c", b"Content-Length: 0") * (MAX_PIPELINED + 10))
    assert answer.count(b"200 OK") == MAX_PIPELINED + 1
    assert f"more than {MAX_PIPELINED} requests wait" in detail(answer[answer.rindex(b"HTTP/1.1") :])


def test_an_endless_pipeline_stays_with_its_sender() -> None:
    with served() as server, server.connect() as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\n\r\n" + GET)
        wait_for("request", lambda: server.app.begun)
        connection.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 << 20:
                sent += connection.send(GET * 10_000)


# -- turns -------------------------------------------------------------------------------------------------
WORK_S = 0.001
"""Work of the application for a request, which holds the event loop."""


def test_pipelines_of_others_do_not_go_before_a_new_client() -> None:
    with served(work_s=WORK_S) as server, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(server.connect()).sendall(GET * 40)
        wait_for("requests", lambda: len(server.app.begun) > 100)
        began = time.monotonic()
        assert server.ask("/new")["path"] == "/new"
        took_s, before = time.monotonic() - began, len(server.app.begun)
    assert before < 100 * 40 / 2, took_s


def test_connections_that_come_at_once_are_accepted_at_once() -> None:
    with served(work_s=20 * WORK_S) as server, ExitStack() as stack:
        stack.enter_context(server.connect()).sendall(GET * 60)
        wait_for("request", lambda: server.app.begun)
        for _ in range(30):
            stack.enter_context(server.connect()).sendall(b"GET /new HTTP/1.1\r\n\r\n")
        wait_for("requests", lambda: server.app.begun.count("/new") == 30)
        assert server.app.begun.count("/") < 20


def test_without_files_new_connections_wait_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with connection_times(5, 5, 5), served() as server, ExitStack() as stack:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = stack.enter_context(socket.socket())
        used = max(int(each.name) for each in Path("/dev/fd").iterdir()) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        fill = []
        try:
            with suppress(OSError):
                while True:
                    fill.append(os.dup(0))
            client.connect(("127.0.0.1", server.port))
            spent = time.process_time()
            end = time.monotonic() + LIMIT_S
            while "could not be accepted at once (Too many open files)" not in caplog.text:
                assert time.monotonic() < end
                time.sleep(0.01)  # `wait_for` needs files
            time.sleep(0.5)
            assert time.process_time() - spent < 0.4
        finally:
            for each in fill:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.settimeout(LIMIT_S)
        client.sendall(LAST)
        assert status(rest_of(client)) == 200


# -- time --------------------------------------------------------------------------------------------------
def closed_after(connection: socket.socket, drip: bytes = b"") -> tuple[float, bytes]:
    """How long it takes until the server closes, and what it says; meanwhile bytes come one by one."""
    began = time.monotonic()
    done = threading.Event()

    def send() -> None:
        for byte in drip:
            if done.wait(0.02):
                return
            try:
                connection.send(bytes([byte]))
            except OSError:
                return

    sender = threading.Thread(target=send)
    sender.start()
    answer = rest_of(connection)
    done.set()
    sender.join()
    return time.monotonic() - began, answer


def test_a_silent_connection_is_closed_without_a_word(impatient: Served) -> None:
    with impatient.connect() as connection:
        took_s, answer = closed_after(connection)
    assert (took_s >= 0.4, answer) == (True, b"")


@pytest.mark.parametrize("before", [b"", GET])
def test_a_head_that_comes_drop_by_drop_is_given_up(impatient: Served, before: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(before)
        _, answer = closed_after(connection, b"GET / HTTP/1.1\r\nX: " + b"a" * 10_000)
    refused = answer[answer.rindex(b"HTTP/1.1") :]
    assert (status(refused), "did not come within" in detail(refused)) == (408, True)


def test_a_connection_without_a_next_request_is_closed(impatient: Served) -> None:
    with impatient.connect() as connection:
        connection.sendall(GET)
        assert closed_after(connection)[1].count(b"HTTP/1.1 200") == 1


def test_the_rest_of_a_body_that_was_answered_already_is_not_waited_for(impatient: Served) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
        _, answer = closed_after(connection, b"a" * 900)
    assert status(answer) == 200


# -- answers that nobody reads -----------------------------------------------------------------------------
LARGE_ONE = b"GET /large HTTP/1.1\r\n\r\n"


def test_a_client_gets_no_further_answer_until_it_has_read_the_one_before(server: Served) -> None:
    before = len(server.app.begun)
    with server.connect() as connection:
        connection.sendall(LARGE_ONE * 3 + LAST)
        wait_for("request", lambda: len(server.app.begun) > before)
        server.ask()
        assert server.app.begun[before:] == ["/large", "/"]
        assert len(rest_of(connection)) > 3 * LARGE
    assert server.app.begun[before:] == ["/large", "/", "/large", "/large", "/last"]


@pytest.mark.parametrize("end", [b"", b"Connection: close\r\n"])
def test_a_client_that_does_not_read_its_answer_is_cut(
    impatient: Served, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\n" + end + b"\r\n")
        wait_for("end", lambda: "cut, the answer was not read in time" in caplog.text)
        assert len(rest_of(connection)) < LARGE


def test_all_unread_answers_together_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    with unread_bytes(LARGE), served() as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(8)]
        for client in clients:
            client.sendall(LARGE_ONE)
        wait_for("requests", lambda: len(server.app.begun) == len(clients))
        wait_for("line", lambda: "cut, too much of answers was unread" in caplog.text)
        for client in clients:
            client.sendall(LAST)  # also after the first answer: without a next request it would stay open
        assert 1 <= sum(len(rest_of(client)) > LARGE for client in clients) <= 3


# -- too many connections ----------------------------------------------------------------------------------
def test_at_the_limit_the_connection_that_is_silent_longest_makes_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(limit=10) as server, ExitStack() as stack:
        silent = [stack.enter_context(server.connect()) for _ in range(12)]
        assert server.ask()["path"] == "/"
        assert [rest_of(connection) for connection in silent[:2]] == [b"", b""]
        silent[-1].sendall(LAST)
        assert status(rest_of(silent[-1])) == 200
        wait_for("line", lambda: "cut to make room" in caplog.text)
    (line,) = [r for r in caplog.records if "cut to make room" in r.getMessage()]
    assert line.levelno == logging.WARNING
    assert "silent longest" in line.getMessage() and "the limit is 10" in line.getMessage()


def test_many_connections_that_send_something_incomplete_keep_nobody_out() -> None:
    halves = (b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", LARGE_ONE)
    with served(limit=10) as server, ExitStack() as stack:
        for half in halves:
            before = len(server.app.begun)
            for _ in range(10):
                stack.enter_context(server.connect()).sendall(half)
            if b"\r\n" in half:
                wait_for("requests", lambda before=before: len(server.app.begun) >= before + 10)  # type: ignore[misc]
            assert server.ask()["path"] == "/"


def test_a_new_connection_is_refused_when_all_others_are_being_worked_for() -> None:
    with served(limit=3) as server, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.connect()).sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        wait_for("requests", lambda: len(server.app.begun) == 3)
        answer = server.exchange()
        assert (status(answer), b"retry-after: 1" in answer) == (503, True)
        server.app.go.set()
        wait_for("answer", lambda: b"200 OK" in server.exchange(LAST))


# -- TLS ---------------------------------------------------------------------------------------------------
@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """How the server speaks TLS, and how a client does."""
    cert, key = certificate(tmp_path)
    return tls_context(cert, key), ssl.create_default_context(cafile=cert)


def test_the_bounds_hold_behind_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with served(10, *tls) as server:
        assert server.ask()["path"] == "/"
        assert status(server.exchange(b"GET / HTTP/1.1\r\nX: " + LONG)) == 431
        with server.connect() as connection:
            before = len(server.app.begun)
            connection.sendall(LARGE_ONE * 2 + LAST)
            wait_for("request", lambda: len(server.app.begun) > before)
            server.ask()
            assert server.app.begun[before:] == ["/large", "/"]
            assert len(rest_of(connection)) > 2 * LARGE


def test_handshakes_that_are_not_finished_keep_nobody_out(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with served(10, *tls) as server, ExitStack() as stack:
        begun = [stack.enter_context(server.connect_plain()) for _ in range(30)]
        for connection in begun:
            connection.sendall(b"\x16\x03\x01")
        assert server.ask()["path"] == "/"
        assert rest_of(begun[0]) == b""


def test_a_handshake_has_its_time(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with connection_times(0.5, 0.25, 0.3), served(10, *tls) as server:
        with server.connect_plain() as connection:
            connection.settimeout(LIMIT_S)
            assert rest_of(connection) == b""
        assert server.exchange(b"") == b""
        assert server.ask()["path"] == "/"


# -- answers -----------------------------------------------------------------------------------------------
def test_a_small_answer_comes_in_one_piece(server: Served) -> None:
    with server.connect() as connection:
        for _ in range(50):
            connection.sendall(GET)
            piece = connection.recv(1 << 16)
            head, _, body = piece.partition(b"\r\n\r\n")
            assert b"content-length: %d" % len(body) in head.split(b"\r\n")


def test_an_answer_whose_length_is_not_known_comes_in_chunks(server: Served) -> None:
    answer = server.exchange(b"GET /parts HTTP/1.1\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.split(b"\r\n")
    assert body == b"7\r\nfirst, \r\n6\r\nsecond\r\n0\r\n\r\n"


def test_an_answer_to_head_tells_the_length_of_the_body_that_it_does_not_have(server: Served) -> None:
    answer = server.exchange(b"HEAD /early HTTP/1.1\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status(answer), body) == (200, b"")
    assert re.search(rb"content-length: [1-9]", head)


@pytest.mark.parametrize("path", [b"/wrong", b"/short", b"/long"])
def test_an_answer_of_the_application_that_is_not_http_is_not_sent(server: Served, path: bytes) -> None:
    assert server.exchange(b"GET %s HTTP/1.1\r\n\r\n" % path) == b""
    assert server.ask()["path"] == "/"
