"""Open ports, and connections between hosts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from socket import SOCK_STREAM
from typing import Any

import psutil

from dp3.demo.points import Interval, Point, seen

# Unconnected UDP sockets above this port are clients that wait for an answer, not services (the range that
# Linux gives to clients starts here).
FIRST_CLIENT_PORT = 32_768


@dataclass(frozen=True, slots=True)
class Listener:
    """An open port; `pid` is None where the system does not tell."""

    protocol: str
    address: str
    port: int
    pid: int | None

    @property
    def service(self) -> str:
        """The id of the service entity."""
        return f"{self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True)
class Conversation:
    """An established connection."""

    protocol: str
    local_port: int
    peer: str
    peer_port: int
    pid: int | None


def sockets() -> tuple[set[Listener], set[Conversation]]:
    """Open ports and connections; where the system shows only one's own, those."""
    listeners: set[Listener] = set()
    conversations: set[Conversation] = set()
    for pid, found in _connections():
        protocol = "tcp" if found.type == SOCK_STREAM else "udp"
        if found.raddr:
            peer, port = clean_address(found.raddr.ip), found.raddr.port
            conversations.add(Conversation(protocol, found.laddr.port, peer, port, pid))
        elif _is_service(found, protocol):
            listeners.add(Listener(protocol, clean_address(found.laddr.ip), found.laddr.port, pid))
    return listeners, conversations


def clean_address(address: str) -> str:
    """Canonical text: without a zone (`%eth0`), an IPv4 address inside IPv6 as IPv4."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(parsed)


def _is_service(found: Any, protocol: str) -> bool:
    if protocol == "tcp":
        return bool(found.status == psutil.CONN_LISTEN)
    return bool(found.laddr) and found.laddr.port < FIRST_CLIENT_PORT


def _connections() -> Iterator[tuple[int | None, Any]]:
    try:
        for found in psutil.net_connections(kind="inet"):
            yield found.pid, found
    except psutil.AccessDenied:  # macOS shows them process by process, and only one's own
        yield from _own_connections()


def _own_connections() -> Iterator[tuple[int | None, Any]]:
    for process in psutil.process_iter():
        try:
            for found in process.net_connections(kind="inet"):
                yield process.pid, found
        except psutil.Error:
            continue


def points(
    listeners: Iterable[Listener],
    conversations: Iterable[Conversation],
    process_ids: Mapping[int, str],
    during: Interval,
) -> list[Point]:
    """Services, peers and the processes between them; `process_ids` maps a pid to its entity."""
    listeners = sorted(listeners, key=repr)
    services = {(each.protocol, each.port) for each in listeners}
    made: list[Point] = []
    for listener in listeners:
        made += _service(listener, process_ids, during)
    for conversation in sorted(conversations, key=repr):
        made += _peer(conversation, services, process_ids, during)
    return _distinct(made)


def _service(listener: Listener, process_ids: Mapping[int, str], during: Interval) -> list[Point]:
    made = [seen("service", listener.service, "addresses", listener.address, during)]
    if (process := process_ids.get(listener.pid or 0)) is not None:
        made.append(seen("process", process, "ports", listener.port, during))
        made.append(seen("process", process, "listens", {"eid": listener.service}, during))
    return made


def _peer(
    talk: Conversation, services: set[tuple[str, int]], process_ids: Mapping[int, str], during: Interval
) -> list[Point]:
    if (talk.protocol, talk.local_port) in services:
        made = [seen("ip", talk.peer, "uses", {"eid": f"{talk.protocol}/{talk.local_port}"}, during)]
    else:
        made = [seen("ip", talk.peer, "offers", f"{talk.protocol}/{talk.peer_port}", during)]
        # Only for connections that it opened itself: the port of a client is a random number.
        if (process := process_ids.get(talk.pid or 0)) is not None:
            link = {"eid": talk.peer, "data": talk.peer_port}
            made.append(seen("process", process, "peers", link, during))
    return made


def _distinct(points: list[Point]) -> list[Point]:
    """Without repetitions, such as several connections to one port of one peer."""
    return list({repr(point): point for point in points}.values())
