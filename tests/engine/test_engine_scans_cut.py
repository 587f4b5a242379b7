"""Scans that are kept for readers of the past go wherever something is packed that they have not seen; and
none is large."""

import pytest

from dp3.history import history_params, overlapping
from dp3.model.attrspec import AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.reads.profiles import Span
from kit.engine import Engine
from kit.limits import Enter, scan_limits
from kit.points import SECOND, START_US, seconds, seen, task
from kit.scans import expect_scans_to_tell_the_truth, whole_history
from kit.specs import a_type, observed_attr, plain_attr, valid
from kit.worker import PACKING, PackLimits

MOST_PARTS = 12
LATE = seen("x", 1_000, 21, 45)
"""Other rows begin after it within its time."""


def model(post: str = "3s", *, without_x: bool = False) -> ModelSpec:
    attribs = {"p": plain_attr()} | ({} if without_x else {"x": observed_attr("int", valid("2s", post))})
    attribs["text"] = observed_attr("string", valid("2s", post))
    return ModelSpec({"a": a_type("a", attribs)})


@pytest.fixture(autouse=True)
def often(enter: Enter) -> None:
    """Scans are kept for readers of the past often."""
    enter(scan_limits(behind_us=0, former_every=4, most_parts=MOST_PARTS, most_lag_us=0))


def pack(
    engine: Engine, changed: ModelSpec | None = None, slice: int = 1_000, most: int | None = None
) -> None:
    engine.work(model=changed or engine.model)
    limits = PackLimits(slice=slice, row=64)
    with engine.worker(limits=limits, model=changed or engine.model) as worker:
        worker.request_upkeep(PACKING)
        done = 0
        while done != most and worker.upkeep():
            done += 1


def begin(engine: Engine) -> None:
    """Pack values with scans among them."""
    engine.model = model()
    engine.send(task("e", *[seen("x", at, at * 2) for at in range(1, 50)]))
    pack(engine)
    engine.send(task("e", seen("x", 0, 0)))
    pack(engine)
    assert engine.count("former_scan") > 5


def expect_ranges_of_the_whole(engine: Engine, last: int) -> None:
    spec = engine.model.entity_attributes["a"]["x"]
    assert isinstance(spec, AttrSpecObservations)
    whole = whole_history(engine.store, "a", "e", "x", history_params(spec))
    assert whole is not None
    profiles = engine.reads().profiles
    for second in range(last):
        moment = START_US + second * SECOND
        shown = profiles.attribute("a", "e", spec, Span(moment, moment))["history"]
        expected = [(one.t1, one.t2) for one in overlapping(whole, moment, moment)]
        assert [(seconds(i["t1"]), seconds(i["t2"])) for i in shown] == [
            ((t1 - START_US) // SECOND, (t2 - START_US) // SECOND) for t1, t2 in expected
        ]


def test_a_later_row_of_the_same_pass_may_begin_before_the_one_that_made_scans_go(engine: Engine) -> None:
    begin(engine)
    engine.send(task("e", seen("x", 1_001, 61)), task("e", LATE))
    pack(engine, slice=1)
    expect_ranges_of_the_whole(engine, 120)


def test_a_late_row_of_an_attribute_that_has_too_many_parts_for_a_scan(engine: Engine) -> None:
    begin(engine)
    engine.send(task("e", *[seen("x", 100 + at, 100 + at / 10) for at in range(MOST_PARTS * 3)]))
    pack(engine)
    engine.send(task("e", LATE))
    pack(engine)
    expect_ranges_of_the_whole(engine, 120)


def test_a_late_row_that_is_packed_while_its_attribute_is_not_in_the_model(engine: Engine) -> None:
    begin(engine)
    engine.send(task("e", LATE))
    engine.work()
    pack(engine, model(without_x=True))
    pack(engine)
    expect_ranges_of_the_whole(engine, 120)
    engine.clock.advance(2)
    pack(engine)
    expect_ranges_of_the_whole(engine, 120)


def test_scans_made_with_another_validity_do_not_stay_among_newer_ones(engine: Engine) -> None:
    engine.model = model("0s")
    for first in range(0, 60, 5):
        engine.send(task("e", *[seen("x", 1 if at % 3 else 2, at * 3) for at in range(first, first + 5)]))
        pack(engine)
    engine.send(task("e", seen("x", 1_000, 170)))
    pack(engine, most=1)
    engine.model = model("9s")
    pack(engine)
    expect_ranges_of_the_whole(engine, 190)


def test_scans_of_large_values_do_not_take_more_than_the_values(engine: Engine) -> None:
    engine.model = model()
    engine.send(task("e", *[seen("text", f"{at}".ljust(9_000, "x"), at) for at in range(60)]))
    pack(engine)
    engine.clock.advance(2)
    pack(engine)
    (kept,) = engine.sql("SELECT coalesce(max(length(scan)), 0) AS longest FROM former_scan")
    assert kept["longest"] <= 16 << 10
    assert len(engine.master("e")["text"]) == 60


def test_a_value_that_goes_on_in_pieces_is_whole_in_ranges_and_in_scans_made_anew(engine: Engine) -> None:
    engine.model = model()
    for at in range(0, 60, 5):
        pieces = [seen("x", 1, second, second + 1) for second in range(at, at + 5)]
        engine.send(task("e", *pieces, seen("x", 2, at + 2.5)))
        pack(engine)
        expect_ranges_of_the_whole(engine, 62)
    engine.send(task("e", seen("x", 3, 58, 59)))
    pack(engine)
    expect_ranges_of_the_whole(engine, 62)
    assert expect_scans_to_tell_the_truth(engine.store, engine.model) == 1
