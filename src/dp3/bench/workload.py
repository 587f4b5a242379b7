"""The workload: data-points of devices, the same for the same seed."""

import bisect
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

ETYPE = "device"
HOUR_S = 3600

_OBSERVED: dict[str, Callable[[random.Random], Any]] = {
    "load": lambda rnd: rnd.randrange(100),
    "temp": lambda rnd: round(rnd.uniform(0, 80), 2),
    "os": lambda rnd: rnd.choice(("linux", "windows", "freebsd", "ios", "android")),
    "status": lambda rnd: rnd.choice(("up", "down", "unknown")),
    "tags": lambda rnd: rnd.choice(("dmz", "office", "iot", "server", "vpn", "guest", "printer", "camera")),
}
_PLAIN = ("hostname", "owner", "risk")
_SHARES = (("plain", 0.40), ("observed", 0.85), ("link", 0.90), ("timeseries", 1.0))
"""Cumulated shares of the kinds of data-points."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The data to send: `total` data-points of `entities` devices in requests of `batch`.

    `order`: observation times random within the last hour, or in order of arrival. `zipf`: popularity of
    entities falls as 1/rank instead of being uniform.
    """

    total: int = 400_000
    entities: int = 10_000
    batch: int = 1_000
    order: Literal["random", "time"] = "random"
    zipf: bool = False
    seed: int = 1

    def bodies(self) -> Iterator[tuple[int, bytes]]:
        """(number of data-points, JSON text) of each request."""
        points = self._points()
        while part := list(itertools.islice(points, self.batch)):
            yield len(part), json.dumps(part, separators=(",", ":")).encode()

    def _points(self) -> Iterator[dict[str, Any]]:
        rnd = random.Random(self.seed)
        now = datetime.now(UTC)
        pick = self._entity_picker(rnd)
        for number in range(self.total):
            age_s = rnd.randrange(HOUR_S) if self.order == "random" else HOUR_S * (1 - number / self.total)
            yield self._point(rnd, pick(), now - timedelta(seconds=age_s))

    def _entity_picker(self, rnd: random.Random) -> Callable[[], int]:
        if not self.zipf:
            return lambda: rnd.randrange(self.entities)
        weights = list(itertools.accumulate(1 / rank for rank in range(1, self.entities + 1)))
        return lambda: bisect.bisect(weights, rnd.random() * weights[-1])

    def _point(self, rnd: random.Random, entity: int, t1: datetime) -> dict[str, Any]:
        draw = rnd.random()
        kind = next(name for name, share in _SHARES if draw < share)
        point: dict[str, Any] = {"type": ETYPE, "id": f"dev-{entity}", "src": "bench"}
        if kind == "plain":
            attr = rnd.choice(_PLAIN)
            return point | {
                "attr": attr,
                "v": rnd.random() if attr == "risk" else f"{attr}-{rnd.randrange(1000)}",
            }
        minutes = 60 if kind == "timeseries" else 1
        point |= {"t1": iso(t1), "t2": iso(t1 + timedelta(minutes=minutes))}
        if kind == "observed":
            attr = rnd.choice(tuple(_OBSERVED))
            return point | {"attr": attr, "v": _OBSERVED[attr](rnd), "c": 0.9}
        if kind == "link":
            return point | {"attr": "peer", "v": {"eid": f"dev-{rnd.randrange(self.entities)}"}, "c": 1.0}
        series = {"bytes": 10**6, "packets": 1000}
        values = {name: [rnd.randrange(limit) for _ in range(6)] for name, limit in series.items()}
        return point | {"attr": "traffic", "v": values}


def iso(moment: datetime) -> str:
    """As the API takes it, in milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
