"""How callers are known: by tokens, by a reverse proxy, or not at all."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.http.answers import Refusal
from dp3.http.callers import LOOK_EVERY_S, STALE_S, TokenHolders
from dp3.runtime.audit import AuditLog
from dp3.store.ports.state import State
from dp3.store.ports.tokens import Token, Tokens, digest_of
from kit.callers import ROLES, ask, make_tokens, scope_of
from kit.node import LIMIT_S, NOW_US, Node


def revoke_all(store: State) -> None:
    make_tokens(store)
    for role in ROLES:
        store.tokens.revoke(role)


@pytest.mark.parametrize(
    ("mode", "prepare", "status"),
    [
        (None, None, 200),
        (None, make_tokens, 401),
        (None, revoke_all, 401),
        ("open", make_tokens, 200),
        ("tokens", None, 401),
    ],
)
def test_the_mode_is_tokens_from_the_first_token_on_unless_it_is_set(
    make_node: Callable[..., Node], mode: str | None, prepare: Callable[[State], None] | None, status: int
) -> None:
    node = make_node(settings={"auth": {"mode": mode}}, prepare=prepare)
    assert node.get("/entities").status_code == status


PROXY = {
    "mode": "proxy",
    "proxy": {
        "header": "X-User",
        "addresses": ["127.0.0.0/24"],
        "users": {"alice": "admin", "bob": "read"},
    },
}


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("proxy"), runner, settings={"auth": PROXY}, prepare=make_tokens)
    yield node
    node.close()


def through_proxy(node: Node, method: str, *users: str, client: str = "127.0.0.9", **more: str) -> int:
    scope = scope_of(method, "/entity/a/e1", more)
    scope["headers"] += [(b"x-user", user.encode()) for user in users]
    return ask(node, scope | {"client": (client, 1)})


def test_users_named_by_a_proxy_have_their_roles(behind_proxy: Node) -> None:
    assert [through_proxy(behind_proxy, "DELETE", user) for user in ("alice", "bob")] == [200, 403]
    assert [through_proxy(behind_proxy, "GET", user) for user in ("alice", "bob")] == [200, 200]


def test_credentials_that_a_browser_sends_by_itself_are_no_proof_of_will(behind_proxy: Node) -> None:
    own, foreign = (
        {"host": "dp3.example", "origin": "https://dp3.example"},
        {"origin": "https://evil.example"},
    )
    assert through_proxy(behind_proxy, "DELETE", "alice", **own) == 200
    assert through_proxy(behind_proxy, "DELETE", "alice", **(own | foreign)) == 403
    assert through_proxy(behind_proxy, "GET", "alice", **(own | foreign)) == 200


def test_other_users_have_the_default_role(behind_proxy: Node, make_node: Callable[..., Node]) -> None:
    assert through_proxy(behind_proxy, "GET", "carol") == 403
    proxy = PROXY["proxy"] | {"default_role": "read"}  # type: ignore[operator]
    node = make_node(settings={"auth": PROXY | {"proxy": proxy}})
    assert [through_proxy(node, method, "carol") for method in ("GET", "DELETE")] == [200, 403]


@pytest.mark.parametrize("client", ["127.0.1.9", "::1", "::ffff:127.0.1.9", "unix", ""])
def test_nobody_but_the_proxy_names_users(behind_proxy: Node, client: str) -> None:
    assert through_proxy(behind_proxy, "GET", "alice", client=client) == 401


def test_a_proxy_that_listens_on_both_families_is_known(behind_proxy: Node) -> None:
    assert through_proxy(behind_proxy, "GET", "alice", client="::ffff:127.0.0.9") == 200


def test_a_user_that_a_client_named_beside_the_proxy_does_not_count(behind_proxy: Node) -> None:
    assert [through_proxy(behind_proxy, "GET", *users) for users in ((), ("",), ("alice", "bob"))] == [
        401
    ] * 3


def test_tokens_do_not_count_behind_a_proxy(behind_proxy: Node) -> None:
    assert through_proxy(behind_proxy, "GET", authorization="Bearer admin") == 401


# -- tokens in memory ----------------------------------------------------------------------------------
class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


class SlowTokens:
    """The tokens of a state, on a disk that may make readers wait."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.may_read = threading.Event()
        self.may_read.set()

    def not_revoked(self) -> list[Token]:
        assert self.may_read.wait(LIMIT_S)
        return self._tokens.not_revoked()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokens, name)


class Door:
    """A process that knows holders of tokens."""

    def __init__(self, state: State, time: Time) -> None:
        self.tokens: Any = SlowTokens(state.tokens)
        self._holders = TokenHolders(self.tokens, FakeClock(), always=True, monotonic=time.monotonic)

    async def name_of(self, secret: str) -> str:
        headers = {b"authorization": b"Bearer " + secret.encode()}
        return (await self._holders.known({}, headers)).name


@pytest.fixture
def door(make_node: Callable[..., Node], time: Time) -> Door:
    return Door(make_node().store, time)


def test_tokens_are_not_looked_at_again_for_every_request(door: Door, time: Time) -> None:
    async def story() -> list[str]:
        door.tokens.create("x", "read", digest_of(b"x"), None)
        time.now_s += LOOK_EVERY_S
        return [await door.name_of("x") for _ in range(100)]

    assert set(asyncio.run(story())) == {"(wrong token)"}


def test_a_request_does_not_wait_for_a_look_that_it_causes(door: Door, time: Time) -> None:
    async def story() -> str:
        door.tokens.create("x", "read", digest_of(b"x"), None)
        time.now_s += LOOK_EVERY_S + 0.01
        door.tokens.may_read.clear()
        first = await door.name_of("x")
        door.tokens.may_read.set()
        async with asyncio.timeout(LIMIT_S):
            while await door.name_of("x") != "x":
                await asyncio.sleep(0.001)
        return first

    assert asyncio.run(story()) == "(wrong token)"


def test_after_a_pause_a_request_waits_for_what_holds_now(door: Door, time: Time) -> None:
    async def story() -> list[str]:
        door.tokens.create("x", "read", digest_of(b"x"), None)
        time.now_s += STALE_S + 0.01
        before = await door.name_of("x")
        door.tokens.revoke("x")
        time.now_s += STALE_S + 0.01
        return [before, *await asyncio.gather(*(door.name_of("x") for _ in range(20)))]

    assert asyncio.run(story()) == ["x", *["(wrong token)"] * 20]


def test_nobody_is_let_in_on_tokens_that_can_not_be_read_any_more(
    make_node: Callable[..., Node], time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    node = make_node(prepare=make_tokens)
    door = Door(node.store, time)

    async def story() -> None:
        assert await door.name_of("read") == "read"
        node.store.close()
        time.now_s += STALE_S + 0.01
        with pytest.raises(Refusal) as refusal:
            await door.name_of("read")
        assert refusal.value.status == 503

    asyncio.run(story())
    assert "tokens can not be read" in caplog.text


def test_only_configured_proxies_tell_the_address_of_a_client(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    told = {}
    for proxies in ([], ["127.0.0.9"]):
        file = tmp_path / f"audit{len(proxies)}.log"
        audit = AuditLog(file, FakeClock(NOW_US))
        node = make_node(settings={"auth": {"mode": "open", "proxy": {"addresses": proxies}}}, audit=audit)
        headers = {"host": "localhost", "x-forwarded-for": "10.1.1.1"}
        assert ask(node, scope_of("DELETE", "/entity/a/e1", headers)) == 200
        audit.close()
        told[len(proxies)] = json.loads(file.read_text())["address"]
    assert told == {0: "127.0.0.9", 1: "10.1.1.1"}


def test_a_proxy_is_asked_for_by_the_names_that_are_configured(make_node: Callable[..., Node]) -> None:
    node = make_node(settings={"auth": PROXY, "allowed_hosts": ["dp3.example"]})
    asked = [through_proxy(node, "GET", "alice", host=host) for host in ("dp3.example", "evil.example")]
    assert asked == [200, 421]
