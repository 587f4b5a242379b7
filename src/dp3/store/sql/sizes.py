"""Sizes of what is stored."""

from collections.abc import Mapping
from typing import Any

from dp3.store.ports.leases import Lease
from dp3.store.ports.sizes import AttributeSize, SizeReport
from dp3.store.sql.parameters import from_json, to_json
from dp3.store.sql.session import Database


class Sizes:
    """See `dp3.store.ports.sizes.Sizes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attributes_between(self, first: int, last: int) -> dict[tuple[str, str], int]:
        rows = self._database.rows("sizes.attributes_between", (first, last))
        return {(etype, attr): count for etype, attr, count in rows}

    def between(self, first: int, last: int) -> dict[tuple[str, str], AttributeSize]:
        rows = self._database.rows("sizes.sizes_between", (first, last))
        return {(etype, attr): AttributeSize(*sizes) for etype, attr, *sizes in rows}

    def put(self, lease: Lease, reports: Mapping[str, SizeReport]) -> None:
        rows = [(etype, *report[:2], _attributes(report)) for etype, report in reports.items()]
        with self._database.owned(lease) as session:
            session.run("sizes.forget_sizes")
            session.each("sizes.put_sizes", rows)

    def reports(self) -> dict[str, SizeReport]:
        return {etype: _report(*columns) for etype, *columns in self._database.rows("sizes.size_reports")}

    def disk_bytes(self) -> int:
        return self._database.disk_bytes()


def _attributes(report: SizeReport) -> str:
    return to_json({attr: list(size) for attr, size in report.attributes.items()})


def _report(calculated: int, duration: int, attributes: str) -> SizeReport:
    sizes: dict[str, Any] = from_json(attributes)
    return SizeReport(calculated, duration, {attr: AttributeSize(*size) for attr, size in sizes.items()})
