"""Routes that change one entity."""

import pytest

from dp3.log.port import Lane
from kit.node import NOW, Node, dp


@pytest.mark.parametrize(
    "url", ["/entity/a/e1/set/{attr}", "/v2/entity/a/attr?eid=e1&attr={attr}"], ids=["v1", "v2"]
)
def test_set_makes_a_data_point_that_is_valid_from_now(node: Node, url: str) -> None:
    assert node.post(url.format(attr="o"), {"value": "5"}).json() == {"detail": "OK"}
    (row,) = node.get("/entity/a/raw/get").json()["data"]
    assert row == {
        "type": "a",
        "id": "e1",
        "attr": "o",
        "v": 5,
        "c": 1.0,
        "src": "127.0.0.9 via API",
        "t1": NOW,
        "t2": NOW,
    }


def test_regular_timeseries_can_be_set(node: Node) -> None:
    assert node.post("/entity/a/e1/set/t", {"value": {"x": [1], "y": [2]}}).status_code == 200


def test_mirror_can_not_be_set(node: Node) -> None:
    response = node.post("/entity/b/1/set/as", {"value": []})
    assert response.json()["detail"][0]["msg"] == (
        "Value error, Cannot instantiate a read-only attribute datapoint."
    )


def test_missing_value_is_null(node: Node) -> None:
    assert node.post("/entity/a/e1/set/free", {}).status_code == 200
    node.process()
    assert node.get("/entity/a/e1/master").json()["free"]["v"] is None


@pytest.mark.parametrize("body", [b"[]", b"1", b"", b"\xff", b"[" * 100_000])
def test_body_of_set_must_be_an_object(shared_node: Node, body: bytes) -> None:
    response = shared_node.post("/entity/a/e1/set/p", body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body"]


def test_tokens_keep_the_later_time_and_show_in_the_master_record(node: Node) -> None:
    for expiry in ("2030-01-01T00:00:00+01:00", "2029-01-01"):
        assert node.post("/entity/b/7/ttl", {"with.dot": expiry}).status_code == 200
    assert node.post("/v2/entity/b/ttl?eid=7", {"x": 1893456000}).status_code == 200
    node.process()
    tokens = node.get("/entity/b/7/master").json()["#ttl"]
    assert tokens["with.dot"] == "2029-12-31T23:00:00Z"
    assert tokens["x"] == "2030-01-01T00:00:00Z"


@pytest.mark.parametrize("body", [b"{}", b"[]", b"x", b"", b'{"a": null}'])
def test_tokens_must_be_times_and_at_least_one(shared_node: Node, body: bytes) -> None:
    assert shared_node.post("/entity/b/7/ttl", body).status_code == 422


@pytest.mark.parametrize("url", ["/entity/a/e1", "/v2/entity/a?eid=e1", "/v2/entity/a/?eid=e1"])
def test_a_deleted_entity_is_gone_but_its_raw_data_points_stay(node: Node, url: str) -> None:
    node.store_points(dp("p", 1))
    assert node.request("DELETE", url).json() == {"detail": "OK"}
    node.process()
    assert node.get("/entity/a/e1/master").json() == {}
    assert node.get("/entity/a/raw/get").json()["count"] == 1


def test_writing_routes_can_wait(node: Node) -> None:
    response = node.request("DELETE", "/entity/a/e1?wait=true")
    assert (response.status_code, response.json()) == (202, {"detail": "OK", "applied": False})
    with node.working():
        node.wait_until(lambda: node.post("/entity/a/e1/set/p?wait=true", {"value": 1}).status_code == 200)
        node.wait_until(lambda: node.post("/entity/a/e1/ttl?wait=true", {"x": NOW}).status_code == 200)
    assert node.get("/entity/a/e1/get/p").json()["current_value"] == 1


def test_refused_requests_add_nothing(node: Node) -> None:
    node.post("/entity/a/e1/set/p", {"value": "x"})
    node.post("/entity/a/e1/set/nope", {"value": 1})
    node.post("/entity/a/e1/ttl", {})
    node.request("DELETE", "/entity/b/x")
    assert node.log.head(Lane.MAIN).offset == 0


def test_body_limits_hold_for_all_writing_routes(node: Node) -> None:
    assert node.post("/entity/a/e1/set/p", b" " * (node.services.settings.max_body + 1)).status_code == 413
    assert node.post("/entity/a/e1/set/p", b"{}", headers={"Content-Encoding": "gzip"}).status_code == 415
