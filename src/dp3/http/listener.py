"""The listening socket of an API process and its TLS, found wrong before anything is loaded or started."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Door:
    """The way to the API: its listening socket, the `host` that was given for it, its TLS if it has any,
    the prefix that a reverse proxy puts before all paths, and whether each request is logged."""

    listener: socket.socket
    host: str
    tls: ssl.SSLContext | None
    root_path: str = ""
    access_log: bool = False

    @property
    def url(self) -> str:
        """The address for clients."""
        port: int = self.listener.getsockname()[1]
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{shown}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError` with a message that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def tls_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and newer with the certificate chain in `cert` (PEM) and the key in `key`, or in `cert` too.

    Raises `OSError` with a message that names the file that is missing or unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # else a client can ask for any number of handshakes
    context.set_alpn_protocols(["http/1.1"])
    _require_readable(cert, "certificate")
    if key is not None:
        _require_readable(key, "key")
    try:
        context.load_cert_chain(cert, key, _no_password)
    except ssl.SSLError as error:
        of_key = f" and the key {key}" if key is not None else ""
        reason = error.reason or "not PEM, or without a key"
        raise OSError(f"cannot use the TLS certificate {cert}{of_key}: {reason}") from None
    except ValueError as error:
        raise OSError(f"cannot use the TLS key {key or cert}: {error}") from None
    return context


def _require_readable(file: Path, what: str) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise OSError(f"cannot read the TLS {what} {file}: {error.strerror}") from None


def _no_password() -> str:
    """Called for an encrypted key; without it OpenSSL would ask on the terminal."""
    raise ValueError("it is encrypted, expected a key without a password")
