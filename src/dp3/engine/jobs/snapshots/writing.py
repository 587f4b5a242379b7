"""Writes one worker's part of a run: slice by slice, in a thread beside the worker's.

The work puts snapshots, dead letters and counts into a `RunWriter`, and says how far it is; the writer hands
full slices to the `BackgroundIo`. Rows may be written ahead of the checkpoint that covers them: after a crash
the same rows are written again. Tasks of hooks always go with their checkpoint.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Any, TypeVar

import msgspec

from dp3.common.utils import batched
from dp3.engine.context import Context
from dp3.engine.jobs.hook_effects import DeadLetterLimit, Effects
from dp3.engine.jobs.job import Work, finished
from dp3.engine.jobs.snapshots.doc import Doc, decode_doc, encode_doc
from dp3.engine.jobs.snapshots.keys import changed_keys, keys_of
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.model.wire import encode_tasks
from dp3.store.ports.batches import RUN_SHIFT, OutboxRow, Stream
from dp3.store.ports.leases import Lease
from dp3.store.ports.models import Names
from dp3.store.ports.runs import Phase, Run, WorkerRun
from dp3.store.ports.snapshots import SnapshotBatch, Snapshots, StoredSnapshot

MOST_ROWS = 1_000
"""Entities in one slice: some 20 ms of writing when all have changed."""

MOST_KEYS = 10_000
"""Keys of the index in one slice, at 2 µs each. Those of one entity are not divided."""

MOST_TASKS = 1_000
"""Tasks in one row of the outbox."""

T = TypeVar("T")


class BackgroundIo:
    """Writes behind while the worker's thread computes. All methods are called by that.

    One thread in `executor` is enough, more would take turns with the worker on two cores. The worker calls
    `flush` before hooks of the ingestion run: none runs beside a transaction.
    """

    def __init__(self, snapshots: Snapshots, lease: Lease, executor: Executor) -> None:
        self._snapshots = snapshots
        self._lease = lease
        self._executor = executor
        self._writing: Future[None] | None = None
        self._next: SnapshotBatch | None = None

    def read(self, function: Callable[..., T], *args: object) -> Future[T]:
        """Begin to read, or to do something else that takes a while."""
        return self._executor.submit(function, *args)

    def write(self, batch: SnapshotBatch) -> None:
        """Have a slice written: after those before, once `go_on` is called or the next one comes. Raises what
        writing the one before raised."""
        self.go_on()
        self._next = batch

    def go_on(self) -> None:
        """Begin to write what waits for it. Called after hooks: so the worker encodes what they made, and
        reads what comes next, meanwhile."""
        following, self._next = self._next, None
        if following is not None:
            self._end_writing()
            self._writing = self._executor.submit(self._snapshots.write, self._lease, following)

    def written(self) -> Work:
        """Wait until nothing is being written; raises what writing raised."""
        if self._writing is not None:
            yield from finished(self._writing)
        self._end_writing()

    def finish(self) -> None:
        """Have everything written, and wait for that; raises what writing raised."""
        self.go_on()
        self._end_writing()

    def _end_writing(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def flush(self) -> None:
        """Wait until nothing is being written, however that ends: the run notices when it goes on."""
        if self._writing is not None:
            wait((self._writing,))

    def abandon(self) -> None:
        """Wait likewise, but nobody is to notice: the work that wrote goes on from its checkpoint."""
        self.flush()
        self._writing = self._next = None


class NewSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The snapshot of an entity in a run. `etype` is its type's number; `before` the document of its newest
    row, if it has one; `due` is when it changes by itself, which does not matter if it is made in every run,
    `always`."""

    entity: int
    etype: int
    doc: Doc
    before: bytes | None
    due: int | None
    always: bool = False


class Checkpoint(msgspec.Struct, frozen=True):
    """The place that a worker's work has reached, as it is kept with the run: the stage, the last entity key
    done in it, the running number of outbox keys, the log offsets that the work has seen (and, as
    `CHANGES_LANE`, the last change of links), its report, which hooks of the ingestion take part, and how
    often hooks have failed."""

    stage: int = 0
    after: int = 0
    outbox: int = 0
    offsets: dict[int, int] = {}
    report: dict[str, Any] = {}
    refresh: list[str] = []
    hook_failures: int = 0

    def stored(self) -> dict[str, Any]:
        """The form in which it is kept."""
        return {**msgspec.structs.asdict(self), "offsets": {str(k): v for k, v in self.offsets.items()}}


class RunWriter:
    """Has one worker's part of a run written. For one thread; made anew when the work begins or goes on.

    `progress` is what is or will be stored of the worker with the next checkpoint.
    """

    def __init__(
        self, context: Context, plans: SnapshotPlans, io: BackgroundIo, run: Run, progress: WorkerRun
    ) -> None:
        self._context = context
        self._plans = plans
        self._io = io
        self.run = run
        self._slice = SnapshotBatch(run.id)
        self._effects = Effects()
        self._dead_letters = DeadLetterLimit()
        names = context.store.names
        self._numbers = {etype: _Numbers(names, plan.etype) for etype, plan in plans.types.items()}
        self._entities = self._written = self._failed = 0
        self._renewed = False
        self.progress = progress
        self.checkpoint = msgspec.convert(progress.checkpoint, Checkpoint, strict=False)

    def renew_index(self) -> None:
        """Replace all keys of the entities that are put: those that the index has may come from another
        model."""
        self._renewed = True

    def put(self, snapshots: Sequence[NewSnapshot]) -> Iterator[None]:
        """Take snapshots. Pauses after each slice that it has written, without a new checkpoint."""
        self._entities += len(snapshots)
        for one in snapshots:
            doc = encode_doc(one.doc)
            if doc != one.before or self._renewed or not one.always:
                self._put(one, doc)
                if self._is_full():
                    self._commit()
                    yield

    def _is_full(self) -> bool:
        part = self._slice
        entities = max(len(part.rows), len(part.due), len(part.keys_renewed))
        return entities >= MOST_ROWS or len(part.keys_added) + len(part.keys_removed) >= MOST_KEYS

    def _put(self, snapshot: NewSnapshot, doc: bytes) -> None:
        entity = snapshot.entity
        if not snapshot.always:
            self._slice.due[entity] = snapshot.due
        changed = doc != snapshot.before
        if changed:
            self._written += 1
            self._slice.rows.append(StoredSnapshot(entity, self.run.id, doc))
        if changed or self._renewed:
            self._index(snapshot)
        if self._renewed and snapshot.before is not None:
            self._slice.keys_renewed.append(entity)

    def _index(self, snapshot: NewSnapshot) -> None:
        """Change the keys of an entity from those of its newest row to those that it has now."""
        entity, numbers = snapshot.entity, self._numbers[snapshot.etype]
        plan, before = self._plans.types[snapshot.etype].keys, snapshot.before
        if before is None or self._renewed:
            added = keys_of(plan, snapshot.doc)
        else:
            added, removed = changed_keys(plan, decode_doc(before), snapshot.doc)
            self._slice.keys_removed += [(numbers[path], key, entity) for path, key in removed]
        self._slice.keys_added += [(numbers[path], key, entity) for path, key in added]

    def without(self, entities: Sequence[int], failed: bool = False) -> None:
        """Entities that have no snapshot in this run."""
        for some in batched(entities, MOST_ROWS) if entities else ():
            self._slice.missing += some
            if len(self._slice.missing) >= MOST_ROWS:
                self._commit()
        if failed:
            self._failed += len(entities)

    def look_again(self, entities: Iterable[int]) -> None:
        """Entities without hooks that the next run has to look at, whatever happens until then."""
        self._slice.due.update(dict.fromkeys(entities, self.run.time))

    def add_effects(self, effects: Effects) -> None:
        """Take what hooks did; it is committed with the next checkpoint."""
        effects.dead_letters = self._dead_letters.kept(effects.dead_letters)
        self._effects.add(effects)

    def reach(self, stage: int, after: int) -> None:
        """Everything of the stage up to entity key `after` is done: commit, with a new checkpoint."""
        self.checkpoint = msgspec.structs.replace(self.checkpoint, stage=stage, after=after)
        self._commit_checkpoint()

    def report(self, **report: Any) -> None:
        """Say something about the work; it is committed with the next checkpoint."""
        self.checkpoint = msgspec.structs.replace(self.checkpoint, report=self.checkpoint.report | report)

    def note_offsets(self, offsets: Mapping[int, int]) -> None:
        """Note how much of the log the work has seen; it is committed with the next checkpoint."""
        self.checkpoint = msgspec.structs.replace(self.checkpoint, offsets=dict(offsets))

    def note_refresh(self, hooks: list[str]) -> None:
        """Note which hooks (ids) of the ingestion take part: at once, as rows may be written ahead of the
        next checkpoint."""
        self.checkpoint = msgspec.structs.replace(self.checkpoint, refresh=hooks)
        self._commit_checkpoint()

    def complete(self, phase: Phase, watermarks: Sequence[tuple[int, int, int]] = ()) -> None:
        """The worker has done its part of a phase; with `watermarks`, (partition, lane, value), the
        partitions have been completed. Returns when all is written."""
        self.progress = self.progress._replace(done=phase.value)
        self._slice.watermarks += watermarks
        self._commit_checkpoint()
        self._io.finish()

    def _commit_checkpoint(self) -> None:
        effects, self._effects = self._effects, Effects()
        self._slice.dead_letters = effects.dead_letters
        if effects.errors:
            self._slice.counters["module_error"] = effects.errors
            failures = self.checkpoint.hook_failures + effects.errors
            self.checkpoint = msgspec.structs.replace(self.checkpoint, hook_failures=failures)
        self._slice.hooks = effects.hooks.rows()
        for tasks in batched(effects.tasks, MOST_TASKS) if effects.tasks else ():
            self.checkpoint = msgspec.structs.replace(self.checkpoint, outbox=self.checkpoint.outbox + 1)
            key = self.run.id << RUN_SHIFT | self.checkpoint.outbox
            worker = self._context.lease.index
            row = OutboxRow(worker, Stream.SNAPSHOTS, key, 0, encode_tasks(tasks))
            self._slice.outbox.append(row)
        self._slice.progress = self.progress = self._counted()
        self._commit()

    def _counted(self) -> WorkerRun:
        """The progress with what was done since the last checkpoint."""
        counted = self.progress._replace(
            checkpoint=self.checkpoint.stored(),
            entities=self.progress.entities + self._entities,
            written=self.progress.written + self._written,
            failed=self.progress.failed + self._failed,
            updated=self._context.clock.now_us(),
        )
        self._entities = self._written = self._failed = 0
        return counted

    def _commit(self) -> None:
        complete, self._slice = self._slice, SnapshotBatch(self.run.id)
        self._io.write(complete)


class _Numbers(dict[str, int]):
    """Path → its number in the state, for one entity type."""

    def __init__(self, names: Names, etype: str) -> None:
        self._names = names
        self._etype = etype

    def __missing__(self, path: str) -> int:
        number = self[path] = self._names.attr_id(self._etype, path)
        return number
