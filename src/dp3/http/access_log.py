"""One line of the log for each request, where that is wanted."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_TARGET = 2 << 10
"""Bytes of a path and its query that are logged."""

logger = logging.getLogger("dp3.http.access")


class AccessLog:
    """Logs address, method, path with its query, status, bytes of the body and milliseconds of each request.

    Stands outside of everything else, so that no request passes unseen. Nothing of the headers is written,
    and nothing of bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, size = "-", 0

        async def counted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = str(message["status"])
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            took_ms = (time.perf_counter() - began) * 1e3
            client = _address(scope.get("client"))
            logger.info(
                "%s %s %s %s %d B %.1f ms", client, scope["method"], _target(scope), status, size, took_ms
            )


def log_refused(client: tuple[str, int] | None, status: int, size: int) -> None:
    """Log what the server itself refused: a request of which nothing else is known for sure."""
    logger.info("%s - - %d %d B", _address(client), status, size)


def _address(client: tuple[str, int] | None) -> str:
    return f"{client[0]}:{client[1]}" if client else "-"


def _target(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    sent = scope["raw_path"] + (b"?" + query if query else b"")
    return "".join(chr(byte) if 0x21 <= byte < 0x7F else f"\\x{byte:02x}" for byte in sent[:MAX_TARGET]) + (
        "…" if len(sent) > MAX_TARGET else ""
    )
