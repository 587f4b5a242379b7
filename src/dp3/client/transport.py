"""One request after the other over one connection, and how long to wait between attempts."""

import http.client
import random
import ssl
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class Retry:
    """Waits of `first_s`, twice that, … at most `longest_s` seconds between attempts, for `total_s` in all.

    Each wait is shortened at random by up to a half, so that many clients do not come back at once.
    """

    first_s: float = 0.1
    longest_s: float = 5.0
    total_s: float = 60.0

    def wait_s(self, attempt: int, asked_s: float | None = None) -> float:
        """Seconds to wait after attempt number `attempt` (from 1); never less than the server asked for."""
        longest = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return max(longest * random.uniform(0.5, 1.0), asked_s or 0.0)


SCHEMES = ("http", "https")


class Answer(NamedTuple):
    """Status and body of an answer; `retry_after_s` if the server asked to come back later."""

    status: int
    body: bytes
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Server:
    """The address of the platform's API; `prefix` is the path under which a proxy offers it, `tls` says whom
    to trust where the address begins with https."""

    tls: ssl.SSLContext | None
    host: str
    port: int | None
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "Server":
        """Take apart `http://host:port/prefix`. Raises `ValueError` when it is not such an address.

        Certificates are trusted as the system says, or by the file that `SSL_CERT_FILE` names."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ValueError(f"the address of the platform must look like http://host:5000, got {url!r}")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        return cls(tls, parts.hostname, parts.port, quote(parts.path.rstrip("/"), safe="/%"))

    def exchange(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str], timeout_s: float
    ) -> Answer:
        """Send one request and read the whole answer. Raises `OSError` or `http.client.HTTPException`."""
        connection = self._connection(timeout_s)
        try:
            connection.request(method, self.prefix + target, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), _seconds(response.getheader("Retry-After")))
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout_s, context=self.tls)


def _seconds(retry_after: str | None) -> float | None:
    """The header's number of seconds; its other form, a date, is not used by the platform."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
