"""The same load for the platform and for the program by hand, in turns."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

from dp3.bench.load import Body, send
from dp3.bench.peers.by_hand import TIMESERIES
from dp3.bench.peers.postgres import READY_S, STOP_S, Postgres, postgres
from dp3.bench.report import BenchFailed, Say, expect
from dp3.bench.server import cpu_s, free_port, running
from dp3.bench.workload import ETYPE, Workload

CLIENTS = 2
SINGLE_CLIENTS = 8

Figures = dict[str, Any]


class Cost(NamedTuple):
    """Of one load: data-points a second from the first request until all are applied, and what all processes
    computed for one (µs)."""

    per_s: float
    cpu_us: float


def peers(total: int, singles: int, rounds: int, say: Say) -> Figures:
    """Measure batches and single data-points, each several times in turns. Raises `BenchFailed`."""
    batches = list(Workload(total=total).bodies())
    alone = list(Workload(total=singles, batch=1).bodies())
    return {
        "rounds": rounds,
        "batches": _in_turns("batches", batches, CLIENTS, rounds, say),
        "singles": _in_turns("single data-points", alone, SINGLE_CLIENTS, rounds, say),
    }


def _in_turns(what: str, bodies: Sequence[Body], clients: int, rounds: int, say: Say) -> Figures:
    measures: dict[str, Callable[[Sequence[Body], int], Cost]] = {"dp3": of_dp3, "by_hand": of_by_hand}
    costs: dict[str, list[Cost]] = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            say(f"{what}: round {number + 1}, {name}")
            costs[name].append(measure(bodies, clients))
    typical = {name: Cost(*map(statistics.median, zip(*some, strict=True))) for name, some in costs.items()}
    return told(typical["dp3"], typical["by_hand"])


def told(dp3: Cost, by_hand: Cost) -> Figures:
    """Both, and how many times as much of each the platform has."""
    return {
        "dp3": {"per_s": round(dp3.per_s), "cpu_us": round(dp3.cpu_us, 1)},
        "by_hand": {"per_s": round(by_hand.per_s), "cpu_us": round(by_hand.cpu_us, 1)},
        "ratio": {
            "per_s": round(dp3.per_s / by_hand.per_s, 2),
            "cpu_us": round(dp3.cpu_us / by_hand.cpu_us, 2),
        },
    }


def of_dp3(bodies: Sequence[Body], clients: int) -> Cost:
    """The platform, with an empty state."""
    total = sum(count for count, _ in bodies)
    with running() as server:

        def computed_s() -> float:
            return sum(map(cpu_s, server.processes().values()))

        def load() -> None:
            send(server.url, bodies, clients)
            server.wait_drained()

        cost = _cost(load, computed_s, total)
        expect("data-points processed", server.metric("dp3_processed_datapoints_total"), total)
        entities = server.get("/entities")[ETYPE]["eid_estimate_count"]
        expect("entities", entities, len({point["id"] for point in _points(bodies)}))
        server.stop()
    return cost


def of_by_hand(bodies: Sequence[Body], clients: int) -> Cost:
    """The program by hand, with an empty database."""
    directory = Path(tempfile.mkdtemp(prefix="dp3-bench-"))
    try:
        with postgres(directory) as database, by_hand(directory, database) as (url, api):
            total = sum(count for count, _ in bodies)
            cost = _cost(lambda: send(url, bodies, clients), lambda: cpu_s(api) + database.cpu_s(), total)
            check_tables(database, bodies)
    finally:
        shutil.rmtree(directory)
    return cost


def _cost(load: Callable[[], object], computed_s: Callable[[], float], total: int) -> Cost:
    started, before = time.perf_counter(), computed_s()
    load()
    seconds = time.perf_counter() - started
    return Cost(total / seconds, (computed_s() - before) / total * 1e6)


@contextmanager
def by_hand(directory: Path, database: Postgres) -> Iterator[tuple[str, psutil.Process]]:
    """Run the program by hand until the end of the block: its URL and its process. Raises `BenchFailed`."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "dp3.bench.peers.by_hand:app", "--port", str(port)]
    log = directory / "by-hand.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--no-access-log"],
            stderr=output,
            stdout=output,
            env={**os.environ, "DATABASE_URL": database.url},
        )
    try:
        _wait_ready(process, port, log)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(STOP_S)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < end:
        connection = HTTPConnection("127.0.0.1", port, timeout=READY_S)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise BenchFailed(f"the program by hand did not get ready: {log.read_text(errors='replace')}")


def check_tables(database: Postgres, bodies: Sequence[Body]) -> None:
    """All rows are there, and each value that was the only one of its attribute. Raises `BenchFailed`."""
    import psycopg

    points = _points(bodies)
    keyed = [(point["id"], point["attr"]) for point in points if point["attr"] not in TIMESERIES]
    with psycopg.connect(database.url) as connection:
        rows = connection.execute("SELECT count(*) FROM history").fetchone()
        expect("rows of history", rows, (sum("t1" in point for point in points),))
        found = {
            (eid, attr): v for eid, attr, v in connection.execute("SELECT eid, attr, v FROM current_value")
        }
    expect("current values", len(found), len(set(keyed)))
    sent: dict[tuple[str, str], list[Any]] = {}
    for point in points:
        sent.setdefault((point["id"], point["attr"]), []).append(point["v"])
    wrong = [key for key, v in found.items() if v not in sent[key]]
    expect("current values that were never sent", len(wrong), 0)


def _points(bodies: Sequence[Body]) -> list[dict[str, Any]]:
    return [point for _, body in bodies for point in msgspec.json.decode(body)]
