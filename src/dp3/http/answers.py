"""Answers: JSON bodies, the documented error shapes, and exceptions that carry an answer."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dp3.model.canonical import encode_json
from dp3.reads.errors import CountingBusy, CountingTooSlow, CursorError, QueryError, SortError
from dp3.store.ports.errors import QueryTooLarge, QueryTooSlow

RETRY_AFTER_S = 1

MAX_ECHO = 64 << 10
"""Characters of an undecodable body that are repeated in the error."""

logger = logging.getLogger(__name__)

Error = dict[str, Any]
"""One element of a 422 body: `type`, `loc`, `msg`, usually `input`, sometimes `ctx`."""

Loc = Sequence[str | int]


class Json(Response):
    """A JSON answer encoded by msgspec: aware UTC times end in `Z`."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encode_json(content)


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
)
"""Errors that end a request with a documented answer."""


def refused(status: int, detail: str) -> Refusal:
    """A refusal with a text."""
    return Refusal(status, {"detail": detail})


def invalid(errors: Sequence[Error]) -> Refusal:
    """422 with all errors of the request."""
    return Refusal(422, {"detail": list(errors)})


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
        case CountingBusy():
            return busy(str(error))
        case _:
            return refused(503, str(error))


def failure(request: str) -> Response:
    """The answer to a request (as text) that an unexpected exception ended, which is logged."""
    logger.exception("%s failed", request)
    return PlainTextResponse("Internal Server Error", 500)


def refusal_response(_: Request, error: Exception) -> Response:
    """The exception handler of `REFUSED`."""
    return refusal_of(error).response()


def pydantic_errors(errors: Sequence[Mapping[str, Any]], prefix: Loc) -> list[Error]:
    """Errors of a pydantic `ValidationError` as they are answered: exceptions in `ctx` become `{}`."""
    return [_pydantic_error(error, prefix) for error in errors]


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


def json_invalid(body: bytes, position: int, reason: str) -> Error:
    """The error for a body that is not JSON."""
    return {
        "type": "json_invalid",
        "loc": ["body", position],
        "msg": "JSON decode error",
        "input": body[: MAX_ECHO * 4].decode("utf-8", "replace")[:MAX_ECHO],
        "ctx": {"error": reason},
    }


def parse_json(body: bytes) -> Any:
    """A body as the standard library reads it; 422 if it is missing or not JSON."""
    if not body:
        raise invalid([{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}])
    try:
        return json.loads(body.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise invalid([json_invalid(body, error.pos, error.msg)]) from None
    except UnicodeDecodeError as error:
        raise invalid([json_invalid(body, error.start, "Invalid UTF-8")]) from None
    except RecursionError:
        raise invalid([json_invalid(body, 0, "Nested too deeply")]) from None
    except ValueError as error:
        raise invalid([json_invalid(body, 0, str(error))]) from None
