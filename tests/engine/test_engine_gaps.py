"""Entries that are missing, between others that a worker has not read yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dp3.engine.ingest.reader import Reader
from dp3.log.port import Append, Lane, OutboxSlice, Producer
from dp3.log.sqlite import open_log
from kit.place import Place

pytestmark = pytest.mark.files

SEGMENT_BYTES = 1
"""A segment for each entry: each can be lost alone."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, 1_000_000, segment_bytes=SEGMENT_BYTES)
    yield place
    place.close()


def send(place: Place, number: int) -> None:
    for _ in range(number):
        place.log.append([Append([{0: b"x"}])])


def derive(place: Place, key: int) -> None:
    place.log.append_outbox([OutboxSlice(Producer(0, 0), key, {0: b"x"})], 0)


def lose(place: Place, lane: Lane, offset: int) -> None:
    """Lose one entry, and go on without it."""
    place.log.close()
    (place.directory / "log" / lane.name.lower() / f"{offset:020d}.seg").unlink()
    place.log = open_log(place.directory, place.clock, segment_bytes=SEGMENT_BYTES, accept_loss=True)


def read_all(place: Place) -> list[tuple[Lane, int, bool]]:
    """Lane and offset of all entries in the order in which a worker reads them, and whether each is
    missing."""
    reader = Reader(place.log, place.store.batches, place.store.models, 0, 1)
    found: list[tuple[Lane, int, bool]] = []
    while (reading := reader.read(1 << 40)) is not None:
        found += [(entry.lane, entry.offset, bool(entry.damage)) for entry in reading.entries]
        reader.advance(reading.lane, reading.last)
    return found


def test_entries_before_a_gap_wait_for_derived_ones_that_came_before_them(place: Place) -> None:
    send(place, 2)
    derive(place, 1)
    send(place, 3)
    lose(place, Lane.MAIN, 4)
    main = [(Lane.MAIN, offset, offset == 4) for offset in range(1, 6)]
    assert read_all(place) == [*main[:2], (Lane.DERIVED, 1, False), *main[2:]]


def test_a_gap_at_the_end_of_the_derived_lane_is_told(place: Place) -> None:
    derive(place, 1)
    send(place, 2)
    lose(place, Lane.DERIVED, 1)
    main = [(Lane.MAIN, offset, False) for offset in (1, 2)]
    assert read_all(place) == [*main, (Lane.DERIVED, 1, True)]
