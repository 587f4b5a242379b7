"""What comes in the order of time, pass by pass, and now and then something late: ranges are those of the
whole history, and so is what scans tell."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.history import history_params, mean_confidence, overlapping
from dp3.model.attrspec import AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint, decode_value
from dp3.reads.profiles import Span
from kit.engine import Engine
from kit.limits import scan_limits
from kit.points import SECOND, START_US, seen, task
from kit.rooms import examples
from kit.scans import expect_scans_to_tell_the_truth, whole_history
from kit.specs import a_type, observed_attr, valid
from kit.worker import PACKING, PackLimits

SPECS = {
    "short": observed_attr("int", valid("0s", "0s")),
    "one": observed_attr("int", valid("1s", "2s")),
    "many": observed_attr("int", valid("1s", "2s"), multi_value=True),
}
MODEL = ModelSpec({"a": a_type("a", SPECS)})
LAST = 100
"""Seconds, more or less, from the first row to the last."""

rows = st.tuples(
    st.sampled_from([0, 1, 1, 2, 4]),
    st.sampled_from([0, 1, 1, 2, 6]),
    st.integers(0, 2),
    st.sampled_from([0, 0.25, 1]),
    st.sampled_from([0, 0, 0, 0, 0, 3, 9]),
)
"""How much later than the one before, length, value, confidence, how much too late."""

passes = st.lists(st.lists(rows, min_size=1, max_size=5), min_size=4, max_size=10)


def points(attr: str, found: list[list[tuple[int, int, int, float, int]]]) -> list[list[WirePoint]]:
    at, some = 20, []
    for portion in found:
        some.append([])
        for later, length, v, c, late in portion:
            at += later
            some[-1].append(seen(attr, v, at - late, at - late + length, c))
    return some


def expect_ranges_of_the_whole(engine: Engine, attr: str) -> None:
    spec = engine.model.entity_attributes["a"][attr]
    assert isinstance(spec, AttrSpecObservations)
    whole = whole_history(engine.store, "a", "e", attr, history_params(spec))
    assert whole is not None
    profiles = engine.reads().profiles
    for second in range(0, LAST, 3):
        moment = START_US + second * SECOND
        shown = profiles.attribute("a", "e", spec, Span(moment, moment + SECOND))["history"]
        expected = overlapping(whole, moment, moment + SECOND)
        assert [(i["v"], i["c"]) for i in shown] == [
            (decode_value(s.v), mean_confidence(s)) for s in expected
        ]


@given(st.sampled_from(list(SPECS)), passes, st.integers(1, 3), st.integers(1, 6), st.sampled_from([0, 4]))
@settings(max_examples=examples(40), deadline=None)
def test_what_comes_in_order_and_what_is_late_is_told_as_the_whole_tells_it(
    attr: str,
    found: list[list[tuple[int, int, int, float, int]]],
    every: int,
    slice: int,
    lag: int,
) -> None:
    with tempfile.TemporaryDirectory() as directory, scan_limits(0, every, 50, lag * SECOND):
        engine = Engine(Path(directory), MODEL)
        try:
            for portion in points(attr, found):
                engine.send(*(task("e", point) for point in portion))
                engine.work()
                with engine.worker(limits=PackLimits(slice=slice, row=2)) as worker:
                    worker.request_upkeep(PACKING)
                    while worker.upkeep():
                        pass
                expect_ranges_of_the_whole(engine, attr)
                expect_scans_to_tell_the_truth(engine.store, engine.model)
        finally:
            engine.close()
