"""System tasks: ends of lifetimes and of links, read from the log, become changes of the state."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from dp3.engine.ingest.batch import BatchBuilder
from dp3.engine.ingest.entities import EntityIndex, Identity
from dp3.engine.ingest.reader import Item
from dp3.engine.plans import FOREVER, Lifetime, TypePlan
from dp3.history.segments import decode_segments
from dp3.log.port import Lane, Log
from dp3.model.wire import Expire, RemoveLinks, TombstoneDone, WireTask
from dp3.store.ports.batches import Batch, EndedLink, Tombstone
from dp3.store.ports.entities import HistoryRow
from dp3.store.ports.lifetimes import Lifetimes
from dp3.store.ports.models import Names
from dp3.store.unlinked import is_older, plain_without, targets_of

MOST_REMOVALS = 1_000
"""History rows removed in one transaction: a scattered one costs up to some 20 µs."""

PAGE = 5_000
"""History rows looked at in one read."""

FIRST_PACKED = (-1 << 63, -1)
"""A place before that of all packed rows."""

Commit = Callable[[Batch], None]

Candidate = tuple[Item, TypePlan, int]
"""A system task that may end a life, the plan of the entity type, the key of the entity."""

Place = tuple[str, str, int]
"""Entity type and attribute by name, the key of an entity."""


class SystemTasks:
    """Applies system tasks. Applying one again changes nothing, so that one with many removals may be
    committed in parts. Links are removed also where the model does not know the attribute now."""

    def __init__(
        self,
        names: Names,
        lifetimes: Lifetimes,
        log: Log,
        entities: EntityIndex,
        plans: Mapping[str, TypePlan],
    ) -> None:
        self._names = names
        self._lifetimes = lifetimes
        self._log = log
        self._entities = entities
        self._plans = plans

    def add(self, builder: BatchBuilder, main: int, commit: Commit) -> None:
        """Add the effects of a batch's system tasks to it; what does not fit is committed before it. The
        worker has read the main lane up to the offset `main`."""
        expired: list[Candidate] = []
        unlinks: dict[Place, list[Tombstone]] = defaultdict(list)
        self._entities.load(self._identity(item.task) for item in builder.system_tasks)
        for item in builder.system_tasks:
            task, system_task, identity = item.task, item.task.system_task, self._identity(item.task)
            key = self._entities.key_of(identity)
            if isinstance(system_task, TombstoneDone):
                builder.batch.tombstones_done.append((*identity, system_task.until, item.entry.offset))
            elif isinstance(system_task, Expire) and key and task.etype in self._plans:
                expired.append((item, self._plans[task.etype], key))
            elif isinstance(system_task, RemoveLinks) and key:
                unlinks[task.etype, system_task.attr, key].append(self._tombstone(system_task))
        self._expire(expired, builder, self._log.order_after(Lane.MAIN, main))
        for place, tombstones in unlinks.items():
            self._unlink(place, tombstones, builder.batch, commit)

    def _identity(self, task: WireTask) -> Identity:
        return self._names.etype_id(task.etype), str(task.eid)

    def _tombstone(self, system_task: RemoveLinks) -> Tombstone:
        etype = self._names.etype_id(system_task.etype)
        bounds = system_task.main, system_task.derived
        return Tombstone(etype, system_task.target, 0, system_task.until, system_task.at, *bounds)

    # -- ends of lifetimes -----------------------------------------------------------------------------
    def _expire(self, candidates: Sequence[Candidate], builder: BatchBuilder, unread: int | None) -> None:
        """Delete those whose life is over still. That nothing referred to weak ones was found for good: an
        older state that reads this again must come to the same. What is `unread` (its order) will make them
        anew, though it may be older than the system task; so links to them that are as new stay."""
        ttl, weak = (
            [(key, _moment(item)) for item, plan, key in candidates if plan.life.lifetime is lifetime]
            for lifetime in (Lifetime.TTL, Lifetime.WEAK)
        )
        over = self._lifetimes.expired(ttl) if ttl else set()
        over |= self._lifetimes.created_until(weak) if weak else set()
        for item, plan, key in candidates:
            if key in over:
                over.remove(key)
                sent = item.entry.order
                builder.delete(item, plan, key, sent if unread is None else min(sent, unread - 1))

    # -- links to deleted entities ---------------------------------------------------------------------
    def _unlink(self, place: Place, tombstones: Iterable[Tombstone], batch: Batch, commit: Commit) -> None:
        """Remove what mentions the targets and is older than their deletion; what is newer says until when
        they are linked."""
        etype, name, key = place
        attr, post = self._names.attr_id(etype, name), self._post(etype, name)
        until = {tombstone: tombstone.at for tombstone in tombstones}
        self._unlink_plain(key, attr, until, batch)
        for page in self._pages(key, attr):
            for row in page:
                found = targets_of(row, until)
                until.update((s, max(until[s], row.t2 + post)) for s in found if not is_older(row.key, s))
                if any(is_older(row.key, tombstone) for tombstone in found):
                    batch.history_removed.append((row.entity, row.attr, row.key))
            while len(batch.history_removed) > MOST_REMOVALS:
                commit(Batch(history_removed=batch.history_removed[:MOST_REMOVALS]))
                del batch.history_removed[:MOST_REMOVALS]
        self._unlink_packed(key, attr, until, post, batch, commit)
        batch.links_ended += [
            EndedLink(key, attr, tombstone.etype, tombstone.eid, end) for tombstone, end in until.items()
        ]

    def _unlink_packed(
        self, key: int, attr: int, until: dict[Tombstone, int], post: int, batch: Batch, commit: Commit
    ) -> None:
        """Packing waits for links that have to go. So nothing packed is newer than the deletion; or, if
        packing is past it because an older copy of the state told of it once more, nothing that is older."""
        begun = self._lifetimes.packing_begun(key)
        newer = {tombstone for tombstone in until if not all(is_older(place, tombstone) for place in begun)}
        after, full = FIRST_PACKED, True
        while full:
            page = self._lifetimes.packed_page(key, attr, after, PAGE)
            for row in page:
                found = targets_of(row, until)
                if not newer.issuperset(found):
                    batch.packed_removed.append((key, attr, row.tag, row.part))
                elif found:
                    end = max(t2 for _, t2, _, _ in decode_segments(row.segments)) + post
                    until.update((tombstone, max(until[tombstone], end)) for tombstone in found)
            while len(batch.packed_removed) > MOST_REMOVALS:
                commit(Batch(packed_removed=batch.packed_removed[:MOST_REMOVALS]))
                del batch.packed_removed[:MOST_REMOVALS]
            full = len(page) == PAGE
            after = (page[-1].tag, page[-1].part) if page else after

    def _unlink_plain(self, key: int, attr: int, until: dict[Tombstone, int], batch: Batch) -> None:
        row = self._lifetimes.plain_value(key, attr)
        if row is None:
            return
        until.update((tombstone, FOREVER) for tombstone in until if row.order > tombstone.order)
        left = plain_without(row, until)
        if left is None:
            batch.plain_removed.append((key, attr))
        elif left is not row:
            batch.plain.append(left)

    def _post(self, etype: str, attr: str) -> int:
        """The time (µs) for which an observation holds after its end; for ever if the model does not say."""
        plan = self._plans.get(etype)
        number, _ = plan.attrs.get(attr, (0, None)) if plan else (0, None)
        return plan.links[number].post if plan and number in plan.links else FOREVER

    def _pages(self, key: int, attr: int) -> Iterator[list[HistoryRow]]:
        after, full = -1, True
        while full:
            page = self._lifetimes.history_page(key, attr, after, PAGE)
            yield page
            full = len(page) == PAGE
            after = page[-1].key if page else after


def _moment(item: Item) -> int:
    assert isinstance(item.task.system_task, Expire)
    return item.task.system_task.moment
