"""Redirects within the API: never to another host, always below the prefix of a reverse proxy."""

from collections.abc import Sequence
from urllib.parse import quote, unquote

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send


def redirect(scope: Scope, path: str) -> Response:
    """307 to a path of the API, percent-encoded and with the query of the request.

    The answer names no host, as the one in the request is the sender's claim, and begins with a single
    slash, as `//name` would be a host."""
    prefix = scope.get("root_path", "")
    if prefix and path != prefix and not path.startswith(f"{prefix}/"):
        path = prefix + path
    query = scope["query_string"].decode("latin-1")
    return RedirectResponse(f"/{path.lstrip('/')}{'?' if query else ''}{query}")


class SlashRedirect:
    """Answers where no route is: if there is one for the same path with or without a slash at its end, by a
    redirect to it, otherwise by 404."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _sent_path(scope)
        other = path.rstrip("/") or "/" if path.endswith("/") else f"{path}/"
        if not self._leads_somewhere({**scope, "path": unquote(other)}):
            raise HTTPException(404)
        await redirect(scope, other)(scope, receive, send)

    def _leads_somewhere(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)


def _sent_path(scope: Scope) -> str:
    """The path as it was sent: in the decoded one a slash of an id looks like one between parts."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.decode("latin-1")
