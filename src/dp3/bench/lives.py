"""Data of entities that end, and of history that gets old, for `dp3 bench lifecycle`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dp3.bench.devices import Changed, Devices, Point, eid_of
from dp3.bench.workload import ETYPE

SESSION, SITE = "session", "site"

KEPT_OF = 10
"""One session of so many has a contract, by which it does not end."""

SITES = 10
"""Of one device."""

ALONE_OF = 100
"""One site of so many is that of no device."""

STEP_S = 1
"""Between two observations of an attribute, which are as long: they touch."""


def rounds_of_loads(now: datetime, rounds: int) -> list[Devices]:
    """So many observations of each device, which touch; two in a row have the same value."""
    steps = ((number, timedelta(seconds=STEP_S * (rounds - number))) for number in range(rounds))
    return [Changed(now - age, load=number // 2) for number, age in steps]


@dataclass(frozen=True, slots=True)
class Aged:
    """The data of `devices`, but one device in `of` has that of `old` ones."""

    devices: Devices
    old: Devices
    of: int

    def points(self) -> Callable[[int], Iterable[Point]]:
        new, old = self.devices.points(), self.old.points()
        return lambda i: (new if i % self.of else old)(i)


class Sessions:
    """Sessions of which one in `KEPT_OF` goes on."""

    def points(self) -> Callable[[int], Iterable[Point]]:
        def of_session(i: int) -> Iterator[Point]:
            base = {"type": SESSION, "id": session_of(i), "src": "bench"}
            yield base | {"attr": "user", "v": f"user-{i % 1_000}"}
            if not i % KEPT_OF:
                yield base | {"attr": "contract", "v": f"contract-{i}"}

        return of_session


class Sites:
    """Sites, and of each `SITES` the device that they are of."""

    def points(self) -> Callable[[int], Iterable[Point]]:
        def of_site(i: int) -> Iterator[Point]:
            yield {"type": SITE, "id": site_of(i), "src": "bench", "attr": "town", "v": f"town-{i % 1_000}"}
            if not i % SITES:
                named = [{"eid": site_of(n)} for n in range(i, i + SITES) if n % ALONE_OF]
                yield {"type": ETYPE, "id": eid_of(i // SITES), "src": "bench", "attr": "sites", "v": named}

        return of_site


def one_of(count: int, of: int) -> int:
    """The number of those of `count` that are the first of each `of`."""
    return -(-count // of)


def session_of(i: int) -> str:
    return f"session-{i}"


def site_of(i: int) -> str:
    return f"site-{i}"
