"""Whatever is sent to the real program: no server error, and a refused request leaves no trace."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kit.program import App, running
from kit.specs import a_type, observed_attr, plain_attr, series_attr

TYPES = {
    "a": a_type(
        "a",
        {
            "p": plain_attr("string"),
            "n": plain_attr("int64"),
            "free": plain_attr("special"),
            "arr": plain_attr("array<int>"),
            "o": observed_attr("int"),
            "l": observed_attr("link<b;mirror=as>", multi_value=True),
            "t": series_attr("irregular"),
        },
    ),
    "b": a_type(
        "b",
        {"p": plain_attr("int")},
        id_data_type="int",
        lifetime={"type": "ttl", "on_create": "1h"},
    ),
}

GOOD = {"type": "a", "id": "good", "attr": "p", "v": "x"}
READS = ("/entity/a/raw/get?limit=0", "/entity/b/raw/get?limit=0", "/entities", "/entity/a/good/master")

BOUNDED = settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    directory = tmp_path_factory.mktemp("input")
    with running(directory, TYPES) as app:
        assert app.http.send([GOOD], wait=True)[0] == 200
        yield app
        assert app.program.stop() == 0
        assert "Traceback" not in app.program.output


def contents(app: App) -> list[Any]:
    app.wait_applied()
    return [app.http.get(target) for target in READS]


def refuse(app: App, body: bytes, target: str = "/datapoints", **headers: str) -> tuple[int, Any]:
    """Send what has to be refused; what is stored must stay the same."""
    before = contents(app)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer = app.http.request("POST", target, body, sent)
    assert 400 <= status < 500, (status, answer)
    assert contents(app) == before
    return status, answer


def dp(**changed: Any) -> bytes:
    return json.dumps([GOOD | {"id": "new"}, GOOD | changed]).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
TIMES = st.one_of(
    st.none(),
    st.integers(-(10**13), 10**18),
    st.floats(),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from(["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59.9999999-05:00", "", "now"]),
)
POINTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["a", "a", "b", "c"]),
        "id": st.one_of(st.text(st.characters(codec=None)), st.integers(), JSON),
        "attr": st.sampled_from(["p", "n", "free", "arr", "o", "l", "t", "as", "nope"]),
        "v": JSON,
    },
    optional={"t1": TIMES, "t2": TIMES, "c": st.floats() | JSON, "src": JSON},
)


@BOUNDED
@given(points=st.lists(POINTS, max_size=4))
def test_any_data_points_are_stored_completely_or_refused_without_a_trace(
    app: App, points: list[Any]
) -> None:
    before = contents(app)
    status, answer = app.http.request("POST", "/datapoints", json.dumps(points).encode())
    assert status in (200, 422), (status, answer)
    if status == 422:
        assert contents(app) == before
    else:
        after = contents(app)
        assert sum(raw["count"] for raw in after[:2]) == sum(raw["count"] for raw in before[:2]) + len(points)


BAD_POINTS = {
    "surrogate in value": rb'[{"type":"a","id":"new","attr":"p","v":"\ud800"}]',
    "surrogate in id": rb'[{"type":"a","id":"\ud800","attr":"p","v":"x"}]',
    "surrogate in source": rb'[{"type":"a","id":"new","attr":"p","v":"x","src":"\ud800"}]',
    "surrogate as key": rb'[{"type":"a","id":"new","attr":"free","v":{"\ud800":1}}]',
    "not a number": b'[{"type":"a","id":"new","attr":"free","v":NaN}]',
    "infinity": b'[{"type":"a","id":"new","attr":"free","v":1e999}]',
    "integer of 4 000 digits": b'[{"type":"a","id":"new","attr":"free","v":' + b"9" * 4_000 + b"}]",
    "integer of 5 000 digits": b'[{"type":"a","id":"new","attr":"free","v":' + b"9" * 5_000 + b"}]",
    "time of 4 000 digits": b'[{"type":"a","id":"new","attr":"o","v":1,"t1":' + b"9" * 4_000 + b"}]",
    "500 levels": b'[{"type":"a","id":"new","attr":"free","v":' + b"[" * 500 + b"]" * 500 + b"}]",
    "never closed": b"[" * 1_000_000,
    "nothing": b"",
    "not UTF-8": b'["\xff"]',
    "not UTF-8 in a value": dp(v="here").replace(b"here", b"\xff"),
    "before the year 1": dp(attr="o", v=1, t1="0001-01-01T00:00:00+05:00"),
    "after the year 9999": dp(attr="o", v=1, t1="9999-12-31T23:59:59-05:00"),
    "interval that ends before it begins": dp(attr="o", v=1, t1=10, t2=9),
    "last one bad": dp(v=None),
}


@pytest.mark.parametrize("what", BAD_POINTS)
def test_bad_data_points_are_refused_and_nothing_of_the_request_is_stored(app: App, what: str) -> None:
    assert refuse(app, BAD_POINTS[what])[0] == 422


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/entity/b/1/ttl", rb'{"\ud800": 1}'),
        ("/entity/b/1/ttl", b"{}"),
        ("/entity/b/1/set/as", b'{"value": 1}'),
        ("/entity/a/new/set/p", rb'{"value": "\ud800"}'),
        ("/entity/a/new/set/free", b'{"value": ' + b"[" * 200 + b"]" * 200 + b"}"),
        ("/entity/a/new/set/free", b'{"value": ' + b"9" * 5_000 + b"}"),
        ("/entity/b/" + "9" * 30 + "/set/p", b'{"value": 1}'),
    ],
)
def test_bad_values_and_tokens_are_refused_without_a_trace(app: App, target: str, body: bytes) -> None:
    assert refuse(app, body, target)[0] == 422


@pytest.mark.parametrize("body", [b"[" + b"1," * 1_000_000 + b"1]", dp(attr="arr", v=["x"] * 200_000)])
def test_the_answer_to_a_request_with_a_million_mistakes_is_bounded(app: App, body: bytes) -> None:
    status, answer = refuse(app, body)
    assert status == 422
    assert len(answer["detail"]) <= 1_001
    assert answer["detail"][-1]["type"] == "too_many_errors"


def test_a_body_that_is_too_large_is_refused(app: App) -> None:
    assert refuse(app, b"[" + b" " * (17 << 20) + b"]")[0] == 413


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
def test_a_bad_idempotency_key_is_refused(app: App, key: str) -> None:
    assert refuse(app, dp(), Idempotency_Key=key)[0] == 422


EIDS = ("a/b", "a#b", "a\nb", "a\0b", "%2e%2e", "e\u0301", "\u00e9", " ", "😀", "x" * 10_000, "get", "..")


@pytest.mark.parametrize("eid", EIDS)
def test_an_entity_id_may_be_any_text_and_is_kept_to_the_letter(app: App, eid: str) -> None:
    assert app.http.send([GOOD | {"id": eid, "v": eid}], wait=True)[0] == 200
    target = "/v2/entity/a/master?eid=" + "".join(f"%{byte:02x}" for byte in eid.encode())
    assert app.http.get(target)["p"]["v"] == eid


def test_an_entity_id_of_a_megabyte_is_stored(app: App) -> None:
    assert app.http.send([GOOD | {"id": "x" * (1 << 20)}], wait=True)[1]["applied"]


def test_tokens_may_have_any_name_and_there_may_be_thousands(app: App) -> None:
    names = ["", ".", "$", "a.b", "x\0y", *(f"t.{i}$" for i in range(5_000))]
    body = json.dumps({name: 4_000_000_000 + i for i, name in enumerate(names)}).encode()
    assert app.http.request("POST", "/entity/b/7/ttl?wait=true", body)[0] == 200
    assert set(app.http.get("/entity/b/7/master")["#ttl"]) == {"base", *names}


QUERIES = (
    "/entity/a/raw/get?skip=" + "9" * 5_000,
    "/entity/a/raw/get?skip=-1",
    "/entity/a/good/get/o?date_from=1e400",
    "/entity/a/good/get/o?date_from=" + "9" * 60,
    "/entity/a/good/get/o?date_to=0001-01-01T00:00:00%2B05:00",
    "/deadletters?after=" + "9" * 30,
)


@pytest.mark.parametrize("target", QUERIES)
def test_bad_parameters_are_refused(app: App, target: str) -> None:
    assert app.http.request("GET", target)[0] == 422


@pytest.mark.parametrize("parameters", ["skip=" + "9" * 60, "limit=" + "9" * 60, "eid=%ff"])
def test_a_listing_beyond_all_data_is_empty_or_short(app: App, parameters: str) -> None:
    assert app.http.request("GET", f"/entity/a/raw/get?{parameters}")[0] == 200


HEAD = b"POST /datapoints HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
WRONG_LENGTHS = (
    b"Content-Length: -1\r\n\r\n[]",
    b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n[]",
    b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]]",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\nzz\r\n",
)


@pytest.mark.parametrize("sent", WRONG_LENGTHS)
def test_a_body_with_a_wrong_length_is_a_bad_request(app: App, sent: bytes) -> None:
    assert app.http.exchange(HEAD + sent).startswith(b"HTTP/1.1 400")


def test_nothing_of_a_truncated_body_is_stored(app: App) -> None:
    before = contents(app)
    body = dp()
    app.http.exchange(HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body, close=True)
    assert contents(app) == before


def test_pipelined_requests_are_answered_one_by_one(app: App) -> None:
    one = b"POST /datapoints HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n[]"
    last = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert app.http.exchange(one * 100 + last).count(b"HTTP/1.1 200") == 101


def test_idle_connections_keep_nobody_out(app: App) -> None:
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(socket.create_connection(("127.0.0.1", app.port)))
        assert app.http.send([GOOD], wait=True)[1]["applied"]


def test_a_body_in_many_small_chunks_is_one_request(app: App) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    body = json.dumps([GOOD | {"id": "chunks"}]).encode()
    chunks = (body[i : i + 1] for i in range(len(body)))
    connection.request("POST", "/datapoints?wait=true", chunks, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert app.http.get("/entity/a/chunks/master")["p"]["v"] == "x"


def test_a_hundred_thousand_sources_and_data_points_of_one_attribute_are_taken_in(app: App) -> None:
    points = [
        {"type": "a", "id": "many", "attr": "o", "v": 1, "t1": i, "src": f"s{i}"} for i in range(100_000)
    ]
    assert app.http.send(points)[0] == 200
    app.wait_applied()
    history = app.http.get("/entity/a/many/get/o?date_from=99990")["history"]
    assert len(history) == 10
