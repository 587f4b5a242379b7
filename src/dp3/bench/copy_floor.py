"""The least that storing history on a PostgreSQL server costs its client: COPY, and nothing else."""

import time
from collections.abc import Iterable

import psycopg

from dp3.bench.floor import Transaction

TABLE = """
CREATE TEMPORARY TABLE copied (
    entity bigint NOT NULL, attr bigint NOT NULL, key bigint NOT NULL,
    t1 bigint NOT NULL, t2 bigint NOT NULL, c bigint, v bytea NOT NULL
)
"""

TYPES = [*["bigint"] * 6, "bytea"]

COPY = "COPY copied (entity, attr, key, t1, t2, c, v) FROM STDIN"


def copy_us(url: str, work: Iterable[Transaction]) -> float:
    """Microseconds that a client computes for one row of history, when it copies those of each transaction in
    one of its own."""
    computed_s, rows = 0.0, 0
    with psycopg.connect(url) as connection:
        connection.execute(TABLE)
        connection.commit()
        for one in work:
            given = [(row.entity, row.attr, row.key, row.t1, row.t2, row.c, row.v) for row in one.history]
            before = time.thread_time()
            with connection.cursor().copy(COPY) as copy:
                copy.set_types(TYPES)
                for row in given:
                    copy.write_row(row)
            connection.commit()
            computed_s += time.thread_time() - before
            rows += len(given)
    return computed_s / max(rows, 1) * 1e6
