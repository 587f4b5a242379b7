"""Packed rows that retention looks at."""

from dp3.store.ports.history import ScanChanges
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from kit.rows import packed_row

ENTITIES, PARTS = 2, 8


def test_packed_rows_come_in_the_order_in_which_they_are_asked_for(store: State, lease: Lease) -> None:
    row = packed_row(store, 1, "o", 7, 1)
    packed = [
        row._replace(entity=entity, part=part) for part in range(PARTS) for entity in range(1, ENTITIES + 1)
    ]
    store.history.pack(lease, (0, 0, 0), (0, 0, 0), {}, packed, ScanChanges())
    places = sorted((one.entity, one.attr, one.tag, one.part, one.oldest) for one in packed)
    for wanted in (places, places[::-1]):
        missing = (ENTITIES + 1, *wanted[0][1:])
        found = store.retention.stored_rows([missing, *wanted])
        assert [one.place for one in found] == [place[:4] for place in wanted]
