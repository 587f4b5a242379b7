"""Who may ask for what: every route, every role, no token, a wrong and an expired one."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dp3.clock import FakeClock
from dp3.http.rules import ROLES as TABLE
from dp3.http.rules import RULES, Rules
from dp3.runtime.audit import AuditLog
from kit.callers import ROLES, ask, credentials, make_tokens, scope_of
from kit.node import NOW_US, Node

UNKNOWN = ("nobody", "wrong", "expired")
"""Callers without a token that counts."""

VALUES = {"etype": "a", "eid": "e1", "attr": "p", "id": "1", "action": "make_snapshots", "file": "docs.js"}
"""Parameters of paths."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Node]:
    node = Node(
        tmp_path_factory.mktemp("node"),
        runner,
        settings={"cors": {"allow_origins": ["http://page"]}},
        prepare=make_tokens,
        root_path="/dp3",
    )
    yield node
    node.close()


@pytest.fixture(scope="module")
def without_prefix(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("node"), runner, prepare=make_tokens)
    yield node
    node.close()


# -- the routes of the application ---------------------------------------------------------------------
class Known(NamedTuple):
    """A method and a path as the framework writes it."""

    method: str
    path: str

    @property
    def url(self) -> str:
        return self.path.format_map(VALUES)

    @property
    def urls(self) -> set[str]:
        """The same in other forms."""
        return {self.url, self.url.rstrip("/") + "/", f"/dp3{self.url}"}


def framework_of(app: Any) -> FastAPI:
    """The framework inside of the application."""
    while not isinstance(app, FastAPI):
        inner = {"app", "_app", "_framework"} & {*vars(app)}
        app = getattr(app, inner.pop())
    return app


def routes_of(app: Any) -> list[Known]:
    found = []
    for route in iter_route_contexts(framework_of(app).routes):
        assert route.methods, f"{route!r} takes all methods: say which"
        found += [Known(method, route.path or "") for method in sorted(route.methods - {"HEAD"})]
    return found


def without_rule(app: Any) -> list[Known]:
    return [route for route in routes_of(app) if Rules().find(route.method, route.url) is None]


OPEN = ("/", "/health/live", "/health/ready", "/docs", "/docs/{file}", "/redoc", "/openapi.json")


def roles_of(method: str, path: str) -> set[str]:
    """Those who may use a route, said once more than in the table."""
    if path in OPEN:
        return {*ROLES, *UNKNOWN}
    if path == "/datapoints":
        return {"ingest", "admin"}
    if path.startswith(("/telemetry/", "/control/", "/deadletters", "/metrics")):
        return {"operate", "admin"}
    if (
        method == "DELETE"
        or path.endswith(("/ttl", "/set/{attr}"))
        or (method, path[-5:]) == ("POST", "/attr")
    ):
        return {"edit", "admin"}
    return {"read", "edit", "operate", "admin"}


def test_every_role_is_in_the_table() -> None:
    assert set(TABLE) == set(ROLES)


def test_every_route_has_a_rule(node: Node) -> None:
    assert without_rule(node.app) == []
    assert len(routes_of(node.app)) > 50


def test_every_rule_is_for_a_route(node: Node) -> None:
    known = {(route.method, route.path) for route in routes_of(node.app)}
    stale = {(rule.method, rule.path) for rule in RULES} - known
    assert stale == set()


def test_a_new_route_without_a_rule_is_found_and_only_for_administrators(
    make_node: Callable[..., Node],
) -> None:
    node = make_node(prepare=make_tokens)
    framework_of(node.app).add_api_route("/new", lambda: None, methods=["GET"])
    assert without_rule(node.app) == [("GET", "/new")]
    answers = {caller: status_of(node, "GET", "/new", caller) for caller in (*ROLES, *UNKNOWN)}
    assert answers == dict.fromkeys(ROLES, 403) | dict.fromkeys(UNKNOWN, 401) | {"admin": 200}


# -- requests ------------------------------------------------------------------------------------------
def status_of(node: Node, method: str, path: str, caller: str) -> int:
    return ask(node, scope_of(method, path, credentials(caller)))


def expected(caller: str, route: Known) -> int | None:
    """The status of a refusal, or None."""
    if caller in roles_of(route.method, route.path):
        return None
    return 401 if caller in UNKNOWN else 403


def refused_with(status: int) -> int | None:
    return status if status in (401, 403) else None


@pytest.mark.parametrize("caller", [*ROLES, *UNKNOWN])
def test_every_route_is_for_the_roles_that_it_is_meant_for(node: Node, caller: str) -> None:
    wanted = {
        (route.method, url): expected(caller, route) for route in routes_of(node.app) for url in route.urls
    }
    found = {(method, url): refused_with(status_of(node, method, url, caller)) for method, url in wanted}
    assert found == wanted


def test_head_is_for_those_who_may_get(node: Node) -> None:
    assert status_of(node, "HEAD", "/entities", "nobody") == 401
    assert status_of(node, "HEAD", "/metrics", "read") == 403
    assert status_of(node, "HEAD", "/metrics", "operate") == 200


WORDS = """
    entity v2 a e1 get set p ttl attr master count raw datapoints docs health live control results
    make_snapshots deadletters 1 drop retry metrics telemetry log dp3 . .. %2F é
"""
SEGMENTS = st.one_of(st.sampled_from(WORDS.split()), st.sampled_from(["", "\n", "\0", "get\n", " "]))
METHODS = ["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "get"]


@st.composite
def like_a_route(draw: st.DrawFn) -> tuple[str, str]:
    """A method and a path, some parts of which may be others than those of a route."""
    rule = draw(st.sampled_from(RULES))
    parts = rule.path.format_map(VALUES).split("/")
    for place in draw(st.lists(st.integers(1, len(parts)), max_size=2)):
        parts[place : place + draw(st.integers(0, 1))] = [draw(SEGMENTS)]
    return draw(st.sampled_from([rule.method, *METHODS])), "/".join(parts)


def plain_route(scope: dict[str, Any]) -> str:
    """The path of a route that is none of the framework's own kind, which does not tell it."""
    path: str = scope["path"].rstrip("/") or "/"
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(value, f"{{{name}}}", 1)
    return path


@settings(max_examples=400, deadline=None)
@example(("GET", "/docs/docs.js"))
@given(like_a_route())
def test_no_path_leads_past_the_table(without_prefix: Node, asked: tuple[str, str]) -> None:
    """Whatever route the framework takes, the caller may use it."""
    method, path = asked
    for caller in ("nobody", "ingest", "read", "edit", "operate"):
        scope = scope_of(method, path, credentials(caller))
        if ask(without_prefix, scope) not in (401, 403, 404, 405):
            taken = getattr(scope.get("route"), "path", None) or plain_route(scope)
            assert caller in roles_of("GET" if method == "HEAD" else method, taken), (caller, taken)


def test_answers_to_the_refused_say_why(node: Node) -> None:
    missing, wrong = node.get("/entities"), node.get("/entities", headers=credentials("wrong"))
    expired, role = (node.get("/entities", headers=credentials(who)) for who in ("expired", "ingest"))
    assert [answer.status_code for answer in (missing, wrong, expired, role)] == [401, 401, 401, 403]
    assert [answer.headers.get("WWW-Authenticate") for answer in (missing, role)] == ["Bearer", None]
    details = [answer.json()["detail"] for answer in (missing, wrong, expired, role)]
    assert "Authorization: Bearer" in details[0]
    assert "not one of this application" in details[1]
    assert "is over" in details[2]
    assert details[3] == "This needs the role read or edit or operate or admin; 'ingest' has ingest"


@pytest.mark.parametrize(
    "sent", ["Basic cmVhZDo=", "read", "Bearer", "Bearer ", "Bearer read x", "Bearerread"]
)
def test_other_credentials_are_none(node: Node, sent: str) -> None:
    assert node.get("/entities", headers={"Authorization": sent}).status_code == 401


def test_the_scheme_may_be_written_in_any_case(node: Node) -> None:
    assert node.get("/entities", headers={"Authorization": "bearer  read"}).status_code == 200


def test_a_preflight_needs_no_token_and_nothing_else_with_options(node: Node) -> None:
    asked = {"Origin": "http://page", "Access-Control-Request-Method": "DELETE"}
    assert node.request("OPTIONS", "/entity/a/e1", headers=asked).status_code == 200
    assert node.request("OPTIONS", "/entity/a/e1", headers={"Origin": "http://page"}).status_code == 401


def test_pages_of_other_origins_can_read_why_they_are_refused(node: Node) -> None:
    answer = node.get("/entities", headers={"Origin": "http://page"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, "http://page")


def test_websockets_are_closed(node: Node) -> None:
    sent = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    node.run(node.app({**scope_of("GET", "/", {}), "type": "websocket"}, receive, send))
    assert sent == ["websocket.close"]


# -- the audit log -------------------------------------------------------------------------------------
def test_changes_are_noted_whether_they_were_allowed_or_not(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    file = tmp_path / "audit.log"
    audit = AuditLog(file, FakeClock(NOW_US))
    node = make_node(prepare=make_tokens, audit=audit)
    for method, url, caller in (
        ("POST", "/entity/a/e1/set/p", "edit"),
        ("POST", "/v2/entity/a/attr?eid=e%2F1&attr=p&wait=true", "read"),
        ("POST", "/entity/b/7/ttl", "nobody"),
        ("DELETE", "/v2/entity/a/?eid=e1", "wrong"),
        ("GET", "/control/make_snapshots", "operate"),
        ("POST", "/deadletters/retry?module=m&limit=3", "operate"),
        ("DELETE", "/deadletters/5", "admin"),
        ("POST", "/datapoints", "ingest"),
        ("POST", "/entity/a/get", "read"),
        ("GET", "/entities", "read"),
    ):
        body = b'{"value": 5}' if "POST" in method else None
        node.request(method, url, content=body, headers=credentials(caller))
    audit.close()
    notes = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(note["who"], note["what"], note["on"], note["result"]) for note in notes] == [
        ("edit", "set", {"etype": "a", "eid": "e1", "attr": "p"}, 200),
        ("read", "set", {"etype": "a", "eid": "e/1", "attr": "p"}, 403),
        ("(no token)", "ttl", {"etype": "b", "eid": "7"}, 401),
        ("(wrong token)", "delete", {"etype": "a", "eid": "e1"}, 401),
        ("operate", "control", {"action": "make_snapshots"}, 200),
        ("operate", "retry dead letters", {"module": "m", "limit": "3"}, 200),
        ("admin", "drop dead letters", {"id": "5"}, 404),
    ]
    assert {note["address"] for note in notes} == {"127.0.0.9"}


@pytest.mark.parametrize("root_path", ["", "/dp3"])
def test_who_is_known_is_told_what_there_is_not(make_node: Callable[..., Node], root_path: str) -> None:
    node = make_node(prepare=make_tokens, root_path=root_path)
    asked = (("GET", "/nothing"), ("GET", "/entity/a/x/y/z"), ("PUT", "/entities"), ("DELETE", "/datapoints"))
    for role in ROLES:
        statuses = [status_of(node, method, root_path + path, role) for method, path in asked]
        assert statuses == [404, 404, 405, 405], role
    assert {status_of(node, *each, "nobody") for each in asked} == {401}


@pytest.fixture
def noted(make_node: Callable[..., Node], tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Sends requests of a caller and tells the lines of the audit log."""
    file = tmp_path / "audit.log"
    audit = AuditLog(file, FakeClock(NOW_US))
    node = make_node(prepare=make_tokens, audit=audit)

    def send(caller: str, *urls: str) -> list[dict[str, Any]]:
        for url in urls:
            node.request("DELETE", url, headers=credentials(caller))
        audit.close()
        return [json.loads(line) for line in file.read_text().splitlines()]

    return send


def test_what_a_line_tells_of_a_request_is_bounded(noted: Callable[..., list[dict[str, Any]]]) -> None:
    eid, others = "x" * 5_000, "&".join(f"a{i}=1" for i in range(200))
    lines = noted("admin", f"/v2/entity/a?eid={eid}", f"/entity/a/{eid}", f"/v2/entity/a?eid=e1&{others}")
    cut = "x" * 1_000 + "… (4000 more)"
    assert [line["on"] for line in lines] == [{"etype": "a", "eid": cut}] * 2 + [{"etype": "a"}]


def test_unknown_callers_do_not_fill_the_log(noted: Callable[..., list[dict[str, Any]]]) -> None:
    lines = noted("wrong", *["/entity/a/e1"] * 300)
    assert 60 <= len(lines) <= 120  # the minute may have ended meanwhile


def test_a_newline_at_the_end_of_a_path_leads_nowhere(make_node: Callable[..., Node]) -> None:
    node = make_node(prepare=make_tokens)
    for path in ("/entity/a/e1/ttl%0A", "/v2/entity/a/attr%0A?eid=e1&attr=p", "/deadletters/drop%0A"):
        assert node.request("POST", path, content=b"{}", headers=credentials("admin")).status_code == 404
