"""The effects of a micro-batch of tasks: the rows of one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from itertools import chain

from dp3.clock import LAST_US
from dp3.engine.ingest.entities import EntityIndex, Identity
from dp3.engine.ingest.hooks import Outcome
from dp3.engine.ingest.reader import Damaged, Item, Slice
from dp3.engine.plans import LifePlan, Lifetime, TypePlan
from dp3.engine.statistics import HookTally
from dp3.log.port import Entry, Lane, Log
from dp3.model.attrspec import AttrType
from dp3.model.wire import WirePoint, WireTask, encode_tasks, encode_value
from dp3.store.ports.batches import Batch, LinkRow, OutboxRow, Tombstone
from dp3.store.ports.counters import SourceSums
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.entities import NewEntity, PlainRow

PLAIN, OBSERVATIONS = AttrType.PLAIN, AttrType.OBSERVATIONS

DEADLY = "its hooks ended the worker process repeatedly"

BASE, DATA = "base", "data"
"""The names of the tokens that the platform gives: at creation, and for data."""


_UNKNOWN = (0, None)
"""Number and kind of an attribute that is not in the model."""


def identities(slices: Iterable[Slice], plans: Mapping[str, TypePlan]) -> list[Identity | None]:
    """For each task the entity that it is about, None if its type is not in the model."""
    return [
        (plan.id, str(task.eid)) if (plan := plans.get(task.etype)) else None
        for slice_ in slices
        for task in slice_.tasks
    ]


class Tokens:
    """The tokens that a batch gives; of several with one name the latest counts."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, str], int] = {}

    def created(self, life: LifePlan, entity: int, now: int) -> None:
        """An entity was made at `now` (µs)."""
        if life.lifetime is Lifetime.TTL:
            self.extend(entity, {BASE: now + life.on_create})

    def kept_by(self, plan: TypePlan, entity: int, now: int, points: Iterable[WirePoint]) -> None:
        """Data-points keep their entity: plain ones from now on, others from their end on."""
        keeps, until = plan.life.keeps, 0
        for point in points:
            attr, kind = plan.attrs.get(point.attr, (0, None))
            if attr in keeps:
                start = now if kind is PLAIN else point.t2
                if start is not None:
                    until = max(until, start + keeps[attr])
        if until:
            self.extend(entity, {DATA: until})

    def extend(self, entity: int, tokens: Mapping[str, int]) -> None:
        """Give tokens."""
        for name, until in tokens.items():
            known = self._until.get((entity, name), until)
            self._until[entity, name] = min(max(known, until), LAST_US)

    def put_into(self, batch: Batch, gone: Set[int]) -> None:
        """Add the tokens to a batch, but none of entities that are `gone`."""
        for (entity, name), until in self._until.items():
            if entity not in gone:
                batch.ttl.append((entity, name, until))
                batch.expiry_checks[entity] = min(batch.expiry_checks.get(entity, until), until)


class BatchBuilder:
    """Collects the effects of tasks, in log order, into one `Batch`; `system_tasks` are only put aside."""

    def __init__(self, plans: Mapping[str, TypePlan], entities: EntityIndex, log: Log, now_us: int) -> None:
        self._plans = plans
        self._entities = entities
        self._log = log
        self._now = now_us
        self.batch = Batch()
        self._fresh, self._incoming = self.batch.fresh, self.batch.incoming
        self.system_tasks: list[Item] = []
        self._plain: dict[tuple[int, int], PlainRow] = {}
        self._plain_links: dict[tuple[int, int], list[LinkRow]] = {}
        self._tokens = Tokens()
        self._created: dict[int, NewEntity] = {}
        self._gone: set[int] = set()
        self._deletions: list[tuple[int, str, int, int, int]] = []
        self._derived: dict[tuple[int, Lane, int], tuple[int, list[WireTask]]] = {}
        self._tasks = 0
        self._points: list[WirePoint] = []
        self._hooks: HookTally | None = None
        self._errors = 0
        self._unprocessed = 0

    def add(
        self, slices: Iterable[Slice], identities: Iterable[Identity | None], outcomes: Mapping[int, Outcome]
    ) -> None:
        """Apply tasks, whose `identities` are those of all tasks of the slices, or of more; `outcomes` has
        those of the tasks that hooks saw, by number."""
        remaining, number = iter(identities), 0
        for slice_ in slices:
            # In this order: `zip` takes an identity only if there is a task.
            for task, identity in zip(slice_.tasks, remaining, strict=False):
                if task.system_task is not None:
                    self.system_tasks.append(slice_.item(task))
                elif identity is None:
                    self.reject(slice_.item(task), f"entity type {task.etype!r} is not in the model")
                elif (outcome := outcomes.get(number)) is None or self._may_apply(slice_.item(task), outcome):
                    self._apply(slice_, task, identity)
                number += 1
        self._tasks += number - len(self.system_tasks)

    def _may_apply(self, item: Item, outcome: Outcome) -> bool:
        """Keep what hooks made of a task; False if it must not be applied."""
        if outcome.unreadable:
            self.reject(item, outcome.unreadable)
        elif outcome.deadly:
            self.reject(item, DEADLY, kind="entry")
        else:
            self._note(item, outcome)
            return not outcome.refused
        return False

    def reject(self, item: Item, reason: str, kind: str = "task", *, outdated: bool = False) -> None:
        """Keep a task that can not be applied as a dead letter; an outdated one can not be tried again."""
        task = item.task
        encoded = encode_tasks([task])
        self._set_aside(kind, item.entry, item.partition, reason, task.etype, str(task.eid), encoded)
        context = self.batch.dead_letters[-1].context
        if kind == "entry":
            context["task"] = task.first
        if outdated:
            context["outdated"] = True

    def damaged(self, found: Damaged) -> None:
        """Keep a dead letter, without a task, of what can not be decoded."""
        self._set_aside("entry", *found)

    def _set_aside(
        self,
        kind: str,
        entry: Entry,
        partition: int,
        reason: str,
        etype: str = "",
        eid: str = "",
        task: bytes = b"",
    ) -> None:
        self._unprocessed += 1
        self.batch.dead_letters.append(
            DeadLetter(
                time=self._now,
                kind=kind,
                module="",
                hook="",
                partition=partition,
                etype=etype,
                eid=eid,
                reason=reason,
                traceback="",
                task=task,
                context={"lane": int(entry.lane), "offset": entry.offset},
            )
        )

    def _note(self, item: Item, outcome: Outcome) -> None:
        entry = item.entry
        self._errors += outcome.errors
        if self._hooks is None:
            self._hooks = outcome.hooks
        else:
            self._hooks.add(outcome.hooks)
        self.batch.dead_letters.extend(outcome.dead_letters)
        if outcome.refused:
            self.batch.refused.append((entry.lane, entry.offset, item.task.first))
        if outcome.tasks:
            source = (item.partition, entry.lane, entry.offset)
            self._derived.setdefault(source, (entry.order, []))[1].extend(outcome.tasks)

    def _apply(self, slice_: Slice, task: WireTask, identity: Identity) -> None:
        plan, entry = self._plans[task.etype], slice_.entry
        key = self._entities.key_of(identity)
        if task.delete:
            self.delete(slice_.item(task), plan, key, entry.order)
            return
        if not key:
            key = self._entities.create(identity, slice_.partition)
            self._created[key] = NewEntity(key, *identity, entry.append_time)
            self._tokens.created(plan.life, key, entry.append_time)
        if task.ttl_tokens:
            self._tokens.extend(key, task.ttl_tokens)
        self._apply_points(slice_, task, plan, key)
        if plan.life.keeps:
            self._tokens.kept_by(plan, key, entry.append_time, task.points)

    def _apply_points(self, slice_: Slice, task: WireTask, plan: TypePlan, key: int) -> None:
        attrs, links, points = plan.attrs, plan.links, task.points
        entry, first = slice_.entry, slice_.key + task.first
        self._points += points
        for number, point in enumerate(points, first):
            attr, kind = attrs.get(point.attr, _UNKNOWN)
            if kind is PLAIN:
                row = (key, attr, entry.order, entry.append_time, encode_value(point.v))
                self._plain[key, attr] = PlainRow._make(row)  # half the time of a call with five arguments
                if attr in links:
                    self._plain_links[key, attr] = links[attr].plain(key, attr, entry.order, point.v)
            elif kind is None or (t1 := point.t1) is None or (t2 := point.t2) is None:
                self._reject_point(slice_.item(task), number - first)
            else:
                c = point.c if kind is OBSERVATIONS else None
                self._fresh.append((key, attr, number))
                self._incoming.append((number, t1, t2, c, encode_value(point.v)))
                if attr in links:
                    self.batch.links += links[attr].observed(key, attr, entry.order, t2, point.v)

    def _reject_point(self, item: Item, index: int) -> None:
        """A data-point that fitted the model when it was accepted but no longer does."""
        task = item.task
        point = task.points[index]
        alone = WireTask(task.etype, task.eid, [point], generation=task.generation)
        self.reject(
            item._replace(task=alone),
            f"attribute {task.etype}.{point.attr} is not in the model as it was sent",
        )

    def delete(self, item: Item, plan: TypePlan, key: int, order: int) -> None:
        """Delete the entity that an item is about; links to it of entries up to an order go with it. These
        may be all that there is of it: then it has no key (0)."""
        identity = (plan.id, str(item.task.eid))
        self._deletions.append((*identity, item.partition, order, item.entry.append_time))
        if not key:
            return
        self._entities.delete(identity)
        self._gone.add(key)
        if key in self._created:
            del self._created[key]
        else:
            self.batch.deleted.append(key)

    def finish(self) -> Batch:
        """The batch, complete but for the positions."""
        batch, gone = self.batch, self._gone
        batch.created = list(self._created.values())
        if self._deletions:
            bounds = self._log.bounds({order for *_, order, _ in self._deletions})
            batch.tombstones = [Tombstone(*deletion, *bounds[deletion[3]]) for deletion in self._deletions]
        self._tokens.put_into(batch, gone)
        batch.plain.extend(self._plain.values())
        batch.links.extend(chain.from_iterable(self._plain_links.values()))
        if gone:
            batch.links = [row for row in batch.links if row.source not in gone]
            batch.plain = [row for row in batch.plain if row.entity not in gone]
            places = {key for entity, _, key in batch.fresh if entity in gone}
            batch.fresh = [row for row in batch.fresh if row[0] not in gone]
            batch.incoming = [row for row in batch.incoming if row[0] not in places]
        batch.outbox.extend(
            OutboxRow(partition, lane, source, after, encode_tasks(tasks))
            for (partition, lane, source), (after, tasks) in self._derived.items()
        )
        self._count()
        return batch

    def _count(self) -> None:
        counts = {
            "batches": 1,
            "datapoints": len(self._points),
            "task_processed": self._tasks,
            "record_created": len(self.batch.created),
            "record_removed": len(self.batch.deleted),
            "module_error": self._errors,
            "task_processing_error": self._unprocessed,
        }
        for name, count in counts.items():
            if count:
                self.batch.counters[name] = self.batch.counters.get(name, 0) + count
        if self._hooks is not None:
            self.batch.hooks = self._hooks.rows()
        self.batch.sources = _sums_by_source(self._points)


def _sums_by_source(points: Iterable[WirePoint]) -> list[SourceSums]:
    """Numbers of data-points by source, and how far they reach; those without a source do not count."""
    ends: defaultdict[str | None, list[int | None]] = defaultdict(list)
    for point in points:
        ends[point.src].append(point.t2)
    return [
        SourceSums(source, len(of_source), max((t2 for t2 in of_source if t2 is not None), default=None))
        for source, of_source in ends.items()
        if source is not None
    ]
