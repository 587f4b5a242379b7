"""Callers, who send requests: known by a token, named by a reverse proxy, or not asked."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address
from typing import Literal, NamedTuple, Protocol

from starlette.types import Scope

from dp3.clock import Clock
from dp3.config.sections import AuthProxySettings, AuthSettings
from dp3.http.answers import busy
from dp3.http.parameters import client_address
from dp3.http.rules import EVERYTHING, NOTHING, ROLES, Permission
from dp3.store.ports.tokens import Token, Tokens, digest_of

Mode = Literal["open", "tokens", "proxy"]
"""How callers are known, as `api.yml: auth.mode`."""

Headers = Mapping[bytes, bytes]

LOOK_EVERY_S = 1.0
"""Requests have the tokens looked at again so long after the last time, beside them."""

STALE_S = 2.0
"""What was seen longer ago does not count: a request after a pause waits for a new look."""

INDEX_BYTES = 8
"""So much of a digest finds its token; the rest is compared."""

logger = logging.getLogger(__name__)


class Caller(NamedTuple):
    """The sender of a request, and what he may. `unknown`: why he is not known; then he may only what
    everybody may."""

    name: str
    role: str
    permissions: frozenset[Permission]
    unknown: str = ""


ANYBODY = Caller("(anybody)", "admin", EVERYTHING)
"""Whoever it is, where nobody is asked. No token has a name in parentheses."""

UNASKED = Caller("(not asked)", "", NOTHING)
"""Who sends what everybody may send."""

WITHOUT_TOKEN = Caller(
    "(no token)", "", NOTHING, "This needs a token: send the header `Authorization: Bearer TOKEN`"
)
WRONG_TOKEN = Caller("(wrong token)", "", NOTHING, "The token is not one of this application, or was revoked")


class Callers(Protocol):
    """Finds out who sends requests; one way for each mode."""

    @property
    def mode(self) -> Mode:
        """The mode that counts now."""
        ...

    async def known(self, scope: Scope, headers: Headers) -> Caller:
        """The caller of a request. Raises `Refusal` when that can not be found out now."""
        ...

    def keep_up(self) -> None:
        """Instead of `known` for requests that everybody may send: have `mode` stay what counts, at once."""
        ...


def callers_of(settings: AuthSettings, tokens: Tokens, clock: Clock) -> Callers:
    """The configured way."""
    if settings.mode == "open":
        return Open()
    if settings.mode == "proxy":
        return ProxyUsers(settings.proxy)
    return TokenHolders(tokens, clock, always=settings.mode == "tokens")


class Open:
    """Asks nobody."""

    mode: Mode = "open"

    async def known(self, scope: Scope, headers: Headers) -> Caller:
        return ANYBODY

    def keep_up(self) -> None:
        pass


class ProxyUsers:
    """Trusts a reverse proxy, known by its address, that names its users in a header."""

    mode: Mode = "proxy"

    def __init__(self, settings: AuthProxySettings) -> None:
        self._header = settings.header.lower().encode("ascii")
        self._networks = settings.addresses
        self._users = settings.users
        self._default_role = settings.default_role
        self._is_trusted = lru_cache(maxsize=1_024)(self._is_proxy)

    async def known(self, scope: Scope, headers: Headers) -> Caller:
        if not self._is_trusted(client_address(scope)):
            return Caller("(no proxy)", "", NOTHING, "This is only answered through the reverse proxy")
        # A proxy that adds its header to the client's own, instead of replacing it, would let anybody in.
        named = [value for name, value in scope["headers"] if name == self._header]
        user = named[0].decode("utf-8", "replace") if len(named) == 1 else ""
        if not user:
            return Caller("(no user)", "", NOTHING, "The reverse proxy must name one user in its header")
        role = self._users.get(user, self._default_role)
        return Caller(user, role or "", NOTHING if role is None else ROLES[role])

    def keep_up(self) -> None:
        pass

    def _is_proxy(self, client: str) -> bool:
        try:
            address = ip_address(client)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


class _Seen(NamedTuple):
    """The tokens as seen at a look: those that are not revoked by the first bytes of their digests, and
    whether there ever was one."""

    by_digest: dict[bytes, tuple[Token, Caller]]
    ever_made: bool


class TokenHolders:
    """Knows callers by their tokens, which are in memory and looked at again when requests come.

    So a token that is made or revoked counts after two seconds at the latest. Until the first one was ever
    made nobody is asked, unless `always`."""

    def __init__(
        self,
        tokens: Tokens,
        clock: Clock,
        *,
        always: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._always = always
        self._monotonic = monotonic
        self._begun_at = self._looked_at = monotonic()
        self._seen = self._read()
        # Threads that all requests share may be taken, by slow questions for example.
        self._threads = ThreadPoolExecutor(1, "tokens")
        self._look: Future[None] | None = None

    @property
    def mode(self) -> Mode:
        return "tokens" if self._always or self._seen.ever_made else "open"

    async def known(self, scope: Scope, headers: Headers) -> Caller:
        self.keep_up()
        if self._look is not None and self._age_s > STALE_S:
            await asyncio.shield(asyncio.wrap_future(self._look))
            if self._age_s > STALE_S:
                raise busy("Tokens can not be read at the moment")
        if self.mode == "open":
            return ANYBODY
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        return self._holder(secret.strip()) if scheme.lower() == b"bearer" else WITHOUT_TOKEN

    def keep_up(self) -> None:
        now = self._monotonic()
        if now - self._begun_at > LOOK_EVERY_S and (self._look is None or self._look.done()):
            self._begun_at = now
            self._look = self._threads.submit(self._look_again, now)

    @property
    def _age_s(self) -> float:
        """The time since the tokens were as they are in memory."""
        return self._monotonic() - self._looked_at

    def _holder(self, secret: bytes) -> Caller:
        digest = digest_of(secret)
        found = self._seen.by_digest.get(digest[:INDEX_BYTES])
        if found is None or not compare_digest(found[0].digest, digest):
            return WRONG_TOKEN
        token, caller = found
        if token.is_expired(self._clock.now_us()):
            return Caller(token.name, "", NOTHING, "The time of the token is over; ask for a new one")
        return caller

    def _look_again(self, now: float) -> None:
        try:
            self._seen = self._read()
            self._looked_at = now
        except Exception as error:
            logger.warning("tokens can not be read: %s", error)

    def _read(self) -> _Seen:
        live = self._tokens.not_revoked()
        by_digest = {token.digest[:INDEX_BYTES]: (token, _caller(token)) for token in live}
        return _Seen(by_digest, bool(live) or self._tokens.ever_made())


def _caller(token: Token) -> Caller:
    """A role that this version does not know opens nothing."""
    return Caller(token.name, token.role, ROLES.get(token.role, NOTHING))


def roles_with(permission: Permission) -> Iterable[str]:
    """The roles that have a permission."""
    return (role for role, permissions in ROLES.items() if permission in permissions)
