"""Data-points of numbered devices, for benchmarks that ask for particular values afterwards."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from itertools import islice
from typing import Any, Protocol

import msgspec

from dp3.bench.load import Body
from dp3.bench.workload import ETYPE, iso

Point = dict[str, Any]

BATCH = 1_000

OSES = ("linux", "windows", "freebsd", "ios", "android")
STATES = ("up", "down", "unknown")
TAGS = ("dmz", "office", "iot", "server")

CHAIN = 4
"""Linked devices form chains of so many."""

THOUSAND = 1_000
LINKED_OF_THOUSAND = 500

LOADS = 100
TEMPERATURES = 8_000
"""`Varied` devices have so many different values."""


class Devices(Protocol):
    """Makes the data-points of device number i."""

    def points(self) -> Callable[[int], Iterable[Point]]:
        """The function for it; what all devices have in common has been prepared."""
        ...


@dataclass(frozen=True, slots=True)
class Observed:
    """Five attributes with one observation a minute until `now`, `observations` of each; the first half of
    every thousand devices is linked in chains by `peer`. `attrs`: only some of the attributes."""

    now: datetime
    observations: int = 10
    attrs: Sequence[str] = ("load", "temp", "os", "status", "tags")

    def points(self) -> Callable[[int], Iterable[Point]]:
        count = self.observations
        times = [self.now - timedelta(minutes=count - k) for k in range(count)]
        spans = [_span(t1, t1 + timedelta(minutes=1)) for t1 in times]
        link_span = _span(self.now - timedelta(minutes=5), self.now)

        def of_device(i: int) -> Iterator[Point]:
            for attr in self.attrs:
                for k, span in enumerate(spans):
                    yield _point(i, attr, _observed_value(attr, i, k), span, 0.9)
            if is_linked(i):
                yield _point(i, "peer", {"eid": eid_of(i + 1)}, link_span, 1.0)

        return of_device

    def newest(self, attr: str, i: int) -> Any:
        """The value of the last observation."""
        return _observed_value(attr, i, self.observations - 1)


@dataclass(frozen=True, slots=True)
class Varied:
    """Plain values and one observation of each attribute, which differ from device to device."""

    now: datetime

    def points(self) -> Callable[[int], Iterable[Point]]:
        span = _span(self.now - timedelta(minutes=1), self.now)

        def of_device(i: int) -> Iterator[Point]:
            base = {"type": ETYPE, "id": eid_of(i), "src": "bench"}
            yield base | {"attr": "hostname", "v": hostname_of(i)}
            yield base | {"attr": "address", "v": str(address_of(i))}
            values = {
                "load": load_of(i),
                "temp": temperature_of(i),
                "os": OSES[i % len(OSES)],
                "status": STATES[i % len(STATES)],
                "tags": TAGS[i % len(TAGS)],
            }
            for attr, value in values.items():
                yield _point(i, attr, value, span, 0.9)

        return of_device


@dataclass(frozen=True, slots=True)
class Changed:
    """A new `load` for the last second before `now`."""

    now: datetime
    load: int

    def points(self) -> Callable[[int], Iterable[Point]]:
        span = _span(self.now - timedelta(seconds=1), self.now)
        return lambda i: (_point(i, "load", self.load, span, 1.0),)


@dataclass(frozen=True, slots=True)
class Part:
    """Requests with the data-points of some devices, made while they are read. May go to another process."""

    devices: Devices
    numbers: range

    def __iter__(self) -> Iterator[Body]:
        of_device = self.devices.points()
        points = (point for i in self.numbers for point in of_device(i))
        while batch := list(islice(points, BATCH)):
            yield len(batch), msgspec.json.encode(batch)


def parts(devices: Devices, numbers: range, clients: int) -> list[Part]:
    """The requests for several clients."""
    return [Part(devices, numbers[index::clients]) for index in range(clients)]


def eid_of(i: int) -> str:
    return f"dev-{i}"


def is_linked(i: int) -> bool:
    """True if the `Observed` device links to the next one."""
    return i % THOUSAND < LINKED_OF_THOUSAND and i % CHAIN != CHAIN - 1


def hostname_of(i: int) -> str:
    return f"host-{i:07d}"


def address_of(i: int) -> IPv4Address:
    return IPv4Address("10.0.0.0") + i


def load_of(i: int) -> int:
    return i * 37 % LOADS


def temperature_of(i: int) -> float:
    return i * 4_801 % TEMPERATURES / 100


def _observed_value(attr: str, i: int, k: int) -> Any:
    if attr == "load":
        return k // 2 * 7 % 100
    if attr == "temp":
        return k // 2 * 1.5
    if attr == "os":
        return OSES[(i + k // 5) % len(OSES)]
    if attr == "status":
        return STATES[(i + k // 4) % len(STATES)]
    return TAGS[(i + k) % len(TAGS)]


def _span(t1: datetime, t2: datetime) -> tuple[str, str]:
    return iso(t1), iso(t2)


def _point(i: int, attr: str, value: Any, span: tuple[str, str], c: float) -> Point:
    point = {"type": ETYPE, "id": eid_of(i), "src": "bench", "attr": attr, "v": value}
    return point | {"t1": span[0], "t2": span[1], "c": c}
