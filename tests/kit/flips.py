"""Flipped bytes in files, and database files as they were before there were checksums."""

from pathlib import Path

import apsw

from dp3.sqlite import connect


def flip(path: Path, at: int, mask: int = 1) -> None:
    """Change one byte of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def place_of(path: Path, text: bytes) -> int:
    """The place at which a file has a text."""
    return path.read_bytes().index(text)


def without_checksums(path: Path, version: int) -> None:
    """Turn a closed database file into one of an older format, whose pages had no checksums."""
    older = path.with_name("older")
    source = connect(path, readonly=True, immutable=True)
    target = apsw.Connection(str(older), vfs="unix")
    target.pragma("page_size", source.pragma("page_size"))
    target.pragma("journal_mode", "wal")
    with target:
        for kind in ("table", "index", "view", "trigger"):
            _copy(source, target, kind)
    target.pragma("application_id", source.pragma("application_id"))
    target.pragma("user_version", version)
    target.close()
    source.close()
    older.replace(path)


def _copy(source: apsw.Connection, target: apsw.Connection, kind: str) -> None:
    query = "SELECT name, sql FROM sqlite_schema WHERE type = ? AND sql IS NOT NULL ORDER BY rowid"
    for name, sql in source.execute(query, (kind,)).fetchall():
        if not name.startswith("sqlite_"):
            target.execute(sql)
        if kind == "table":
            rows = source.execute(f'SELECT * FROM "{name}"').fetchall()
            if rows:
                target.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(rows[0]))})', rows)
