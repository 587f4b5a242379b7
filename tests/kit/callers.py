"""Clients of each role, and requests as the server hands them to the application."""

from collections.abc import Mapping
from typing import Any, get_args

from dp3.config.sections import Role
from dp3.store.ports.state import State
from dp3.store.ports.tokens import digest_of
from kit.node import NOW_US, Node

ROLES: tuple[str, ...] = get_args(Role)


def make_tokens(store: State) -> None:
    """A token for each role, called like it and with its name as secret, and one that is over."""
    for role in ROLES:
        store.tokens.create(role, role, digest_of(role.encode()), None)
    store.tokens.create("expired", "admin", digest_of(b"expired"), NOW_US)


def scope_of(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": encoded,
        "client": ("127.0.0.9", 1),
        "server": ("node", 80),
    }


def credentials(caller: str) -> dict[str, str]:
    return {} if caller == "nobody" else {"Authorization": f"Bearer {caller}"}


def ask(node: Node, scope: dict[str, Any]) -> int:
    """The status of the answer; the body of the request is empty."""
    statuses = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    node.run(node.app(scope, receive, send))
    [status] = statuses
    return int(status)
