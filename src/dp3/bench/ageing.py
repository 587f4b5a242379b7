"""Makes what is in the log older, as only raw data of former days is archived and removed."""

from pathlib import Path

from dp3.sqlite import connect, load_statements, transaction

DAYS_US = 2 * 24 * 3600 * 1_000_000
"""Even, as append times of the two lanes differ by that."""


def segments(data: Path) -> list[Path]:
    """The segments of the main lane, oldest first."""
    return sorted((data / "log" / "main").glob("*.seg"))


def make_older(data: Path) -> list[Path]:
    """Move all segments of the main lane two days back but the one that takes entries. The program must be
    stopped. Returns those."""
    sql = load_statements("dp3.bench", "ageing.sql")
    finished = segments(data)[:-1]
    for path in finished:
        connection = connect(path, create=False)
        try:
            with transaction(connection):
                connection.execute(sql["age_segment"], {"us": DAYS_US})
                connection.execute(sql["age_entries"], {"us": DAYS_US})
        finally:
            connection.close()
    return finished
