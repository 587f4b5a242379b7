"""However many clients read: who writes to the real program does not wait for them, nor do health checks."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kit.child import start
from kit.program import App, running, wait_for
from kit.specs import a_type, hourly, plain_attr

ENTITIES = 2_000
READERS = 50
REQUESTS = 100

WRITING_P99_S = 0.25
LIVE_P99_S = 0.5
ROUNDS = 3
"""The best of so many counts: a machine that is busy with other things makes some of them slow."""

COUNT = "/entity/a/count?generic_filter=%7B%22o%23c%22%3A%7B%22%24gt%22%3A0.5%7D%7D"
"""`{"o#c": {"$gt": 0.5}}`, for which each snapshot is looked at."""

QUERIES = {
    "counts by confidence": [COUNT],
    "listings by confidence": [COUNT.replace("/count?", "/get?limit=0&")],
    "counts at a moment": [f"{COUNT}&at=2030-01-01"],
    "values": ["/entity/a/_/distinct/free"],
    "raw data": ["/entity/a/raw/get?src=nobody"],
    "profiles": ["/entity/a/e1/master", "/entity/a/e1", "/v2/entity/a/attr?eid=e1&attr=o"],
    "metrics and telemetry": ["/metrics", "/telemetry/log", "/telemetry/entities_per_attr", "/deadletters"],
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    model = {"a": a_type("a", {"o": hourly(), "free": plain_attr("special"), "p": plain_attr("string")})}
    with running(tmp_path_factory.mktemp("readers"), model) as app:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        app.client.send(
            [{"type": "a", "id": f"e{i}", "attr": "o", "v": i, "t1": now} for i in range(ENTITIES)]
        )
        app.client.send([{"type": "a", "id": f"e{i}", "attr": "free", "v": [i]} for i in range(ENTITIES)])
        app.wait_applied()
        app.client.request("POST", "/control/make_snapshots")
        wait_for("snapshots", lambda: app.client.get("/entity/a/count")["total_count"] == ENTITIES)
        yield app
        assert app.program.stop() == 0


@contextmanager
def readers(app: App, targets: Sequence[str]) -> Iterator[dict[str, int]]:
    """Many clients read during the block; afterwards the statuses of their answers are known."""
    answers: dict[str, int] = {}
    with start("kit.readers", app.port, READERS, *targets) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert process.stdout.readline() == "reading\n"
            yield answers
            process.stdin.close()
            answers |= json.loads(process.stdout.read())
        finally:
            process.kill()


def p99_s(request: Callable[[], Any]) -> float:
    """How long a request takes, but for the slowest of a hundred."""
    took: list[float] = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        request()
        took.append(time.perf_counter() - begun)
    return sorted(took)[-2]


@pytest.mark.parametrize("kind", QUERIES)
def test_who_writes_does_not_wait_for_readers(app: App, kind: str) -> None:
    point = {"type": "a", "id": "other", "attr": "p", "v": "x"}

    def send() -> None:
        assert app.http.send([point]) == (200, {"detail": "OK"})

    with readers(app, QUERIES[kind]) as answers:
        rounds = []
        while len(rounds) < ROUNDS:
            rounds.append((p99_s(send), p99_s(lambda: app.http.get("/health/live"))))
            if rounds[-1][0] <= WRITING_P99_S and rounds[-1][1] <= LIVE_P99_S:
                break
        assert app.http.get("/health/ready")["status"] == "ready"
        assert app.http.send([point], wait=True) == (200, {"detail": "OK", "applied": True})
    assert min(writing for writing, _ in rounds) <= WRITING_P99_S, rounds
    assert min(live for _, live in rounds) <= LIVE_P99_S, rounds
    assert answers.get("200", 0) > 0
    assert set(answers) <= {"200", "503"}, answers
