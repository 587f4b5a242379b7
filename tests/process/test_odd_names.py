"""Attributes whose names mean something else in filters: they are noted, and found all the same."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kit.program import App, running, wait_for
from kit.specs import a_type, observed_attr, plain_attr

DEVICE = a_type(
    "device",
    {
        "_id": plain_attr("string"),
        "last": observed_attr("dict<port:int>", {"post_validity": "36500d"}),
        "port": plain_attr("int"),
        "owner": plain_attr("link<user;mirror=last>"),
    },
    id_data_type="int",
)
MODEL = {"device": DEVICE, "user": a_type("user", {"name": plain_attr("string")})}


def of_device(number: int, **values: Any) -> list[dict[str, Any]]:
    points = [{"type": "device", "id": number, "attr": attr, "v": v} for attr, v in values.items()]
    return [{**point, "t1": "2026-01-01T00:00:00Z"} if point["attr"] == "last" else point for point in points]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("odd"), MODEL) as app:
        points = [
            *of_device(1, _id="B-one", last={"port": 80}, port=1, owner={"eid": "u"}),
            *of_device(2, _id="A-two", last={"port": 443}, port=2),
            {"type": "user", "id": "u", "attr": "name", "v": "U"},
        ]
        app.client.request("POST", "/datapoints", query={"wait": True}, body=points)
        app.client.request("POST", "/control/make_snapshots")
        wait_for("snapshots", lambda: app.client.get("/entity/device/get")["count"] == 2)
        yield app


def found(app: App, route: str = "get", **query: Any) -> Any:
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in query.items()}
    return app.client.get(f"/entity/device/{route}", **texts)


def ids(app: App, **query: Any) -> list[int]:
    return [document["eid"] for document in found(app, **query)["data"]]


def test_each_name_is_noted_once_when_the_program_starts(app: App) -> None:
    notes = [line for line in app.program.output.splitlines() if "another meaning in filters" in line]
    places = ("attribs._id: ", "attribs.last: ", "attribs.owner.data_type: ")
    assert [sum(place in note for note in notes) for place in places] == [1, 1, 1] and len(notes) == 3


def test_an_attribute_called_id_is_asked_for_with_the_prefix_and_the_id_without(app: App) -> None:
    assert ids(app, generic_filter={"last._id": "B-one"}) == [1]
    assert ids(app, generic_filter={"_id": 2}) == [2]
    assert ids(app, generic_filter={"last.eid": 2, "last._id": {"$regex": "^A"}}) == [2]
    assert found(app, "count", generic_filter={"last._id": "1"})["total_count"] == 0


def test_an_attribute_called_id_is_searched_sorted_and_counted_by_its_own_values(app: App) -> None:
    assert ids(app, fulltext_filters={"_id": "one"}) == [1]
    assert ids(app, fulltext_filters={"_id": "t"}, generic_filter={"last._id": "B-one"}) == [2], "text wins"
    assert ids(app, sort="_id") == [2, 1]
    assert found(app, "_/distinct/_id") == {"A-two": 1, "B-one": 1}
    assert app.client.get("/entity/device/1/get/_id")["current_value"] == "B-one"


def test_an_attribute_called_last_is_asked_for_with_the_prefix_before_it(app: App) -> None:
    assert ids(app, generic_filter={"last.last.port": 443}) == [2]
    assert ids(app, generic_filter={"last.port": 2}) == [2], "the prefix, and another attribute"
    assert ids(app, generic_filter={"last": {"$exists": True}}) == [1, 2]
    for of_mirror in ({"last.last.eid": 1}, {"last": {"$elemMatch": {"eid": 1}}}):
        query = json.dumps(of_mirror)
        assert app.client.get("/entity/user/get", generic_filter=query)["count"] == 1, of_mirror
    assert app.client.get("/entity/user/get", fulltext_filters=json.dumps({"last": "^1$"}))["count"] == 1
    assert app.client.get("/entity/user/_/distinct/last") == {"1": 1}


def test_snapshots_and_master_records_show_both(app: App) -> None:
    (snapshot,) = found(app, generic_filter={"eid": 1})["data"]
    assert (snapshot["eid"], snapshot["_id"], snapshot["last"]) == (1, "B-one", {"port": 80})
    master = app.client.get("/entity/device/1/master")
    assert master["_id"]["v"] == "B-one" and master["last"][0]["v"] == {"port": 80}
