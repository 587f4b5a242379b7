"""System tasks: ends of lifetimes and of links, read from the log, become changes of the state."""

from collections.abc import Mapping, Sequence

from dp3.engine.ingest.batch import BatchBuilder
from dp3.engine.ingest.entities import EntityIndex, Identity
from dp3.engine.ingest.reader import Item
from dp3.engine.ingest.unlinking import Commit, Place, Relation, Unlinking
from dp3.engine.plans import FOREVER, Lifetime, TypePlan
from dp3.log.port import Lane, Log
from dp3.model.wire import Expire, RemoveLinks, TombstoneDone, WireTask
from dp3.store.ports.batches import Tombstone
from dp3.store.ports.lifetimes import Lifetimes
from dp3.store.ports.models import Names

Candidate = tuple[Item, TypePlan, int]
"""A system task that may end a life, the plan of the entity type, the key of the entity."""


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
        unlinks: dict[Place, Relation] = {}
        self._entities.load(self._identity(item.task) for item in builder.system_tasks)
        for item in builder.system_tasks:
            task, system_task, identity = item.task, item.task.system_task, self._identity(item.task)
            key = self._entities.key_of(identity)
            if isinstance(system_task, TombstoneDone):
                builder.batch.tombstones_done.append((*identity, system_task.until, item.entry.offset))
            elif isinstance(system_task, Expire) and key and task.etype in self._plans:
                expired.append((item, self._plans[task.etype], key))
            elif isinstance(system_task, RemoveLinks) and key:
                place = key, self._names.attr_id(task.etype, system_task.attr)
                relation = unlinks.setdefault(place, self._relation(task.etype, system_task.attr))
                relation.until[self._tombstone(system_task)] = system_task.at
        self._expire(expired, builder, self._log.order_after(Lane.MAIN, main))
        if unlinks:
            Unlinking(self._lifetimes, builder.batch, commit).remove(unlinks)

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
    def _relation(self, etype: str, attr: str) -> Relation:
        """The relation of an entity: an observation holds for ever if the model does not say how long."""
        plan = self._plans.get(etype)
        number, _ = plan.attrs.get(attr, (0, None)) if plan else (0, None)
        return Relation(plan.links[number].post if plan and number in plan.links else FOREVER)


def _moment(item: Item) -> int:
    assert isinstance(item.task.system_task, Expire)
    return item.task.system_task.moment
