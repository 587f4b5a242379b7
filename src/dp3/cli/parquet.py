"""Archived data-points as Parquet, for tools that analyse them. `pyarrow` comes with the extra `parquet`."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from dp3.common.utils import batched
from dp3.model.durations import aware
from dp3.sqlite import sync_path

PARTIAL = ".partial"
ROW_GROUP = 100_000
"""Data-points of a row group: what is in memory at a time."""

_encode = msgspec.json.Encoder().encode


def write_parquet(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Write a file of rows as `row_of` makes them, durably; returns how many there are.

    The file is complete or not there. Raises `ImportError` without `pyarrow`, `OSError` when the disk
    refuses, and `TypeError` or `ValueError` for what does not fit a column."""
    import pyarrow as pa
    from pyarrow import parquet

    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    columns = {"type": text, "id": text, "attr": text, "src": text, "v": text}
    schema = pa.schema({**columns, "c": pa.float64(), "t1": time, "t2": time})
    partial = path.with_name(path.name + PARTIAL)
    count = 0
    try:
        with parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in batched(rows, ROW_GROUP):
                writer.write_table(pa.Table.from_pylist(batch, schema))
                count += len(batch)
        sync_path(partial)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_path(path.parent)
    return count


def row_of(point: dict[str, Any]) -> dict[str, Any]:
    """A data-point with `v` as JSON text and aware times; None for what it does not have. Raises `KeyError`,
    `TypeError` or `ValueError` if it is none."""
    return {
        "type": point["type"],
        "id": str(point["id"]),
        "attr": point["attr"],
        "src": point.get("src"),
        "v": _encode(point["v"]).decode(),
        "c": point.get("c"),
        "t1": _time(point.get("t1")),
        "t2": _time(point.get("t2")),
    }


def _time(text: str | None) -> datetime | None:
    return None if text is None else aware(datetime.fromisoformat(text))
