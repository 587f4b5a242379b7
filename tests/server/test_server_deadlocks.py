"""Workers whose batches touch what others touch, in every order."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch, LinkRow
from dp3.store.ports.errors import StoreUnavailable
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.postgres import open_state
from kit.rows import entity_key, entity_row, take_lease
from kit.servers import Server

WORKERS, BATCHES, TARGETS = 8, 30, 12
FOREVER = 1 << 60


class Linking:
    """A worker that makes entities with links to some that all workers refer to, and deletes some again."""

    def __init__(self, store: State, index: int) -> None:
        self._store = store
        self._lease: Lease = take_lease(store, index, of=WORKERS)
        self._chance = random.Random(index)
        self._attr = store.names.attr_id("device", "peer")
        self.links: dict[int, set[str]] = {}
        self.refused = 0

    def run(self) -> None:
        for number in range(1, BATCHES + 1):
            self._commit(self._batch(entity_key(number, self._lease.index), number))

    def _batch(self, key: int, order: int) -> Batch:
        batch = Batch(created=[entity_row(self._store, f"s{key}", key)], counters={"points": 1})
        targets = self._chance.sample(range(TARGETS), TARGETS // 2)
        etype = self._store.names.etype_id("device")
        self.links[key] = {f"t{target}" for target in targets}
        batch.links = [
            LinkRow(key, self._attr, etype, f"t{target}", FOREVER, order, False) for target in targets
        ]
        if order % 3 == 0:
            gone = self._chance.choice(list(self.links))
            if gone != key:
                batch.deleted = [gone]
                del self.links[gone]
        return batch

    def _commit(self, batch: Batch) -> None:
        while True:
            try:
                return self._store.batches.commit(self._lease, batch)
            except StoreUnavailable:
                self.refused += 1


def test_batches_of_eight_workers_with_links_to_the_same_entities_all_take_effect_once(
    server: Server,
) -> None:
    store = open_state(server.url, "deadlocks", FakeClock(), partitions=WORKERS)
    with closing(store):
        workers = [Linking(store, index) for index in range(WORKERS)]
        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(Linking.run, workers))
        assert store.counters.all() == {"points": WORKERS * BATCHES}
        assert linked(store) == Counter(
            (f"s{key}", target)
            for worker in workers
            for key, targets in worker.links.items()
            for target in targets
        )


def linked(store: State) -> Counter[tuple[str, str]]:
    """All links: ids of source and target."""
    etype, attr = store.names.etype_id("device"), store.names.attr_id("device", "peer")
    targets = [(etype, f"t{target}") for target in range(TARGETS)]
    found = store.links.incoming(targets, [attr], 0)
    return Counter((eid, target) for (_, target), sources in found.items() for *_, eid in sources)
