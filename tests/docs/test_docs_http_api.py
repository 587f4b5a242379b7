"""The page on the HTTP API names every route, and its examples get the answers that it shows."""

import json
import re
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from doc_pages import fenced, page

from dp3.config.sections import ApiSettings
from dp3.demo.platform import Platform
from dp3.http.datapoints import MAX_KEY
from dp3.http.dead_letters import MAX_LIMIT
from dp3.http.intake import (
    BODY_LIMIT_S,
    LARGE_AT_ONCE,
    SILENCE_LIMIT_S,
    SLOWEST_BYTES_PER_S,
    SMALL_AT_ONCE,
)
from dp3.http.listings import MAX_QUESTION
from dp3.http.pieces import SMALL_BODY
from dp3.http.pools import (
    OPERATING_THREADS,
    OPERATING_WAITING,
    PATIENCE_S,
    QUERIES_WAITING,
    QUERY_THREADS,
    READING_THREADS,
    READING_WAITING,
)
from dp3.http.validation import MAX_ERRORS
from dp3.http.warnings import MAX_HEADER, MOST_WARNINGS
from dp3.log.port import IDEMPOTENCY_WINDOW_US
from dp3.reads.raw import SCAN_BYTES

TEXT = page("http-api.md")
ANYTHING = "…"


class Example(NamedTuple):
    """One request of the page and its answer."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    status: int
    answer: Any


def examples() -> list[Example]:
    return [parsed(block) for block in fenced(TEXT, "http")]


def parsed(block: str) -> Example:
    head, *body, answer = block.strip().split("\n\n")
    first, *headers = head.splitlines()
    method, url = first.split(" ", 1)
    status, shown = answer.split("\n", 1)
    sent = dict(line.split(": ", 1) for line in headers)
    return Example(method, url, sent, "\n\n".join(body) or None, int(status), json.loads(shown))


def matches(shown: Any, got: Any) -> bool:
    """Whether an answer is the shown one; "…" matches any value."""
    if shown == ANYTHING:
        return True
    if isinstance(shown, dict) and isinstance(got, dict):
        return shown.keys() == got.keys() and all(matches(v, got[k]) for k, v in shown.items())
    if isinstance(shown, list) and isinstance(got, list):
        return len(shown) == len(got) and all(map(matches, shown, got))
    return type(shown) is type(got) and bool(shown == got)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The program, running the entity types that the page on configuration shows."""
    root = tmp_path_factory.mktemp("application")
    entities = root / "config" / "db_entities"
    entities.mkdir(parents=True)
    for content in fenced(page("configuration.md"), "yaml"):
        if file := re.match(r"# db_entities/(\S+)\n", content):
            (entities / file[1]).write_text(content, encoding="utf-8")
    data = root / "data"
    data.mkdir()
    with Platform(data, config=root / "config") as platform:
        assert platform.wait_ready(threading.Event())
        with httpx.Client(base_url=platform.url, timeout=20) as client:
            yield client


def test_examples_get_the_answers_that_are_shown(client: httpx.Client) -> None:
    """In the order of the page: later ones read what earlier ones sent."""
    for example in examples():
        got = client.request(example.method, example.url, headers=example.headers, content=example.body)
        where = f"{example.method} {example.url}"
        assert (where, got.status_code) == (where, example.status), got.text
        assert matches(example.answer, got.json()), f"{where}: {got.text}"


def test_a_repeated_request_is_answered_as_described(client: httpx.Client) -> None:
    point = {"type": "server", "id": "x", "attr": "owner", "v": "eve"}
    key = {"Idempotency-Key": "twice"}
    first, second = (client.post("/datapoints", json=[point], headers=key) for _ in range(2))
    assert (first.json(), second.json()) == ({"detail": "OK"}, {"detail": "OK"})
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"


def test_limits_are_answered_as_described(client: httpx.Client) -> None:
    too_large = client.post("/datapoints", content=b" " * (ApiSettings().max_body + 1))
    compressed = client.post("/datapoints", content=b"[]", headers={"Content-Encoding": "gzip"})
    assert (too_large.status_code, compressed.status_code) == (413, 415)


@pytest.mark.parametrize(
    ("sentence", "limit"),
    [
        ("{} s passed without a byte of the body", SILENCE_LIMIT_S),
        ("took longer than {} s", BODY_LIMIT_S),
        ("1 s for each {} KiB", SLOWEST_BYTES_PER_S / 1024),
        ("(1 to {} visible ASCII characters)", MAX_KEY),
        ("can be repeated for {} hours", IDEMPOTENCY_WINDOW_US / 3_600_000_000),
        ("at most {} MiB and one second", SCAN_BYTES / 2**20),
        ("(20; up to {}) of them", MAX_LIMIT),
        ("After {} errors", MAX_ERRORS),
        ("in ASCII, of at most {} bytes", MAX_HEADER),
        ("There are at most {} texts", MOST_WARNINGS),
        ("to the same path, up to {} MiB", MAX_QUESTION / 2**20),
        ("Who has waited {} s", PATIENCE_S),
        ("`/telemetry/entities_per_attr` | {} |", QUERY_THREADS),
        ("| 2 | {} | | reads of one entity", QUERIES_WAITING),
        ("and `GET /entities` | {} |", READING_THREADS),
        ("| 4 | {} |", READING_WAITING),
        ("all other `/telemetry` | {} |", OPERATING_THREADS),
        ("| 2 | {} | Who has waited", OPERATING_WAITING),
        ("| above {} KiB | 1 |", SMALL_BODY / 1024),
        ("| above 256 KiB | {} |", LARGE_AT_ONCE),
        ("values and TTL tokens that are set | {} |", SMALL_AT_ONCE),
        ("up to {} KiB without mistakes", SMALL_BODY / 1024),
    ],
)
def test_documented_limits_are_those_that_hold(sentence: str, limit: float) -> None:
    assert sentence.format(f"{limit:.0f}") in " ".join(TEXT.split())


def documented_operations() -> set[str]:
    tables = "\n".join(re.findall(r"^\|.*$", TEXT, re.M))
    return {
        f"{method} {path}" for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`?]*)`", tables)
    }


def test_documented_routes_are_those_that_exist(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert documented_operations() == described


def test_documented_answers_to_data_points_are_those_that_are_possible(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"]["/datapoints"]["post"]["responses"]
    assert set(re.findall(r"^\| (\d{3})", TEXT, re.M)) == set(described)
