"""The phase of `dp3 bench lifecycle` about archiving raw data while more comes in."""

import gzip
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from dp3.bench.application import Application, Settings, soon
from dp3.bench.driver import Watch
from dp3.bench.floor import main_entries
from dp3.bench.load import Streamed, send, streaming
from dp3.bench.report import BenchFailed, Say, expect
from dp3.bench.server import Server, running
from dp3.bench.workload import Workload
from dp3.clock import SystemClock
from dp3.log.checksums import entry_checksum, row_checksum
from dp3.log.port import Lane
from dp3.log.sqlite import open_log
from dp3.model.wire import decode_tasks
from dp3.sqlite import connect, transaction
from dp3.statements import Statements, load_statements

DAYS_US = 2 * 24 * 3600 * 1_000_000


def segments(data: Path) -> list[Path]:
    """The segments of the main lane, oldest first."""
    return sorted((data / "log" / "main").glob("*.seg"))


def make_older(data: Path) -> list[Path]:
    """Move all segments of the main lane two days back but the one that takes entries. The program must be
    stopped. Returns those."""
    sql = load_statements("dp3.bench", "ageing.sql")
    finished = segments(data)[:-1]
    for path in finished:
        with closing(connect(path, create=False, checksums=False)) as connection, transaction(connection):
            _age(connection, sql)
    return finished


def _age(connection: apsw.Connection, sql: Statements) -> None:
    *row, created = connection.execute(sql["segment"]).get
    created -= DAYS_US
    connection.execute(sql["age_segment"], (created, row_checksum(Lane.MAIN, *row, created)))
    entries: list[Any] = connection.execute(sql["entries"]).fetchall()
    for offset, order, append_time, latest, total, body in entries:
        times = append_time - DAYS_US, latest - DAYS_US
        checksum = entry_checksum(Lane.MAIN, offset, order, *times, total, body)
        connection.execute(sql["age_entry"], (*times, checksum, offset))


RATE = 5_000
"""Data-points a second beside archiving."""

LEAST_OF_RATE = 0.95

ENTITIES = 10_000

CLIENTS = 2

SEGMENTS = 8
"""About so many are archived."""

BYTES_OF_POINT = 100
"""A little less than a data-point takes in the log."""

ALONE_S = 5.0
"""So long data comes in while nothing is archived, to compare."""


def archive(points: int, say: Say) -> dict[str, Any]:
    """Archive and remove so many data-points of former days; how long requests with new ones wait."""
    small = {"log": {"segment_size": max(points * BYTES_OF_POINT // SEGMENTS, 100_000)}}
    with running(Application(settings={"processing_core": small})) as server:
        say(f"sending {points:,} data-points")
        send(server.url, list(Workload(total=points, entities=ENTITIES).bodies()), CLIENTS)
        server.wait_drained()
        say(f"sending {RATE:,} a second while nothing is archived")
        with streaming(server.url, ENTITIES, RATE) as alone:
            time.sleep(ALONE_S)
        server.wait_drained()
        server.stop()
        old = make_older(server.data)
        say(f"archiving {len(old)} segments beside them")
        server.start(Application(settings={"processing_core": small, "history_manager": _archiving(server)}))
        beside, seconds, watch = _archive(server, old)
        server.wait_drained()
        server.stop()
        archived = _archived(server)
        expect(
            "data-points in the archive and in the log",
            archived + _in_log(server),
            points + alone.points + beside.points,
        )
    return {
        "archive_wait_ms": _waits(beside),
        "wait_without_ms": _waits(alone),
        "archived_per_s": round(archived / seconds),
        "datapoints_archived": archived,
        "segments": len(old),
        "archiving_s": round(seconds, 3),
        "ingested_per_s": round(beside.per_s),
        "requests": len(beside.latencies),
        "rss_mb": watch.rss_mb,
    }


def _archiving(server: Server) -> Settings:
    return {
        "datapoint_archivation": {
            "schedule": soon(datetime.now(UTC)),
            "older_than": "1d",
            "archive_dir": str(_directory(server)),
        }
    }


def _directory(server: Server) -> Path:
    directory = server.data / "archive"
    directory.mkdir(exist_ok=True)
    return directory


def _archive(server: Server, old: list[Path]) -> tuple[Streamed, float, Watch]:
    """Send data-points from before archiving begins until all that is old is gone."""
    watch = Watch(server)
    with streaming(server.url, ENTITIES, RATE) as streamed:
        begun = watch.until("archiving has begun", lambda: any(_directory(server).iterdir()))
        done = watch.until("old segments are gone", lambda: not any(path.exists() for path in old))
    if streamed.per_s < RATE * LEAST_OF_RATE:
        raise BenchFailed(f"only {streamed.per_s:.0f} of {RATE} data-points a second were taken in")
    return streamed, done - begun, watch


def _waits(streamed: Streamed) -> dict[str, float]:
    return {
        "p99": round(streamed.percentile_ms(0.99), 1),
        "max": round(streamed.percentile_ms(1), 1),
    }


def _archived(server: Server) -> int:
    lines = 0
    for path in _directory(server).glob("*.jsonl.gz"):
        with gzip.open(path, "rb") as packed:
            lines += sum(1 for _ in packed)
    return lines


def _in_log(server: Server) -> int:
    log = open_log(server.data, SystemClock())
    try:
        return sum(
            task.width
            for entry in main_entries(log)
            for tasks in entry.slices.values()
            for task in decode_tasks(tasks)
        )
    finally:
        log.close()
