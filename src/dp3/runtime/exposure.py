"""The rule that the API is not offered to other machines before somebody decided who may use it."""

import socket
from ipaddress import ip_address

from dp3.config.loading import Configuration
from dp3.runtime.resources import DataDir
from dp3.store.ports.tokens import Tokens


class Exposed(Exception):
    """The API would be open to other machines, and nobody said that it should."""


def check_exposure(host: str, config: Configuration, data: DataDir, tokens: Tokens) -> None:
    """Raise `Exposed` if the API would listen where other machines reach it, without a token ever made and
    without a mode set. `host` is an address or a name."""
    if config.api.auth.mode is None and not is_loopback(host) and not tokens.ever_made():
        raise Exposed(
            f"not started: everybody who reaches {host or 'this machine'} could read, change and delete "
            "everything. Do one of these:\n"
            "  - make a token, which all requests need from then on: "
            f"dp3 token create {config.path} NAME --role admin --data-dir {data.root}\n"
            "  - say in api.yml who may use the API: "
            "auth: {mode: tokens}, {mode: proxy, …}, or {mode: open} for everybody\n"
            "  - listen on this machine only: --host 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """True if only this machine reaches an address, or all addresses of a name; a name without any is reached
    by nobody."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return True
    return all(ip_address(str(address[0])).is_loopback for *_, address in found)
