"""Looking for damage in a state that nobody uses, without changing anything."""

from contextlib import closing
from pathlib import Path
from typing import Any

from dp3.sqlite import (
    FormatError,
    check_format,
    connect,
    renew_checksums,
    verify_file,
)
from dp3.statements import load_statements
from dp3.store.sqlite.opening import APPLICATION_ID, FORMAT


def renew_state(directory: Path) -> int:
    """Renew the checksums of the state in `directory`; returns how many pages had others. Raises
    `FormatError`."""
    path = directory / "state.db"
    if not path.exists():
        raise FormatError(f"{path}: there is no such file")
    return renew_checksums(path)


def verify_state(directory: Path) -> tuple[list[str], dict[int, tuple[int, int]]]:
    """The faults of the state in `directory`, one sentence each; and, if nothing is, the lowest and the
    highest offset that partitions have reached in each lane of the log."""
    path = directory / "state.db"
    if not path.exists():
        return [f"{path}: there is no such file"], {}
    if problems := verify_file(path):
        return problems, {}
    sql = load_statements("dp3.store.sqlite", "schema.sql")
    try:
        has_wal = path.with_name(path.name + "-wal").exists()
        with closing(connect(path, readonly=True, immutable=not has_wal)) as connection:
            check_format(connection, APPLICATION_ID, FORMAT, "the state")
            rows: list[Any] = connection.execute(sql["reached"]).fetchall()
    except FormatError as error:
        return [str(error)], {}
    return [], {lane: (lowest, highest) for lane, lowest, highest in rows}
