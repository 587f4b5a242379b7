"""Thousands of requests that are a little wrong, under every role: all are answered soon, nothing dies."""

import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kit.program import App, running
from kit.specs import a_type, observed_attr, plain_attr, series_attr

COUNT = int(os.environ.get("DP3_MUTATIONS", "20000"))
"""Requests in all; always the same ones for the same number."""

THREADS = 4
LONGEST_S = 5.0
SOCKET_LIMIT_S = 60.0

ROLES = ("ingest", "read", "edit", "operate", "admin")

TYPES = {
    "a": a_type(
        "a",
        {
            "p": plain_attr("string"),
            "n": plain_attr("int64"),
            "free": plain_attr("special"),
            "o": observed_attr("int"),
            "l": observed_attr("link<b>", multi_value=True),
            "t": series_attr("irregular"),
        },
    ),
    "b": a_type("b", {"p": plain_attr("int")}, id_data_type="int"),
}

MODULE = """
from dp3.common.base_module import BaseModule


class Picky(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_new_attr_hook(self.judge, "a", "n")

    def judge(self, eid, dp):
        if dp.v % 7 == 0:
            raise ValueError(f"seven divides {dp.v}")
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request; `body` is JSON, or bytes that go as they are."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self, token: str) -> bytes:
        body = self.body if isinstance(self.body, bytes) else b""
        if self.body is not None and not isinstance(self.body, bytes):
            body = json.dumps(self.body).encode()
        query = "&".join(f"{name}={quote(text, safe='')}" for name, text in self.query.items())
        target = self.path + (f"?{query}" if query else "")
        headers = {"Host": "localhost", "Content-Length": str(len(body))}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        lines = [f"{self.method} {target} HTTP/1.1"]
        lines += [f"{name}: {text}" for name, text in (headers | self.headers).items()]
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


POINTS = [
    {"type": "a", "id": "x", "attr": "p", "v": "text"},
    {"type": "a", "id": "x", "attr": "n", "v": 14},
    {"type": "a", "id": "y", "attr": "free", "v": {"k": [1, {"m": None}]}},
    {"type": "a", "id": "y", "attr": "o", "v": 1, "t1": "2020-01-01T00:00:00Z", "t2": "2020-01-02T00:00:00Z"},
    {"type": "a", "id": "z", "attr": "l", "v": {"eid": 7}, "t1": "2020-01-01T00:00:00Z", "c": 0.5},
    {
        "type": "a", "id": "z", "attr": "t", "t1": "2020-01-01T00:00:00Z", "t2": "2020-01-01T01:00:00Z",
        "v": {"time": ["2020-01-01T00:00:00Z", "2020-01-01T00:30:00Z"], "x": [1, 2]},
    },
    {"type": "b", "id": 7, "attr": "p", "v": 1, "src": "probe"},
]  # fmt: skip
FILTER = json.dumps({"$or": [{"last.n": {"$gt": 3, "$in": [1, 2]}}, {"p": {"$regex": "^t.*x"}}]})
SPAN = {"date_from": "2020-01-01T00:00:00Z", "date_to": "2030-01-01T00:00:00Z"}

SEEDS = [
    *(Sent("POST", "/datapoints", {}, [point]) for point in POINTS),
    Sent("POST", "/datapoints", {"wait": "true"}, POINTS, {"Idempotency-Key": "k1"}),
    Sent("GET", "/entity/a/get", {"generic_filter": FILTER, "limit": "5", "sort": "n:-1"}),
    Sent("GET", "/entity/a/get", {"fulltext_filters": '{"p": "^te"}', "skip": "1", "at": "1577900000"}),
    Sent("POST", "/entity/a/get", {}, {"eids": ["x", "y"]}),
    Sent("GET", "/entity/a/count", {"generic_filter": '{"o#c": {"$gte": 0.5}}'}),
    Sent("POST", "/entity/a/count", {}, {"generic_filter": {"n": {"$in": [1, 2]}}, "at": 1577900000}),
    Sent("POST", "/entity/a/get", {}, {"fulltext_filters": {"p": "^te"}, "sort": ["n:-1"], "limit": 2}),
    Sent("GET", "/deadletters/summary", {"module": "picky", "reason": "seven"}),
    Sent("GET", "/entity/a/raw/get", {"eid": "x", "attr": "p", "src": "probe", "limit": "3"}),
    Sent("GET", "/entity/a/_/distinct/p"),
    Sent("GET", "/entity/a/x", SPAN),
    Sent("GET", "/entity/a/x/master"),
    Sent("GET", "/entity/a/x/master", {"at": "2020-01-01T12:00:00Z"}),
    Sent("GET", "/entity/a/x/snapshots", {"skip": "0", "limit": "2"}),
    Sent("GET", "/entity/a/x/get/o", SPAN),
    Sent("GET", "/entity/b/7/get/p"),
    Sent("POST", "/entity/a/x/set/p", {}, {"value": "new"}),
    Sent("POST", "/entity/a/x/ttl", {}, {"keep": "2030-01-01T00:00:00Z"}),
    Sent("DELETE", "/entity/a/w"),
    Sent("GET", "/v2/entity/a", {"eid": "x"}),
    Sent("GET", "/v2/entity/a/attr", {"eid": "x", "attr": "l"}),
    Sent("POST", "/v2/entity/a/attr", {"eid": "x", "attr": "n"}, {"value": 3}),
    Sent("DELETE", "/v2/entity/a/", {"eid": "w"}),
    Sent("GET", "/control/make_snapshots"),
    Sent("POST", "/control/refresh_module_config", {"module": "picky"}),
    Sent("GET", "/control/results/1-2"),
    Sent("GET", "/deadletters", {"module": "picky", "limit": "5", "after": "0"}),
    Sent("POST", "/deadletters/drop", {"hook": "judge", "limit": "2"}),
    Sent("POST", "/deadletters/retry", {"limit": "1"}),
    Sent("GET", "/deadletters/1"),
    Sent("GET", "/telemetry/metadata", {"limit": "3", "sort": "oldest"}),
    Sent("GET", "/telemetry/event_counts", {"group": "te", "interval": "5m"}),
    Sent("GET", "/telemetry/log"),
    Sent("GET", "/telemetry/sources_age", {"unit": "seconds"}),
    Sent("GET", "/entities"),
    Sent("GET", "/metrics"),
    Sent("GET", "/openapi.json"),
    Sent("GET", "/docs"),
    Sent("GET", "/health/ready"),
]

ODD = [
    None, True, 0, -1, 1.5, 1e308, 2**63, -(2**70), "", "\0", "\ud800", "\u202e", "x" * 5_000, "2020-13-45",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "nan", [], {}, [[]] * 50, {"$where": "1"}, {"$in": []},
    {"eid": {"eid": 1}}, {"": ""}, {"$regex": "(a+)+$"}, {"$not": {"$not": {}}}, "../..", "a.b.c", "%00",
]  # fmt: skip
ODD_TEXTS = [
    *(
        "",
        "0",
        "-1",
        "1e9",
        "nan",
        "null",
        "true",
        "\0",
        "\n",
        "%",
        "ä",
        "{",
        "[]",
        "{}",
        "1" * 5_000,
        "2020",
    ),
    *("[" * 200, '{"$gt":1}', '{"last.n":{"$mod":[0,0]}}', "n:1", "n:2", "é" * 300, "9" * 18, "1577836800"),
]
ODD_PARTS = [
    *(
        "",
        ".",
        "..",
        "%2e%2e",
        "%00",
        "%0a",
        "%2f",
        "%ff",
        "a%",
        ";x",
        "*",
        "x" * 3_000,
        "_",
        "get",
        "master",
    ),
    *("1", "-1", "9" * 30, "%F0%9F%92%A9", "b", "nope", "raw", "distinct", "set", "attr"),
]
ODD_HEADERS = [
    *(("Content-Type", text) for text in ("text/plain", "application/xml", "", "multipart/form-data")),
    *(("Content-Encoding", text) for text in ("gzip", "identity", "br")),
    *(("Idempotency-Key", text) for text in ("", "k1", "x" * 300, "a b")),
    *(("Authorization", text) for text in ("", "Bearer", "Bearer x", "Basic eDp5", "Bearer " + "x" * 4_000)),
    *(("Origin", text) for text in ("null", "http://evil.example", "http://localhost")),
    *(("Host", text) for text in ("", "evil.example", "127.0.0.1:1", "[::1]")),
    *(
        ("Accept-Encoding", "gzip"),
        ("Range", "bytes=0-1"),
        ("Expect", "100-continue"),
        ("X-" + "y" * 200, "z"),
    ),
    *(("Sec-Fetch-Site", "cross-site"), ("X-Forwarded-For", "1.2.3.4"), ("If-None-Match", "*")),
]
METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE")

Mutation = Callable[[Sent, random.Random], Sent]


def other_method(sent: Sent, chance: random.Random) -> Sent:
    return replace(sent, method=chance.choice(METHODS))


def other_path(sent: Sent, chance: random.Random) -> Sent:
    parts = sent.path.split("/")
    place = chance.randrange(1, len(parts))
    match chance.randrange(4):
        case 0:
            parts[place] = chance.choice(ODD_PARTS)
        case 1:
            parts.insert(place, chance.choice(ODD_PARTS))
        case 2:
            del parts[place]
        case _:
            parts.append("")
    return replace(sent, path="/".join(parts) or "/")


def other_query(sent: Sent, chance: random.Random) -> Sent:
    names = [*sent.query, "limit", "at", "wait", "cursor", "eid", "generic_filter"]
    return replace(sent, query={**sent.query, chance.choice(names): chance.choice(ODD_TEXTS)})


def less_query(sent: Sent, chance: random.Random) -> Sent:
    gone = chance.choice([*sent.query, ""])
    return replace(sent, query={name: text for name, text in sent.query.items() if name != gone})


def other_value(sent: Sent, chance: random.Random) -> Sent:
    if isinstance(sent.body, bytes):
        return sent
    return replace(sent, body=_changed(sent.body, chance))


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with one place in it changed."""
    if not value or not isinstance(value, list | dict) or chance.random() < 0.2:
        return chance.choice([chance.choice(ODD), [value], {"v": value}, [value] * 3])
    if isinstance(value, list):
        place = chance.randrange(len(value))
        return [*value[:place], _changed(value[place], chance), *value[place + 1 :]]
    name = chance.choice(list(value))
    if chance.random() < 0.2:
        return {key: item for key, item in value.items() if key != name}
    return {**value, name: _changed(value[name], chance)}


def other_bytes(sent: Sent, chance: random.Random) -> Sent:
    body = bytearray(sent.body if isinstance(sent.body, bytes) else json.dumps(sent.body).encode())
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(body) + 1)
        end = min(len(body), place + chance.randint(0, 12))
        body[place:end] = chance.choice(
            [b"", chance.randbytes(3), b'"', b"[", b"}", b"\xff", body[place:end] * 2]
        )
    return replace(sent, body=bytes(body))


def other_headers(sent: Sent, chance: random.Random) -> Sent:
    name, text = chance.choice(ODD_HEADERS)
    return replace(sent, headers={**sent.headers, name: text})


MUTATIONS: list[Mutation] = [
    *(other_method, other_path, other_path, other_query, other_query, less_query),
    *(other_value, other_value, other_value, other_bytes, other_headers),
]


def mutated(chance: random.Random) -> Sent:
    sent = chance.choice(SEEDS)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        sent = chance.choice(MUTATIONS)(sent, chance)
    return sent


def broken(request: bytes, chance: random.Random) -> bytes:
    """The request with its framing damaged, too."""
    place = chance.randrange(len(request))
    noise = chance.choice(
        [b"", b"\r\n", b"\0", b"\n", b" ", b"\x80", chance.randbytes(5), b"Content-Length: 9\r\n"]
    )
    return request[:place] + noise + request[place + chance.randint(0, 3) :]


class Connection:
    """Sends requests one after the other and reads their answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: bytes, *, is_head: bool) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of the answer."""
        if self._socket is None:
            self._socket = self._open()
        self._socket.sendall(request)
        with self._socket.makefile("rb") as answer:
            status, headers = _head(answer)
            while status == 100:
                status, headers = _head(answer)
            if not is_head:
                answer.read(int(headers.get(b"content-length", b"0")))
        if headers.get(b"connection") == b"close" or is_head:
            self.close()
        return status, headers

    def ask_broken(self, request: bytes) -> int:
        """The first status that comes back for bytes that may be no request; 0 if there is none."""
        with self._open() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while chunk := connection.recv(1 << 16):
                    received = (received + chunk)[:100]
            except ConnectionResetError:
                pass
        return int(received.split()[1]) if received.startswith(b"HTTP/1.1 ") else 0

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=SOCKET_LIMIT_S)


def _head(answer: BinaryIO) -> tuple[int, dict[bytes, bytes]]:
    status = int(answer.readline().split()[1])
    return status, dict(_header(line) for line in iter(answer.readline, b"\r\n"))


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, text = line.partition(b":")
    return name.strip().lower(), text.strip()


class Attack(threading.Thread):
    """Sends its share of the requests; what must not be is in `wrong`."""

    def __init__(self, port: int, seed: int, count: int, tokens: list[str]) -> None:
        super().__init__(daemon=True)
        self._connection = Connection(port)
        self._chance = random.Random(seed)
        self._count = count
        self._tokens = tokens
        self.statuses: Counter[int] = Counter()
        self.wrong: list[tuple[int, float, bytes]] = []

    def run(self) -> None:
        for _ in range(self._count):
            sent = mutated(self._chance)
            request = sent.encoded(self._chance.choice(self._tokens))
            started = time.monotonic()
            try:
                status, is_right = self._ask(sent, request)
            except (OSError, ValueError, IndexError) as error:
                self._connection.close()
                status, is_right = -1, False
                request = repr(error).encode() + b" " + request
            took_s = time.monotonic() - started
            self.statuses[status] += 1
            if not is_right or took_s > LONGEST_S:
                self.wrong.append((status, round(took_s, 1), request[:2_000]))
        self._connection.close()

    def _ask(self, sent: Sent, request: bytes) -> tuple[int, bool]:
        """The status, and whether it may be: no failure but "busy", which says when to return."""
        if self._chance.random() < 0.05:
            status = self._connection.ask_broken(broken(request, self._chance))
            return status, status < 500 or status == 503
        status, headers = self._connection.ask(request, is_head=sent.method == "HEAD")
        return status, status < 500 or (
            status == 503 and (b"retry-after" in headers or "health" in sent.path)
        )


GENERATED = settings(
    max_examples=5,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("mutated"), TYPES, {"picky": MODULE}) as app:
        yield app


@pytest.fixture(scope="module")
def tokens(app: App) -> dict[str, str]:
    """Role → a token that has it."""
    return {role: token_of(app, role) for role in ROLES}


def token_of(app: App, role: str) -> str:
    place = ("--role", role, "--data-dir", str(app.data))
    made = app.start("token", "create", str(app.config), role, *place)
    assert made.wait() == 0, made.output
    return made.output.split()[-1]


def test_generated_requests_of_every_route_get_no_server_error(app: App, tokens: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{app.url}/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]

        @settings(GENERATED)
        @given(operation.as_strategy(), st.sampled_from(["a", "b", "nope"]), st.sampled_from(["", *ROLES]))
        def check(case: schemathesis.Case[Any], etype: str, role: str) -> None:
            if "etype" in case.path_parameters:
                case.path_parameters["etype"] = etype
            response = case.call(headers={"Authorization": f"Bearer {tokens[role]}"} if role else {})
            assert response.status_code < 500, (case.path, response.status_code, response.text)

        check()


def test_requests_that_are_a_little_wrong_are_answered_soon_and_kill_nothing(
    app: App, tokens: dict[str, str]
) -> None:
    brought = ["", "dp3_wrong", *tokens.values()]
    brought += [tokens["admin"]] * 4  # most requests should get past the door
    children = {child.pid for child in app.program.children()}
    attacks = [Attack(app.port, seed, COUNT // THREADS, brought) for seed in range(THREADS)]
    for attack in attacks:
        attack.start()
    for attack in attacks:
        attack.join()
    statuses = sum((attack.statuses for attack in attacks), Counter[int]())
    assert [one for attack in attacks for one in attack.wrong][:5] == [], statuses
    assert {200, 400, 401, 403, 404, 405, 422} <= statuses.keys(), statuses
    assert statuses[200] > COUNT / 10
    assert {child.pid for child in app.program.children()} == children
    assert app.is_ready()
    assert "Traceback" not in app.program.output
    app.stop(app.program)
