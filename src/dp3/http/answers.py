"""Answers: JSON bodies, the documented error shapes, and exceptions that carry an answer."""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dp3.files import DamagedFile
from dp3.hooks.outcome import MAX_REPR_CHARS, bounded_repr
from dp3.http.pieces import InvalidJson, Sent, check_utf8, decode_text
from dp3.log.port import LogUnavailable
from dp3.model.canonical import encode_json
from dp3.reads.errors import CountingBusy, CountingTooSlow, CursorError, QueryError, SortError
from dp3.store.ports.errors import QueryTooLarge, QueryTooSlow, StoreUnavailable, StoreUncertain

RETRY_AFTER_S = 1

MAX_ECHO = 64 << 10
"""Characters, about, of a request that one error repeats."""

MAX_ECHOES = 1 << 20
"""Characters, about, of a request that all errors of an answer repeat."""

MAX_ERRORS = 1_000
"""Mistakes that end the check of a request: each costs more than a good data-point."""

logger = logging.getLogger(__name__)

Error = dict[str, Any]
"""One element of a 422 body: `type`, `loc`, `msg`, usually `input`, sometimes `ctx`."""

Loc = Sequence[str | int]


class Json(Response):
    """A JSON answer encoded by msgspec: aware UTC times end in `Z`."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encode_json(content)


class Answer(Json):
    """An object of fixed keys, so that there is room for more."""

    def add(self, key: str, value: Any) -> None:
        """Put something at its end, which must not be empty; what is there is not encoded again."""
        self.body = b"".join((self.body[:-1], b",", encode_json({key: value})[1:]))
        self.headers["content-length"] = str(len(self.body))


class Refusal(Exception):
    """The request ends with this answer; `body` is usually `{"detail": …}`."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.headers = headers

    def response(self) -> Response:
        return Json(self.body, self.status, self.headers)


class Disconnected(Exception):
    """The client went away before its request was complete, or while it waited for its turn."""


REFUSED: tuple[type[Exception], ...] = (
    Refusal,
    QueryError,
    SortError,
    CursorError,
    QueryTooLarge,
    QueryTooSlow,
    CountingTooSlow,
    CountingBusy,
    DamagedFile,
    LogUnavailable,
    StoreUnavailable,
    StoreUncertain,
)
"""Errors that end a request with a documented answer."""


def refused(status: int, detail: str) -> Refusal:
    """A refusal with a text."""
    return Refusal(status, {"detail": detail})


def invalid(errors: Iterable[Error]) -> Refusal:
    """422 with all errors of the request; what they repeat of it is bounded."""
    collected = Errors()
    collected.add(errors)
    return collected.refusal()


class Errors:
    """The errors of one request. What they repeat of it is cut when it is too much, at once, so that it needs
    not be kept."""

    def __init__(self) -> None:
        self._errors: list[Error] = []
        self._left = MAX_ECHOES

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, errors: Iterable[Error]) -> None:
        """Add errors."""
        self._errors += map(self._cut, errors)

    def refusal(self) -> Refusal:
        """422 with all of them."""
        return Refusal(422, {"detail": self._errors})

    def _cut(self, error: Error) -> Error:
        cut = {name: self._cut_value(value) for name, value in error.items()}
        cut["loc"] = [self._cut_value(part) for part in error["loc"]]
        return cut

    def _cut_value(self, value: Any) -> Any:
        room = max(min(MAX_ECHO, self._left), MAX_REPR_CHARS)
        size = _size(value, room)
        self._left = max(self._left - size, 0)
        return value if size <= room else bounded_repr(value)


def _size(value: Any, enough: int) -> int:
    """Characters in a value, about; nothing more is counted once there are more than `enough`."""
    size = 0
    left: list[Any] = [value]
    while left and size <= enough:
        one = left.pop()
        size += len(one) if isinstance(one, str | bytes | Mapping | list | tuple) else 1
        if size <= enough and isinstance(one, Mapping):
            left += one
            left += one.values()
        elif size <= enough and isinstance(one, list | tuple):
            left += one
        elif isinstance(one, int):
            size += one.bit_length() // 3
    return size


def invalid_value(loc: Loc, msg: str) -> Refusal:
    """422 with the one error that the platform itself found, in its own short shape."""
    return invalid([{"loc": list(loc), "msg": msg, "type": "value_error"}])


def busy(detail: str) -> Refusal:
    """503: the same request may succeed a little later."""
    return Refusal(503, {"detail": detail}, {"Retry-After": str(RETRY_AFTER_S)})


def refusal_of(error: Exception) -> Refusal:
    """The documented refusal for an error of reads."""
    match error:
        case Refusal():
            return error
        case QueryError() | QueryTooLarge():
            return refused(400, str(error))
        case SortError():
            return invalid_value(["query", "sort"], str(error))
        case CursorError():
            return invalid_value(["query", "cursor"], str(error))
        case CountingBusy() | LogUnavailable() | StoreUnavailable() | StoreUncertain():
            return busy(str(error))
        case DamagedFile():
            logger.error("%s", error)
            return refused(500, str(error))
        case _:
            return refused(503, str(error))


def failure(request: str) -> Response:
    """The answer to a request (as text) that an unexpected exception ended, which is logged. Call it where
    that is handled."""
    error = sys.exception()
    if isinstance(error, REFUSED):
        return refusal_of(error).response()
    logger.exception("%s failed", request)
    return PlainTextResponse("Internal Server Error", 500)


def refusal_response(_: Request, error: Exception) -> Response:
    """The exception handler of `REFUSED`."""
    return refusal_of(error).response()


def pydantic_errors(error: ValidationError, prefix: Loc) -> list[Error]:
    """The errors as they are answered: exceptions in `ctx` become `{}`. More than `MAX_ERRORS` become one."""
    if error.error_count() > MAX_ERRORS:
        return [too_many_errors(prefix, f"there are {error.error_count()}")]
    return [_pydantic_error(each, prefix) for each in error.errors(include_url=False)]


def too_many_errors(loc: Loc, detail: str) -> Error:
    """The error that stands for all further ones."""
    return {"type": "too_many_errors", "loc": list(loc), "msg": f"Too many errors: {detail}", "input": None}


def _pydantic_error(error: Mapping[str, Any], prefix: Loc) -> Error:
    answer: Error = {
        "type": error["type"],
        "loc": [*prefix, *error["loc"]],
        "msg": error["msg"],
        "input": error["input"],
    }
    if "ctx" in error:
        context = error["ctx"].items()
        answer["ctx"] = {name: {} if isinstance(v, Exception) else v for name, v in context}
    return answer


def json_invalid(body: Sent, error: InvalidJson) -> Refusal:
    """The refusal of a body that is not JSON."""
    return invalid(
        [
            {
                "type": "json_invalid",
                "loc": ["body", error.position],
                "msg": "JSON decode error",
                "input": body[: MAX_ECHO * 4].decode("utf-8", "replace")[:MAX_ECHO],
                "ctx": {"error": error.reason},
            }
        ]
    )


def parse_json(body: Sent) -> Any:
    """A body of bounded size as the standard library reads it; 422 if it is missing or not JSON."""
    if not body:
        raise invalid([{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}])
    try:
        check_utf8(body)
        return decode_text(body.decode())
    except InvalidJson as error:
        raise json_invalid(body, error) from None
