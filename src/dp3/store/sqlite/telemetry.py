"""Reading what was counted, and measuring what is stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dp3.clock import Clock
from dp3.sqlite import bytes_in, load_statements
from dp3.store.port import HookSums, Lease
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.json_columns import from_json, to_json
from dp3.store.sqlite.leases import Leases
from dp3.store.telemetry import (
    AttributeSize,
    EventCounts,
    EventGroup,
    EventGroups,
    SizeReport,
    Totals,
    WorkerReport,
)

_totals = msgspec.json.Decoder(Totals).decode


class Telemetry:
    """See the methods of the same names in `TelemetryStore`."""

    def __init__(
        self, writer: Writer, readers: Readers, leases: Leases, clock: Clock, groups: EventGroups, path: Path
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases
        self._clock = clock
        self._groups = groups
        self._path = path
        self._sql = load_statements("dp3.store.sqlite", "telemetry.sql")

    def hook_sums(self) -> list[HookSums]:
        with self._readers.state() as state:
            return list(map(HookSums._make, state.execute(self._sql["hook_sums"])))

    def event_counts(self, group: str, span: int) -> EventCounts:
        now = self._clock.now_us()
        counts = EventCounts(now - now % span, {}, {})
        with self._readers.state() as state:
            row: Any = state.execute(self._sql["interval"], (span,)).fetchone()
        if row is None:
            return counts
        begun, *texts = row
        before, totals, latest = map(_totals, texts)
        events = self._groups.get(group, EventGroup(())).between
        since = events(group, totals, latest)
        if begun == counts.begun - span:
            return counts._replace(last=since)
        if begun < counts.begun:
            return counts
        return counts._replace(current=since, last=events(group, before, totals))

    def sources(self) -> dict[str, int]:
        with self._readers.state() as state:
            return dict(state.execute(self._sql["sources"]))

    def reports(self) -> list[WorkerReport]:
        with self._readers.state() as state:
            rows: list[Any] = state.execute(self._sql["reports"]).fetchall()
        return [WorkerReport(worker, time, from_json(numbers)) for worker, time, numbers in rows]

    def page_after(self, after: int, limit: int) -> tuple[int, int] | None:
        with self._readers.state() as state:
            row: Any = state.execute(self._sql["page_after"], (after, limit)).fetchone()
        return None if row[0] is None else (row[0], row[1])

    def attributes_between(self, first: int, last: int) -> dict[tuple[str, str], int]:
        with self._readers.state() as state:
            rows = state.execute(self._sql["attributes_between"], (first, last))
            return {(etype, attr): count for etype, attr, count in rows}

    def sizes_between(self, first: int, last: int) -> dict[tuple[str, str], AttributeSize]:
        with self._readers.state() as state:
            rows = state.execute(self._sql["sizes_between"], (first, last))
            return {(etype, attr): AttributeSize(*sizes) for etype, attr, *sizes in rows}

    def put_sizes(self, lease: Lease, reports: Mapping[str, SizeReport]) -> None:
        self._writer.wait_for_room()
        rows = [(etype, *report[:2], _attributes(report)) for etype, report in reports.items()]
        with self._writer.transaction() as connection:
            self._leases.check(connection, lease)
            connection.execute(self._sql["forget_sizes"])
            connection.executemany(self._sql["put_sizes"], rows)

    def size_reports(self) -> dict[str, SizeReport]:
        with self._readers.state() as state:
            rows: list[Any] = state.execute(self._sql["size_reports"]).fetchall()
        return {etype: _report(*columns) for etype, *columns in rows}

    def disk_bytes(self) -> int:
        return bytes_in(self._path.parent.glob(f"{self._path.name}*"))


def _attributes(report: SizeReport) -> str:
    return to_json({attr: list(size) for attr, size in report.attributes.items()})


def _report(calculated: int, duration: int, attributes: str) -> SizeReport:
    sizes: dict[str, Any] = from_json(attributes)
    return SizeReport(calculated, duration, {attr: AttributeSize(*size) for attr, size in sizes.items()})
