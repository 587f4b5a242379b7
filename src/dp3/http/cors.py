"""Tells browsers which pages of other origins may read answers (CORS)."""

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dp3.http.answers import refused
from dp3.http.origin import OriginPolicy, is_same_origin
from dp3.http.warnings import HEADER

Headers = list[tuple[bytes, bytes]]

METHODS = "DELETE, GET, HEAD, OPTIONS, POST"
READING = (b"GET", b"HEAD")

MAX_AGE_S = 600
"""Browsers remember the answer to a preflight for so long."""

EXPOSED = (b"access-control-expose-headers", HEADER.encode())
"""Pages may read warnings."""

VARY = (b"vary", b"Origin")


class Cors:
    """Answers preflights and marks answers as readable for pages of allowed origins.

    Outside of everything that refuses requests: preflights come without a token, and pages have to read
    refusals, too. It protects nothing by itself: what a foreign page may ask for is decided by
    `OriginPolicy.refusal`.
    """

    def __init__(self, app: ASGIApp, policy: OriginPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None and not self._policy.depends_on_origin:
            await self._app(scope, receive, send)
        elif origin and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await self._preflight(origin, headers)(scope, receive, send)
        else:
            added = self._headers(origin, headers.get(b"host", b""))
            await self._app(scope, receive, _adding(added, send))

    def _headers(self, origin: bytes | None, host: bytes) -> Headers:
        """The headers that are added to an answer."""
        added = [VARY] if self._policy.depends_on_origin else []
        if origin is not None and self._policy.may_read(origin):
            return [*added, (b"access-control-allow-origin", origin), EXPOSED]
        if origin is not None and not is_same_origin(origin, host):
            self._policy.note_origin(origin)
        return added

    def _preflight(self, origin: bytes, headers: dict[bytes, bytes]) -> Response:
        method = headers[b"access-control-request-method"]
        wanted = headers.get(b"access-control-request-headers", b"")
        if not self._is_granted(origin, method, wanted):
            self._policy.note_origin(origin)
            return refused(403, "pages of this origin may not send such requests").response()
        granted = {
            "Access-Control-Allow-Origin": origin.decode("latin-1"),
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Max-Age": str(MAX_AGE_S),
            "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        }
        if wanted:
            granted["Access-Control-Allow-Headers"] = wanted.decode("latin-1")
        return PlainTextResponse("OK", headers=granted)

    def _is_granted(self, origin: bytes, method: bytes, wanted: bytes) -> bool:
        """True if pages of an origin may send such a request. Where all pages may read, others than the named
        ones may change something only with a token, which they announce here and bring with the request
        itself."""
        if self._policy.may_change(origin):
            return True
        has_token = b"authorization" in [name.strip() for name in wanted.lower().split(b",")]
        return self._policy.may_read(origin) and (method in READING or has_token)


def _adding(added: Headers, send: Send) -> Send:
    if not added:
        return send

    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return send_with
