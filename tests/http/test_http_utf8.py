"""Bodies are UTF-8 as a whole, also where nobody looks at them."""

import json
from typing import Any

import pytest

from dp3.http.pieces import SMALL_BODY
from kit.node import Node, dp, obs

NOT_UTF8 = {
    "no first byte": b"\xff",
    "a cut character": b"\xc3",
    "a surrogate": b"\xed\xa0\x80",
    "behind the last character": b"\xf4\x90\x80\x80",
}
IGNORED = {"ignored": "x", "more": {"key": ["y"]}}
POINTS = [
    dp("s", "text", src="s1", **IGNORED),
    dp("free", {"key": "text"}),
    obs("l", {"eid": 7}, **IGNORED),
    dp("d", {"x": 1, "unknown": "z"}),
    obs("ti", {"x": [1], "time": ["2020-01-01T12:00:00Z"], "unknown": ["z"]}),
]
BODIES: dict[str, Any] = {
    "/datapoints": POINTS,
    "/entity/a/e1/set/s": {"value": "text"} | IGNORED,
    "/entity/a/e1/set/free": {"value": {"key": "text"}},
    "/entity/a/e1/ttl": {"token": "2030-01-01"},
    "/entity/a/get": {"generic_filter": {"last.s": "text"}, "sort": ["s"]},
    "/v2/entity/a/get": {"eids": ["e1"]},
    "/entity/a/count": {"fulltext_filters": {"s": "text"}},
}


def names_the_place(answer: Any) -> bool:
    (error,) = answer["detail"]
    return error["loc"][0] == "body" and "Invalid UTF-8" in error.get("ctx", {}).get("error", error["msg"])


@pytest.mark.parametrize("bad", NOT_UTF8.values(), ids=NOT_UTF8)
@pytest.mark.parametrize(("url", "content"), BODIES.items())
def test_bytes_that_are_not_utf8_are_refused_wherever_they_stand(
    shared_node: Node, url: str, content: Any, bad: bytes
) -> None:
    body = json.dumps(content).encode()
    for place in range(0, len(body) + 1, 3 if url == "/datapoints" else 1):
        response = shared_node.post(url, body[:place] + bad + body[place:])
        assert response.status_code == 422, (place, response.text)
        assert names_the_place(response.json()), (place, response.text)


def test_also_in_ignored_keys_of_a_large_body(shared_node: Node) -> None:
    points = POINTS * (SMALL_BODY // len(json.dumps(POINTS)) + 2)
    body = json.dumps([*points, dp("p", 1, ignored="\xe4here"), *points], ensure_ascii=False).encode()
    assert shared_node.post("/datapoints", body).status_code == 200
    response = shared_node.post("/datapoints", body.replace(b"here", b"\xff"))
    assert response.status_code == 422
    assert names_the_place(response.json())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_refused_by_every_route(shared_node: Node, encoding: str) -> None:
    for url, content in BODIES.items():
        assert shared_node.post(url, json.dumps(content).encode(encoding)).status_code == 422, url
