"""Routes for operators: health, the state of the log, dead letters; and what holds for all routes."""

from collections.abc import Callable
from typing import Any

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.task import DataPointTask
from dp3.store.ports.leases import Holder
from kit.faults import control_sends
from kit.limits import Enter, pending_messages
from kit.node import Node, dp

MakeNode = Callable[..., Node]


def test_the_process_is_alive_whatever_its_workers_do(node: Node) -> None:
    assert node.get("/health/live").status_code == 200


def test_ready_names_every_worker_that_is_not_working(make_node: MakeNode) -> None:
    node = make_node(worker_processes=2)
    lease = node.store.leases.take(0, 2, Holder("host", 1), 15)
    node.store.leases.heartbeat(lease, "hook test.slow hangs")
    response = node.get("/health/ready")
    assert (response.status_code, response.json()) == (
        503,
        {"status": "not ready", "reasons": ["worker 0: hook test.slow hangs", "worker 1 is not running"]},
    )


def test_ready_needs_a_heartbeat_of_the_last_15_seconds(node: Node) -> None:
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    node.store.leases.heartbeat(lease, "working")
    node.clock.advance(15)
    assert node.get("/health/ready").json() == {"status": "ready", "reasons": []}
    node.clock.advance(1)
    assert node.get("/health/ready").json()["reasons"] == ["worker 0 has been silent for 16 s"]


def test_a_heartbeat_from_before_the_clock_was_set_back_tells_nothing(node: Node) -> None:
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    node.store.leases.heartbeat(lease, "working")
    node.clock.advance(-3600)
    reasons = node.get("/health/ready").json()["reasons"]
    assert reasons == ["worker 0 has not been heard of since the clock was set back"]
    node.store.leases.heartbeat(lease, "working")
    assert node.get("/health/ready").status_code == 200


def test_log_state_tells_how_far_workers_are_behind(node: Node) -> None:
    node.send(dp("p", 1))
    node.send(dp("p", 1))
    node.clock.advance(3)
    state = node.get("/telemetry/log").json()
    assert state["unprocessed_bytes"] > 0
    assert state["oldest_unprocessed_age_s"] == 3.0
    assert len(state["partitions"]) == 2 * node.store.partitions
    assert state["partitions"][0] == {"partition": 0, "lane": "main", "position": 0, "head": 2, "lag": 2}
    node.process()
    state = node.get("/telemetry/log").json()
    assert (state["unprocessed_bytes"], state["oldest_unprocessed_age_s"]) == (0, None)
    assert {each["lag"] for each in state["partitions"]} == {0}


# -- dead letters ------------------------------------------------------------------------------------


class Flaky:
    """Hooks that fail until they are told not to."""

    def __init__(self) -> None:
        self.works = False

    def register(self, registrar: CallbackRegistrar) -> None:
        registrar.register_on_entity_creation_hook(self.hook, "a")

    def hook(self, eid: str, task: DataPointTask) -> list[DataPointTask]:
        if not self.works:
            raise RuntimeError(f"can not work with {eid}")
        return []


@pytest.fixture
def flaky() -> Flaky:
    return Flaky()


@pytest.fixture
def failing(make_node: MakeNode, flaky: Flaky) -> Node:
    """A node with three dead letters."""
    node = make_node(register=flaky.register, wait_limit_s=10)
    node.store_points(*(dp("p", i, f"e{i}") for i in range(3)))
    return node


def letters(node: Node, query: str = "") -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = node.get(f"/deadletters?{query}").json()["data"]
    return data


def test_a_dead_letter_says_what_failed_and_why(failing: Node) -> None:
    listed = next(letter for letter in letters(failing) if letter["eid"] == "e1")
    assert failing.get(f"/deadletters/{listed['id']}").json() == listed
    assert listed["kind"] == "hook"
    assert (listed["module"], listed["etype"]) == ("test", "a")
    assert "hook" in listed["hook"]
    assert "can not work with e1" in listed["reason"]
    assert "RuntimeError" in listed["traceback"]
    assert listed["task"]["data_points"] == [
        {"attr": "p", "v": 1, "t1": None, "t2": None, "c": 1.0, "src": None}
    ]


def test_dead_letters_can_be_filtered_and_paged(failing: Node) -> None:
    first, second, third = (letter["id"] for letter in letters(failing))
    assert [letter["id"] for letter in letters(failing, f"after={first}&limit=1")] == [second]
    assert [letter["eid"] for letter in letters(failing, "eid=e2&kind=hook&module=test&etype=a")] == ["e2"]
    assert letters(failing, "eid=other") == []
    assert failing.get(f"/deadletters?after={third}").json() == {"count": 0, "total": 3, "data": []}


def test_dead_letters_are_listed_with_the_newest_first(failing: Node) -> None:
    first, second, third = (letter["id"] for letter in letters(failing))
    assert [letter["id"] for letter in letters(failing, "order=newest")] == [third, second, first]
    assert [letter["id"] for letter in letters(failing, f"order=newest&after={third}&limit=1")] == [second]
    assert failing.get("/deadletters?order=best").status_code == 422


def test_dead_letters_are_summed_up_by_hook_and_reason(failing: Node) -> None:
    failing.store_points(*(dp("p", 1, f"more{i}") for i in range(20)))
    summary = failing.get("/deadletters/summary").json()
    assert (summary["total"], summary["count"]) == (23, 23)
    (group,) = summary["groups"]
    assert (group["kind"], group["module"], group["count"], group["reasons"]) == ("hook", "test", 23, 23)
    assert group["reason"] == "RuntimeError: can not work with more19"
    assert group["newest"] == letters(failing, "order=newest")[0]["id"]
    some = failing.get("/deadletters/summary?reason=with e").json()
    assert (some["total"], some["count"], len(some["groups"])) == (23, 3, 3)


def test_a_retried_letter_goes_if_it_works_now(failing: Node, flaky: Flaky) -> None:
    first = letters(failing)[0]["id"]
    with failing.working():
        failed = failing.post(f"/deadletters/{first}/retry")
        assert failed.status_code == 200
        assert failed.json()["results"][str(first)]["done"] is False
        flaky.works = True
        worked = failing.post(f"/deadletters/{first}/retry")
        assert worked.json() == {"detail": "OK", "results": {str(first): {"done": True}}}
    assert len(letters(failing)) == 2


def test_letters_can_be_dropped_singly_and_by_filter(failing: Node) -> None:
    first = letters(failing)[0]["id"]
    with failing.working():
        assert failing.request("DELETE", f"/deadletters/{first}").json() == {
            "detail": "OK",
            "results": {str(first): {"done": True}},
        }
        dropped = failing.post("/deadletters/drop?kind=hook").json()
    assert [result["done"] for result in dropped["results"].values()] == [True, True]
    assert letters(failing) == []


def test_letters_can_be_retried_by_filter(failing: Node, flaky: Flaky) -> None:
    flaky.works = True
    with failing.working():
        retried = failing.post("/deadletters/retry?limit=2").json()
    assert len(retried["results"]) == 2
    assert len(letters(failing)) == 1


def test_letters_that_fail_again_can_be_passed_by(failing: Node) -> None:
    first, second, third = (letter["id"] for letter in letters(failing))
    with failing.working():
        retried = failing.post(f"/deadletters/retry?after={first}").json()
        dropped = failing.post(f"/deadletters/drop?after={second}").json()
    assert list(retried["results"]) == [str(second), str(third)]
    assert list(dropped["results"]) == [str(third)]


def test_without_a_worker_the_answer_says_that_it_is_not_done(make_node: MakeNode, flaky: Flaky) -> None:
    node = make_node(register=flaky.register, wait_limit_s=0.05)
    node.store_points(dp("p", 1))
    response = node.post(f"/deadletters/{letters(node)[0]['id']}/retry")
    assert (response.status_code, response.json()) == (202, {"detail": "Not all done yet", "results": {}})


def test_an_order_that_is_given_up_is_answered_with_the_reason(
    make_node: MakeNode, flaky: Flaky, enter: Enter
) -> None:
    node = make_node(register=flaky.register, wait_limit_s=10)
    node.store_points(dp("p", 1))
    (letter,) = letters(node)

    def send_before_a_change(send: Any, *message: Any) -> int:
        id_: int = send(*message)
        node.store.leases.release(node.store.leases.take(0, 2, Holder("host", 1), 15))
        return id_

    enter(control_sends(node.store, send_before_a_change))
    result = node.post(f"/deadletters/{letter['id']}/retry").json()["results"][str(letter["id"])]
    assert result["done"] is False
    assert "number of worker processes changed" in result["reason"]


def test_too_many_orders_that_wait_are_refused(failing: Node, enter: Enter) -> None:
    enter(pending_messages(0))
    response = failing.post(f"/deadletters/{letters(failing)[0]['id']}/retry")
    assert response.status_code == 503
    assert "messages wait for the workers" in response.json()["detail"]
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("request_line", ["GET {}", "DELETE {}", "POST {}/retry"])
@pytest.mark.parametrize("id", [12345, 1 << 70, -1, -(1 << 70)])
def test_unknown_dead_letter_is_not_found(shared_node: Node, request_line: str, id: int) -> None:
    method, url = request_line.format(f"/deadletters/{id}").split()
    response = shared_node.request(method, url)
    assert (response.status_code, response.json()) == (404, {"detail": f"Dead letter {id} doesn't exist"})


# -- all routes --------------------------------------------------------------------------------------


def test_pages_of_configured_origins_may_use_the_api(make_node: MakeNode) -> None:
    node = make_node(settings={"cors": {"allow_origins": ["http://good"]}})
    for url in ("/", "/datapoints"):
        good = node.request("POST", url, content=b"[]", headers={"Origin": "http://good"})
        bad = node.request("POST", url, content=b"[]", headers={"Origin": "http://bad"})
        assert good.headers["Access-Control-Allow-Origin"] == "http://good"
        assert "Access-Control-Allow-Origin" not in bad.headers


def test_a_proxy_may_set_a_prefix_and_strip_it_or_not(make_node: MakeNode) -> None:
    node = make_node(root_path="/api")
    for prefix in ("", "/api"):
        assert node.post(f"{prefix}/datapoints", [dp("p", 1)]).status_code == 200
        assert node.get(f"{prefix}/entities").status_code == 200
    assert node.get("/openapi.json").json()["servers"] == [{"url": "/api"}]
