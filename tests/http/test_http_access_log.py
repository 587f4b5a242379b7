"""Lines of the access log are bounded."""

import asyncio
import logging

import pytest
from starlette.types import Message, Receive, Scope, Send

from dp3.http.access_log import MAX_TARGET, AccessLog


def test_a_long_target_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> Message:
        raise AssertionError

    async def send(_: Message) -> None:
        """Nobody listens."""

    scope = {"type": "http", "method": "GET", "raw_path": b"/" + b"a" * 60_000, "query_string": b""}
    with caplog.at_level(logging.INFO):
        asyncio.run(AccessLog(app)(scope, receive, send))
    assert f" /{'a' * (MAX_TARGET - 1)}… 200 " in caplog.text
