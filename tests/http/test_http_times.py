"""Numbers that are times are read in the same way wherever a client may write one."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from kit.node import NOW, Node, dp, obs

S, MS = 1577880000, 1577880000_000
SPELLINGS = [NOW, S, MS, float(S), str(S), f"{MS}.0"]
UNCLEAR = [32503680000, 253402300799, -62135596800, 1e11, "32503680000"]


def spelled(value: Any) -> str:
    return quote(str(value))


def place(name: str, value: Any) -> tuple[str, str, Any]:
    """A request that has a time in this place."""
    filtered = {"generic_filter": {"last.when": value}}
    magic = {"generic_filter": {"last.when": f"$$DateTs{{{value}}}"}}
    requests: dict[str, tuple[str, str, Any]] = {
        "t1": ("POST", "/datapoints", [obs("o", 1, t1=value)]),
        "t1 of plain": ("POST", "/datapoints", [dp("p", 1, t1=value)]),
        "t2": ("POST", "/datapoints", [obs("o", 1, t1="1000-01-01", t2=value)]),
        "t1 of timeseries": ("POST", "/datapoints", [obs("t", {"x": [1], "y": [2]}, t1=value)]),
        "value": ("POST", "/datapoints", [dp("when", value)]),
        "series": (
            "POST",
            "/datapoints",
            [obs("ti", {"x": [1], "time": [value]}, t1="0001-01-01", t2="9999-01-01")],
        ),
        "set": ("POST", "/entity/a/e1/set/when", {"value": value}),
        "ttl": ("POST", "/entity/b/7/ttl", {"token": value}),
        "date_from": ("GET", f"/entity/a/e1?date_from={spelled(value)}", None),
        "date_to": ("GET", f"/entity/a/e1/get/o?date_to={spelled(value)}", None),
        "at": ("GET", f"/v2/entity/a/master?eid=e1&at={spelled(value)}", None),
        "at of a listing": ("GET", f"/entity/a/get?at={spelled(value)}", None),
        "at in a body": ("POST", "/entity/a/count", {"at": value, "generic_filter": {}}),
        "filter": ("POST", "/entity/a/get", filtered),
        "filter in a URL": (
            "GET",
            f"/entity/a/count?generic_filter={quote(json.dumps(filtered['generic_filter']))}",
            None,
        ),
        "magic": ("POST", "/entity/a/get", magic),
    }
    return requests[name]


PLACES = [
    "t1",
    "t1 of plain",
    "t2",
    "t1 of timeseries",
    "value",
    "series",
    "set",
    "ttl",
    "date_from",
    "date_to",
    "at",
    "at of a listing",
    "at in a body",
    "filter",
    "filter in a URL",
    "magic",
]


def ask(node: Node, name: str, value: Any) -> tuple[int, str]:
    method, url, body = place(name, value)
    content = None if body is None else json.dumps(body).encode()
    response = node.request(method, url, content=content)
    return response.status_code, response.text


@pytest.mark.parametrize("name", PLACES)
def test_a_number_that_may_be_seconds_or_milliseconds_is_refused_everywhere(
    shared_node: Node, name: str
) -> None:
    for value in UNCLEAR:
        status, text = ask(shared_node, name, value)
        assert status == (400 if name in ("filter", "filter in a URL", "magic") else 422), (value, text)
        assert "is neither seconds" in text, value
        assert "nor milliseconds" in text, value


@pytest.mark.parametrize("name", [name for name in PLACES if name != "magic"])
def test_seconds_milliseconds_and_text_are_taken_everywhere(shared_node: Node, name: str) -> None:
    for value in SPELLINGS:
        status, text = ask(shared_node, name, value)
        assert status == 200, (value, text)


def test_all_spellings_store_the_same_times(node: Node) -> None:
    points = [
        point
        for value in SPELLINGS
        for point in (
            obs("o", 1, t1=value, t2=value),
            dp("when", value),
            obs("ti", {"x": [1], "time": [value]}, t1=value, t2=value),
        )
    ]
    node.store_points(*points)
    rows = node.get("/entity/a/raw/get?limit=0").json()["data"]
    assert {row["t1"] for row in rows if row["attr"] != "when"} == {NOW}
    assert {row["t2"] for row in rows if row["attr"] != "when"} == {NOW}
    assert {row["v"] for row in rows if row["attr"] == "when"} == {NOW}
    assert {row["v"]["time"][0] for row in rows if row["attr"] == "ti"} == {NOW}


def test_a_bad_number_names_its_place(shared_node: Node) -> None:
    response = shared_node.send(dp("p", 1), obs("o", 1, t1=32503680000, t2=None))
    (error,) = response.json()["detail"]
    assert error == {
        "type": "datetime_parsing",
        "loc": ["body", 1, "t1"],
        "input": 32503680000,
        "msg": "Input should be a valid datetime, 32503680000 is neither seconds (at most 20000000000, "
        "the year 2603) nor milliseconds (at least 260000000000, the year 1978): send text such as "
        "'3000-01-01T00:00:00Z'",
        "ctx": error["ctx"],
    }


@pytest.mark.parametrize("t2", ["", 0, 0.0, None], ids=repr)
def test_an_empty_t2_is_t1(node: Node, t2: Any) -> None:
    node.store_points(
        obs("o", 1, t2=t2),
        obs("ti", {"x": [1], "time": [NOW]}, t2=t2),
        obs("t", {"x": [1], "y": [1]}, t2=t2),
        dp("p", 1, t1=NOW, t2=t2),
    )
    rows = {row["attr"]: row["t2"] for row in node.get("/entity/a/raw/get").json()["data"]}
    assert rows == {"o": NOW, "ti": NOW, "t": "2020-01-01T12:05:00Z", "p": None}


@pytest.mark.parametrize("t2", [" ", "0", False, [], {}], ids=repr)
def test_what_is_no_time_is_no_empty_t2(shared_node: Node, t2: Any) -> None:
    (error,) = shared_node.send(obs("o", 1, t2=t2)).json()["detail"]
    assert error["loc"] == ["body", 0, "t2"]
