"""Requests of one kind do not wait for those of another, and what waits is bounded."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from anyio.to_thread import current_default_thread_limiter

from dp3.http.pools import Once, Pool
from kit.limits import Enter, patience_s, refusal_s
from kit.node import LIMIT_S, Node, dp

MakeNode = Callable[..., Node]

READS = (
    "/entity/a/get",
    "/entity/a/count",
    "/entity/a/_/distinct/p",
    "/entity/a/raw/get",
    "/entity/a/e1/master",
    "/v2/entity/a/master?eid=e1",
    "/entity/a/e1",
    "/entity/a/e1/snapshots",
    "/entity/a/e1/get/p",
    "/entities",
    "/metrics",
    "/telemetry/log",
    "/telemetry/snapshot_summary",
    "/telemetry/entities_per_attr",
    "/deadletters",
    "/health/ready",
)


@asynccontextmanager
async def occupied(*pools: Pool) -> AsyncIterator[None]:
    """All threads of the pools work on something that takes as long as the block."""
    end = threading.Event()
    calls = []
    try:
        for pool in pools:
            while not pool.is_occupied:
                calls.append(asyncio.ensure_future(pool.run(end.wait, LIMIT_S)))
                await asyncio.sleep(0)
        yield
    finally:
        end.set()
        await asyncio.gather(*calls)


CHANGES = (
    ("POST", "/entity/a/get", {"eids": ["e1"]}),
    ("POST", "/entity/a/count", {}),
    ("POST", "/entity/a/e1/set/p?wait=true", {"value": 2}),
    ("POST", "/entity/a/e1/ttl", {"base": "2030-01-01"}),
    ("POST", "/datapoints", [{}]),
    ("POST", "/control/make_snapshots", None),
    ("POST", "/deadletters/retry", None),
    ("DELETE", "/entity/a/e1", None),
)


def test_no_request_is_answered_in_a_thread_that_all_share(node: Node) -> None:
    """The framework has forty, for whatever is not given a thread of its own kind."""

    async def scenario() -> None:
        limiter = current_default_thread_limiter()
        others = [object() for _ in range(int(limiter.available_tokens))]
        for other in others:
            limiter.acquire_on_behalf_of_nowait(other)
        try:
            async with asyncio.timeout(LIMIT_S), node.client() as client:
                for url in READS:
                    await client.get(url)
                for method, url, body in CHANGES:
                    assert (await client.request(method, url, json=body)).status_code < 500
        finally:
            for other in others:
                limiter.release_on_behalf_of(other)

    node.run(scenario())


def test_readers_and_operators_never_keep_writers_or_health_checks_waiting(make_node: MakeNode) -> None:
    node = make_node(wait_limit_s=LIMIT_S)
    pools = node.services.pools

    async def scenario() -> list[tuple[int, Any]]:
        async with node.client() as client, occupied(pools.queries, pools.reading, pools.operating):
            answers = [
                await client.post("/datapoints?wait=true", json=[dp("p", 1)]),
                await client.post("/datapoints", json=[dp("p", 2)], headers={"Idempotency-Key": "k"}),
                await client.post("/entity/a/e1/set/p?wait=true", json={"value": 3}),
                await client.post("/datapoints", json=[{}]),
                await client.get("/health/live"),
                await client.get("/health/ready"),
            ]
        return [answer.status_code for answer in answers]

    with node.working():
        assert node.run(scenario()) == [200, 200, 200, 422, 200, 200]


@pytest.mark.parametrize("busy", ["queries", "reading", "operating"])
def test_readers_of_one_kind_do_not_wait_for_those_of_another(node: Node, enter: Enter, busy: str) -> None:
    enter(patience_s(0))
    pools = node.services.pools

    async def scenario() -> dict[str, int]:
        async with node.client() as client, occupied(getattr(pools, busy)):
            return {url: (await client.get(url)).status_code for url in READS[:-1]}

    refused = {url for url, status in node.run(scenario()).items() if status == 503}
    by_pool = {"queries": 5, "reading": 6, "operating": 4}
    assert len(refused) == by_pool[busy], refused


def test_a_reader_that_waits_too_long_is_told_to_try_again(node: Node, enter: Enter) -> None:
    enter(patience_s(0.01))

    async def scenario() -> list[httpx.Response]:
        async with (
            node.client() as client,
            occupied(node.services.pools.queries, node.services.pools.reading),
        ):
            return [await client.get(url) for url in ("/entity/a/count", "/entity/a/e1/master")]

    for response in node.run(scenario()):
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert node.get("/entity/a/count").status_code == 200


def test_more_readers_than_may_wait_are_refused(runner: asyncio.Runner, enter: Enter) -> None:
    enter(refusal_s(0.01))

    async def scenario() -> list[str]:
        pool = Pool("queries", "test", threads=1, waiting=2)
        async with occupied(pool):
            waiting = [asyncio.ensure_future(pool.run(str, number)) for number in range(4)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert {str(one.exception()) for one in done} == {
                "503: {'detail': 'too many queries at once; send the request again later'}"
            }
            assert done == set(waiting[2:])
        answers = [await one for one in waiting[:2]]
        pool.close()
        return answers

    assert runner.run(scenario()) == ["0", "1"]


def test_nothing_is_asked_for_a_client_that_has_gone_while_it_waited(node: Node) -> None:
    """As when somebody asks again and again without waiting for the answer."""
    gone = asyncio.Event()
    sent: list[Any] = []

    async def receive() -> Any:
        if gone.is_set():
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def scenario() -> None:
        place = {"type": "http", "method": "GET", "path": "/entity/a/count", "client": ("127.0.0.9", 1)}
        async with occupied(node.services.pools.queries):
            request = asyncio.ensure_future(
                node.app({**place, "query_string": b"", "headers": []}, receive, send)
            )
            while not node.services.pools.queries.waiting:
                await asyncio.sleep(0)
            gone.set()
        await request

    node.run(scenario())
    assert sent[0]["status"] == 400, "no count was made"
    assert not node.services.pools.queries.is_occupied
    assert node.get("/entity/a/count").json() == {"total_count": 0}


def test_a_thread_is_busy_until_its_call_ends_also_when_nobody_waits_any_more(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        pool = Pool("queries", "test", threads=1, waiting=1)
        end = threading.Event()
        call = asyncio.ensure_future(pool.run(end.wait, LIMIT_S))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert pool.is_occupied
        end.set()
        assert await pool.run(int, "7") == 7
        pool.close()

    runner.run(scenario())


def test_who_asks_during_a_call_gets_its_result(runner: asyncio.Runner) -> None:
    async def scenario() -> list[int]:
        calls: Iterator[int] = iter(range(9))
        gate = asyncio.Event()

        async def call() -> int:
            number = next(calls)
            await gate.wait()
            return number

        once = Once(call)
        first, second, cancelled = (asyncio.ensure_future(once()) for _ in range(3))
        await asyncio.sleep(0)
        cancelled.cancel()
        gate.set()
        return [await first, await second, await once()]

    assert runner.run(scenario()) == [0, 0, 1]


def test_a_hundred_requests_that_wait_need_one_thread(make_node: MakeNode) -> None:
    node = make_node(wait_limit_s=LIMIT_S)

    async def scenario() -> set[int]:
        async with node.client() as client:
            sent = [client.post("/datapoints?wait=true", json=[dp("p", n, f"e{n}")]) for n in range(100)]
            waiting = [asyncio.ensure_future(one) for one in sent]
            await asyncio.sleep(0)
            with node.working():
                return {(await one).status_code for one in waiting}

    assert node.run(scenario()) == {200}
    assert sum(thread.name.startswith("state-") for thread in threading.enumerate()) <= 3
