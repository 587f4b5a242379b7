"""Batches that come again are refused: the state is that of a naive model that applies each once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch
from dp3.store.ports.entities import HistoryRow, PlainRow
from dp3.store.ports.errors import PositionsMoved
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state
from kit.rows import a_batch, entity_row, history_row, plain_row, progress, take_lease

EIDS = ("a", "b", "c")
ATTRS = ("x", "y")

operations = st.one_of(
    st.tuples(st.just("plain"), st.sampled_from(EIDS), st.sampled_from(ATTRS)),
    st.tuples(st.just("history"), st.sampled_from(EIDS), st.sampled_from(ATTRS)),
    st.tuples(st.just("ttl"), st.sampled_from(EIDS), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.sampled_from(EIDS), st.none()),
)
batches = st.lists(st.lists(operations, max_size=6), min_size=1, max_size=6)


@dataclass
class NaiveProfile:
    key: int
    plain: dict[int, PlainRow] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    ttl: dict[str, int] = field(default_factory=dict)


class NaiveWorker:
    """Turns operations into batches as a worker does, and remembers what must come out."""

    def __init__(self, store: State, etype: str, numbers: Iterator[int]) -> None:
        self._store = store
        self._etype = etype
        self._numbers = numbers
        self.profiles: dict[str, NaiveProfile] = {}
        self._history: list[HistoryRow] = []

    def batch(self, operations: list[tuple[str, str, object]]) -> Batch:
        batch = Batch()
        self._history.clear()
        for kind, eid, what in operations:
            if kind == "delete":
                if eid in self.profiles:
                    batch.deleted.append(self.profiles.pop(eid).key)
            else:
                self._write(batch, kind, eid, what, next(self._numbers))
        batch.plain = [row for row in batch.plain if row.entity not in batch.deleted]
        kept = a_batch(row for row in self._history if row.entity not in batch.deleted)
        batch.fresh, batch.incoming = kept.fresh, kept.incoming
        return batch

    def _write(self, batch: Batch, kind: str, eid: str, what: object, moment: int) -> None:
        if eid not in self.profiles:
            self.profiles[eid] = NaiveProfile(moment)
            batch.created.append(entity_row(self._store, eid, moment, etype=self._etype))
        profile = self.profiles[eid]
        if kind == "plain":
            row = plain_row(self._store, profile.key, str(what), moment, written=moment, etype=self._etype)
            profile.plain[row.attr] = row
            batch.plain.append(row)
        elif kind == "history":
            profile.history.append(history_row(self._store, profile.key, str(what), moment, offset=moment))
            self._history.append(profile.history[-1])
        else:
            assert isinstance(what, int)
            profile.ttl["base"] = max(what, profile.ttl.get("base", 0))
            batch.ttl.append((profile.key, "base", what))
        batch.refused.append((0, moment, 0))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[State, Lease, Iterator[int]]]:
    """One state for all examples: each has entities, moments and a type of its own."""
    store = open_state(Path(tmp_path_factory.mktemp("state")), FakeClock())
    yield store, take_lease(store), count(1)
    store.close()


@given(steps=batches, data=st.data())
def test_any_batches_that_come_again_are_refused_and_leave_the_state_as_it_was(
    state: tuple[State, Lease, Iterator[int]], steps: list[list[tuple[str, str, object]]], data: st.DataObject
) -> None:
    store, lease, numbers = state
    etype = f"type{next(numbers)}"
    store.names.etype_id(etype)
    worker = NaiveWorker(store, etype, numbers)
    applied: list[Batch] = []
    for step in steps:
        applied.append(worker.batch(step))
        applied[-1].progress = progress(store, lease, next(numbers))
        store.batches.commit(lease, applied[-1])
        if data.draw(st.booleans(), "remove garbage"):
            store.entities.collect_garbage(lease, 1000)
        for again in data.draw(st.lists(st.sampled_from(applied), max_size=3), "again"):
            with pytest.raises(PositionsMoved):
                store.batches.commit(lease, again)
        assert_same(store, etype, worker)


def assert_same(store: State, etype: str, worker: NaiveWorker) -> None:
    assert store.entities.counts()[etype] == len(worker.profiles)
    for eid in EIDS:
        expected, found = worker.profiles.get(eid), store.entities.profile(etype, eid)
        assert (expected is None) == (found is None)
        if expected and found:
            rows = sorted(expected.plain.values(), key=lambda row: row.attr)
            assert found[1:] == (rows, expected.history, expected.ttl, [])
