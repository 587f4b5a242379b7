"""One file of the archive: compressed JSON Lines, complete or not there."""

import gzip
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from dp3.sqlite import sync_path

PARTIAL = ".partial"
TIME = "%Y%m%dT%H%M%S"

_encode = msgspec.json.Encoder().encode


class ArchiveDamaged(Exception):
    """What was written can not be read back; nothing may be deleted because of it."""


class Span:
    """The earliest and latest `t1` of what passes through; `fallback` if nothing has one."""

    def __init__(self, fallback: tuple[datetime, datetime]) -> None:
        self._fallback = fallback
        self._first: datetime | None = None
        self._last: datetime | None = None

    def note(self, t1: datetime | None) -> None:
        """Take a data-point into account."""
        if t1 is None:
            return
        self._first = t1 if self._first is None else min(self._first, t1)
        self._last = t1 if self._last is None else max(self._last, t1)

    @property
    def text(self) -> str:
        first, last = self._fallback
        return f"{(self._first or first).strftime(TIME)}--{(self._last or last).strftime(TIME)}"


def write_archive(directory: Path, name: str, rows: Iterable[dict[str, Any]], span: Span) -> Path:
    """Write `dp-log-<first t1>--<last t1>.<name>.jsonl.gz`, durably; returns its path.

    The same rows again replace the file by the same one. Raises `OSError` when the disk refuses and
    `ArchiveDamaged` if it does not give back what was written; then there is no file."""
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / f"{name}{PARTIAL}"
    try:
        written = _write(partial, rows, span)
        if (found := _lines_in(partial)) != written:
            raise ArchiveDamaged(f"{partial}: wrote {written} data-points, read back {found}")
        path = directory / f"dp-log-{span.text}.{name}.jsonl.gz"
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_path(directory)
    return path


def _write(path: Path, rows: Iterable[dict[str, Any]], span: Span) -> int:
    count = 0
    # Without a name and a time in it the file is the same whenever it is made.
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        for row in rows:
            span.note(row["t1"])
            packed.write(_encode(row) + b"\n")
            count += 1
    sync_path(path)
    return count


def _lines_in(path: Path) -> int:
    try:
        with gzip.open(path, "rb") as packed:
            return sum(1 for _ in packed)
    except (OSError, EOFError) as error:
        raise ArchiveDamaged(f"{path}: {error}") from None
