"""Routes that read: master records, attributes, raw data-points, the model."""

from collections.abc import Callable
from typing import Any

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.task import DataPointTask
from dp3.reads.raw import RawPoints, RawQuery
from kit.node import MODEL, Node, dp, obs

MakeNode = Callable[..., Node]

HOUR = [f"2020-01-01T{hour:02}:00:00Z" for hour in range(24)]


def test_master_record_has_everything_known_in_the_order_of_the_model(node: Node) -> None:
    node.store_points(
        obs("om", "k"),
        dp("p", 1),
        obs("o", 5, c=0.5),
        obs("l", {"eid": 7}),
        dp("ip", "1.1.1.1"),
        obs("t", {"x": [1, 2], "y": [1, 2.5]}),
        dp("arr", ["x", "y"]),
    )
    now = {"t1": HOUR[12], "t2": HOUR[12]}
    master = node.get("/entity/a/e1/master").json()
    assert list(master) == ["p", "ip", "arr", "o", "om", "l", "t", "#time_created"]
    assert master == {
        "p": {"v": 1, "ts_last_update": HOUR[12]},
        "ip": {"v": "1.1.1.1", "ts_last_update": HOUR[12]},
        "arr": {"v": ["x", "y"], "ts_last_update": HOUR[12]},
        "o": [{**now, "v": 5, "c": 0.5}],
        "om": [{**now, "v": "k", "c": 1.0}],
        "l": [{**now, "v": {"eid": 7}, "c": 1.0}],
        "t": [
            {"t1": HOUR[12], "t2": "2020-01-01T12:05:00Z", "v": {"x": 1, "y": 1.0}},
            {"t1": "2020-01-01T12:05:00Z", "t2": "2020-01-01T12:10:00Z", "v": {"x": 2, "y": 2.5}},
        ],
        "#time_created": HOUR[12],
    }
    assert node.get("/v2/entity/a/master?eid=e1").json() == master


@pytest.mark.parametrize("root_path", ["", "/api", "/a.i/"])
def test_reads_past_the_framework_are_answered_as_by_it(make_node: MakeNode, root_path: str) -> None:
    node = make_node(root_path=root_path)
    series = obs("t", {"x": [1, 2], "y": [1, 2.5]})
    node.store_points(dp("p", 1), obs("o", 5), obs("l", {"eid": 7}), dp("p", 2, 7, "b"), series)
    entities = [
        "a/e1",
        "a/new",
        "a/%C3%A9%20%3F",
        "a/x%2Fy",
        "a/get",
        "b/7",
        "b/seven",
        "m/1",
        "none/e1",
        "/e1",
    ]
    attrs = ["p", "o", "l", "t", "as", "none", "p%0A", ""]
    paths = [f"/entity/{entity}/master" for entity in entities]
    paths += [f"/entity/{entity}/get/{attr}" for entity in entities for attr in attrs]
    paths += ["/entity/a/e1/master/", "/entity/a/e1/master%0A", "/v2/entity/a/e1/master"]
    for path in [*paths, *(root_path.rstrip("/") + path for path in paths)]:
        plain, by_framework = node.get(path), node.get(f"{path}?&")
        assert plain.status_code == by_framework.status_code, path
        assert plain.content == by_framework.content, path
        assert plain.headers.get("content-type") == by_framework.headers.get("content-type"), path


def test_times_have_six_fraction_digits_if_and_only_if_needed(node: Node) -> None:
    node.store_points(obs("o", 5, t1="2020-01-01T11:00:00.5Z", t2="2020-01-01T13:00:00+01:00"))
    (interval,) = node.get("/entity/a/e1/get/o").json()["history"]
    assert interval["t1"] == "2020-01-01T11:00:00.500000Z"
    assert interval["t2"] == "2020-01-01T12:00:00Z"


def test_history_is_shown_in_canonical_form_whatever_the_order_of_arrival(node: Node) -> None:
    parts = [
        obs("o", 1, HOUR[8], t2=HOUR[9], c=0.5),
        obs("o", 1, HOUR[9], t2=HOUR[10], c=1.0),
        obs("o", 2, HOUR[11], c=1.0),
    ]
    expected = [
        {"t1": HOUR[8], "t2": HOUR[10], "v": 1, "c": 0.75},
        {"t1": HOUR[11], "t2": HOUR[11], "v": 2, "c": 1.0},
    ]
    node.store_points(*parts)
    node.store_points(*({**part, "id": "e2"} for part in reversed(parts)))
    assert node.get("/entity/a/e1/get/o").json()["history"] == expected
    assert node.get("/entity/a/e2/get/o").json()["history"] == expected


def test_current_value_of_observations_is_that_of_now(node: Node) -> None:
    node.store_points(obs("o", 1, HOUR[10], t2=HOUR[11]), obs("o", 2, HOUR[12], t2=HOUR[13]))
    assert node.get("/entity/a/e1/get/o").json()["current_value"] == 2
    node.clock.advance(2 * 3600)
    assert node.get("/entity/a/e1/get/o").json()["current_value"] is None


def test_current_value_of_a_multi_valued_attribute_is_a_list(node: Node) -> None:
    node.store_points(obs("om", "x"), obs("om", "y"), obs("om", "old", HOUR[3]))
    assert node.get("/entity/a/e1/get/om").json()["current_value"] == ["x", "y"]


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", [1, 2]),
        ("date_from=" + HOUR[9], [2]),
        ("date_to=" + HOUR[9], [1]),
        ("date_from=" + HOUR[6] + "&date_to=" + HOUR[7], []),
        ("date_to=" + HOUR[18], [1, 2, 3]),
        ("date_from=1577872800&date_to=2020-01-01T12:00:00", [2]),
    ],
)
def test_history_overlaps_the_dates_and_ends_now_without_them(
    node: Node, query: str, values: list[int]
) -> None:
    node.store_points(obs("o", 1, HOUR[8]), obs("o", 2, HOUR[11]), obs("o", 3, HOUR[18]))
    history = node.get(f"/entity/a/e1/get/o?{query}").json()["history"]
    assert [interval["v"] for interval in history] == values


def test_dates_limit_timeseries_and_observations_in_master(node: Node) -> None:
    node.store_points(
        obs("o", 1, HOUR[3]),
        obs("o", 2, HOUR[9]),
        obs("ti", {"x": [1, 2], "time": [HOUR[3], HOUR[9]]}, HOUR[3], t2=HOUR[9]),
    )
    master = node.get(f"/entity/a/e1/master?date_from={HOUR[8]}").json()
    assert [interval["v"] for interval in master["o"]] == [2]
    assert master["ti"] == [{"t1": HOUR[9], "t2": HOUR[9], "v": {"x": 2}}]
    assert "o" not in node.get(f"/entity/a/e1/master?date_from={HOUR[5]}&date_to={HOUR[6]}").json()


def test_with_a_limit_the_newest_intervals_come_first_and_page_by_page(node: Node) -> None:
    node.store_points(*(obs("o", hour, HOUR[hour]) for hour in (1, 4, 7)), obs("o", 70, HOUR[7]))
    get = f"/entity/a/e1/get/o?date_to={HOUR[9]}"
    newest = node.get(f"{get}&limit=1").json()["history"]
    assert sorted(interval["v"] for interval in newest) == [7, 70]
    assert [interval["v"] for interval in node.get(f"{get}&limit=3").json()["history"]][2:] == [4]
    earlier = node.get(f"/entity/a/e1/get/o?date_to={HOUR[6]}&limit=5").json()["history"]
    assert [interval["v"] for interval in earlier] == [4, 1]
    assert node.get(f"{get}&limit=0").status_code == 422


def test_a_limit_counts_points_of_a_timeseries_too(node: Node) -> None:
    node.store_points(obs("ti", {"x": [1, 2], "time": [HOUR[3], HOUR[9]]}, HOUR[3], t2=HOUR[9]))
    history = node.get("/entity/a/e1/get/ti?limit=1").json()["history"]
    assert [point["v"] for point in history] == [{"x": 2}]


def test_plain_attribute_has_a_value_and_no_history(node: Node) -> None:
    node.store_points(dp("p", 1), dp("p", 2))
    answer = {"attr_type": 1, "current_value": 2, "history": []}
    assert node.get("/entity/a/e1/get/p").json() == answer
    assert node.get("/v2/entity/a/attr?eid=e1&attr=p").json() == answer


def test_timeseries_attribute_has_points_and_no_current_value(node: Node) -> None:
    node.store_points(obs("t", {"x": [1, 2], "y": [1.0, 2.0]}))
    answer = node.get("/entity/a/e1/get/t").json()
    assert (answer["attr_type"], answer["current_value"]) == (4, None)
    assert [point["v"] for point in answer["history"]] == [{"x": 1, "y": 1.0}, {"x": 2, "y": 2.0}]


def test_mirror_lists_the_entities_that_refer_to_this_one(node: Node) -> None:
    node.store_points(dp("p", 1, 7, "b"))
    nobody = {"attr_type": 1, "current_value": [], "history": []}
    assert node.get("/entity/b/7/get/as").json() == nobody
    node.store_points(obs("l", {"eid": 7}))
    assert node.get("/entity/b/7/get/as").json() == nobody | {"current_value": [{"eid": "e1"}]}
    node.clock.advance(2 * 3600)
    assert node.get("/entity/b/7/get/as").json() == nobody
    assert node.get(f"/v2/entity/b/attr?eid=7&attr=as&at={HOUR[12]}").json()["current_value"] == [
        {"eid": "e1"}
    ]


def test_bad_date_is_a_client_error(shared_node: Node) -> None:
    response = shared_node.get("/entity/a/e1/get/o?date_from=noon")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "date_from"]


def test_ids_are_found_in_any_spelling(node: Node) -> None:
    node.store_points(dp("p", 1, "aa:bb:cc:dd:ee:ff", "m"), dp("p", 2, 7, "b"))
    assert node.get("/entity/m/AA-BB-CC-DD-EE-FF/get/p").json()["current_value"] == 1
    assert node.get("/entity/b/007/get/p").json()["current_value"] == 2


def test_version_2_takes_ids_with_any_characters(node: Node) -> None:
    node.store_points(dp("p", 1, "x/y?z é"))
    assert node.get("/v2/entity/a/attr", params={"eid": "x/y?z é", "attr": "p"}).json()["current_value"] == 1


def test_types_are_described_with_the_number_of_their_entities(node: Node) -> None:
    node.store_points(dp("p", 1, "x"), dp("p", 1, "y"))
    types = node.get("/entities").json()
    assert list(types) == ["a", "b", "m"]
    assert {key: types["a"][key] for key in ("id", "id_data_type", "name", "eid_estimate_count")} == {
        "id": "a",
        "id_data_type": "string",
        "name": "A",
        "eid_estimate_count": 2,
    }
    common = {"name": "x", "description": ""}
    attribs = types["a"]["attribs"]
    assert attribs["p"] == {
        "id": "p",
        **common,
        "ttl": "PT10S",
        "t": 1,
        "type": "plain",
        "data_type": "int",
        "editable": False,
    }
    assert attribs["o"] == {
        "id": "o",
        **common,
        "ttl": "PT0S",
        "t": 2,
        "type": "observations",
        "data_type": "int",
        "editable": False,
        "confidence": False,
        "multi_value": False,
        "history_params": {
            "max_age": None,
            "max_items": None,
            "expire_time": None,
            "pre_validity": "PT1H",
            "post_validity": "PT1H",
            "aggregate": True,
        },
        "history_force_graph": False,
    }
    assert attribs["ti"] == {
        "id": "ti",
        **common,
        "ttl": "PT0S",
        "t": 4,
        "type": "timeseries",
        "timeseries_type": "irregular",
        "series": {"x": {"data_type": "int"}, "time": {"data_type": "time"}},
        "timeseries_params": {"max_age": None, "time_step": None},
    }
    assert types["b"]["attribs"]["as"]["data_type"] == "set<link<a>>"


# -- raw ---------------------------------------------------------------------------------------------


def values(answer: dict[str, Any]) -> list[Any]:
    assert answer["count"] == len(answer["data"])
    return [row["v"] for row in answer["data"]]


def test_raw_data_points_are_listed_newest_first(node: Node) -> None:
    node.send(dp("p", 1), dp("p", 2, "e2"), dp("p", 3))
    node.send(dp("p", 4, src="x"))
    answer = node.get("/entity/a/raw/get").json()
    assert values(answer) == [4, 2, 3, 1]
    assert answer["data"][0] == {
        "attr": "p",
        "src": "x",
        "v": 4,
        "c": 1.0,
        "t1": None,
        "t2": None,
        "type": "a",
        "id": "e1",
    }
    assert "truncated" not in answer


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("eid=e2", [2]),
        ("attr=s", ["x"]),
        ("src=y", [3]),
        ("skip=1&limit=2", [3, 2]),
        ("limit=0", ["x", 3, 2, 1]),
        ("eid=e1&attr=p", [3, 1]),
    ],
)
def test_raw_data_points_can_be_filtered_and_paged(node: Node, query: str, expected: list[Any]) -> None:
    for point in (dp("p", 1), dp("p", 2, "e2"), dp("p", 3, src="y"), dp("s", "x"), dp("p", 9, 1, "b")):
        node.send(point)
    for path in ("/entity/a", "/v2/entity/a"):
        assert values(node.get(f"{path}/raw/get?{query}").json()) == expected


def test_raw_lists_derived_data_points_and_leaves_out_what_was_refused(make_node: MakeNode) -> None:
    def derive(eid: str, task: DataPointTask) -> list[DataPointTask]:
        point = {"etype": "a", "eid": eid, "attr": "s", "v": "derived"}
        return [DataPointTask(model_spec=MODEL, etype="a", eid=eid, data_points=[point])]

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_allow_entity_creation_hook(lambda eid, task: eid != "bad", "a")
        registrar.register_on_entity_creation_hook(derive, "a")

    node = make_node(register=register, wait_limit_s=10)
    with node.working():
        node.send(dp("p", 1), dp("p", 2, "bad"), dp("p", 3), params={"wait": "true"})
        node.wait_until(lambda: node.get("/entity/a/e1/get/s").json()["current_value"] == "derived")
    assert values(node.get("/entity/a/raw/get").json()) == ["derived", 3, 1]


def test_raw_says_when_it_stopped_before_the_end(node: Node) -> None:
    for i in range(20):
        node.send(dp("p", i))
    raw = RawPoints(node.log, node.store.batches, node.store.partitions, max_bytes=200)
    found = raw.find(RawQuery("a", limit=0))
    assert found["truncated"] is True
    assert values(found) == list(range(19, 19 - found["count"], -1))
    assert 0 < found["count"] < 20
