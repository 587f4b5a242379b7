"""The same benchmark on both engines, in one run, so that their figures can be compared."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from dp3.bench.application import LONG, Application
from dp3.bench.between import Between, between
from dp3.bench.copy_floor import copy_us
from dp3.bench.devices import Observed
from dp3.bench.driver import fill, run_snapshots
from dp3.bench.floor import transactions
from dp3.bench.ingest import Result, ingest
from dp3.bench.on_postgres import OnPostgres, on_postgres
from dp3.bench.query import query
from dp3.bench.report import BenchFailed, Say
from dp3.bench.server import Server, running
from dp3.bench.snapshots import snapshots
from dp3.bench.wire import Kind
from dp3.bench.workload import Workload

Figures = dict[str, Any]

WORKERS = 4
"""Workers that are compared with one."""

LATENCY_MS = 1.0
"""Added to the way to the server and back."""

MOST_TOLD = 30
"""Statements of a commit that are told, those that run most often first."""

PAGE_ENTITIES = 5_000
"""Linked devices of the run whose pages are listened to."""

COMPARED = {
    "linked": {
        "linked_first_rate": "first_entities_per_s",
        "linked_repeated_rate": "repeated_entities_per_s",
        "linked_repeated_cpu": "repeated_cpu_us",
    },
    "changed": {"first_run": "first_run_s", "changed_run": "changed_run_s"},
    "history": {"run": "seconds_per_run", "added_bytes": "added_bytes"},
}
"""Part of the snapshots → the name of a ratio → the figure that it is of."""


@dataclass(frozen=True, slots=True)
class OnServer:
    """Settings of a comparison: the address of the server if it is there already, workers that are compared
    with one, and the latency (ms) that is added."""

    url: str | None = None
    workers: int = WORKERS
    latency_ms: float = LATENCY_MS


def ingest_on_both(workload: Workload, clients: int, tokens: bool, setting: OnServer, say: Say) -> Figures:
    """Load the program in files and on a server: with one worker, with several, and from further away. Raises
    `BenchFailed`."""
    load = Load(workload, clients, tokens, setting.url, say)
    say("files")
    embedded = ingest(workload, clients, say, tokens=tokens)
    say("server")
    one = load.on_server(copy=True)
    say(f"server, {setting.workers} workers")
    several = load.on_server(workers=setting.workers)
    say("server, by way of somebody who listens")
    near = load.from_away(0)
    say(f"server, {setting.latency_ms} ms further away")
    far = load.from_away(setting.latency_ms)
    return {
        "embedded": told(embedded),
        "postgres": told(one),
        "several_workers": told(several),
        "near": told(near),
        "far": told(far),
        "heard": far.more["heard"].figures("commit"),
        "statements_of_a_commit": far.more["heard"].statements("commit"),
        "compared": {
            "rate": ratio(one.end_to_end_per_s, embedded.end_to_end_per_s),
            "worker_and_server_cpu": ratio(_cpu_us(one), _cpu_us(embedded)),
            "commit_cpu": ratio(one.commit_cpu_us_per_dp, embedded.commit_cpu_us_per_dp),
            "commit_cpu_to_copy": ratio(one.commit_cpu_us_per_dp, one.more["copy_cpu_us_per_row"]),
            "several_workers_cpu": ratio(_cpu_us(several), _cpu_us(one)),
            "several_workers_rate": ratio(several.end_to_end_per_s, one.end_to_end_per_s),
            "far_rate": ratio(far.end_to_end_per_s, near.end_to_end_per_s),
        },
    }


def told(result: Result) -> Figures:
    """The figures that were measured, in one row of a table each."""
    figures = {**asdict(result), **result.more}
    untold = ("workload", "more", "heard")
    return {name: figure for name, figure in figures.items() if figure and name not in untold}


def ratio(one: float, other: float) -> float:
    """0 if there is nothing to compare with."""
    return round(one / other, 2) if other else 0.0


def _cpu_us(result: Result) -> float:
    """Of the workers and the server, a data-point (µs)."""
    roles = result.cpu_us_per_dp.items()
    return sum(cpu for role, cpu in roles if role.startswith("worker") or role == "server")


@dataclass(frozen=True, slots=True)
class Load:
    """The same load for servers that are empty."""

    workload: Workload
    clients: int
    tokens: bool
    url: str | None
    say: Say

    def on_server(self, workers: int = 1, *, copy: bool = False) -> Result:
        """The load with so many workers; `copy`: what COPY costs for the same rows is measured as well."""
        with on_postgres(self.url) as engine:
            checkpoint = engine.checkpoint()

            def loaded(server: Server) -> Figures:
                if engine.checkpoint() != checkpoint:
                    self.say("the server began a checkpoint meanwhile, so its log is larger than it would be")
                return {"copy_cpu_us_per_row": round(self._copy_us(server, engine), 2)} if copy else {}

            return self._of(engine, loaded, workers)

    def from_away(self, latency_ms: float) -> Result:
        """The load with a server that is so far away, and what was heard on the way."""
        with on_postgres(self.url) as engine, between(engine.address, latency_ms) as way:
            return self._of(engine.by_way_of(*way.place), lambda server: {"heard": Heard(server, way)}, 1)

    def _of(self, engine: OnPostgres, loaded: Callable[[Server], Figures], workers: int) -> Result:
        return ingest(
            self.workload,
            self.clients,
            self.say,
            tokens=self.tokens,
            engine=engine,
            workers=workers,
            loaded=loaded,
        )

    def _copy_us(self, server: Server, engine: OnPostgres) -> float:
        points = self.workload.total // max(server.commits()[1], 1)
        with engine.opened(server.data) as (log, store):
            return copy_us(engine.url, transactions(log, store, points))


def snapshots_on_both(
    only: Iterable[str], linked_devices: int, entities: int, runs: int, setting: OnServer, say: Say
) -> Figures:
    """Snapshot runs in files and on a server. Raises `BenchFailed`."""
    parts = list(only)
    say("files")
    embedded = snapshots(parts, linked_devices, entities, runs, say)
    say("server")
    with on_postgres(setting.url) as engine:
        server = snapshots(parts, linked_devices, entities, runs, say, engine)
    figures: Figures = {}
    for part in parts:
        figures |= {f"{part}_embedded": embedded[part], f"{part}_postgres": server[part]}
    figures["compared"] = {
        name: ratio(server[part][figure], embedded[part][figure])
        for part in parts
        for name, figure in COMPARED[part].items()
    }
    return figures | _pages(min(linked_devices, PAGE_ENTITIES), setting, say)


def _pages(entities: int, setting: OnServer, say: Say) -> Figures:
    """Figures of the pages of a run over few linked devices."""
    say("server, by way of somebody who listens")
    application = Application(modules=["peer_load"], validity=LONG)
    with (
        on_postgres(setting.url) as engine,
        between(engine.address, 0) as way,
        running(application, engine=engine.by_way_of(*way.place)) as server,
    ):
        fill(server, Observed(datetime.now(UTC)), entities, say)
        run_snapshots(server)
        heard = Heard(server, way)
        server.stop()
    return {"heard": heard.figures("page"), "statements_of_a_page": heard.statements("page")}


def query_on_both(entities: int, requests: int, setting: OnServer, say: Say) -> Figures:
    """Questions in files and on a server. Raises `BenchFailed`."""
    say("files")
    embedded = query(entities, requests, say)
    say("server")
    with on_postgres(setting.url) as engine:
        server = query(entities, requests, say, engine)
    (name,) = (name for name in embedded if name.startswith("p95_ms"))
    compared = {kind: ratio(ms, embedded[name][kind]) for kind, ms in server[name].items()}
    return {"embedded": embedded[name], "postgres": server[name], "compared": compared}


class Heard:
    """The transactions of the processes of a program, by role."""

    def __init__(self, server: Server, way: Between) -> None:
        self._by_role: dict[str, dict[str, Kind]] = {}
        ports = {
            connection.laddr.port: role.partition(" ")[0]
            for role, process in server.processes().items()
            for connection in process.net_connections("tcp")
        }
        for port, kinds in way.heard().items():
            sums = self._by_role.setdefault(ports.get(port, "other"), {})
            for name, kind in kinds.items():
                sums.setdefault(name, Kind()).add(kind)

    def figures(self, unit: str) -> Figures:
        """Of each kind of transactions of API and workers, how many, and round trips and statements of one;
        also all round trips of workers for one transaction of the kind `unit`. Raises `BenchFailed`."""
        worker = self._by_role.get("worker", {})
        if unit not in worker:
            raise BenchFailed(f"nobody was heard with a {unit}")
        all_trips = sum(kind.round_trips for kind in worker.values())
        figures: Figures = {f"worker_round_trips_per_{unit}": round(all_trips / worker[unit].transactions, 1)}
        for role in ("worker", "api"):
            for name, kind in sorted(self._by_role.get(role, {}).items()):
                figures[f"{role}_{name}s"] = kind.transactions
                figures[f"round_trips_per_{role}_{name}"] = round(kind.round_trips / kind.transactions, 1)
                figures[f"statements_per_{role}_{name}"] = round(kind.statements / kind.transactions, 1)
        return figures

    def statements(self, unit: str) -> dict[str, float]:
        """Statement → how often it runs in a transaction of the kind `unit` of workers, those that run most
        often first."""
        kind = self._by_role["worker"][unit]
        return {
            name: round(count / kind.transactions, 2) for name, count in kind.names.most_common(MOST_TOLD)
        }
