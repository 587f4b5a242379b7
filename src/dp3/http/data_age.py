"""Tells clients how old the data of an answer may be, where a copy of the state answers."""

import re
from collections.abc import Callable
from math import ceil

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "DP3-Data-Age"

_FROM_A_COPY = re.compile(r"/(entities|entity/(?!.*/raw/).*)")
"""Paths of questions that the copy answers; raw data comes from the log."""


class DataAge:
    """Adds the header to answers of the copy: seconds, rounded up to tenths. Without it nobody knows."""

    def __init__(self, app: ASGIApp, age_s: Callable[[], float | None], root_path: str) -> None:
        self._app = app
        self._age_s = age_s
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not self._is_asked(scope):
            await self._app(scope, receive, send)
            return
        age_s = self._age_s()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and age_s is not None:
                MutableHeaders(scope=message)[HEADER] = f"{ceil(age_s * 10) / 10:.1f}"
            await send(message)

        await self._app(scope, receive, told)

    def _is_asked(self, scope: Scope) -> bool:
        return _FROM_A_COPY.match(scope["path"].removeprefix(self._root_path)) is not None
