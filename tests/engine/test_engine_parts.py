"""Rules of the smaller parts."""

import time

import pytest

from dp3.engine.ingest.entities import EntityIndex
from dp3.engine.ingest.reader import Reader
from dp3.engine.ingest.step import LARGEST_BYTES, SMALLEST_BYTES, Pace
from dp3.engine.worker import Nap
from dp3.log.port import Lane
from kit.place import PARTITIONS
from kit.points import derived, obs, plain, task

MAIN = Lane.MAIN


def a_reader(engine):
    state = engine.store
    return Reader(engine.log, state.batches, state.models, 0, 1)


def test_the_index_of_entities_is_bounded(engine):
    engine.work()
    index = EntityIndex(engine.store.entities, 10)
    for number in range(100):
        index.load([(1, f"e{number}")])
        index.create((1, f"e{number}"), 0)
    assert len(index._young) + len(index._old) <= 12


def test_an_entity_dropped_from_the_index_is_found_in_the_state(engine):
    engine.send(*(task(f"e{n}", plain("p", n)) for n in range(30)))
    engine.work()
    index, etype = EntityIndex(engine.store.entities, 4), engine.store.names.etype_id("a")
    index.load([(etype, "e0")])
    key = index.key_of((etype, "e0"))
    for number in range(1, 30):
        index.load([(etype, f"e{number}")])
    index.load([(etype, "e0")])
    assert index.key_of((etype, "e0")) == key > 0


def test_a_key_of_a_deleted_entity_is_never_given_again(engine):
    index = EntityIndex(engine.store.entities, 10)
    index.load([(1, "q")])
    first = index.create((1, "q"), 3)
    index.delete((1, "q"))
    assert index.key_of((1, "q")) == 0
    assert index.create((1, "q"), 3) == first + 1


def test_a_reader_leaves_out_slices_that_were_applied_before(engine):
    for number in range(16):
        engine.send(task(f"e{number}", obs(number)))
    engine.work(index=0, processes=2)
    reader = a_reader(engine)
    reading = reader.read(1 << 20)
    assert reading is not None
    assert (reading.lane, reading.after) == (MAIN, 0)
    partitions = {item.partition for item in reader.decode(reading.entries).slices}
    assert partitions <= set(range(1, PARTITIONS, 2))


def test_a_reader_reads_what_is_new_and_then_nothing(engine):
    engine.send(task("q", plain("p", 1)))
    reader = a_reader(engine)
    reading = reader.read(1 << 20)
    assert reading is not None and reading.lane == MAIN
    reader.advance(MAIN, reading.last)
    assert reader.read(1 << 20) is None
    assert reading.last == engine.log.head(MAIN).offset


def test_derived_entries_found_at_the_start_are_read_in_their_place_among_the_others(engine):
    def deriving(registrar):
        registrar.register_on_new_attr_hook(lambda eid, dp: [derived(eid, "s", dp.v)], "a", "p")

    for number in range(3):
        engine.send(task("q", plain("p", number)))
        engine.work(deriving)
    engine.lose_state()
    reader, read = a_reader(engine), []
    while reading := reader.read(1 << 20):
        read += [(entry.order, entry.lane) for entry in reading.entries]
        reader.advance(reading.lane, reading.last)
    assert read == sorted(read)
    assert [lane for _, lane in read] == [MAIN, Lane.DERIVED] * 3


def test_the_pace_shrinks_at_once_and_grows_by_half():
    pace = Pace(batch_limit_s=0.25, commit_target_s=0.025)
    start = pace.bytes
    pace.learn(start, 0.001, 0.001)
    assert pace.bytes == int(start * 1.5)
    pace.learn(pace.bytes, 2.5, 0.001)
    assert pace.bytes == pytest.approx(start * 0.15, rel=0.01)


def test_the_pace_has_bounds():
    pace = Pace(batch_limit_s=0.25, commit_target_s=0.025)
    for _ in range(30):
        pace.learn(pace.bytes, 0.0, 0.0)
    assert pace.bytes == LARGEST_BYTES
    for _ in range(30):
        pace.learn(pace.bytes, 100.0, 1.0)
    assert pace.bytes == SMALLEST_BYTES


def test_a_small_batch_says_nothing_about_larger_ones():
    pace = Pace(batch_limit_s=0.25, commit_target_s=0.025)
    before = pace.bytes
    pace.learn(100, 0.0001, 0.0001)
    assert pace.bytes == before


def test_naps_grow_while_nothing_happens_and_start_short_again():
    nap = Nap(0.001, 0.02)
    assert [nap.next_s() for _ in range(7)] == [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02]
    nap.reset()
    assert nap.next_s() == 0.001


def test_what_comes_bit_by_bit_is_gathered_into_fewer_batches(engine):
    with engine.worker() as driven, driven.in_background():
        for number in range(60):
            engine.send(task("q", plain("p", number)))
            time.sleep(0.001)
        wait_until(lambda: engine.position() == 60)
    assert engine.values("q") == {"p": 59}
    assert engine.store.counters.all()["batches"] < 40


def test_a_backlog_is_not_kept_waiting_for_more(engine):
    for number in range(8):
        engine.send(*(task(f"e{number}-{n}", plain("s", "x" * 1_000)) for n in range(60)))
    with engine.worker() as driven:
        gathers = []
        while driven.step():
            gathers.append(driven.gather_s)
    assert gathers.pop(0) == 0
    assert sum(gather > 0 for gather in gathers) <= 1


@pytest.mark.parametrize(("entries", "expected_s"), [(1, 0.003), (6, 0.003), (12, 0.006), (500, 0.010)])
def test_more_is_let_come_for_longer_the_more_there_was(engine, entries, expected_s):
    for number in range(entries):
        engine.send(task(f"e{number}", plain("p", number)))
    with engine.worker() as driven:
        driven.step()
        assert driven.gather_s == expected_s
        driven.step()
        assert driven.gather_s == 0


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
