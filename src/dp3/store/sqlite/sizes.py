"""Sizes of what is stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dp3.sqlite import bytes_in, load_statements
from dp3.store.ports.leases import Lease
from dp3.store.ports.sizes import AttributeSize, SizeReport
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.parameters import from_json, to_json


class Sizes:
    """See `dp3.store.ports.sizes.Sizes`."""

    def __init__(self, writer: Writer, readers: Readers, path: Path) -> None:
        self._writer = writer
        self._readers = readers
        self._path = path
        self._sql = load_statements("dp3.store.sqlite", "sizes.sql")

    def attributes_between(self, first: int, last: int) -> dict[tuple[str, str], int]:
        rows = self._readers.rows(self._sql["attributes_between"], (first, last))
        return {(etype, attr): count for etype, attr, count in rows}

    def between(self, first: int, last: int) -> dict[tuple[str, str], AttributeSize]:
        rows = self._readers.rows(self._sql["sizes_between"], (first, last))
        return {(etype, attr): AttributeSize(*sizes) for etype, attr, *sizes in rows}

    def put(self, lease: Lease, reports: Mapping[str, SizeReport]) -> None:
        rows = [(etype, *report[:2], _attributes(report)) for etype, report in reports.items()]
        with self._writer.owned(lease) as connection:
            connection.execute(self._sql["forget_sizes"])
            connection.executemany(self._sql["put_sizes"], rows)

    def reports(self) -> dict[str, SizeReport]:
        return {etype: _report(*columns) for etype, *columns in self._readers.rows(self._sql["size_reports"])}

    def disk_bytes(self) -> int:
        return bytes_in(self._path.parent.glob(f"{self._path.name}*"))


def _attributes(report: SizeReport) -> str:
    return to_json({attr: list(size) for attr, size in report.attributes.items()})


def _report(calculated: int, duration: int, attributes: str) -> SizeReport:
    sizes: dict[str, Any] = from_json(attributes)
    return SizeReport(calculated, duration, {attr: AttributeSize(*size) for attr, size in sizes.items()})
