"""Routes about what is stored and what happened: sources, attributes, events, queues."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from operator import itemgetter
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import Response

from dp3.clock import to_datetime
from dp3.engine.jobs.sizes import TooSlow, entities_per_attribute
from dp3.http.answers import Json, busy, invalid_value, refused
from dp3.http.schemas import INVALID, AttributeSizes, EventCountsAnswer, Queues
from dp3.http.services import Services
from dp3.log.port import Lane
from dp3.model.durations import parse_time_duration
from dp3.store.ports.counters import EventGroup
from dp3.store.ports.sizes import AttributeSize, SizeReport

COUNTING_LIMIT_S = 10.0
"""How long entities are counted for one answer."""

TURN_LIMIT_S = 1.0
"""How long a request waits while they are counted for another one."""

UNIT_S = {"minutes": 60, "seconds": 1}

QUEUES = {Lane.MAIN: ("", "-main"), Lane.DERIVED: ("-pri", "-pri")}
"""The ends of `name` and `queue`, as the reference implementation names its queues."""


def measure_routes(services: Services) -> APIRouter:
    """`/telemetry/sources_…`, `/telemetry/entities_per_attr`, `/telemetry/attribute_bson_sizes`,
    `/telemetry/event_counts` and `/telemetry/rabbitmq/queues`."""
    router = APIRouter(prefix="/telemetry", responses=INVALID)
    store, counting = services.store, threading.Lock()

    @router.get("/sources_validity", response_model=dict[str, Any])
    def sources_validity() -> Response:
        """How far the data-points of each source reach."""
        return Json({source: to_datetime(t2) for source, t2 in store.counters.sources().items()})

    @router.get("/sources_age", response_model=dict[str, int])
    def sources_age(unit: Literal["minutes", "seconds"] = "minutes") -> Response:
        """How long ago that was."""
        now, unit_us = services.clock.now_us(), UNIT_S[unit] * 1_000_000
        return Json({source: int((now - t2) / unit_us) for source, t2 in store.counters.sources().items()})

    @router.get("/entities_per_attr", response_model=dict[str, dict[str, int]])
    def entities_per_attr() -> Response:
        """How many entities have data of each attribute."""
        if not counting.acquire(timeout=TURN_LIMIT_S):
            raise busy("entities are being counted for another request; send the request again later")
        try:
            return Json(entities_per_attribute(store, services.model, COUNTING_LIMIT_S))
        except TooSlow as error:
            raise refused(503, str(error)) from None
        finally:
            counting.release()

    @router.get("/attribute_bson_sizes", response_model=dict[str, AttributeSizes])
    def attribute_bson_sizes() -> Response:
        """Sizes of stored values, as they were last measured."""
        return Json({etype: _sizes(report) for etype, report in store.sizes.reports().items()})

    @router.get("/event_counts", response_model=EventCountsAnswer)
    def event_counts(group: str, interval: str) -> Response:
        """Events of a group in the current interval and the one before."""
        span = _interval(services, group, interval) // timedelta(microseconds=1)
        begun, current, last = store.counters.event_counts(group, span)
        counts = {"since": to_datetime(begun), "current": current, "last": last}
        return Json({"group": group, "interval": interval, **counts})

    @router.get("/rabbitmq/queues", response_model=Queues)
    def queues() -> Response:
        """What waits for each worker in each lane of the log."""
        return Json({"queues": sorted(_queues(services), key=itemgetter("queue"))})

    return router


def _interval(services: Services, group: str, text: str) -> timedelta:
    """An interval over which the events of a group are counted."""
    known: EventGroup | None = services.event_groups.get(group)
    if known is None:
        names = ", ".join(sorted(services.event_groups)) or "none"
        raise invalid_value(["query", "group"], f"Group '{group}' is not counted; those that are: {names}")
    try:
        interval = parse_time_duration(text)
    except ValueError as error:
        raise invalid_value(["query", "interval"], str(error)) from None
    if interval not in known.intervals:
        intervals = ", ".join(map(str, known.intervals))
        raise invalid_value(["query", "interval"], f"Group '{group}' is counted over {intervals}, got {text}")
    return interval


def _sizes(report: SizeReport) -> dict[str, Any]:
    return {
        "calculated_at": to_datetime(report.calculated),
        "duration_s": report.duration / 1e6,
        "attributes": {attr: _size(size) for attr, size in report.attributes.items()},
    }


def _size(size: AttributeSize) -> dict[str, Any]:
    mean = size.total / size.entities
    return {"count": size.entities, "min": size.min, "mean": mean, "max": size.max, "total": size.total}


def _queues(services: Services) -> Iterator[dict[str, Any]]:
    """Both lanes of each worker: entries and bytes that at least one of its partitions has not passed."""
    alive = {state.lease.index for state in services.store.leases.all()}
    entries: dict[tuple[int, Lane], int] = {}
    size: dict[tuple[int, Lane], int] = {}
    for one in services.backlog.partitions():
        place = one.partition % services.worker_processes, one.lane
        entries[place] = max(entries.get(place, 0), one.lag)
    for waiting in services.backlog.waiting():
        place = waiting.partition % services.worker_processes, waiting.lane
        size[place] = max(size.get(place, 0), waiting.bytes)
    for (worker, lane), count in entries.items():
        of_name, of_queue = QUEUES[lane]
        yield {
            "name": f"worker-{worker}{of_name}",
            "queue": f"{worker}{of_queue}",
            "total": count,
            "ready": count,
            "unacked": 0,
            "consumers": int(worker in alive),
            "memory": 0,
            "message_bytes": size[worker, lane],
            "incoming": 0.0,
            "outgoing": 0.0,
        }
