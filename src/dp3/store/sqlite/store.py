"""The `Store` on SQLite: one object in front of the parts, one part per noun."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dp3.clock import Clock
from dp3.sqlite import Checkpointer, FairLock
from dp3.store.history import FreshPage, PackBatch, PackedRow, PackedUntil, PackUntil, Place, Subject
from dp3.store.lifetimes import (
    Collection,
    CollectionSlice,
    Due,
    Grave,
    PackedPlace,
    PackedValue,
    Referrer,
    SweepSlice,
    WeakPage,
)
from dp3.store.models import AttrPage, Forget, Outdated, Removal, RemovalState, Tracked
from dp3.store.port import (
    Batch,
    ControlMessage,
    ControlProgress,
    Existing,
    HistoryRow,
    HookSums,
    Lease,
    LeaseState,
    PendingOutbox,
    PlainRow,
    ProfileRows,
    StoredDeadLetter,
)
from dp3.store.query import EVERYTHING, Found, Order, Where
from dp3.store.retention import (
    AgedPage,
    AgedPlace,
    RetentionPass,
    RetentionSlice,
    RowPlace,
    Scope,
    Scoped,
    StoredRow,
)
from dp3.store.snapshots import (
    Cleaned,
    Edge,
    Encoded,
    Key,
    Node,
    Phase,
    Run,
    SnapshotBatch,
    StoredSnapshot,
    WorkerRun,
)
from dp3.store.sqlite.batch import BatchWriter
from dp3.store.sqlite.cleaning import Cleaning
from dp3.store.sqlite.connections import DataVersion, Readers, Writer
from dp3.store.sqlite.control import Control
from dp3.store.sqlite.counts import CountWriter
from dp3.store.sqlite.entities import Entities
from dp3.store.sqlite.garbage import Garbage
from dp3.store.sqlite.graphs import Graphs
from dp3.store.sqlite.history import History
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.letters import DeadLetters, LetterWriter
from dp3.store.sqlite.lifetimes import Lifetimes
from dp3.store.sqlite.links import Links
from dp3.store.sqlite.models import Models
from dp3.store.sqlite.names import Names
from dp3.store.sqlite.progress import Progress
from dp3.store.sqlite.queries import Queries
from dp3.store.sqlite.retention import Retention
from dp3.store.sqlite.runs import Runs
from dp3.store.sqlite.slices import SliceWriter
from dp3.store.sqlite.snapshots import Snapshots
from dp3.store.sqlite.telemetry import Telemetry
from dp3.store.sqlite.updates import Updates
from dp3.store.telemetry import AttributeSize, EventCounts, EventGroups, SizeReport, WorkerReport
from dp3.store.updates import NamedCycle, UpdateBatch, UpdateGroup, UpdateProgress


class SqliteStore:
    """See `Store`, `SnapshotStore`, `SnapshotQueries`, `UpdateStore`, `LifetimeStore`, `HistoryStore`,
    `RetentionStore`, `TelemetryStore` and `ModelStore` for what each method promises.

    Made by `open_store`."""

    def __init__(
        self,
        *,
        partitions: int,
        clock: Clock,
        max_dead_letters: int,
        query_limit_s: float,
        lock: FairLock,
        checkpointer: Checkpointer | None,
        writer: Writer,
        readers: Readers,
        version: DataVersion,
        event_groups: EventGroups,
        path: Path,
    ) -> None:
        self.partitions = partitions
        self._lock = lock
        self._checkpointer = checkpointer
        self._writer = writer
        self._readers = readers
        self._version = version
        self._names = Names(writer, readers)
        self._control = Control(writer, readers, clock)
        self._leases = Leases(writer, readers, clock, self._control)
        letters = LetterWriter(max_dead_letters)
        counts = CountWriter(clock, event_groups)
        self._batches = BatchWriter(self._leases, clock, letters, counts)
        self._entities = Entities(readers)
        self._progress = Progress(writer, readers)
        self._garbage = Garbage(writer, self._leases, clock)
        self._models = Models(writer, readers, self._leases, self._names, self._garbage)
        self._letters = DeadLetters(readers)
        self._graphs = Graphs(writer, readers, self._leases)
        self._runs = Runs(writer, readers, clock, self._graphs)
        self._slices = SliceWriter(writer, self._leases, self._runs, letters, counts)
        self._snapshots = Snapshots(readers, partitions)
        self._cleaning = Cleaning(writer, readers, self._leases)
        self._updates = Updates(writer, readers, self._leases, letters, counts, self._control, clock)
        self._lifetimes = Lifetimes(writer, readers, self._leases, clock)
        self._telemetry = Telemetry(writer, readers, self._leases, clock, event_groups, path)
        self._history = History(writer, readers, self._leases)
        self._retention = Retention(writer, readers, self._leases, counts, clock)
        self._links = Links(readers)
        self._queries = Queries(readers, query_limit_s)
        self._closed = False

    def etype_id(self, etype: str) -> int:
        return self._names.etype_id(etype)

    def attr_id(self, etype: str, attr: str) -> int:
        return self._names.attr_id(etype, attr)

    def take_lease(self, index: int, worker_processes: int, host: str, pid: int, ttl_s: float) -> Lease:
        return self._leases.take(index, worker_processes, host, pid, ttl_s)

    def heartbeat(self, lease: Lease, status: str, numbers: Mapping[str, float] | None = None) -> None:
        self._leases.heartbeat(lease, status, numbers)

    def release_lease(self, lease: Lease) -> None:
        self._leases.release(lease)

    def leases(self) -> list[LeaseState]:
        return self._leases.all()

    def commit(self, lease: Lease, batch: Batch) -> None:
        self._writer.wait_for_room()
        with self._writer.transaction() as connection:
            self._batches.apply(connection, lease, batch)

    def positions(self) -> list[tuple[int, int, int]]:
        return self._progress.positions()

    def find_entities(self, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Existing]:
        return self._entities.find(wanted)

    def entities_page(self, etype: str, limit: int, after: str | None = None) -> list[tuple[int, str, int]]:
        return self._entities.page(etype, limit, after)

    def last_entity_keys(self) -> dict[int, int]:
        return self._entities.last_keys()

    def make_durable(self) -> None:
        self._writer.make_durable()

    def pending_outbox(self, lease: Lease, after_rowid: int, max_bytes: int) -> list[PendingOutbox]:
        return self._progress.pending_outbox(lease, after_rowid, max_bytes)

    def collect_garbage(self, lease: Lease, max_rows: int) -> bool:
        self._writer.wait_for_room()
        return self._garbage.collect(lease, max_rows)

    def profile(self, etype: str, eid: str, attr: str | None = None) -> ProfileRows | None:
        return self._entities.profile(etype, eid, attr)

    def entity_counts(self) -> dict[str, int]:
        return self._entities.counts()

    def take_job(self, lease: Lease, name: str, ttl_s: float) -> bool:
        return self._leases.take_job(lease, name, ttl_s)

    def forget_refused(self, lane: int, until: int) -> None:
        self._progress.forget_refused(lane, until)

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        return self._progress.refused_between(lane, first, last)

    def dead_letters(
        self, after: int, limit: int, filters: dict[str, str] | None = None
    ) -> list[StoredDeadLetter]:
        return self._letters.page(after, limit, filters)

    def dead_letter(self, id: int) -> StoredDeadLetter | None:
        return self._letters.get(id)

    def dead_letter_count(self) -> int:
        return self._letters.count()

    def counters(self) -> dict[str, int]:
        return self._progress.counters()

    def version(self) -> int:
        return self._version()

    def send_control(self, worker: int, action: str, args: dict[str, Any]) -> int:
        return self._control.send(worker, action, args)

    def pending_control(self, worker: int) -> list[ControlMessage]:
        return self._control.pending(worker)

    def control_result(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        return self._control.results(ids)

    def control_progress(self, ids: Iterable[int]) -> list[ControlProgress]:
        return self._control.progress(ids)

    def begin_run(self, time: int, fingerprint: str, workers: int) -> Run | None:
        return self._runs.begin(time, fingerprint, workers)

    def open_run(self) -> Run | None:
        return self._runs.open()

    def last_runs(self, limit: int, before: int | None = None) -> list[Run]:
        return self._runs.last(limit, before)

    def runs_begun(self, first: int, last: int, skip: int, limit: int, newest_first: bool) -> list[Run]:
        return self._runs.begun(first, last, skip, limit, newest_first)

    def worker_runs(self, run: int) -> list[WorkerRun]:
        return self._runs.workers(run)

    def advance_run(
        self, run: int, phase: Phase, status: str, detail: Mapping[str, Any], void: bool = False
    ) -> None:
        self._runs.advance(run, phase, status, detail, void)

    def runs_between(self, first: int, last: int) -> list[Run]:
        return self._runs.between(first, last)

    def put_graph(self, lease: Lease, run: int, graph: bytes) -> None:
        self._graphs.put(lease, run, graph)

    def graph(self, run: int) -> bytes | None:
        return self._graphs.get(run)

    def cuts(self) -> dict[tuple[int, int], int]:
        return self._runs.cuts()

    def covered(self, entity: int, runs: Sequence[int]) -> set[int]:
        return self._runs.covered(entity, runs)

    def write_snapshots(self, lease: Lease, batch: SnapshotBatch) -> None:
        self._writer.wait_for_room()
        self._slices.write(lease, batch)

    def remove_snapshots_of_types(self, keep: Sequence[int]) -> None:
        self._slices.remove_types(keep)

    def raise_snapshot_horizon(self, lease: Lease, before: int) -> None:
        self._cleaning.raise_horizon(lease, before)

    def snapshot_horizon(self) -> int | None:
        return self._cleaning.horizon()

    def clean_snapshots(self, lease: Lease, max_rows: int) -> Cleaned:
        self._writer.wait_for_room()
        return self._cleaning.clean(lease, max_rows)

    def due_entities(self, lease: Lease, until: int, after: int, limit: int) -> list[int]:
        return self._snapshots.due_entities(lease, until, after, limit)

    def own_entities(
        self, lease: Lease, etypes: Sequence[int], after: int, limit: int
    ) -> list[tuple[int, int, str]]:
        return self._snapshots.own_entities(lease, etypes, after, limit)

    def entities_of(self, keys: Sequence[int]) -> dict[int, tuple[int, str, int]]:
        return self._snapshots.entities_of(keys)

    def profiles(self, keys: Sequence[int], whole: bool = False) -> dict[int, Encoded]:
        return self._snapshots.profiles(keys, whole)

    def latest_rows(self, keys: Sequence[int]) -> dict[int, StoredSnapshot]:
        return self._snapshots.latest_rows(keys)

    def snapshots_of(self, etype: str, eid: str) -> list[StoredSnapshot]:
        return self._snapshots.rows_of(etype, eid)

    def edges(
        self, attrs: Sequence[int], until_after: int, after: tuple[int, int, int], limit: int
    ) -> list[Edge]:
        return self._links.edges(attrs, until_after, after, limit)

    def nodes(self, ids: Sequence[int]) -> dict[int, Node]:
        return self._links.nodes(ids)

    def incoming(
        self, targets: Sequence[tuple[int, str]], attrs: Sequence[int], at: int
    ) -> dict[tuple[int, str], list[tuple[int, int, str]]]:
        return self._links.incoming(targets, attrs, at)

    def link_targets_changed(self, attrs: Sequence[int], after: int, until: int) -> list[tuple[int, str]]:
        return self._links.targets_changed(attrs, after, until)

    def update_progress(self, group: UpdateGroup) -> dict[int, UpdateProgress]:
        return self._updates.progress(group)

    def write_updates(self, lease: Lease, batch: UpdateBatch) -> None:
        self._updates.write(lease, batch)

    def count_between(self, etype: int, after: int, end: int) -> int:
        return self._updates.count_between(etype, after, end)

    def entities_between(self, etype: int, after: int, end: int, limit: int) -> list[tuple[int, str]]:
        return self._updates.entities_between(etype, after, end, limit)

    def update_cycles(self, limit: int) -> list[NamedCycle]:
        return self._updates.cycles(limit)

    def forget_update_cycles(self, lease: Lease, keep: int) -> None:
        self._updates.forget_cycles(lease, keep)

    def hook_sums(self) -> list[HookSums]:
        return self._telemetry.hook_sums()

    def event_counts(self, group: str, span: int) -> EventCounts:
        return self._telemetry.event_counts(group, span)

    def sources(self) -> dict[str, int]:
        return self._telemetry.sources()

    def reports(self) -> list[WorkerReport]:
        return self._telemetry.reports()

    def page_after(self, after: int, limit: int) -> tuple[int, int] | None:
        return self._telemetry.page_after(after, limit)

    def attributes_between(self, first: int, last: int) -> dict[tuple[str, str], int]:
        return self._telemetry.attributes_between(first, last)

    def sizes_between(self, first: int, last: int) -> dict[tuple[str, str], AttributeSize]:
        return self._telemetry.sizes_between(first, last)

    def put_sizes(self, lease: Lease, reports: Mapping[str, SizeReport]) -> None:
        self._telemetry.put_sizes(lease, reports)

    def size_reports(self) -> dict[str, SizeReport]:
        return self._telemetry.size_reports()

    def disk_bytes(self) -> int:
        return self._telemetry.disk_bytes()

    def tracked_model(self) -> Tracked:
        return self._models.tracked()

    def track_model(self, model: str, instead_of: str | None) -> bool:
        return self._models.track(model, instead_of)

    def require_no_worker(self, host: str, ttl_s: float) -> None:
        self._models.require_no_worker(host, ttl_s)

    def begin_removal(self, removal: Removal, instead_of: str, host: str, ttl_s: float) -> bool:
        return self._models.begin(removal, instead_of, host, ttl_s)

    def removal(self) -> Removal | None:
        return self._models.removal()

    def continue_removal(self, forget: Forget) -> RemovalState | None:
        return self._models.go_on(forget)

    def outdated(self) -> list[Outdated]:
        return self._models.outdated()

    def attr_rows(
        self, etype: str, attrs: Sequence[str], values: Sequence[bytes], start: str, limit: int
    ) -> AttrPage:
        return self._models.attr_rows(etype, attrs, values, start, limit)

    def last_collection(self, worker: int) -> Collection | None:
        return self._lifetimes.last_collection(worker)

    def collections(self, limit: int) -> list[Collection]:
        return self._lifetimes.collections(limit)

    def due_tokens(self, partition: int, moment: int, limit: int) -> list[Due]:
        return self._lifetimes.due_tokens(partition, moment, limit)

    def weak_entities(self, etypes: Sequence[int], after: int, end: int, moment: int, limit: int) -> WeakPage:
        return self._lifetimes.weak_entities(etypes, after, end, moment, limit)

    def write_collection(self, lease: Lease, slice_: CollectionSlice, stream: int) -> None:
        self._lifetimes.write_collection(lease, slice_, stream)

    def expired(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._lifetimes.those_of("expired", wanted)

    def created_until(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._lifetimes.those_of("created_until", wanted)

    def plain_value(self, entity: int, attr: int) -> PlainRow | None:
        return self._lifetimes.plain_value(entity, attr)

    def history_page(self, entity: int, attr: int, after: int, limit: int) -> list[HistoryRow]:
        return self._lifetimes.history_page(entity, attr, after, limit)

    def graves(self, lease: Lease, limit: int) -> list[Grave]:
        return self._lifetimes.graves(lease, limit)

    def referrers(self, grave: Grave, limit: int) -> list[Referrer]:
        return self._lifetimes.referrers(grave, limit)

    def write_sweep(self, lease: Lease, slice_: SweepSlice, stream: int) -> None:
        self._lifetimes.write_sweep(lease, slice_, stream)

    def forget_tombstones(self, lease: Lease, derived: int, limit: int) -> int:
        return self._lifetimes.forget_tombstones(lease, derived, limit)

    def packed_page(self, entity: int, attr: int, after: PackedPlace, limit: int) -> list[PackedValue]:
        return self._lifetimes.packed_page(entity, attr, after, limit)

    def packing_begun(self, entity: int) -> list[int]:
        return self._lifetimes.packing_begun(entity)

    def oldest_bounds(self) -> tuple[int, int] | None:
        return self._lifetimes.oldest_bounds()

    def packed_until(self, lease: Lease) -> dict[int, PackedUntil]:
        return self._history.packed_until(lease)

    def begin_packing(self, lease: Lease, until: PackUntil) -> None:
        self._history.begin_packing(lease, until)

    def end_packing(self, lease: Lease, until: PackUntil) -> None:
        self._history.end_packing(lease, until)

    def fresh_page(self, after: Place, until: PackUntil, limit: int, max_bytes: int) -> FreshPage:
        return self._history.fresh_page(after, until, limit, max_bytes)

    def trim_incoming(self, lease: Lease, lane: int, limit: int) -> int:
        return self._history.trim_incoming(lease, lane, limit)

    def last_parts(self, subjects: Sequence[Subject]) -> dict[Subject, PackedRow]:
        return self._history.last_parts(subjects)

    def write_packed(self, lease: Lease, batch: PackBatch) -> None:
        self._history.write(lease, batch)

    def aged(self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int) -> AgedPage:
        return self._retention.aged(lease, attr, before, after, limit)

    def stored_rows(self, places: Sequence[RowPlace]) -> list[StoredRow]:
        return self._retention.stored_rows(places)

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> Scoped:
        return self._retention.scoped(scopes, whole=whole)

    def write_retention(self, lease: Lease, slice_: RetentionSlice, stream: int) -> None:
        self._retention.write(lease, slice_, stream)

    def last_retention(self, worker: int) -> RetentionPass | None:
        return self._retention.last_pass(worker)

    def retention_passes(self, limit: int) -> list[RetentionPass]:
        return self._retention.passes(limit)

    def find(
        self,
        etype: str,
        where: Where = EVERYTHING,
        order: Sequence[Order] = (),
        skip: int = 0,
        limit: int | None = 20,
        after: str | None = None,
    ) -> list[Found]:
        return self._queries.find(etype, where, order, skip, limit, after)

    def count(self, etype: str, where: Where = EVERYTHING) -> int:
        return self._queries.count(etype, where)

    def distinct(self, etype: str, path: str) -> dict[Key, int]:
        return self._queries.distinct(etype, path)

    def latest(self, etype: str, eids: Sequence[str]) -> dict[str, Found]:
        return self._queries.latest(etype, eids)

    def close(self) -> None:
        """Give back connections, files and the checkpointing thread; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._checkpointer:
            self._checkpointer.close()
        self._readers.close()
        self._version.close()
        with self._lock.held():
            self._writer.close()
        self._lock.close()
