"""Warnings: what a client should know that gets an answer nevertheless.

They are in the header `DP3-Warnings` of every answer, and under `warnings` of those that have room."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from dp3.http.answers import Answer

HEADER = "DP3-Warnings"

MOST_WARNINGS = 20
"""Warnings of one answer; what exceeds that is counted."""

MAX_WARNING = 500
"""Characters of one."""

MAX_HEADER = 2_048
"""Bytes of the header: proxies have 4 KiB for all headers of an answer."""

_KEY = "dp3.warnings"


class Warnings:
    """The warnings of one request; each text counts once."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._left_out = 0

    def add(self, text: str) -> None:
        """Warn the client."""
        short = text if len(text) <= MAX_WARNING else f"{text[: MAX_WARNING - 1]}…"
        if short in self._texts:
            return
        if len(self._texts) < MOST_WARNINGS:
            self._texts[short] = None
        else:
            self._left_out += 1

    @property
    def texts(self) -> list[str]:
        """All of them, and at last how many were left out."""
        return [*self._texts, *_and_more(self._left_out)]

    def told_in(self, response: Response) -> Response:
        """The answer with the warnings, if there are any."""
        if self._texts:
            response.headers[HEADER] = self._header()
            if isinstance(response, Answer):
                response.add("warnings", self.texts)
        return response

    def _header(self) -> str:
        """A JSON list in ASCII, of as many texts as there is room for."""
        texts = list(self._texts)
        for kept in range(len(texts), 0, -1):
            header = _ascii([*texts[:kept], *_and_more(self._left_out + len(texts) - kept)])
            if len(header) <= MAX_HEADER:
                return header
        return _ascii(list(_and_more(self._left_out + len(texts))))


def _and_more(count: int) -> Iterator[str]:
    if count:
        yield f"{count} more"


def _ascii(texts: Sequence[str]) -> str:
    return json.dumps(texts, ensure_ascii=True, separators=(",", ":"))


def begin_warnings(scope: Scope) -> Warnings:
    """Called when a request begins."""
    warnings = scope[_KEY] = Warnings()
    return warnings


async def _of_request(request: Request) -> Warnings:
    found: Warnings = request.scope[_KEY]
    return found


Told = Annotated[Warnings, Depends(_of_request)]
"""The warnings of a request, for a route that has some."""
