"""Whatever is sent, late or not, packed, cleaned, deleted, unlinked, or lost on the way: what is
kept of histories tells what the histories tell, now, later and about ranges of times."""

import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.history import history_params, mean_confidence, overlapping
from dp3.model.attrspec import AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, decode_value
from dp3.reads.profiles import Span
from kit.engine import Engine
from kit.limits import scan_limits
from kit.points import SECOND, START_US, delete, plain, task
from kit.rooms import examples
from kit.scans import expect_scans_to_tell_the_truth, whole_history
from kit.specs import a_type, observed_attr, plain_attr, valid
from kit.worker import CLEANING, PACKING, PackLimits

VALID = valid("2s", "3s")
LINKS = ("link", "links")


def model(post: str = "3s") -> ModelSpec:
    """`changing` has another validity after a change of the model."""
    attribs = {
        "one": observed_attr("int", VALID),
        "changing": observed_attr("int", valid("2s", post)),
        "many": observed_attr("int", VALID, multi_value=True),
        "points": observed_attr("int", VALID | {"aggregate": False}),
        "aged": observed_attr("int", VALID | {"max_age": "15s"}),
        "several_aged": observed_attr("int", VALID | {"max_age": "15s"}, multi_value=True),
        "two": observed_attr("int", VALID | {"max_items": 2}),
        "link": observed_attr("link<b>", VALID),
        "links": observed_attr("link<b>", VALID, multi_value=True),
    }
    return ModelSpec({"a": a_type("a", attribs), "b": a_type("b", {"p": plain_attr()})})


MODEL, CHANGED = model(), model("7s")
SPECS = MODEL.entity_attributes["a"]
EIDS, TARGETS = ["e0", "e1"], ["b0", "b1"]
NOW = 1_000
"""Seconds from `START_US` to the first moment of the clock."""


@st.composite
def points(draw: st.DrawFn) -> WirePoint:
    attr = draw(st.sampled_from(list(SPECS)))
    first = START_US + draw(st.integers(NOW - 30, NOW + 12)) * SECOND
    length = draw(st.sampled_from([0, 0, 1, 3, 12]))
    c = draw(st.sampled_from([0, CONFIDENCE_UNIT // 4, CONFIDENCE_UNIT]))
    v: Any = draw(st.integers(0, 2))
    if attr in LINKS:
        v = {"eid": draw(st.sampled_from(TARGETS))}
    return WirePoint(attr, v, first, first + length * SECOND, c)


sendings = st.tuples(
    st.just("send"), st.lists(st.tuples(st.sampled_from(EIDS), st.lists(points(), max_size=6)), min_size=1)
)
steps = st.one_of(
    sendings,
    sendings,
    st.tuples(st.just("pack"), st.integers(1, 2)),
    st.tuples(st.just("pack"), st.integers(1, 2)),
    st.tuples(st.just("clean"), st.integers(1, 2)),
    st.tuples(st.just("pack a little"), st.integers(1, 4)),
    st.tuples(st.just("delete target"), st.sampled_from(TARGETS)),
    st.tuples(st.just("delete"), st.sampled_from(EIDS)),
    st.tuples(st.just("wait"), st.integers(1, 9)),
    st.tuples(st.just("change"), st.booleans()),
)
seconds_us = st.integers(0, 6).map(lambda s: s * SECOND)
limits = st.tuples(seconds_us, st.integers(1, 3), st.sampled_from([3, 50]), seconds_us)
pack_limits = st.builds(PackLimits, slice=st.integers(1, 5), row=st.integers(1, 3))
ranges = st.lists(st.tuples(st.integers(NOW - 40, NOW + 20), st.integers(0, 12)), min_size=2, max_size=4)


class World:
    def __init__(self, directory: Path, how: PackLimits) -> None:
        self.engine = Engine(directory, MODEL)
        self._how = how
        for target in TARGETS:
            self.engine.send(task(target, plain("p", 1), etype="b"))

    def do(self, action: str, argument: Any) -> None:
        engine = self.engine
        match action:
            case "send":
                engine.send(*(task(eid, *found) for eid, found in argument))
                engine.work()
            case "pack":
                self._upkeep(argument, PACKING)
            case "clean":
                self._upkeep(argument, PACKING, CLEANING)
            case "pack a little":
                self._upkeep(1, PACKING, most=argument)
            case "delete target":
                engine.send(delete(argument, "b"))
                self.work()
                engine.send(task(argument, plain("p", 2), etype="b"))
            case "delete":
                engine.send(delete(argument))
            case "wait":
                engine.clock.advance(argument)
            case "change":
                engine.model = CHANGED if argument else MODEL

    def work(self) -> None:
        """Also what follows from what was done."""
        for _ in range(3):
            self.engine.work(model=self.engine.model)

    def _upkeep(self, several: int, *passes: str, most: int | None = None) -> None:
        self.work()
        for index in range(several):
            with self.engine.worker(
                index=index, processes=several, limits=self._how, model=self.engine.model
            ) as driven:
                driven.request_upkeep(*passes)
                done = 0
                while done != most and driven.upkeep():
                    done += 1

    def compare(self, spans: list[tuple[int, int]]) -> None:
        engine = self.engine
        now = engine.clock.now_us()
        moments = [now + second * SECOND for second in (0, 1, 4, 9)]
        expect_scans_to_tell_the_truth(engine.store, engine.model, moments)
        profiles = engine.reads().profiles
        for eid, name in product(EIDS, SPECS):
            spec = engine.model.entity_attributes["a"][name]
            assert isinstance(spec, AttrSpecObservations)
            whole = whole_history(engine.store, "a", eid, name, history_params(spec))
            if whole is None:
                continue
            for first, length in spans:
                span = Span(START_US + first * SECOND, START_US + (first + length) * SECOND)
                shown = profiles.attribute("a", eid, spec, span)["history"]
                assert [(i["v"], i["c"]) for i in shown] == [
                    (decode_value(s.v), mean_confidence(s)) for s in overlapping(whole, *span.bounds())
                ]


@given(st.lists(steps, max_size=14), pack_limits, limits, ranges)
@settings(max_examples=examples(80), deadline=None)
def test_what_is_kept_of_histories_tells_what_they_tell(
    script: list[tuple[str, Any]],
    how: PackLimits,
    scans: tuple[int, int, int, int],
    spans: list[tuple[int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as directory, scan_limits(*scans):
        world = World(Path(directory), how)
        try:
            for step in script:
                world.do(*step)
                world.compare(spans)
            world.do("pack", 2)
            world.compare(spans)
        finally:
            world.engine.close()
