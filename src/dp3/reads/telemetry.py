"""Records and measurements of the platform: snapshot runs, jobs, sources, sizes, events."""

import threading
import time
from collections.abc import Iterable
from typing import Any

from dp3.clock import Clock, to_datetime
from dp3.config.kinds import CronExpression
from dp3.engine.jobs.job import NEVER, Schedule
from dp3.engine.jobs.sizes import over_entities
from dp3.hooks.kinds import HOOK_SPECS
from dp3.model.spec import ModelSpec
from dp3.reads.errors import CountingBusy, CountingTooSlow
from dp3.store.ports.counters import Counters
from dp3.store.ports.entities import Entities
from dp3.store.ports.lifetimes import Collection, Lifetimes
from dp3.store.ports.retention import Retention, RetentionPass
from dp3.store.ports.runs import Phase, Run, Runs, WorkerRun
from dp3.store.ports.sizes import AttributeSize, SizeReport, Sizes
from dp3.store.ports.updates import UpdateCycle, Updates

MODULE = "SnapShooter"
"""The name under which the reference implementation keeps records of runs."""

MAX_RUNS = 10_000
"""Runs of one answer."""

LOOK_BACK = 1_000
"""The latest complete run is looked for among so many of the latest."""

PAGE = 20
"""Runs that are looked at together: as a rule one of the latest is complete."""

COMPLETE = "complete"

COUNTING_LIMIT_S = 10.0
"""Counting entities ends after this time."""

TURN_LIMIT_S = 1.0
"""Somebody who wants to count waits so long for somebody else who does."""

Record = dict[str, Any]

_STARTS = ("task_creation_start", "components_loaded", "task_creation_end")
"""Steps of the reference implementation that take no time here: workers find their work themselves."""


class Telemetry:
    """Figures about sources, attributes and events."""

    def __init__(
        self, counters: Counters, sizes: Sizes, entities: Entities, model: ModelSpec, clock: Clock
    ) -> None:
        self._counters = counters
        self._sizes = sizes
        self._entities = entities
        self._model = model
        self._clock = clock
        self._counting = threading.Lock()

    def sources(self) -> Record:
        """Source → the latest end of validity of its data-points."""
        return {source: to_datetime(t2) for source, t2 in self._counters.sources().items()}

    def source_ages(self, unit_us: int) -> dict[str, int]:
        """Source → how long ago that was, in whole units."""
        now = self._clock.now_us()
        return {source: int((now - t2) / unit_us) for source, t2 in self._counters.sources().items()}

    def silent_s(self, limit: int) -> dict[str, float]:
        """Source → seconds since data-points of it were last processed; those with the most data-points."""
        now = self._clock.now_us()
        return {source: max(now - seen, 0) / 1e6 for source, seen in self._counters.last_seen(limit).items()}

    def entities_per_attribute(self) -> dict[str, dict[str, int]]:
        """Type → attribute → how many entities have data of it; mirrors have none.

        Looks at all entities, for one asker at a time. Raises `CountingBusy`, `CountingTooSlow`."""
        if not self._counting.acquire(timeout=TURN_LIMIT_S):
            raise CountingBusy("entities are being counted for another request; send the request again later")
        try:
            return self._count()
        finally:
            self._counting.release()

    def _count(self) -> dict[str, dict[str, int]]:
        counts = {etype: dict.fromkeys(attrs, 0) for etype, attrs in self._model.entity_attributes.items()}
        end = time.monotonic() + COUNTING_LIMIT_S
        for found in over_entities(self._entities, self._sizes.attributes_between):
            for (etype, attr), entities in found.items():
                if attr in counts.get(etype, ()):
                    counts[etype][attr] += entities
            if time.monotonic() > end:
                raise CountingTooSlow(f"counting took more than {COUNTING_LIMIT_S:g} s")
        return counts

    def attribute_sizes(self) -> dict[str, Record]:
        """Type → sizes of the stored values of its attributes, as they were last measured."""
        configured = self._model.entity_attributes
        return {
            etype: _sizes(report, configured[etype])
            for etype, report in self._sizes.reports().items()
            if etype in configured
        }

    def event_counts(self, group: str, span_us: int) -> Record:
        """Events of a group since the start of the current interval of this length, and in the one before."""
        begun, current, last = self._counters.event_counts(group, span_us)
        return {"since": to_datetime(begun), "current": current, "last": last}


class RunReports:
    """Snapshot runs; `rate` is when they begin."""

    def __init__(self, runs: Runs, clock: Clock, rate: CronExpression | None = None) -> None:
        self._runs = runs
        self._clock = clock
        self._next = None if rate is None else _NextMoment(rate)

    def latest_complete(self) -> tuple[Run, list[WorkerRun]] | None:
        """The latest run that was completed, if it is one of the latest `LOOK_BACK`, and what each worker did
        in it."""
        before = None
        for _ in range(LOOK_BACK // PAGE):
            runs = self._runs.last(PAGE, before)
            if not runs:
                return None
            if complete := next((run for run in runs if run.status == COMPLETE), None):
                return complete, self._runs.workers(complete.id)
            before = runs[-1].id
        return None

    def latest_closed(self) -> Run | None:
        """The latest run that is over, complete or not. Only one can be open."""
        return next((run for run in self._runs.last(2) if run.phase is Phase.CLOSED), None)

    def times(self) -> Record:
        """The times of the latest run that is over, and of the next one, each None if there is none."""
        run = self.latest_closed()
        next_ = None if self._next is None else self._next.after(self._clock.now_us())
        return {
            "last": None if run is None else to_datetime(run.time),
            "next": None if next_ is None else to_datetime(next_),
        }

    def summary(self) -> Record:
        """Seconds since the latest run and the latest complete one; entities and duration of that."""
        latest = next(iter(self._runs.last(1)), None)
        latest_age = None if latest is None else self._age_s(latest)
        found = self.latest_complete()
        if found is None:
            return {"latest_age": latest_age, "finished_age": None, "entities": None, "total_s": None}
        finished, workers = found
        return {
            "latest_age": latest_age,
            "finished_age": self._age_s(finished),
            "entities": sum(row.entities for row in workers),
            "total_s": (finished.updated - finished.started) / 1e6,
        }

    def records(
        self, first: int, last: int, skip: int = 0, limit: int = 0, *, newest_first: bool = True
    ) -> list[Record]:
        """Records of the runs that began between two moments (µs); `limit` 0 is as many as an answer may
        have."""
        rows = min(limit or MAX_RUNS, MAX_RUNS)
        runs = self._runs.begun(first, last, skip, rows, newest_first=newest_first)
        return [_run(run, self._runs.workers(run.id)) for run in runs]

    def _age_s(self, run: Run) -> float:
        return max(self._clock.now_us() - run.time, 0) / 1e6


class _NextMoment:
    """Finds the next moment of a schedule. It is kept until it has come or the clock was set back, since
    every listing asks for it."""

    def __init__(self, rate: CronExpression) -> None:
        self._rate = rate
        self._known = (0, 0)

    def after(self, now: int) -> int | None:
        since, next_ = self._known
        if not since <= now < next_:
            next_ = Schedule(self._rate, now).next
            self._known = (now, next_)
        return None if next_ == NEVER else next_


class JobReports:
    """Records of the latest jobs of workers, newest first."""

    def __init__(self, updates: Updates, lifetimes: Lifetimes, retention: Retention) -> None:
        self._updates = updates
        self._lifetimes = lifetimes
        self._retention = retention

    def updates(self, limit: int) -> list[Record]:
        """Cycles of periodic hooks."""
        return [_cycle(*found) for found in self._updates.cycles(limit)]

    def collections(self, limit: int) -> list[Record]:
        """Collections of entities whose lifetime ended, of each worker."""
        return [_collection(found) for found in self._lifetimes.collections(limit)]

    def retention(self, limit: int) -> list[Record]:
        """Cleanings of history by each worker."""
        return [_pass(found) for found in self._retention.passes(limit)]


def _sizes(report: SizeReport, attrs: Iterable[str]) -> Record:
    return {
        "calculated_at": to_datetime(report.calculated),
        "duration_s": report.duration / 1e6,
        "attributes": {attr: _size(report.attributes.get(attr)) for attr in attrs},
    }


def _size(size: AttributeSize | None) -> Record:
    if size is None:
        return {"count": 0, "min": None, "mean": None, "max": None, "total": 0}
    mean = size.total / size.entities
    return {"count": size.entities, "min": size.min, "mean": mean, "max": size.max, "total": size.total}


def _run(run: Run, workers: list[WorkerRun]) -> Record:
    """A run in the form that existing clients know, with what else is known of it."""
    finished = [row for row in workers if row.done in (Phase.WORK, Phase.FINALIZE)]
    return {
        "_id": f"{MODULE}{to_datetime(run.time):%Y-%m-%dT%H:%M:%S.%fZ}w0",
        "#module": MODULE,
        "#time_created": to_datetime(run.started),
        "#last_update": to_datetime(run.updated),
        **dict.fromkeys(_STARTS, to_datetime(run.started)),
        "entities": sum(row.entities for row in workers),
        "components": run.detail.get("components", 0),
        "workers_finished": len(finished),
        "linked_finished": run.phase in (Phase.FINALIZE, Phase.CLOSED),
        "time": to_datetime(run.time),
        "phase": run.phase.value,
        "status": run.status,
        "written": sum(row.written for row in workers),
        "failed": sum(row.failed for row in workers),
        "hook_failures": sum(row.checkpoint.get("hook_failures", 0) for row in workers),
        "detail": run.detail,
    }


def _cycle(etype: str, cycle: UpdateCycle) -> Record:
    return {
        "etype": etype,
        "period_s": cycle.group.period / 1e6,
        "eid_only": not HOOK_SPECS[cycle.group.kind].takes_record,
        "worker": cycle.worker,
        "begun": to_datetime(cycle.begun),
        "updated": to_datetime(cycle.updated),
        "batch": cycle.batch,
        "batches": cycle.batches,
        "visited": cycle.visited,
        "missed": cycle.missed,
        "finished": cycle.finished,
    }


def _collection(found: Collection) -> Record:
    return {
        "worker": found.worker,
        "begun": to_datetime(found.begun),
        "updated": to_datetime(found.updated),
        "phase": found.phase,
        "looked_at": found.looked,
        "expired": found.expired,
        "unreferenced": found.unreferenced,
        "tokens_removed": found.tokens,
    }


def _pass(found: RetentionPass) -> Record:
    return {
        "worker": found.worker,
        "begun": to_datetime(found.begun),
        "updated": to_datetime(found.updated),
        "done": bool(found.done),
        "rows_looked_at": found.rows,
        "datapoints_removed": found.points,
    }
