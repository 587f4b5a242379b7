"""What the program tells of its own jobs: records with `begun` and `updated`."""

from datetime import datetime
from typing import Any

Record = dict[str, Any]


def begun_s(record: Record) -> float:
    """When a job began, in seconds since 1970."""
    return datetime.fromisoformat(record["begun"]).timestamp()


def took_s(record: Record) -> float:
    """From the begin of a job to the last that it did."""
    return datetime.fromisoformat(record["updated"]).timestamp() - begun_s(record)


def first_of(records: list[Record]) -> Record:
    """That of the job that began first."""
    return min(records, key=begun_s)
