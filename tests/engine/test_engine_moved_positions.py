"""Two workers that both believe that they own the same partitions: no entry is applied twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.log.port import Lane
from kit.engine import an_engine
from kit.points import MODEL, delete, derived, obs, plain, task
from kit.rooms import examples


def deriving(registrar):
    registrar.register_on_entity_creation_hook(lambda eid, t: [derived("x", "p", 1, "b")], "a")


@pytest.fixture
def pair(engine):
    """Two workers with one lease; the first has read the positions before the other did anything."""
    first = engine.start(deriving)
    other = engine.start(deriving, lease=first.lease)
    yield first, other
    first.stop()
    other.die()


def test_a_worker_whose_entries_another_has_applied_is_refused_and_goes_on_behind_them(engine, pair, caplog):
    first, other = pair
    engine.send(task("e1", plain("p", 1), obs(1)), task("gone", obs(1)), delete("gone"))
    other.finish()
    before = engine.tables()
    assert first.step()
    assert engine.tables() == before, "nothing was applied, and no counter, outbox or entity has changed"
    assert "has applied lane 1 up to entry 1, the batch starts from 0; nothing was written" in caplog.text
    engine.send(task("e1", obs(2)), task("e2", obs(3)), task("gone", obs(4)))
    first.finish()
    assert [engine.values(eid) for eid in ("e1", "e2", "gone")] == [
        {"p": 1, "o": [(1, 1), (2, 2)]},
        {"o": [(3, 3)]},
        {"o": [(4, 4)]},
    ]
    assert engine.store.counters.all()["datapoints"] == engine.raw_count("a") + engine.raw_count("b")
    assert engine.letters() == []


def test_tasks_that_were_drained_before_a_refusal_leave_the_outbox(engine, pair):
    first, other = pair
    engine.send(task("e1", obs(1)))
    first.step()
    assert first.drain()
    other.step()
    other.step()
    engine.send(task("e2", obs(1)))
    other.step()
    assert engine.count("outbox") > 0
    first.finish()
    other.finish()
    assert engine.count("outbox") == 0
    assert [t.eid for t in engine.derived() if t.etype == "b"] == ["x", "x"]


def test_a_worker_of_other_partitions_is_not_concerned(engine):
    engine.send(*(task(f"e{n}", obs(n)) for n in range(16)))
    with engine.worker(index=0, processes=2) as one, engine.worker(index=1, processes=2) as other:
        one.finish()
        other.finish()
    assert [engine.values(f"e{n}")["o"] for n in range(16)] == [[(n, n)] for n in range(16)]


kinds = st.sampled_from(["send", "delete", "first", "other", "drain"])


@given(st.lists(st.tuples(kinds, st.integers(0, 2)), max_size=20))
@settings(max_examples=examples(40), deadline=None)
def test_whoever_of_two_works_when_everything_is_there_once(script):
    with an_engine(model=MODEL, drains=False) as engine:
        first = engine.start(deriving)
        other = engine.start(deriving, lease=first.lease)
        naive: dict[str, list[tuple[int, int]]] = {}
        for number, (what, which) in enumerate(script):
            match what:
                case "send":
                    engine.send(task(f"e{which}", obs(number)))
                    naive.setdefault(f"e{which}", []).append((number, number))
                case "delete":
                    engine.send(delete(f"e{which}"))
                    naive.pop(f"e{which}", None)
                case "first":
                    first.step()
                case "other":
                    other.step()
                case _:
                    (first, other)[which % 2].drain()
        first.finish()
        other.finish()
        assert {eid: engine.values(eid).get("o") for eid in naive} == naive
        assert engine.store.entities.counts().get("a", 0) == len(naive)
        assert engine.count("outbox") == 0
        assert engine.letters() == []
        assert engine.position() == engine.log.head(Lane.MAIN).offset
        first.stop()
        other.die()
