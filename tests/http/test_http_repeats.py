"""A data-point counts as often as it is accepted; a request counts once if it has an idempotency key."""

import itertools
from typing import Any

import pytest

from kit.node import NOW, Node, dp, obs

CHUNK = obs("t", {"x": [1, 2], "y": [0.5, 1.5]})
EVENTS = obs("ti", {"x": [7], "time": [NOW]})


def rows(node: Node, attr: str) -> list[Any]:
    history = node.get(f"/entity/a/e1/get/{attr}").json()["history"]
    return [(point["t1"], point["v"]["x"]) for point in history]


def test_a_chunk_that_is_accepted_twice_has_its_rows_twice(node: Node) -> None:
    """Equal rows may be two events, or the word of two sources: only the sender knows."""
    node.store_points(CHUNK, EVENTS)
    node.store_points(CHUNK, EVENTS | {"src": "other"})
    first, second = NOW, "2020-01-01T12:05:00Z"
    assert rows(node, "t") == [(first, 1), (first, 1), (second, 2), (second, 2)]
    assert rows(node, "ti") == [(NOW, 7), (NOW, 7)]
    assert node.get("/entity/a/raw/get?attr=t").json()["count"] == 2


def test_a_request_repeated_with_its_key_counts_once(node: Node) -> None:
    for _ in range(2):
        response = node.send(CHUNK, headers={"Idempotency-Key": "chunk-1"})
        assert response.status_code == 200
    node.process()
    assert len(rows(node, "t")) == 2


def test_the_order_in_which_equal_and_overlapping_chunks_arrive_does_not_matter(make_node: Any) -> None:
    chunks = [CHUNK, CHUNK, obs("t", {"x": [2, 9], "y": [1.5, 3]}, t1="2020-01-01T12:05:00Z")]
    found = []
    for order in set(itertools.permutations(range(3))):
        node = make_node()
        for i in order:
            node.store_points(chunks[i])
        found.append(node.get("/entity/a/e1/get/t").json()["history"])
    assert all(one == found[0] for one in found)
    assert len(found[0]) == 6


@pytest.mark.parametrize(
    "point",
    [
        dp("d", {"x": 1, "y": "a", "unknown": 2}),
        obs("t", {"x": [1], "y": [1.0], "unknown": ["any", "length"]}),
        obs("ti", {"x": [1], "time": [NOW], "time_first": [NOW]}),
    ],
    ids=lambda point: point["attr"],
)
def test_keys_that_the_data_type_does_not_have_are_dropped(node: Node, point: dict[str, Any]) -> None:
    node.store_points(point)
    (row,) = node.get(f"/entity/a/raw/get?attr={point['attr']}").json()["data"]
    assert row["v"] == {name: v for name, v in point["v"].items() if name in ("x", "y", "time")}
