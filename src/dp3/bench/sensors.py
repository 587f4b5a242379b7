"""Sensors that are observed every five minutes, and what readers must see, for `dp3 bench history`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from dp3.bench.devices import Point

SENSOR = "sensor"

MINUTE_MS = 60_000
SPACING_MS = 5 * MINUTE_MS
LASTS_MS = MINUTE_MS
"""An observation is that of one minute, so there are gaps between those of one value."""

LATE_OF = 100
"""One observation of so many is late."""

LATEST_SLOTS = 12
"""By one to so many times five minutes: by up to an hour."""

RECENT_SLOTS = 36
"""Those of three hours, of which answers about the last one are made up."""

KINDS = ("alternating", "constant", "several", "linked")
VALIDITY_MS = {"5m": 5 * MINUTE_MS, "30d": 30 * 24 * 60 * MINUTE_MS}
ATTRS = tuple(f"{kind}_{validity}" for validity, kind in product(VALIDITY_MS, KINDS))

OTHERS_AGE_MS = 12 * 60 * MINUTE_MS
"""So long ago others were observed once."""

SEVERAL = 3
"""Values that the observations of an attribute with several values have in turn."""


class Observation(NamedTuple):
    """An observation of a sensor, from `t1` to `t2` (Unix times in ms)."""

    t1: int
    t2: int
    v: Any


@dataclass(frozen=True, slots=True)
class Series:
    """Sensors with `length` observations each of one attribute, `entities` of them, until the time `base`
    (Unix time in ms). An observation is told by its slot: that of `base` is 0, the one before is -1."""

    attr: str
    length: int
    entities: int
    base: int

    @property
    def several(self) -> bool:
        """True if several values may hold at a time."""
        return self.attr.startswith("several")

    @property
    def validity_ms(self) -> int:
        """So long before and after its interval an observation holds."""
        return VALIDITY_MS[self.attr.partition("_")[2]]

    @property
    def first(self) -> int:
        """The slot of the oldest observation."""
        return 1 - self.length

    def eid(self, i: int) -> str:
        return f"{self.attr}-{self.length}-{i}"

    def value(self, i: int, slot: int) -> Any:
        kind = self.attr.partition("_")[0]
        if kind == "alternating":
            return 2 * i + slot % 2
        if kind == "several":
            return slot % SEVERAL
        if kind == "linked":
            return {"eid": self.eid((i + 1 + slot % 2) % self.entities)}
        return i

    def observation(self, i: int, slot: int) -> Observation:
        t2 = self.base + slot * SPACING_MS
        return Observation(t2 - LASTS_MS, t2, self.value(i, slot))

    def arrival(self, i: int, slot: int) -> int:
        """The slot in which an observation is sent."""
        if (slot + 7 * i) % LATE_OF or slot == self.first:
            return slot
        return slot + 1 + (slot // LATE_OF + i) % LATEST_SLOTS

    def arrived(self, i: int, begin: int, end: int) -> Iterator[Observation]:
        """The data sent of a sensor from one slot to another (excluded), but for its oldest observation."""
        for slot in range(max(begin - LATEST_SLOTS, self.first + 1), end):
            if begin <= self.arrival(i, slot) < end:
                yield self.observation(i, slot)

    def recent(self, i: int, end: int) -> list[Observation]:
        """The data sent of a sensor in the last hours until a slot (excluded), and its oldest observation."""
        return [self.observation(i, self.first), *self.arrived(i, -RECENT_SLOTS, end)]

    def point(self, i: int, said: Observation) -> Point:
        """The data-point of an observation."""
        point = {"type": SENSOR, "id": self.eid(i), "src": "bench", "attr": self.attr, "v": said.v}
        return point | {"t1": said.t1, "t2": said.t2, "c": 0.9}


@dataclass(frozen=True, slots=True)
class Round:
    """The data sent of all sensors of some series from one slot to another (excluded)."""

    series: Sequence[Series]
    begin: int
    end: int

    def points(self) -> Callable[[int], Iterable[Point]]:
        entities = self.series[0].entities

        def of_sensor(number: int) -> Iterator[Point]:
            series, i = self.series[number // entities], number % entities
            return (series.point(i, said) for said in series.arrived(i, self.begin, self.end))

        return of_sensor


def others(population: int, base: int) -> Series:
    """Other sensors, so that those of which something is asked are some of many."""
    return Series("constant_30d", 1, population, base - OTHERS_AGE_MS)


@dataclass(frozen=True, slots=True)
class Firsts:
    """The oldest observation of all sensors of some series, in any order. `order`: series and number of each
    sensor."""

    order: Sequence[tuple[Series, int]]

    def points(self) -> Callable[[int], Iterable[Point]]:
        def of_sensor(place: int) -> Iterable[Point]:
            series, i = self.order[place]
            return (series.point(i, series.observation(i, series.first)),)

        return of_sensor


def intervals(said: Iterable[Observation], series: Series) -> list[Observation]:
    """The intervals that readers must see of observations: those of one value as one across gaps that their
    validity spans, unless (where one value holds at a time) another one comes in between."""
    reach = 2 * series.validity_ms
    seen: list[Observation] = []
    last: dict[str, int] = {}
    for one in sorted(said, key=lambda one: one.t1):
        key = str(one.v) if series.several else ""
        before = last.get(key)
        if before is not None and seen[before].v == one.v and one.t1 - seen[before].t2 <= reach:
            seen[before] = seen[before]._replace(t2=one.t2)
        else:
            last[key] = len(seen)
            seen.append(one)
    return seen
