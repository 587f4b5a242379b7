"""`POST /datapoints`: all or nothing, once, durable, within limits."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from dp3.log.appender import Appender
from dp3.log.port import Append, Appended, Lane, LogFull
from kit.limits import Enter, backlog_age_s, body_s, silence_s, slowest_bytes_per_s
from kit.node import Node, dp, obs

MakeNode = Callable[..., Node]


def entries(node: Node) -> int:
    return node.log.head(Lane.MAIN).offset


def raw_values(node: Node) -> list[Any]:
    return [row["v"] for row in node.get("/entity/a/raw/get?limit=0").json()["data"]]


def test_whatever_was_answered_with_ok_is_in_the_log(node: Node) -> None:
    assert node.send(dp("p", 1), dp("p", 2)).json() == {"detail": "OK"}
    assert raw_values(node) == [2, 1]


def test_one_bad_data_point_keeps_all_others_out(node: Node) -> None:
    assert node.send(dp("p", 1), dp("p", "x"), dp("p", 2)).status_code == 422
    assert entries(node) == 0


def test_a_request_is_one_log_entry_however_many_entities_it_is_about(node: Node) -> None:
    node.send(*(dp("p", i, f"e{i}") for i in range(50)))
    assert entries(node) == 1


def test_a_request_without_data_points_adds_nothing(node: Node) -> None:
    assert node.send().status_code == 200
    assert entries(node) == 0


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "nonsense"])
def test_any_content_type_will_do(node: Node, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert node.post("/datapoints", [dp("p", 1)], headers=headers).status_code == 200


def test_values_that_need_coercion_are_stored_in_canonical_form(node: Node) -> None:
    node.store_points(dp("p", "7"), dp("mac", "AA-BB-CC-DD-EE-FF"), dp("macs", ["AA:BB:CC:DD:EE:FF"]))
    master = node.get("/entity/a/e1/master").json()
    assert master["p"]["v"] == 7
    assert master["mac"]["v"] == "aa:bb:cc:dd:ee:ff"
    assert master["macs"]["v"] == ["aa:bb:cc:dd:ee:ff"]


# -- limits ------------------------------------------------------------------------------------------


def test_compressed_bodies_are_refused(node: Node) -> None:
    assert node.post("/datapoints", [], headers={"Content-Encoding": "gzip"}).status_code == 415


def test_a_body_over_the_limit_is_refused(make_node: MakeNode) -> None:
    node = make_node(settings={"max_body": 100})
    assert node.post("/datapoints", b"[" + b" " * 98 + b"]").status_code == 200
    assert node.post("/datapoints", b"[" + b" " * 99 + b"]").status_code == 413


def test_a_chunked_body_is_refused_before_all_of_it_was_read(make_node: MakeNode) -> None:
    node = make_node(settings={"max_body": 100})
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 60

    response = node.request("POST", "/datapoints", content=chunks())
    assert response.status_code == 413
    assert sent == 2


def test_bodies_in_flight_are_limited_together(make_node: MakeNode) -> None:
    node = make_node(settings={"max_concurrent_body": 100})
    first_arrived, second_answered = asyncio.Event(), asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        yield b"[" + b" " * 59
        first_arrived.set()
        await second_answered.wait()
        yield b"]"

    async def scenario() -> list[httpx.Response]:
        async with node.client() as client:
            first = asyncio.create_task(client.post("/datapoints", content=slow_body()))
            await first_arrived.wait()
            second = await client.post("/datapoints", content=b"[" + b" " * 50 + b"]")
            second_answered.set()
            third = await first
            return [second, third, await client.post("/datapoints", content=b"[" + b" " * 50 + b"]")]

    second, first, third = node.run(scenario())
    assert (second.status_code, second.headers["Retry-After"]) == (503, "1")
    assert (first.status_code, third.status_code) == (200, 200)


def test_new_data_is_refused_while_too_much_is_unprocessed(make_node: MakeNode, enter: Enter) -> None:
    enter(backlog_age_s(-1))
    node = make_node(max_backlog=10)
    assert node.send(dp("p", 1)).status_code == 200
    response = node.send(dp("p", 2))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert node.post("/entity/a/e1/set/p", {"value": 1}).status_code == 503
    assert node.get("/health/ready").status_code == 503
    node.process()
    assert node.send(dp("p", 2)).status_code == 200


class FullLog:
    """A log whose disk is full."""

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        raise LogFull("no space left")


def test_nothing_is_accepted_while_the_log_is_full(make_node: MakeNode) -> None:
    appender = Appender(FullLog())  # type: ignore[arg-type]
    node = make_node(appender=appender)
    response = node.send(dp("p", 1))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert any("no space left" in reason for reason in node.get("/health/ready").json()["reasons"])
    appender.close()


def test_requests_that_come_during_shutdown_are_told_to_try_again(node: Node) -> None:
    node.appender.close()
    assert node.send(dp("p", 1)).status_code == 503


def test_a_client_that_stops_sending_is_given_up(node: Node, enter: Enter) -> None:
    enter(silence_s(0.01))

    async def stalled() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    assert node.request("POST", "/datapoints", content=stalled()).status_code == 408


def test_a_client_that_sends_drop_by_drop_is_given_up(node: Node, enter: Enter) -> None:
    enter(body_s(0.02))

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.001)

    response = node.request("POST", "/datapoints", content=dripping())
    assert (response.status_code, "too slowly" in response.json()["detail"]) == (408, True)


def test_a_body_has_more_time_the_more_of_it_has_come(node: Node, enter: Enter) -> None:
    enter(body_s(0.02))
    enter(slowest_bytes_per_s(0.1))

    async def parts() -> AsyncIterator[bytes]:
        yield b"["
        for _ in range(30):
            yield b" "
            await asyncio.sleep(0.001)
        yield b"]"

    assert node.request("POST", "/datapoints", content=parts()).status_code == 200


def test_a_client_that_goes_away_before_the_end_of_its_body_stores_nothing(node: Node) -> None:
    body = json.dumps([dp("p", 1)]).encode()
    incoming = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.disconnect"},
    ]
    outgoing: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        outgoing.append(message)

    scope = {"type": "http", "method": "POST", "path": "/datapoints", "query_string": b"", "headers": []}
    node.run(node.app(scope, receive, send))
    assert not outgoing
    assert entries(node) == 0


# -- idempotency -------------------------------------------------------------------------------------


def keyed(node: Node, key: str, *points: dict[str, Any]) -> httpx.Response:
    return node.send(*points, headers={"Idempotency-Key": key})


def test_a_repeat_with_the_same_key_adds_nothing_and_gets_the_first_answer(node: Node) -> None:
    first, repeat = keyed(node, "k", dp("p", 1)), keyed(node, "k", dp("p", 1))
    assert (first.status_code, first.json()) == (repeat.status_code, repeat.json()) == (200, {"detail": "OK"})
    assert "Idempotency-Replayed" not in first.headers
    assert repeat.headers["Idempotency-Replayed"] == "true"
    assert entries(node) == 1


def test_the_same_key_with_another_body_is_a_conflict(node: Node) -> None:
    keyed(node, "k", dp("p", 1))
    response = keyed(node, "k", dp("p", 2))
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {
            "loc": ["header", "Idempotency-Key"],
            "msg": "Idempotency key 'k' was used for a request with a different body",
            "type": "value_error",
        }
    ]
    assert raw_values(node) == [1]


def test_an_empty_request_takes_its_key_too(node: Node) -> None:
    keyed(node, "k")
    assert keyed(node, "k").headers["Idempotency-Replayed"] == "true"
    assert keyed(node, "k", dp("p", 1)).status_code == 422
    node.process()


def test_a_refused_request_does_not_take_its_key(node: Node) -> None:
    assert keyed(node, "k", dp("p", "x")).status_code == 422
    assert keyed(node, "k", dp("p", 1)).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "a\tb"])
def test_keys_have_1_to_200_visible_characters(shared_node: Node, key: str) -> None:
    response = keyed(shared_node, key, dp("p", 1))
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_concurrent_repeats_of_a_key_add_one_entry(node: Node) -> None:
    async def scenario() -> list[httpx.Response]:
        body, headers = json.dumps([dp("p", 1)]).encode(), {"Idempotency-Key": "k"}
        async with node.client() as client:
            sent = [client.post("/datapoints", content=body, headers=headers) for _ in range(10)]
            return list(await asyncio.gather(*sent))

    responses = node.run(scenario())
    assert {response.status_code for response in responses} == {200}
    assert sum("Idempotency-Replayed" in response.headers for response in responses) == 9
    assert entries(node) == 1


# -- waiting -----------------------------------------------------------------------------------------


def test_with_wait_the_values_can_be_read_after_the_answer(make_node: MakeNode) -> None:
    node = make_node(wait_limit_s=10)
    with node.working():
        for i in range(5):
            response = node.send(dp("p", i), params={"wait": "true"})
            assert (response.status_code, response.json()) == (200, {"detail": "OK", "applied": True})
            assert node.get("/entity/a/e1/get/p").json()["current_value"] == i


def test_with_wait_and_no_worker_the_answer_says_that_it_is_not_applied(node: Node) -> None:
    response = node.send(dp("p", 1), params={"wait": "true"})
    assert (response.status_code, response.json()) == (202, {"detail": "OK", "applied": False})
    assert entries(node) == 1


def test_waiting_for_nothing_ends_at_once(node: Node) -> None:
    assert node.send(params={"wait": "1"}).json() == {"detail": "OK", "applied": True}


def test_wait_must_be_a_truth_value(shared_node: Node) -> None:
    response = shared_node.send(dp("p", 1), params={"wait": "maybe"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "wait"]


# -- logs of data-points -----------------------------------------------------------------------------


def test_accepted_and_rejected_data_points_are_logged_when_configured(
    make_node: MakeNode, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    node = make_node(settings={"datapoint_logger": {"good_log": str(good), "bad_log": str(bad)}})
    node.send(dp("p", 1, src="x"), obs("o", 2))
    node.clock.advance(0.0079)
    node.send(dp("p", 3), dp("p", "x\n"))
    node.post("/datapoints", b"[garbage")
    node.end_lifespan()
    assert good.read_text().splitlines() == [
        "2020-01-01 12:00:00,000 (127.0.0.9) | {'etype': 'a', 'eid': 'e1', 'attr': 'p', 'src': 'x', "
        "'v': 1, 'c': 1.0, 't1': None, 't2': None}",
        "2020-01-01 12:00:00,000 (127.0.0.9) | {'etype': 'a', 'eid': 'e1', 'attr': 'o', 'src': None, "
        "'v': 2, 'c': 1.0, 't1': '2020-01-01 12:00:00+00:00', 't2': '2020-01-01 12:00:00+00:00'}",
    ]
    first, second = bad.read_text().splitlines()
    assert first.startswith("2020-01-01 12:00:00,007 (127.0.0.9) | {'type': 'int_parsing', 'loc': ['body', 1")
    assert "'input': '[garbage'" in second


def test_without_configuration_nothing_is_logged(node: Node, tmp_path: Path) -> None:
    node.send(dp("p", 1), dp("p", "x"))
    assert not list(tmp_path.rglob("*.log"))
