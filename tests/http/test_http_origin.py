"""Requests that a foreign web page makes a browser send change nothing, and their answers stay unread."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from itertools import product

import httpx
import pytest

from dp3.http.origin import MAX_NOTED, OriginPolicy
from kit.node import Node, dp

MakeNode = Callable[..., Node]

ALLOWED = "https://pages.example"
SETTINGS = {
    "cors": {"allow_origins": [ALLOWED]},
    "allowed_hosts": ["dp3.example", "*.cluster.example"],
}

KNOWN_HOSTS = [
    *(
        "localhost",
        "LOCALHOST:5000",
        "localhost.",
        "app.localhost:1",
        "127.0.0.1:5000",
        "127.9.9.9",
        "[::1]:5000",
    ),
    *(
        "192.168.1.5:5000",
        "[fd00::7]",
        "dp3.example",
        "DP3.Example:443",
        "dp3.example.:80",
        "a.b.cluster.example",
    ),
    "bound",
]
UNKNOWN_HOSTS = [
    *(
        "evil.example",
        "evil.example:5000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "dp3.example.evil",
    ),
    *(
        "cluster.example",
        "mydp3.example",
        "1.2.3",
        "[::1",
        "a@127.0.0.1",
        "127.0.0.1:5000:1",
        "*",
        "*.x",
        "a b",
    ),
    *("127.0.0.1/x", ".", ":5000"),
]

OWN, FOREIGN = "own", "foreign"
ORIGINS = {
    None: OWN,
    "http://{host}": OWN,
    "https://{host}": OWN,
    ALLOWED: ALLOWED,
    "null": FOREIGN,
    "http://{host}0": FOREIGN,
    "http://sub.{host}": FOREIGN,
    "http://{host}.evil.example": FOREIGN,
    "https://evil.example": FOREIGN,
    f"{ALLOWED}.evil.example": FOREIGN,
    f"{ALLOWED}:8443": FOREIGN,
    "http://pages.example": FOREIGN,
    "": FOREIGN,
}
SITES = {None: OWN, "same-origin": OWN, "none": OWN, "same-site": FOREIGN, "cross-site": FOREIGN, "": FOREIGN}

READS = [
    ("GET", "/"),
    ("GET", "/entities"),
    ("GET", "/entity/a/e1/master"),
    ("GET", "/entity/a/get"),
    ("GET", "/control/results/1"),
    ("GET", "/docs"),
    ("GET", "/nowhere"),
]
CHANGES = [
    ("POST", "/datapoints"),
    ("POST", "/api/datapoints"),
    ("POST", "/entity/a/e1/set/p"),
    ("POST", "/v2/entity/a/ttl?eid=e1"),
    ("DELETE", "/entity/a/e1"),
    ("DELETE", "/v2/entity/a?eid=e1"),
    ("GET", "/control/make_snapshots"),
    ("GET", "/api/control/make_snapshots"),
    ("POST", "/control/make_snapshots"),
    ("POST", "/deadletters/drop"),
]


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Node]:
    node = Node(
        tmp_path_factory.mktemp("open"), runner, settings=SETTINGS, root_path="/api", bound_host="Bound"
    )
    yield node
    node.close()


def sent(node: Node, method: str, target: str, **headers: str | bytes | None) -> httpx.Response:
    """Headers that are None are left out."""
    given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    return node.request(method, target, headers=given, content=b"[]" if method == "POST" else None)


def may_change(origin: str | None, site: str | None) -> bool:
    """As documented: pages of the API itself and of named origins, and whoever is no page."""
    return ORIGINS[origin] == ALLOWED or (ORIGINS[origin], SITES[site]) == (OWN, OWN)


@pytest.mark.parametrize(("method", "target"), CHANGES)
@pytest.mark.parametrize("host", ["localhost:5000", "dp3.example"])
def test_a_foreign_page_can_change_nothing(open_node: Node, method: str, target: str, host: str) -> None:
    for origin, site in product(ORIGINS, SITES):
        seen_origin = origin and origin.format(host=host)
        answer = sent(open_node, method, target, host=host, origin=seen_origin, sec_fetch_site=site)
        assert (answer.status_code != 403) == may_change(origin, site), (origin, site, answer.text)
        if answer.status_code == 403:
            assert answer.json()["detail"].startswith(("pages of '", "a page of another site"))


@pytest.mark.parametrize(("method", "target"), READS)
def test_reads_are_answered_whatever_page_asks(open_node: Node, method: str, target: str) -> None:
    expected = sent(open_node, method, target).status_code
    for origin, site in product(ORIGINS, SITES):
        seen_origin = origin and origin.format(host="localhost")
        answer = sent(open_node, method, target, host="localhost", origin=seen_origin, sec_fetch_site=site)
        assert answer.status_code == expected
        readable = answer.headers.get("access-control-allow-origin")
        assert readable == (ALLOWED if ORIGINS[origin] == ALLOWED else None)
        assert "Origin" in answer.headers["vary"]


def test_what_was_refused_was_not_done(open_node: Node) -> None:
    body = b'[{"type": "a", "id": "spoilt", "attr": "p", "v": 1}]'
    headers = {"origin": "https://evil.example", "content-type": "text/plain"}
    assert open_node.request("POST", "/datapoints", content=body, headers=headers).status_code == 403
    open_node.process()
    assert open_node.get("/entity/a/spoilt/master").json() == {}


@pytest.mark.parametrize("host", KNOWN_HOSTS)
def test_addresses_localhost_and_configured_names_are_known(open_node: Node, host: str) -> None:
    for method, target in (*READS, *CHANGES):
        assert sent(open_node, method, target, host=host).status_code not in (403, 421)


@pytest.mark.parametrize("host", UNKNOWN_HOSTS)
def test_no_other_name_is_answered(open_node: Node, host: str) -> None:
    for method, target in (*READS, *CHANGES):
        for origin, site in ((None, None), (f"http://{host}", "same-origin"), (ALLOWED, "cross-site")):
            answer = sent(open_node, method, target, host=host, origin=origin, sec_fetch_site=site)
            assert answer.status_code == 421
            assert "allowed_hosts in api.yml" in answer.json()["detail"]


def test_the_name_to_allow_is_told_without_the_port(open_node: Node) -> None:
    detail = sent(open_node, "GET", "/", host="Evil.example:5000").json()["detail"]
    assert detail.startswith("the API is not known as 'evil.example'; add the name")


def test_a_star_lets_every_name_in(make_node: MakeNode) -> None:
    node = make_node(settings={"allowed_hosts": ["*"]})
    assert sent(node, "GET", "/", host="anything.example").status_code == 200


def test_two_hosts_are_a_bad_request_and_none_is_nothing_to_check(open_node: Node) -> None:
    async def answer(*hosts: bytes) -> int:
        statuses = []
        headers = [(b"host", host) for host in hosts]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b""}

        async def send(message: dict[str, int]) -> None:
            if "status" in message:
                statuses.append(message["status"])

        await open_node.app(scope, receive, send)  # type: ignore[arg-type]
        return statuses[0]

    assert open_node.run(answer(b"localhost", b"localhost")) == 400
    assert open_node.run(answer()) == open_node.run(answer(b"")) == 200


# -- tokens ------------------------------------------------------------------------------------------------


def status(*, brings_token: bool, host: str = "any.example", origin: str = "https://evil.example") -> int:
    policy = OriginPolicy(allow_origins=["*"], allowed_hosts=[])
    headers = {b"host": host.encode(), b"origin": origin.encode()}
    scope = {"headers": list(headers.items())}
    refusal = policy.refusal(scope, headers, brings_token=brings_token, checks_host=False, changes_state=True)
    return 200 if refusal is None else refusal.status


def test_with_a_token_any_page_may_ask_under_any_name() -> None:
    assert status(brings_token=True) == 200
    assert status(brings_token=False) == 403
    assert status(brings_token=False, origin="https://any.example") == 200


# -- CORS --------------------------------------------------------------------------------------------------


def preflight(node: Node, origin: str | bytes, method: str, wanted: str = "content-type") -> httpx.Response:
    asked = {"access_control_request_method": method, "access_control_request_headers": wanted}
    return sent(node, "OPTIONS", "/datapoints", origin=origin, **asked)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_by_default_no_page_is_let_in(shared_node: Node, method: str) -> None:
    answer = preflight(shared_node, ALLOWED, method)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in sent(shared_node, "GET", "/", origin=ALLOWED).headers


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_named_origins_may_do_everything(open_node: Node, method: str) -> None:
    answer = preflight(open_node, ALLOWED, method, "content-type, idempotency-key")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert answer.headers["access-control-allow-headers"] == "content-type, idempotency-key"
    assert method in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


def test_a_star_lets_all_pages_read_and_none_change_without_a_token(make_node: MakeNode) -> None:
    node = make_node(settings={"cors": {"allow_origins": ["*"]}})
    assert sent(node, "GET", "/", origin="https://any.example").headers["access-control-allow-origin"]
    assert preflight(node, "https://any.example", "GET").status_code == 200
    assert preflight(node, "https://any.example", "POST").status_code == 403
    assert preflight(node, "https://any.example", "POST", "Authorization, content-type").status_code == 200
    refused = sent(node, "POST", "/datapoints", origin="https://any.example")
    assert refused.status_code == 403
    assert refused.headers["access-control-allow-origin"] == "https://any.example"


def test_pages_of_allowed_origins_can_read_refusals(open_node: Node) -> None:
    for host, expected in (("evil.example", 421), ("localhost", 422)):
        answer = open_node.send(dp("p", "x"), headers={"host": host, "origin": ALLOWED})
        assert answer.status_code == expected
        assert answer.headers["access-control-allow-origin"] == ALLOWED


def test_each_refused_origin_is_logged_once_and_harmlessly(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    node = make_node()
    with caplog.at_level(logging.WARNING, "dp3"):
        for _ in range(3):
            for origin in (b"https://a.example", b"https://b.example/\x1b[2J\x85"):
                sent(node, "GET", "/", origin=origin)
                sent(node, "POST", "/datapoints", origin=origin)
                preflight(node, origin, "POST")
        lines = caplog.messages
        assert [line for line in lines if "a.example" in line] == [
            "pages of 'https://a.example' may not use the API; to allow it, add 'https://a.example' to "
            "cors.allow_origins in api.yml of the platform"
        ]
        assert len(lines) == 2 and all(line.isprintable() for line in lines)
        for number in range(2 * MAX_NOTED):
            sent(node, "GET", "/", origin=f"https://{number}.example")
            sent(node, "GET", "/", host=f"{number}.example")
    assert len(caplog.messages) == MAX_NOTED + 1
    assert caplog.messages[-1].endswith("no more of them are logged")
