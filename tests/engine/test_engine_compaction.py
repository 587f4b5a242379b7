"""Packing of history: what is packed when, and what is not done twice."""

import pytest

from dp3.engine.statistics import Statistics
from dp3.history.segments import decode_segments, encode_segments
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint, encode_value
from dp3.store.ports.errors import LeaseLost
from dp3.store.ports.leases import Holder
from kit.engine import Engine
from kit.points import SECOND, START_US, config, delete, obs, task
from kit.worker import PackLimits

LITTLE = PackLimits(slice=2, row=3)


def pack(engine: Engine, most: int | None = None, **options: object) -> int:
    """Pack, at most so many slices; returns how many steps it took."""
    steps = 0
    with engine.worker(**{"limits": LITTLE, **options}) as driven:
        driven.request_upkeep()
        while steps != most and driven.upkeep():
            steps += 1
    return steps


@pytest.mark.parametrize("slices", [1, 2, None])
def test_an_older_state_packs_what_it_reads_again(engine: Engine, slices: int | None) -> None:
    engine.send(task("e1", obs(1), obs(2)), task("e2", obs(3)))
    engine.work()
    pack(engine, most=slices)
    engine.remember_state()
    engine.send(delete("e2"), task("e1", obs(4)), task("e2", obs(5)))
    engine.work()
    pack(engine)
    before = engine.master("e1"), engine.values("e2")
    engine.fall_back()
    engine.work()
    assert (engine.master("e1"), engine.values("e2")) == before
    pack(engine)
    assert (engine.master("e1"), engine.values("e2")) == before
    assert (engine.count("fresh"), engine.count("incoming")) == (0, 0)


def test_everything_applied_is_packed_and_a_second_pass_reads_no_history(engine: Engine) -> None:
    engine.send(*(task(f"e{n}", obs(n), obs(n + 1)) for n in range(9)))
    engine.work()
    first, second = Statistics(), Statistics()
    assert pack(engine, statistics=first) > 4
    assert (engine.count("fresh"), engine.count("packed")) == (0, 18)
    assert pack(engine, statistics=second) == 1
    assert (first.numbers()["packing_read"], first.numbers()["packing_passes"]) == (18, 1)
    assert (second.numbers()["packing_read"], second.numbers()["packing_passes"]) == (0, 1)
    assert 0 < second.numbers()["packing_s"] < first.numbers()["packing_s"]


def test_late_data_of_a_packed_value_is_added_to_its_row(engine: Engine) -> None:
    for second in range(8):
        engine.send(task("e1", obs(7, second)))
        engine.work()
        pack(engine)
    assert engine.count("packed") == 3
    assert engine.values("e1")["o"] == [(second, 7) for second in range(8)]


def test_rows_that_are_read_are_counted_packed_or_not_in_both_forms_of_a_profile(engine: Engine) -> None:
    entities = engine.store.entities
    engine.send(task("e1", obs(1, 1), obs(1, 3), obs(2, 2)))
    engine.work()
    pack(engine)
    engine.send(task("e1", obs(2, 4)))
    engine.work()
    ((key, _),) = entities.find([(engine.store.names.etype_id("a"), "e1")]).values()
    before = entities.rows_read().rows
    entities.profile("a", "e1")
    entities.profile("a", "e1")
    assert entities.rows_read().rows - before == 4 + 4
    encoded = entities.profiles([key])[key]
    assert entities.rows_read().rows - before == 8
    entities.decode_profile(encoded)
    assert entities.rows_read().rows - before == 12


def test_a_pass_that_was_interrupted_goes_on_where_it_was(engine: Engine) -> None:
    engine.send(*(task(f"e{n}", obs(n)) for n in range(12)))
    engine.work()
    pack(engine, most=3)
    assert 0 < engine.count("fresh") < 12
    pack(engine)
    assert engine.count("fresh") == 0
    assert [engine.values(f"e{n}")["o"] for n in range(12)] == [[(n, n)] for n in range(12)]


def test_workers_pack_what_is_their_own_once_all_have_read_it(engine: Engine) -> None:
    engine.send(*(task(f"e{n}", obs(n)) for n in range(20)))
    engine.work(index=1, processes=2)
    rows = engine.count("fresh")
    pack(engine, index=1, processes=2)
    assert engine.count("packed") == 0, "who has not read it may find a deletion that is older"
    engine.work(index=0, processes=2)
    pack(engine, index=1, processes=2)
    assert engine.count("packed") == rows
    pack(engine, index=0, processes=2)
    assert (engine.count("fresh"), engine.count("packed")) == (0, 20)


def test_nothing_is_left_of_an_entity_that_is_deleted_while_it_is_packed(engine: Engine) -> None:
    engine.send(*(task(f"e{n}", obs(n), obs(n + 1)) for n in range(6)))
    engine.work()
    with engine.worker(limits=LITTLE) as driven:
        driven.request_upkeep()
        driven.upkeep()
        driven.upkeep()
        engine.send(*(delete(f"e{n}") for n in range(6)))
        driven.finish()
    assert (engine.count("fresh"), engine.count("packed"), engine.count("garbage")) == (0, 0, 0)


def test_a_worker_that_lost_its_lease_packs_nothing_more(engine: Engine) -> None:
    engine.send(task("e1", obs(1), obs(2), obs(3)))
    engine.work()
    with engine.worker(limits=LITTLE) as driven:
        driven.request_upkeep()
        driven.upkeep()
        engine.clock.advance(60)
        engine.store.leases.take(0, 1, Holder("other", 1), 15)
        with pytest.raises(LeaseLost):
            while driven.upkeep():
                pass
    assert (engine.count("fresh"), engine.count("packed")) == (1, 2)


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [(0, 0, 0, 1)],
        [(START_US, START_US + SECOND, 10**9, 3), (START_US, START_US, None, 1)],
        [(-5, 7, 1, 1)],
    ],
)
def test_segments_are_stored_without_loss(segments: list[tuple[int, int, int | None, int]]) -> None:
    assert list(decode_segments(encode_segments(segments))) == segments


def test_what_has_come_in_is_kept_until_all_workers_have_packed_it(engine: Engine) -> None:
    engine.send(*(task(f"e{n}", obs(n)) for n in range(20)))
    for index in (0, 1):
        engine.work(index=index, processes=2)
    pack(engine, index=0, processes=2)
    assert 0 < engine.count("fresh") < engine.count("incoming") == 20
    pack(engine, index=1, processes=2)
    assert (engine.count("fresh"), engine.count("incoming")) == (0, 0)
    assert [engine.values(f"e{n}")["o"] for n in range(20)] == [[(n, n)] for n in range(20)]


def test_large_values_are_packed_one_by_one(engine: Engine) -> None:
    described = config()
    described["a"]["attribs"]["o"]["data_type"] = "string"
    texts = ModelSpec(described)
    sent = [WirePoint("o", f"{n}" * 600_000, START_US, START_US, 1) for n in range(4)]
    engine.send(task("e1", *sent))
    engine.work(model=texts)
    pack(engine, most=1, model=texts, limits=PackLimits(slice=100))
    assert (engine.count("fresh"), engine.count("packed")) == (3, 1)
    pack(engine, model=texts, limits=PackLimits(slice=100))
    assert (engine.count("fresh"), engine.count("packed")) == (0, 4)
    assert sorted(v for _, v, _ in engine.store.entities.profile("a", "e1").packed) == [
        encode_value(x.v) for x in sent
    ]
