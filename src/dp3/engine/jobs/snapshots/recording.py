"""Collects what a worker's work in a run changes, and commits it slice by slice."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from dp3.clock import Clock
from dp3.common.utils import batched
from dp3.engine.counting import HookTally
from dp3.engine.jobs.snapshots.dirty import Cut
from dp3.engine.jobs.snapshots.doc import Doc, decode_doc, encode_doc
from dp3.engine.jobs.snapshots.keys import keys_of
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.engine.jobs.snapshots.writing import Writing
from dp3.engine.jobs.waiting import Wait, finished
from dp3.model.wire import WireTask, encode_tasks
from dp3.store.ports.batches import OutboxRow
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import Phase, Run, WorkerRun
from dp3.store.ports.snapshots import Key, SnapshotBatch, StoredSnapshot
from dp3.store.ports.state import State

SNAPSHOT_STREAM = 3
"""The outbox stream of tasks that snapshot hooks return."""

KEY_SHIFT = 24
"""Outbox keys are the number of the run, then a running number of so many bits."""

MOST_ROWS = 1_000
"""Entities in one slice: some 20 ms of writing when all have changed."""

MOST_KEYS = 10_000
"""Keys of the index in one slice, at 2 µs each. Those of one entity are not divided."""

MOST_LETTERS = 100
"""Dead letters of one hook that one worker keeps in a run; more are only counted."""

MOST_TASKS = 1_000
"""Tasks in one row of the outbox."""


class Made(NamedTuple):
    """The snapshot of an entity. `etype` is its type's number; `due` is when it changes by itself, which does
    not matter if it is made in every run, `always`."""

    entity: int
    etype: int
    doc: Doc
    due: int | None
    always: bool = False


class Mark(msgspec.Struct, frozen=True):
    """How far a worker's work is, as it is kept with the run: the stage, the last entity key done in it, the
    running number of outbox keys, the log offsets that the work has seen, what it reports, and which hooks of
    the ingestion take part."""

    stage: int = 0
    after: int = 0
    outbox: int = 0
    offsets: dict[int, int] = {}
    report: dict[str, Any] = {}
    refresh: list[str] = []

    @classmethod
    def of(cls, progress: WorkerRun) -> "Mark":
        """The mark of a worker's progress."""
        return msgspec.convert(progress.mark, cls, strict=False)

    def stored(self) -> dict[str, Any]:
        """As it is kept."""
        return {**msgspec.structs.asdict(self), "offsets": {str(k): v for k, v in self.offsets.items()}}


@dataclass(slots=True)
class Effects:
    """What hooks did beside changing values: derived tasks and what failed."""

    tasks: list[WireTask] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    errors: int = 0
    hooks: HookTally = field(default_factory=HookTally)

    def add(self, other: "Effects") -> None:
        """Add those of others."""
        self.hooks.add(other.hooks)
        self.tasks += other.tasks
        self.letters += other.letters
        self.errors += other.errors


class Recorder:
    """Has one worker's part of a run written. For one thread.

    Rows may be written ahead of the mark that covers them; tasks always go with it.
    """

    def __init__(
        self,
        state: State,
        writing: Writing,
        clock: Clock,
        lease: Lease,
        plans: SnapshotPlans,
        run: Run,
        progress: WorkerRun,
    ) -> None:
        self._state = state
        self._writing = writing
        self._clock = clock
        self._lease = lease
        self._plans = plans
        self._run = run
        self._progress = progress
        self._slice = SnapshotBatch(run.id)
        self._effects = Effects()
        self._letters: Counter[tuple[str, str]] = Counter()
        self._numbers = {etype: _Numbers(state, plan.etype) for etype, plan in plans.types.items()}
        self._counts = _Counts()
        self._renewed = False
        self.mark = Mark.of(progress)

    def renew_index(self) -> None:
        """What the index has may come from another model: replace all of it for the entities that are put."""
        self._renewed = True

    def put(self, made: Iterable[Made], latest: Mapping[int, StoredSnapshot]) -> Iterator[None]:
        """Take snapshots; `latest` are the newest rows of their entities. Pauses after each slice that it
        has written, without a new mark."""
        for one in made:
            self._put(one, latest.get(one.entity))
            if self._is_full():
                self._commit()
                yield

    def _is_full(self) -> bool:
        part = self._slice
        entities = max(len(part.rows), len(part.due), len(part.keys_renewed))
        return entities >= MOST_ROWS or len(part.keys_added) + len(part.keys_removed) >= MOST_KEYS

    def _put(self, made: Made, latest: StoredSnapshot | None) -> None:
        entity = made.entity
        self._counts.entities += 1
        if not made.always:
            self._slice.due[entity] = made.due
        doc = encode_doc(made.doc)
        changed = latest is None or latest.doc != doc
        if changed:
            self._counts.written += 1
            self._slice.rows.append(StoredSnapshot(entity, self._run.id, doc))
        if changed or self._renewed:
            self._index(made, None if self._renewed else latest)
        if self._renewed and latest is not None:
            self._slice.keys_renewed.append(entity)

    def _index(self, made: Made, latest: StoredSnapshot | None) -> None:
        """Change the keys of an entity from those of its newest row to those that it has now."""
        entity = made.entity
        new = self._keys(made.etype, made.doc)
        if latest is not None:
            old = self._keys(made.etype, decode_doc(latest.doc))
            self._slice.keys_removed += [(path, key, entity) for path, key in old - new]
            new -= old
        self._slice.keys_added += [(path, key, entity) for path, key in new]

    def _keys(self, etype: int, doc: Doc) -> set[tuple[int, Key]]:
        numbers = self._numbers[etype]
        return {(numbers[path], key) for path, key in keys_of(self._plans.types[etype].keys, doc)}

    def without(self, entities: Sequence[int], failed: bool = False) -> None:
        """Entities that have no snapshot in this run."""
        for some in batched(entities, MOST_ROWS):
            self._slice.missing += some
            if len(self._slice.missing) >= MOST_ROWS:
                self._commit()
        if failed:
            self._counts.failed += len(entities)

    def look_again(self, entities: Iterable[int]) -> None:
        """Entities without hooks that the next run has to look at, whatever happens until then."""
        self._slice.due.update(dict.fromkeys(entities, self._run.time))

    def effects(self, effects: Effects) -> None:
        """Take what hooks did; it is committed with the next mark. A hook that fails for very many entities
        does not fill the dead letters: they are bounded."""
        self._effects.tasks += effects.tasks
        self._effects.errors += effects.errors
        self._effects.hooks.add(effects.hooks)
        for letter in effects.letters:
            self._letters[letter.module, letter.hook] += 1
            if self._letters[letter.module, letter.hook] <= MOST_LETTERS:
                self._effects.letters.append(letter)

    def reach(self, stage: int, after: int) -> None:
        """Everything of the stage up to entity key `after` is done: commit, with a new mark."""
        self.mark = msgspec.structs.replace(self.mark, stage=stage, after=after)
        self._commit_marked()

    def report(self, **report: Any) -> None:
        """Say something about the work; it is committed with the next mark."""
        self.mark = msgspec.structs.replace(self.mark, report=self.mark.report | report)

    def note_offsets(self, offsets: dict[int, int]) -> None:
        """Note what the work has seen of the log; it is committed with the next mark."""
        self.mark = msgspec.structs.replace(self.mark, offsets=offsets)

    def note_refresh(self, hooks: list[str]) -> None:
        """Note which hooks (ids) of the ingestion take part: at once, as rows may be written ahead of the
        next mark."""
        self.mark = msgspec.structs.replace(self.mark, refresh=hooks)
        self._commit_marked()

    def complete(self, phase: Phase, cut: Cut | None = None) -> None:
        """The worker has done its part of a phase; with `cut`, the partitions have been completed."""
        self._progress = self._progress._replace(done=phase.value)
        if cut is not None:
            own = range(self._lease.index, self._state.partitions, self._lease.worker_processes)
            self._slice.cut = cut.rows(own)
        self._commit_marked()
        self._writing.finish()

    def written(self) -> Wait:
        """Until all that was committed is written: hooks do not run beside a transaction."""
        if self._writing.pending is not None:
            yield from finished(self._writing.pending)
        self._writing.finish()

    def _commit_marked(self) -> None:
        effects, self._effects = self._effects, Effects()
        self._slice.dead_letters = effects.letters
        if effects.errors:
            self._slice.counters["module_error"] = effects.errors
        self._slice.hooks = effects.hooks.rows()
        self._add_outbox(effects.tasks)
        self._slice.progress = self._progress = self._counts.added_to(self._progress)._replace(
            mark=self.mark.stored(), updated=self._clock.now_us()
        )
        self._counts = _Counts()
        self._commit()

    def _add_outbox(self, tasks: list[WireTask]) -> None:
        for part in batched(tasks, MOST_TASKS):
            self.mark = msgspec.structs.replace(self.mark, outbox=self.mark.outbox + 1)
            key = self._run.id << KEY_SHIFT | self.mark.outbox
            row = OutboxRow(self._lease.index, SNAPSHOT_STREAM, key, self._run.time, encode_tasks(part))
            self._slice.outbox.append(row)

    def _commit(self) -> None:
        complete, self._slice = self._slice, SnapshotBatch(self._run.id)
        self._writing.begin(complete)


class _Numbers(dict[str, int]):
    """Path → its number in the state, for one entity type."""

    def __init__(self, state: State, etype: str) -> None:
        self._state = state
        self._etype = etype

    def __missing__(self, path: str) -> int:
        number = self[path] = self._state.names.attr_id(self._etype, path)
        return number


@dataclass(slots=True)
class _Counts:
    """What was done since the last mark."""

    entities: int = 0
    written: int = 0
    failed: int = 0

    def added_to(self, progress: WorkerRun) -> WorkerRun:
        return progress._replace(
            entities=progress.entities + self.entities,
            written=progress.written + self.written,
            failed=progress.failed + self.failed,
        )
