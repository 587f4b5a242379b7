"""`/metrics`: what Prometheus scrapes.

Everything is read when it is asked for: numbers of the workers come through the state, so any API process
answers for all of them. What is counted in the API process itself is of that process.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from dp3.engine.heartbeat import LEASE_TTL_S, WORKING
from dp3.engine.statistics import ABOVE, BUCKETS_S
from dp3.http.answers import invalid_value
from dp3.http.pools import Once
from dp3.http.remarks import About
from dp3.http.services import Services
from dp3.http.unknown_names import Known
from dp3.http.warnings import begin_warnings
from dp3.http.writing import Accepted
from dp3.log.port import Lane
from dp3.reads.backlog import LaneLag, PartitionLag
from dp3.store.ports.runs import Run

HOOK_LABELS = ("module", "hook", "family", "context")

COUNTERS = {
    "batches": ("dp3_batches", "Batches that workers committed"),
    "task_processed": ("dp3_processed_tasks", "Tasks that workers processed"),
    "datapoints": ("dp3_processed_datapoints", "Data-points that workers processed"),
    "record_created": ("dp3_created_entities", "Entities that were created"),
    "record_removed": ("dp3_removed_entities", "Entities that were deleted"),
    "module_error": ("dp3_errors", "Failures of hooks"),
    "task_processing_error": ("dp3_task_errors", "Tasks and data-points that could not be processed"),
    "update_batches_missed": ("dp3_missed_update_batches", "Batches of periodic hooks that were missed"),
    "history_removed": ("dp3_cleaned_datapoints", "Data-points that were removed from history"),
    "dead_letters_dropped": ("dp3_dropped_dead_letters", "Dead letters above the limit, which were not kept"),
}
"""Counters of the state: their metrics."""

DURATIONS = {
    "batches": ("dp3_batch_duration_seconds", "From reading a batch to its commit"),
    "packing": ("dp3_packing_slice_seconds", "Slices of the packing of history"),
    "cleaning": ("dp3_cleaning_slice_seconds", "Slices of the cleaning of history"),
}
"""Durations that workers report: their metrics."""


_PARAMETERS = Known("query", "parameter", ["by_partition"])

MOST_SOURCES = 200
"""Sources that are told: one that makes up names must not make as many metrics."""


class _Collected(Collector):
    """The metrics that a function yields, for a registry."""

    def __init__(self, metrics: Callable[[], Iterator[Metric]]) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """No names beforehand, which a registry would otherwise ask for by collecting."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics, with what is known now."""
        return self._metrics()


class Metrics:
    """The metrics of an application, and the route that shows them."""

    def __init__(
        self,
        services: Services,
        accepted: Accepted,
        refused: Mapping[int, int],
        remarked: Mapping[About, int],
    ) -> None:
        self._services = services
        self._accepted = accepted
        self._refused = refused
        self._remarked = remarked
        self._usual = self._text(self._lanes)
        self._detailed = self._text(self._partitions)

    async def answer(self, request: Request) -> Response:
        """All metrics as text; with `by_partition=true` the backlog of each partition."""
        warnings = begin_warnings(request.scope)
        _PARAMETERS.check(request.query_params, (), warnings)
        wanted = request.query_params.get("by_partition", "false")
        if wanted not in ("true", "false"):
            raise invalid_value(("query", "by_partition"), "expected true or false")
        text = await (self._detailed if wanted == "true" else self._usual)()
        return warnings.told_in(Response(text, media_type=CONTENT_TYPE_LATEST))

    def _text(self, log: Callable[[], Iterator[Metric]]) -> Once[bytes]:
        """The text of all metrics, once for all who ask at the same time; `log` gives those of the log."""
        registry = CollectorRegistry()
        registry.register(_Collected(partial(self._all, log)))
        return Once(lambda: self._services.pools.operating.run(generate_latest, registry))

    def _all(self, log: Callable[[], Iterator[Metric]]) -> Iterator[Metric]:
        yield from self._intake()
        yield from log()
        yield from self._work()
        yield from self._sources()
        yield from self._hooks()
        yield from self._workers()
        yield from self._snapshots()
        yield from self._stored()

    def _intake(self) -> Iterator[Metric]:
        yield _counter("dp3_accepted_requests", "Writing requests made durable", self._accepted.requests)
        yield _counter("dp3_accepted_datapoints", "Data-points made durable", self._accepted.points)
        refused = CounterMetricFamily(
            "dp3_refused_requests", "Requests with data-points that were refused", labels=["status"]
        )
        for status, count in sorted(self._refused.items()):
            refused.add_metric([str(status)], count)
        yield refused
        remarked = CounterMetricFamily(
            "dp3_remarked_datapoints",
            "Data-points that were accepted with keys that mean nothing, or with times far ahead",
            labels=["about"],
        )
        for about in About:
            remarked.add_metric([about.value], self._remarked.get(about, 0))
        yield remarked

    def _lanes(self) -> Iterator[Metric]:
        lags = self._services.reads.backlog.lanes()
        return self._backlog(["lane"], ((lag, [lag.lane.name.lower()]) for lag in lags))

    def _partitions(self) -> Iterator[Metric]:
        lags = self._services.reads.backlog.partitions()
        places = ((lag, [lag.lane.name.lower(), str(lag.partition)]) for lag in lags)
        return self._backlog(["lane", "partition"], places)

    def _backlog(
        self, labels: list[str], lags: Iterable[tuple[LaneLag | PartitionLag, list[str]]]
    ) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "dp3_log_backlog_bytes", "Bytes of log entries that a partition has not passed", labels=labels
        )
        age = GaugeMetricFamily(
            "dp3_log_backlog_age_seconds", "Age of the oldest log entry not passed", labels=labels
        )
        for lag, place in lags:
            waiting.add_metric(place, lag.bytes)
            oldest = lag.oldest
            age.add_metric(place, 0 if oldest is None else self._services.reads.backlog.age_s(oldest))
        yield from (waiting, age)

    def _sources(self) -> Iterator[Metric]:
        age = GaugeMetricFamily(
            "dp3_source_age_seconds", "Since data-points of a source were last processed", labels=["source"]
        )
        for source, silent_s in self._services.reads.telemetry.silent_s(MOST_SOURCES).items():
            age.add_metric([source], silent_s)
        yield age

    def _work(self) -> Iterator[Metric]:
        counters = self._services.store.counters.all()
        for name, (metric, text) in COUNTERS.items():
            yield _counter(metric, text, counters.get(name, 0))

    def _hooks(self) -> Iterator[Metric]:
        executions = _hook_counter("dp3_hook_executions", "Calls of a hook")
        failures = _hook_counter("dp3_hook_failures", "Calls of a hook that failed")
        duration = _hook_counter("dp3_hook_duration_seconds", "Time spent in a hook")
        tasks = _hook_counter("dp3_hook_created_tasks", "Tasks that a hook returned")
        decisions = _hook_counter("dp3_hook_decisions", "Decisions of an allow hook", "decision")
        for sums in self._services.store.counters.hook_sums():
            hook = [sums.module, sums.hook, sums.family, sums.context]
            executions.add_metric(hook, sums.executions)
            failures.add_metric(hook, sums.failures)
            duration.add_metric(hook, sums.duration_ns / 1e9)
            tasks.add_metric(hook, sums.created_tasks)
            if sums.allowed or sums.denied:
                decisions.add_metric([*hook, "allowed"], sums.allowed)
                decisions.add_metric([*hook, "denied"], sums.denied)
        yield from (executions, failures, duration, tasks, decisions)

    def _workers(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("dp3_worker_working", "1 if a worker is alive and works", labels=["worker"])
        now = self._services.store.leases.now_us()
        for state in self._services.store.leases.all():
            alive = abs(now - state.heartbeat) <= LEASE_TTL_S * 1e6
            up.add_metric([str(state.lease.index)], int(alive and state.status == WORKING))
        yield up
        yield from self._reports()

    def _reports(self) -> Iterator[Metric]:
        durations = {
            name: HistogramMetricFamily(metric, text, labels=["worker"])
            for name, (metric, text) in DURATIONS.items()
        }
        packed = CounterMetricFamily(
            "dp3_packed_datapoints", "Data-points of which history was packed", labels=["worker"]
        )
        read = CounterMetricFamily(
            "dp3_packing_read_rows", "Rows of history read in order to be packed", labels=["worker"]
        )
        passes = {
            "packing": CounterMetricFamily(
                "dp3_packing_passes", "Passes that pack history", labels=["worker"]
            ),
            "cleaning": CounterMetricFamily("dp3_cleaning_passes", "Passes that clean it", labels=["worker"]),
        }
        lookups = CounterMetricFamily(
            "dp3_entity_cache_lookups", "Entities looked for in the cache", labels=["worker", "result"]
        )
        rows = CounterMetricFamily(
            "dp3_history_read_rows", "Rows of history that were read for profiles", labels=["process"]
        )
        whole = CounterMetricFamily(
            "dp3_history_read_whole",
            "Attributes of which all that is packed was read, because what is current is not kept",
            labels=["process"],
        )
        read_here = self._services.store.entities.rows_read()
        rows.add_metric(["api"], read_here.rows)
        whole.add_metric(["api"], read_here.whole)
        slow = CounterMetricFamily("dp3_slow_hooks", "Hooks that took too long", labels=["worker"])
        for index, _, numbers in self._services.store.leases.reports():
            worker = str(index)
            for name, metric in durations.items():
                metric.add_metric([worker], _buckets(name, numbers), numbers[f"{name}_s"])
            packed.add_metric([worker], numbers["packed"])
            read.add_metric([worker], numbers["packing_read"])
            for name, counter in passes.items():
                counter.add_metric([worker], numbers[f"{name}_passes"])
            misses = numbers["entity_misses"]
            lookups.add_metric([worker, "hit"], max(numbers["entity_lookups"] - misses, 0))
            lookups.add_metric([worker, "miss"], misses)
            # A report of an older version does not have it.
            rows.add_metric([f"worker {worker}"], numbers.get("history_read", 0))
            whole.add_metric([f"worker {worker}"], numbers.get("history_read_whole", 0))
            slow.add_metric([worker], numbers["slow_hooks"])
        yield from (*durations.values(), packed, read, *passes.values(), lookups, rows, whole, slow)

    def _snapshots(self) -> Iterator[Metric]:
        run, rows = self._services.reads.runs.latest_complete() or (None, [])
        entities = sum(row.entities for row in rows)
        yield _gauge("dp3_snapshot_run_timestamp_seconds", "When the latest complete run was", _time_s(run))
        yield _gauge("dp3_snapshot_run_duration_seconds", "How long that run took", _duration_s(run))
        yield _gauge("dp3_snapshot_run_entities", "Entities that it looked at", entities)

    def _stored(self) -> Iterator[Metric]:
        store, log = self._services.store, self._services.log
        entities = GaugeMetricFamily("dp3_entities", "Entities that there are", labels=["etype"])
        for etype, count in store.entities.counts().items():
            entities.add_metric([etype], count)
        yield entities
        yield _gauge("dp3_dead_letters", "Dead letters that are kept", store.dead_letters.count())
        yield _gauge("dp3_state_size_bytes", "Size of the state on disk", store.sizes.disk_bytes())
        size = GaugeMetricFamily("dp3_log_size_bytes", "Size of the log on disk", labels=["lane"])
        for lane in Lane:
            size.add_metric([lane.name.lower()], log.disk_bytes(lane))
        yield size


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _hook_counter(name: str, text: str, *more: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=[*HOOK_LABELS, *more])


def _buckets(name: str, numbers: Mapping[str, float]) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus wants them."""
    counts = accumulate(numbers[f"{name}_{bound}"] for bound in (*BUCKETS_S, ABOVE))
    return list(zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True))


def _time_s(run: Run | None) -> float:
    return 0 if run is None else run.time / 1e6


def _duration_s(run: Run | None) -> float:
    return 0 if run is None else (run.updated - run.started) / 1e6
