"""The outermost part of the API: who asks, and whether he may. All requests come through here, also those
that go past the framework."""

import time
from collections.abc import Callable
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from dp3.http.answers import Refusal, refused
from dp3.http.callers import UNASKED, Caller, Callers, Headers, roles_with
from dp3.http.origin import OriginPolicy
from dp3.http.parameters import client_address, path_below
from dp3.http.rules import Permission, Rule, Rules, subject_of
from dp3.runtime.audit import AuditLog

READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing where no route is."""

UNKNOWN_A_MINUTE = 60
"""Lines of the audit log about callers that are not known."""


class Access:
    """Answers 401 to those who are not known and 403 to those who may not; all others go on.

    `callers` finds out who asks, `origins` whether a foreign page made a browser ask. `has_route` is True if
    something answers a request: who is known gets 404 and 405 where nothing does. `audit` notes requests that
    change something, allowed or refused. `root_path`: the prefix that a reverse proxy puts before all paths.

    Only CORS and the access log are further outside, and let nobody in. CORS: preflights bring no token,
    and pages have to be able to read refusals. The access log: it has what is refused, too."""

    def __init__(
        self,
        app: ASGIApp,
        callers: Callers,
        origins: OriginPolicy,
        *,
        has_route: Callable[[Scope], bool],
        audit: AuditLog | None,
        root_path: str,
    ) -> None:
        self._app = app
        self._callers = callers
        self._origins = origins
        self._has_route = has_route
        self._audit = audit
        self._root_path = root_path
        self._rules = Rules()
        self._unknown = _Seldom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        path = path_below(self._root_path, scope["path"])
        rule = self._rules.find(scope["method"], path)
        caller, answer = await self._judged(rule, scope)
        # Routing takes a path with a newline at its end for the one without, the rules do not.
        if answer is self._app and path.endswith("\n"):
            answer = refused(404, "Not Found").response()
        if rule is None or not rule.audited or self._audit is None:
            await answer(scope, receive, send)
        else:
            note = partial(self._note, self._audit, rule, caller, path, scope)
            await _noting(note, answer, scope, receive, send)

    async def _judged(self, rule: Rule | None, scope: Scope) -> tuple[Caller, ASGIApp]:
        """The caller of a request, and the application that answers it."""
        permission = Permission.ADMIN if rule is None else rule.permission
        headers = dict(scope["headers"])
        try:
            caller = await self._caller(permission, scope, headers)
        except Refusal as unable:
            return UNASKED, unable.response()
        mode = self._callers.mode
        refusal = self._origins.refusal(
            scope,
            headers,
            brings_token=mode == "tokens" and caller is not UNASKED and not caller.unknown,
            checks_host=mode == "open" or (mode == "proxy" and self._origins.has_names),
            changes_state=scope["method"] not in READING if rule is None else rule.changes_state,
        )
        if refusal is None and permission not in caller.permissions and self._is_there(rule, caller, scope):
            refusal = not_permitted(permission, caller)
        return caller, self._app if refusal is None else refusal.response()

    def _is_there(self, rule: Rule | None, caller: Caller, scope: Scope) -> bool:
        """True if there is something to be refused, as far as the caller may know."""
        return rule is not None or bool(caller.unknown) or self._has_route(scope)

    async def _caller(self, permission: Permission, scope: Scope, headers: Headers) -> Caller:
        if permission is Permission.OPEN:
            self._callers.keep_up()
            return UNASKED
        return await self._callers.known(scope, headers)

    def _note(
        self, audit: AuditLog, rule: Rule, caller: Caller, path: str, scope: Scope, status: int
    ) -> None:
        on = subject_of(rule, path, scope["query_string"])
        if caller.unknown:
            if not self._unknown.is_turn():
                return
            on |= self._unknown.left_out()
        address = client_address(scope)
        audit.note(who=caller.name, address=address, what=rule.audited, on=on, result=status)


class _Seldom:
    """A limit on the refusals of unknown callers noted: `UNKNOWN_A_MINUTE`, lest they fill the disk."""

    def __init__(self) -> None:
        self._minute = 0
        self._count = 0
        self._left_out = 0

    def is_turn(self) -> bool:
        """True if the present refusal is noted; if not, it is counted."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        is_turn = self._count <= UNKNOWN_A_MINUTE
        self._left_out += not is_turn
        return is_turn

    def left_out(self) -> dict[str, str]:
        """The number of refusals that were not noted since the latest that was."""
        count, self._left_out = self._left_out, 0
        return {"left out before": str(count)} if count else {}


def not_permitted(permission: Permission, caller: Caller) -> Refusal:
    """401 for somebody who is not known, 403 for somebody who may not."""
    if caller.unknown:
        return Refusal(401, {"detail": caller.unknown}, {"WWW-Authenticate": "Bearer"})
    roles = " or ".join(roles_with(permission))
    return refused(403, f"This needs the role {roles}; {caller.name!r} has {caller.role or 'none'}")


async def _noting(
    note: Callable[[int], None], answer: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer, and note the status before it is sent, or 0 if nothing is sent."""
    status = 0

    async def send_noted(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            note(status)
        await send(message)

    try:
        await answer(scope, receive, send_noted)
    finally:
        if not status:
            note(status)
