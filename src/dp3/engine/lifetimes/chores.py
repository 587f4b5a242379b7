"""Chores that were read from the log become changes of the state."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from dp3.engine.batching import BatchBuilder, Item
from dp3.engine.entities import EntityIndex
from dp3.engine.lifetimes.state import State
from dp3.engine.plans import Kind, Lifetime, LinkPlan, TypePlan
from dp3.log.port import Lane, Log
from dp3.model.chore import Collect, Swept, Unlink
from dp3.store.port import Batch, EndedLink, HistoryRow, Tombstone
from dp3.store.unlinking import is_older, plain_without, targets_of

MOST_REMOVALS = 1_000
"""History rows removed in one transaction: a scattered one costs up to some 20 µs."""

PAGE = 5_000
"""History rows looked at in one read."""

Commit = Callable[[Batch], None]

Job = tuple[Item, TypePlan, int]
"""An item, the plan of its entity type, the key of its entity."""


class ChoreWork:
    """What chores change. Applying one again changes nothing, so that a chore with many removals may be
    committed in parts. Entities of the items must be loaded."""

    def __init__(self, state: State, log: Log, entities: EntityIndex) -> None:
        self._state = state
        self._log = log
        self._entities = entities

    def add(self, builder: BatchBuilder, main: int, commit: Commit) -> None:
        """Add the effects of a batch's chores to it; what does not fit is committed before it. The worker has
        read the main lane up to the offset `main`."""
        collects: list[Job] = []
        unlinks: dict[tuple[int, int], list[Tombstone]] = defaultdict(list)
        plans: dict[int, tuple[LinkPlan, Kind]] = {}
        for item, plan in builder.chores:
            key, chore = self._entities.key_of((plan.id, str(item.task.eid))), item.task.chore
            if isinstance(chore, Swept):
                told = (plan.id, str(item.task.eid), chore.at, item.entry.offset)
                builder.batch.swept.append(told)
            elif isinstance(chore, Collect) and key:
                collects.append((item, plan, key))
            elif isinstance(chore, Unlink) and key:
                attr, kind = plan.attrs.get(chore.attr, (0, Kind.TIMESERIES))
                if attr in plan.links:
                    plans[attr] = (plan.links[attr], kind)
                    unlinks[key, attr].append(_stone(chore, plan.links[attr]))
        self._collect(collects, builder, self._log.append_time_after(Lane.MAIN, main))
        for (key, attr), stones in unlinks.items():
            link, kind = plans[attr]
            if kind is Kind.PLAIN:
                self._unlink_plain(key, attr, stones, builder.batch)
            else:
                self._unlink_history(key, attr, stones, link, builder.batch, commit)

    def _collect(self, jobs: Sequence[Job], builder: BatchBuilder, unread: int | None) -> None:
        """Delete those whose life is over still. That nothing referred to weak ones was found for good: who
        reads this again must come to the same. What is `unread` (append time) will make them anew, though it
        may be older than the chore; so links to them that are as new stay."""
        ttl, weak = (
            [(key, _moment(item)) for item, plan, key in jobs if plan.life.lifetime is lifetime]
            for lifetime in (Lifetime.TTL, Lifetime.WEAK)
        )
        over = self._state.expired(ttl) if ttl else set()
        over |= self._state.created_until(weak) if weak else set()
        for item, plan, key in jobs:
            if key in over:
                over.remove(key)
                sent = item.entry.append_time
                builder.delete(item, plan, key, sent if unread is None else min(sent, unread - 1))

    def _unlink_plain(self, key: int, attr: int, stones: Sequence[Tombstone], batch: Batch) -> None:
        row = self._state.plain_value(key, attr)
        if row is None:
            return
        left = plain_without(row, stones)
        if left is row:
            return
        if left is None:
            batch.plain_removed.append((key, attr))
        else:
            batch.plain.append(left)
        batch.links_ended += [_ended(key, attr, stone) for stone in stones if row.written <= stone.at]

    def _unlink_history(
        self,
        key: int,
        attr: int,
        stones: Sequence[Tombstone],
        link: LinkPlan,
        batch: Batch,
        commit: Commit,
    ) -> None:
        """Remove what mentions the targets and is older than their deletion; what is newer says until when
        they are linked."""
        until = {stone: stone.at for stone in stones}
        for page in self._pages(key, attr):
            for row in page:
                older = False
                for stone in targets_of(row, stones):
                    if is_older(row.key, stone):
                        older = True
                    else:
                        until[stone] = max(until[stone], row.t2 + link.post)
                if older:
                    batch.history_removed.append(row.key)
            while len(batch.history_removed) > MOST_REMOVALS:
                commit(Batch(history_removed=batch.history_removed[:MOST_REMOVALS]))
                del batch.history_removed[:MOST_REMOVALS]
        batch.links_ended += [_ended(key, attr, stone, end) for stone, end in until.items()]

    def _pages(self, key: int, attr: int) -> Iterator[list[HistoryRow]]:
        after, full = -1, True
        while full:
            page = self._state.history_page(key, attr, after, PAGE)
            yield page
            full = len(page) == PAGE
            after = page[-1].key if page else after


def _moment(item: Item) -> int:
    assert isinstance(item.task.chore, Collect)
    return item.task.chore.moment


def _stone(chore: Unlink, link: LinkPlan) -> Tombstone:
    return Tombstone(link.target, chore.target, 0, chore.at, chore.main, chore.derived)


def _ended(source: int, attr: int, stone: Tombstone, until: int | None = None) -> EndedLink:
    return EndedLink(source, attr, stone.etype, stone.eid, stone.at if until is None else until)
