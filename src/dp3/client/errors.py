"""Errors between a primary module and the platform.

ClientError
├── Refused       the platform understood the request and says no; sending it again is useless
├── ServerError   the answer was not one that the platform gives (a defect, or something in between)
└── Unavailable   no usable answer within the time limit; sending again later is right
"""

from collections.abc import Sequence
from typing import Any

SHOWN_ERRORS = 5


class ClientError(Exception):
    """The parent of all errors of the client."""


class Unavailable(ClientError):
    """The platform could not be reached, or kept saying that it is busy, until the time limit was over.

    `attempts` is how often it was tried. Nothing is known about the last attempt: it may have arrived, so
    repeat `send` with the same `idempotency_key`.
    """

    def __init__(self, request: str, attempts: int, last: str, idempotency_key: str | None = None) -> None:
        super().__init__(f"{request}: no answer after {attempts} attempts, the last one failed with: {last}")
        self.attempts = attempts
        self.idempotency_key = idempotency_key


class ServerError(ClientError):
    """The answer has an unexpected status or is not JSON. `status` is the HTTP status."""

    def __init__(self, request: str, status: int, answer: str) -> None:
        super().__init__(f"{request}: unexpected answer {status}: {answer[:200]}")
        self.status = status


class Refused(ClientError):
    """The platform refused the request (status 4xx); nothing of it was stored.

    `errors` are the errors as the platform lists them, each with at least `msg`, most with `loc` and `type`.
    """

    def __init__(self, request: str, status: int, errors: Sequence[dict[str, Any]]) -> None:
        shown = [_error_text(error) for error in errors[:SHOWN_ERRORS]]
        if len(errors) > SHOWN_ERRORS:
            shown.append(f"and {len(errors) - SHOWN_ERRORS} more")
        super().__init__(f"{request}: refused with {status}: " + "; ".join(shown))
        self.status = status
        self.errors = tuple(errors)


def errors_of(detail: Any) -> list[dict[str, Any]]:
    """The error list of an answer's `detail`, which is a list of objects or a text."""
    if isinstance(detail, list):
        return [error if isinstance(error, dict) else {"msg": str(error)} for error in detail]
    return [{"msg": str(detail)}]


def _error_text(error: dict[str, Any]) -> str:
    place = ".".join(str(step) for step in error.get("loc", ()))
    message = str(error.get("msg", error))
    return f"{place}: {message}" if place else message
