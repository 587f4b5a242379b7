"""Tokens with which clients of the API say who they are."""

import hashlib
import secrets
from typing import NamedTuple, Protocol

PREFIX = "dp3_"
"""Tokens begin so, so that those who search files for secrets find them."""

SECRET_BYTES = 32


def new_secret() -> str:
    """A new token as its holder gets it, once: 256 random bits as text of 47 characters."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: bytes) -> bytes:
    """The only thing that is kept of a token. A slow hash would hinder those who guess passwords; nobody
    guesses 256 random bits, and this one is computed for every request."""
    return hashlib.sha256(secret).digest()


class Token(NamedTuple):
    """A token, with the digest of its secret. `expires` and `revoked` are None for never and not yet; what
    `role` opens the state does not know."""

    name: str
    role: str
    digest: bytes
    created: int
    expires: int | None
    revoked: int | None

    def is_expired(self, now: int) -> bool:
        """True if its time is over at a moment."""
        return self.expires is not None and self.expires <= now


class Tokens(Protocol):
    """Tokens, also those that do not count any more: that there was one is never forgotten."""

    def create(self, name: str, role: str, digest: bytes, expires: int | None) -> None:
        """Keep a new token. One of that name that is not live stays as revoked. Raises `TokenExists`,
        `StoreFull`."""
        ...

    def revoke(self, name: str) -> bool:
        """Have a token not count any more; False if there is none of that name that is not revoked. Raises
        `StoreFull`."""
        ...

    def all(self) -> list[Token]:
        """All tokens ever made, in the order of their making."""
        ...

    def not_revoked(self) -> list[Token]:
        """Those that are not revoked, be they expired."""
        ...

    def ever_made(self) -> bool:
        """True if there is or was any token."""
        ...
