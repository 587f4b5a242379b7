"""Large values and many mistakes: refused with a small answer, and no other request waits for them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from dp3.http.answers import MAX_ECHO, MAX_ECHOES, MAX_ERRORS
from kit.node import Node, dp

MakeNode = Callable[..., Node]

LIMIT = 100_000
LARGE: dict[str, Any] = {
    "text": "x" * LIMIT,
    "escaped text": "\x01" * (LIMIT // 5),
    "list": [[]] * (LIMIT // 2),
    "object": {str(i): i for i in range(LIMIT // 9)},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Any:
    node = Node(tmp_path_factory.mktemp("node"), runner, settings={"max_value": LIMIT})
    yield node
    node.close()


def the_error(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 422, response.text
    assert len(response.content) < 5 * MAX_ECHO
    (error,) = response.json()["detail"]
    return dict(error)


def compact(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def fitting(value: Any) -> Any:
    """So much of a value that it is as large as it may be, or a little smaller."""
    if isinstance(value, dict):
        return dict(list(value.items())[: len(value) // 2])
    return value[: len(value) - 2] if value[0] == "x" else value[: len(value) // 3]


@pytest.mark.parametrize("what", LARGE)
@pytest.mark.parametrize("eid", ["e1", "é" * 1_000])
def test_a_value_above_the_limit_is_refused_at_its_data_point(node: Node, what: str, eid: str) -> None:
    points = [dp("p", 1), dp("free", LARGE[what], eid), dp("p", 1)]
    error = the_error(node.post("/datapoints", compact(points)))
    assert (error["type"], error["loc"]) == ("value_error", ["body", 1, "v"])
    assert f"more than {LIMIT} (max_value)" in error["msg"]
    assert node.send(dp("free", fitting(LARGE[what]), eid[:10])).status_code == 200


@pytest.mark.parametrize("what", LARGE)
def test_white_space_and_other_spelling_do_not_count(node: Node, what: str) -> None:
    body = json.dumps([dp("free", fitting(LARGE[what]))], indent=1).replace(":", "    :").encode()
    assert node.post("/datapoints", body).status_code == 200
    assert len(body) > LIMIT or what.endswith("text")


@pytest.mark.parametrize("what", LARGE)
def test_what_is_set_is_limited_too(node: Node, what: str) -> None:
    error = the_error(node.post("/entity/a/e1/set/free", compact({"value": LARGE[what]})))
    assert (error["type"], error["loc"]) == ("value_error", ["body", "value"])
    assert node.post("/entity/a/e1/set/free", compact({"value": fitting(LARGE[what])})).status_code == 200


def test_a_data_point_that_is_too_large_ends_the_check(make_node: MakeNode) -> None:
    node = make_node(settings={"max_value": LIMIT})
    bad, huge = dp("p", "x"), dp("p", [[]] * 100_000)
    first, second = node.send(bad, huge, bad).json()["detail"]
    assert (first["loc"], second["loc"]) == (["body", 0, "v"], ["body", 1])
    assert "Data-point is too large" in second["msg"]


def test_a_value_may_be_so_large_that_its_data_point_takes_the_slow_path_only(make_node: MakeNode) -> None:
    node = make_node()
    values = [["x" * 100] * 9_000, "y" * 1_000_000, 7]
    node.store_points(*(dp("free", value, f"e{i}") for i, value in enumerate(values)))
    for i, value in enumerate(values):
        assert node.get(f"/entity/a/e{i}/get/free").json()["current_value"] == value


NO_LISTS = [b"{" + b'"a":1,' * 600_000 + b'"a":1}', b'"' + b"x" * 3_000_000 + b'"', b" " * 99]


@pytest.mark.parametrize("body", NO_LISTS)
def test_a_large_body_that_is_no_list_is_refused_with_a_small_answer(node: Node, body: bytes) -> None:
    response = node.post("/datapoints", body)
    assert response.status_code == 422
    assert len(response.content) < 2 * MAX_ECHO


# -- errors ------------------------------------------------------------------------------------------


def test_what_errors_repeat_is_bounded_for_each_and_together(make_node: MakeNode) -> None:
    node = make_node()
    texts = ["x" * MAX_ECHO, "y" * (MAX_ECHO - 1_000), *("z" * 15_000 for _ in range(200))]
    errors = node.send(*({"type": "a", "id": "e1", "attr": "p", "w": text} for text in texts)).json()[
        "detail"
    ]
    assert len(errors) == len(texts)
    assert {tuple(error["loc"]) for error in errors} == {("body", i, "v") for i in range(len(texts))}
    assert [isinstance(error["input"], dict) for error in errors[:3]] == [False, True, True]
    assert not isinstance(errors[-1]["input"], dict)
    assert len(json.dumps(errors)) < 2 * MAX_ECHOES


def test_names_that_errors_repeat_are_bounded_too(make_node: MakeNode) -> None:
    name = "n" * (2 * MAX_ECHO)
    error = the_error(make_node().send(dp("p", 1, etype=name)))
    assert error["msg"].startswith("\"Value error, Combination of type 'nn") or "nnn" in error["msg"]


@pytest.mark.parametrize("target", ["/datapoints", "/entity/a/get"])
def test_the_check_of_a_list_ends_after_many_mistakes(make_node: MakeNode, target: str) -> None:
    wrong = [1] * 5_000
    response = make_node().post(target, {"eids": wrong} if target.endswith("get") else wrong)
    errors = response.json()["detail"]
    assert len(errors) == MAX_ERRORS + 1
    assert errors[-1]["type"] == "too_many_errors"


def test_thousands_of_wrong_tokens_are_one_error(make_node: MakeNode) -> None:
    error = the_error(make_node().post("/entity/b/1/ttl", {str(i): "x" for i in range(2_000)}))
    assert (error["type"], error["loc"]) == ("too_many_errors", ["body"])


@pytest.mark.parametrize(("target", "size"), [("/entity/b/1/ttl", LIMIT), ("/entity/a/get", 4 << 20)])
def test_tokens_and_ids_are_limited_together(node: Node, target: str, size: int) -> None:
    assert node.post(target, b" " * size).status_code == 422
    assert node.post(target, b" " * (size + 1)).status_code == 413


# -- other requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("attr", ["p", "s"])
def test_other_requests_are_answered_while_a_large_body_is_read(make_node: MakeNode, attr: str) -> None:
    node = make_node()
    body = json.dumps([dp(attr, str(i)) for i in range(10_000)]).encode()

    async def answered_meanwhile() -> int:
        async with node.client() as client:
            sending = asyncio.create_task(client.post("/datapoints", content=body))
            count = 0
            while not sending.done():
                assert (await client.get("/health/live")).status_code == 200
                count += 1
                await asyncio.sleep(0.002)
            assert (await sending).status_code == 200
            return count

    assert node.run(answered_meanwhile()) >= 2


def test_a_small_body_does_not_wait_until_large_ones_are_read(make_node: MakeNode) -> None:
    node = make_node()
    large = json.dumps([dp("p", str(i)) for i in range(10_000)]).encode()
    small = json.dumps([dp("p", "1")]).encode()

    async def order() -> list[int]:
        done: list[int] = []

        async def send(client: httpx.AsyncClient, number: int, body: bytes) -> None:
            assert (await client.post("/datapoints", content=body)).status_code == 200
            done.append(number)

        async with node.client() as client:
            await asyncio.gather(
                *(send(client, i, body) for i, body in enumerate([large, large, large, small]))
            )
        return done

    assert node.run(order())[0] == 3
