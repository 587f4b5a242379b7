"""The web pages that may use the API, and the names by which it is asked."""

import logging
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import Scope

from dp3.config.kinds import DEFAULT_PORTS
from dp3.http.answers import Refusal, refused

ANY = "*"

OWN_SITE = (b"same-origin", b"none")
"""`Sec-Fetch-Site` of requests that no page of another site caused; `none`: the user typed the address."""

MAX_NOTED = 100
"""So many refused origins and hosts are logged, each once: more than an installation has by mistake."""

MAX_SHOWN = 200
"""Characters of a header that are repeated in a message."""

KNOWN_HOSTS = 256
"""Judged `Host` headers that are remembered, so that a request costs no parsing."""

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]/@\s]+))(?::[0-9]{0,5})?")

logger = logging.getLogger(__name__)


class OriginPolicy:
    """Tells requests that a foreign web page makes a browser send from those that somebody wants.

    A page may send requests to every address that its visitor's browser reaches, and can read the answers if
    its own name is made to point there (DNS rebinding). Browsers say so in `Origin`, `Sec-Fetch-Site` and
    `Host`; other programs send neither of the first two and are not affected.

    `allow_origins`: origins whose pages may do everything; `*` lets all pages read. `allowed_hosts`: names by
    which the API may be asked without a token: `name`, `*.name` for all below, `*` for all. `bound_host`: the
    address or name on which the API listens. Used in one event loop.
    """

    def __init__(
        self,
        *,
        allow_origins: Collection[str] = (),
        allowed_hosts: Collection[str] = (),
        bound_host: str = "",
    ) -> None:
        self._origins = frozenset(allow_origins) - {ANY}
        self._any_may_read = ANY in allow_origins
        self._has_names = bool(allowed_hosts)
        self._any_host = ANY in allowed_hosts
        self._names = {"localhost", bound_host.lower(), *allowed_hosts}
        self._suffixes = (".localhost", *(name[1:] for name in allowed_hosts if name.startswith("*.")))
        self._is_known = lru_cache(KNOWN_HOSTS)(self._judge)
        self._noted: set[str] = set()

    @property
    def has_names(self) -> bool:
        """True if names are configured by which the API may be asked."""
        return self._has_names

    @property
    def depends_on_origin(self) -> bool:
        """True if answers to one origin differ from those to another."""
        return bool(self._origins)

    def refusal(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        *,
        brings_token: bool,
        checks_host: bool,
        changes_state: bool,
    ) -> Refusal | None:
        """The answer to a request that must not be carried out, None if it may be.

        `headers` are those of `scope`. `brings_token`: a token that counts came in `Authorization`, where no
        browser puts it on its own; what a proxy asks for browsers send with every request, so there origins
        count. `checks_host`: only known names count; with tokens
        a page that rebinds has none to send. `changes_state`: the route does more than read.

        400: more than one `Host`. 421: an unknown name. 403: a change that a foreign page
        asks for. A request without `Host` comes from no browser and has nothing to be checked.
        """
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1:
            return refused(400, f"expected one Host header, got {len(hosts)}")
        host = hosts[0] if hosts else b""
        if checks_host and host and not self._is_known(host):
            return self._unknown_host(host)
        if changes_state and not brings_token:
            return self._foreign_change(headers.get(b"origin"), headers.get(b"sec-fetch-site"), host)
        return None

    def may_read(self, origin: bytes) -> bool:
        """True if pages of an origin may read answers."""
        return self._any_may_read or self.may_change(origin)

    def may_change(self, origin: bytes) -> bool:
        """True if pages of an origin may change something without a token: only those named."""
        return origin.decode("latin-1") in self._origins

    def note_origin(self, origin: bytes) -> None:
        """Log, once, what pages of an origin may not, and how to allow it."""
        self._note(self._foreign(origin))

    def _judge(self, host: bytes) -> bool:
        name = _name(host) or ""
        return bool(name) and (
            self._any_host or name in self._names or name.endswith(self._suffixes) or _is_address(name)
        )

    def _unknown_host(self, host: bytes) -> Refusal:
        shown = _shown((_name(host) or "").encode("latin-1") or host)
        reason = f"the API is not known as {shown}; add the name to allowed_hosts in api.yml of the platform"
        self._note(f"a request was refused: {reason}")
        return refused(421, f"{reason}, or ask by its address")

    def _foreign_change(self, origin: bytes | None, site: bytes | None, host: bytes) -> Refusal | None:
        is_own_site = site is None or site in OWN_SITE
        if origin is None:
            if is_own_site:
                return None
            return refused(
                403,
                f"a page of another site asked for this (Sec-Fetch-Site: {_shown(site or b'')}); "
                "only pages of the API itself may",
            )
        if self.may_change(origin) or (is_own_site and is_same_origin(origin, host)):
            return None
        self.note_origin(origin)
        return refused(403, self._foreign(origin))

    def _foreign(self, origin: bytes) -> str:
        shown = _shown(origin)
        barred = f"pages of {shown} may {'only read' if self._any_may_read else 'not use the API'}"
        if b"://" not in origin:
            return f"{barred}; they come from a file or a sandbox, which can not be allowed"
        return f"{barred}; to allow it, add {shown} to cors.allow_origins in api.yml of the platform"

    def _note(self, text: str) -> None:
        if text in self._noted or len(self._noted) > MAX_NOTED:
            return
        self._noted.add(text)
        if len(self._noted) > MAX_NOTED:
            text = f"more than {MAX_NOTED} origins and hosts were refused; no more of them are logged"
        logger.warning("%s", text)


def is_same_origin(origin: bytes, host: bytes) -> bool:
    """True if an `Origin` names the host and port that were asked. Schemes may differ: a proxy in front may
    speak another one."""
    scheme, _, authority = origin.decode("latin-1").lower().partition("://")
    port = DEFAULT_PORTS.get(scheme, "")
    asked = host.decode("latin-1").lower()
    return bool(authority) and authority.removesuffix(port) == asked.removesuffix(port)


def _name(host: bytes) -> str | None:
    """The name or address in a `Host` header; None if it is not one."""
    found = _HOST.fullmatch(host.decode("latin-1").lower())
    return found and (found[1] or found[2].removesuffix("."))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _shown(header: bytes) -> str:
    """The text of a header, harmless on terminals and short."""
    return ascii(header[:MAX_SHOWN].decode("latin-1"))
