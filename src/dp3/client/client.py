"""The client itself: encoding, retries, errors."""

import json
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from dp3.client.errors import Refused, ServerError, Unavailable, errors_of
from dp3.client.transport import Answer, Retry, Server

BUSY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
PATH_SAFE = "/%:@!$&'()*+,;=~"


class Client:
    """Talks to the HTTP API of one platform; may be used by any number of threads at once.

    `url` is the address of the API, such as `http://127.0.0.1:5000`. `timeout_s` limits the waiting for the
    network in one attempt; `retry` says for how long new attempts are made while the platform is not there
    or busy. `token` says to the platform who asks; it is sent with every request and shown nowhere. `sleep`
    and `monotonic` stand for the functions of `time`. Raises `ValueError` for an address or a token that can
    not be one.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float = 30.0,
        retry: Retry | None = None,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = Server.parse(url)
        self._credentials = {} if token is None else {"Authorization": f"Bearer {_checked(token)}"}
        self._timeout_s = timeout_s
        self._retry = retry if retry is not None else Retry()
        self._sleep = sleep
        self._monotonic = monotonic

    def __enter__(self) -> "Client":
        """The client itself. Nothing stays open between requests, so leaving the block has nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send(
        self,
        datapoints: Iterable[Mapping[str, Any]],
        *,
        wait: bool = False,
        idempotency_key: str | None = None,
    ) -> bool:
        """Send data-points in one request: when this returns, all of them are stored durably, once.

        A data-point is a mapping with `type`, `id`, `attr`, `v` and, where the attribute needs them, `t1`,
        `t2`, `c`, `src`. Dates and IP addresses may be Python objects; a date without a zone is UTC.

        With `wait`, returns whether the data-points are visible in the profiles already (the platform waits
        up to 10 s for that); without, always False. Every attempt carries the same `idempotency_key` (one is
        made if not given), so a retry never stores anything twice.

        Raises `Refused` if a data-point is bad (then none is stored), `Unavailable`, `ServerError`, and
        `TypeError` or `ValueError` if a value cannot be written as JSON.
        """
        key = idempotency_key if idempotency_key is not None else uuid4().hex
        target = "/datapoints" + ("?wait=true" if wait else "")
        answer = self._exchange(_Request("POST", target, _encode(list(datapoints)), key))
        return isinstance(answer, dict) and answer.get("applied") is True

    def get(self, path: str, **query: Any) -> Any:
        """Read `path` (such as `/entity/host/web-1/master`) and return the decoded JSON answer.

        `query` holds the query parameters; None is left out, dates may be Python objects. For ids with
        a slash use the paths that take the id as a parameter: `get("/v2/entity/host/master", eid="a/b")`.
        Raises `Refused`, `Unavailable`, `ServerError`.
        """
        return self.request("GET", path, query=query)

    def request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        """Any other call of the API; `body` is sent as JSON if it is not None. Otherwise like `get`.

        A POST is tried again only if it surely did not arrive: the platform said that it is busy, or nobody
        listened.
        """
        given = {name: _to_text(value) for name, value in (query or {}).items() if value is not None}
        target = quote("/" + path.lstrip("/"), safe=PATH_SAFE) + (f"?{urlencode(given)}" if given else "")
        return self._exchange(_Request(method, target, None if body is None else _encode(body)))

    def _exchange(self, request: "_Request") -> Any:
        answer = self._answer(request)
        content = _decode(request, answer)
        if 400 <= answer.status < 500:
            detail = content.get("detail", content) if isinstance(content, dict) else content
            raise Refused(str(request), answer.status, errors_of(detail))
        return content

    def _answer(self, request: "_Request") -> Answer:
        """The first answer that is not "busy", trying again until the time limit is over."""
        deadline = self._monotonic() + self._retry.total_s
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._attempt(request)
            except _TryAgain as failure:
                wait_s = self._retry.wait_s(attempt, failure.asked_s)
                if not failure.useful or self._monotonic() + wait_s > deadline:
                    raise Unavailable(
                        str(request), attempt, str(failure), request.idempotency_key
                    ) from failure.__cause__
            self._sleep(wait_s)

    def _attempt(self, request: "_Request") -> Answer:
        try:
            headers = request.headers | self._credentials
            answer = self._server.exchange(
                request.method, request.target, request.body, headers, self._timeout_s
            )
        except (OSError, HTTPException) as error:
            useful = request.repeatable or isinstance(error, ConnectionRefusedError)
            if isinstance(error, ssl.SSLCertVerificationError):
                useful = False  # it will not be trusted a moment later
            raise _TryAgain(f"{type(error).__name__}: {error}", useful=useful) from error
        if answer.status in BUSY:
            useful = request.repeatable or answer.status == HTTPStatus.SERVICE_UNAVAILABLE
            reason = f"{answer.status} {_text(answer)[:200]}"
            raise _TryAgain(reason, useful=useful, asked_s=answer.retry_after_s)
        return answer


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    body: bytes | None = None
    idempotency_key: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    @property
    def headers(self) -> dict[str, str]:
        headers = {} if self.body is None else {"Content-Type": "application/json"}
        return (
            headers if self.idempotency_key is None else headers | {"Idempotency-Key": self.idempotency_key}
        )

    @property
    def repeatable(self) -> bool:
        """True if it does no harm when it arrives twice."""
        return self.method != "POST" or self.idempotency_key is not None


class _TryAgain(Exception):
    """An attempt brought nothing. Another may be `useful`; the server asked to wait `asked_s` before."""

    def __init__(self, reason: str, *, useful: bool, asked_s: float | None = None) -> None:
        super().__init__(reason)
        self.useful = useful
        self.asked_s = asked_s


def _checked(token: str) -> str:
    """The token, if it can be sent. It is not in the message."""
    if not token or not all("!" <= character <= "~" for character in token):
        raise ValueError("a token consists of visible ASCII characters; got something else, or nothing")
    return token


def _encode(content: Any) -> bytes:
    return json.dumps(content, default=_to_json, allow_nan=False).encode()


def _text(answer: Answer) -> str:
    return answer.body.decode(errors="replace")


def _decode(request: _Request, answer: Answer) -> Any:
    text = _text(answer)
    if not (200 <= answer.status < 300 or 400 <= answer.status < 500):
        raise ServerError(str(request), answer.status, text)
    try:
        return json.loads(text)
    except ValueError as error:
        if answer.status >= 400:
            return {"detail": text}
        raise ServerError(str(request), answer.status, text) from error


def _to_json(value: Any) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, IPv4Address | IPv6Address):
        return str(value)
    raise TypeError(f"a data-point cannot hold a {type(value).__name__}, got {value!r}")


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _to_json(value) if isinstance(value, datetime) else str(value)
