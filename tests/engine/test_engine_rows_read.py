"""Reading costs what is current, or in the range that is asked for: rows of history that were read are
counted."""

import pytest

from dp3.clock import to_datetime
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint
from dp3.reads.profiles import Span
from kit.engine import Engine
from kit.limits import Enter, scan_limits
from kit.points import SECOND, START_US, seen, task
from kit.specs import a_type, observed_attr, series_attr, valid
from kit.worker import PACKING

MOST_PARTS = 10
POINTS = 2_000
"""Some seconds apart, until shortly before the clock begins."""

MODEL = ModelSpec(
    {
        "a": a_type(
            "a",
            {
                "short": observed_attr("int", valid("1s", "2s")),
                "long": observed_attr("int", valid("1s", "1d")),
                "load": series_attr("irregular", series={"cpu": {"data_type": "int"}}),
            },
        )
    }
)
SPECS = MODEL.entity_attributes["a"]


@pytest.fixture
def old(engine: Engine, enter: Enter) -> Engine:
    """An entity with a packed history of all attributes."""
    enter(scan_limits(behind_us=0, former_every=16, most_parts=MOST_PARTS, most_lag_us=0))
    engine.model = MODEL
    engine.clock.advance(2 * POINTS)
    for first in range(0, POINTS, 200):
        points = [point for at in range(first, first + 200) for point in points_at(at * 2)]
        engine.send(task("e", *points))
        engine.work(model=MODEL)
        with engine.worker(model=MODEL) as worker:
            worker.request_upkeep(PACKING)
            while worker.upkeep():
                pass
    return engine


def points_at(second: int) -> list[WirePoint]:
    moment = START_US + second * SECOND
    series = {"time": [to_datetime(moment).isoformat()], "cpu": [second]}
    observed = [seen(attr, second // 2 % 3, second, second) for attr in ("short", "long")]
    return [*observed, WirePoint("load", series, moment, moment)]


def rows_read(engine: Engine, attr: str, span: Span) -> tuple[int, int]:
    """How many rows an attribute and a range need, and how often all that is packed."""
    before = engine.store.entities.rows_read()
    assert engine.reads().profiles.attribute("a", "e", SPECS[attr], span)["history"]
    after = engine.store.entities.rows_read()
    return after.rows - before.rows, after.whole - before.whole


def last_seconds(count: int) -> Span:
    end = START_US + 2 * POINTS * SECOND
    return Span(end - count * SECOND, end)


@pytest.mark.parametrize("attr", ["short", "load"])
def test_a_short_range_of_a_long_history_reads_little(old: Engine, attr: str) -> None:
    """Since a scan before it, and until one after it: of each of three values two packed rows at most."""
    middle = START_US + POINTS * SECOND
    for span in (last_seconds(10), Span(middle, middle + 10 * SECOND)):
        rows, whole = rows_read(old, attr, span)
        assert rows <= 2 * (16 + 3 * 2 * 64) < POINTS / 2
        assert whole == 0


def test_what_has_too_many_valid_values_is_read_whole_and_counted(old: Engine) -> None:
    """Of a profile for a run, too: the others are not read then."""
    rows, whole = rows_read(old, "long", last_seconds(10))
    assert (rows >= POINTS, whole) == (True, 1)
    ((key, _),) = old.store.entities.find([(old.store.names.etype_id("a"), "e")]).values()
    before = old.store.entities.rows_read()
    profile = old.store.entities.decode_profile(old.store.entities.profiles([key])[key])
    after = old.store.entities.rows_read()
    numbers = {attr: old.store.names.attr_id("a", attr) for attr in SPECS}
    assert numbers["short"] in profile.scans
    assert numbers["long"] not in profile.scans
    assert [(attr, len(rows)) for attr, rows in profile.observed] == [(numbers["long"], POINTS)]
    assert after.whole - before.whole == 1
    assert POINTS <= after.rows - before.rows <= POINTS + MOST_PARTS
