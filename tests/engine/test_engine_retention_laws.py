"""Whatever is sent, packed and cleaned when, by however many workers: readers see what a naive model says
that knows data-points only."""

import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from naive_retention import as_segment, in_order, naive_kept, points_in

from dp3.clock import to_datetime, to_us
from dp3.engine.jobs.history.attr_plans import limited_attrs
from dp3.engine.plans import TypePlan
from dp3.history import history_params
from dp3.history.retention import KeepRule
from dp3.model.spec import ModelSpec
from dp3.model.wire import MarkDirty, WirePoint, encode_value
from dp3.store.ports.retention import FIRST_TAG, LAST_TAG
from kit.engine import Engine
from kit.history import Observation, Segment, canonical, mean_confidence, unite, value_at, values_at
from kit.points import SECOND, START_US, task
from kit.rooms import examples
from kit.specs import a_type, observed_attr, series_attr, valid
from kit.worker import CLEANING, PACKING, PackLimits

AGE = 1_000
"""Seconds that history is kept; the clock begins as many after the first data-point."""

VALID = valid("1s", "2s")
AGED = {"max_age": f"{AGE}s"}


def observed(multi_value=False, **history_params):
    return observed_attr("int", history_params, multi_value=multi_value)


MODEL = ModelSpec(
    {
        "a": a_type(
            "a",
            {
                "joined": observed(**VALID, **AGED),
                "united": observed(**AGED),
                "lasting": observed(**AGED, post_validity=f"{AGE + 5}s"),
                "several": observed(True, **VALID, **AGED),
                "points": observed(**VALID, **AGED, aggregate=False),
                "several_points": observed(True, **VALID, **AGED, aggregate=False),
                "two": observed(**VALID, max_items=2),
                "three_points": observed(**VALID, **AGED, max_items=3, aggregate=False),
                "two_of_several": observed(True, **VALID, **AGED, max_items=2),
                "free": observed(**VALID),
                "load": series_attr("irregular", AGED, series={"cpu": {"data_type": "int"}}),
            },
        )
    }
)
SPECS = MODEL.entity_attributes["a"]
EIDS = ["e0", "e1"]


def _rules():
    numbers = {name: (number, None) for number, name in enumerate(SPECS)}
    plan = TypePlan("a", 0, numbers, hooked=False)
    names = {number: name for name, (number, _) in numbers.items()}
    return {names[plan.attr]: plan.rule for plan in limited_attrs(MODEL, {"a": plan})}


RULES = _rules() | {"free": KeepRule(history_params(SPECS["free"]))}


def shown_of(points, attr):
    return canonical(points, RULES[attr].params)


def current(points, attr, now):
    """What holds, if it is not a timeseries."""
    params, shown = RULES[attr].params, shown_of(points, attr)
    if attr == "load":
        return None
    return sorted(values_at(shown, now, params)) if params.multi_value else value_at(shown, now, params)


# -- the engine ------------------------------------------------------------------------------------------
def second(at):
    return START_US + at * SECOND


@st.composite
def sent_points(draw, attr):
    start, length, v = draw(st.integers(0, 12)), draw(st.integers(0, 4)), draw(st.integers(0, 2))
    if attr == "load":
        times = [to_datetime(second(start)).isoformat()]
        return WirePoint(attr, {"time": times, "cpu": [v]}, second(start), second(start + length))
    confidence = draw(st.sampled_from([250_000_000, 1_000_000_000]))
    return WirePoint(attr, v, second(start), second(start + length), confidence)


@st.composite
def tasks(draw):
    """Many data-points of one attribute."""
    attr = draw(st.sampled_from(list(SPECS)))
    return draw(st.sampled_from(EIDS)), draw(st.lists(sent_points(attr), min_size=1, max_size=10))


sendings = st.lists(tasks(), min_size=1, max_size=5)
processes = st.integers(1, 2)
lasting_values = st.tuples(
    st.sampled_from(EIDS), st.sampled_from(["joined", "lasting", "several"]), st.integers(0, 2)
)
steps = st.one_of(
    st.tuples(st.just("send"), sendings),
    st.tuples(st.just("pack"), processes),
    st.tuples(st.just("pack a little"), processes),
    st.tuples(st.just("clean"), processes),
    st.tuples(st.just("clean what is packed"), processes),
    st.tuples(st.just("clean a little"), processes),
    st.tuples(st.just("wait"), st.integers(1, 5)),
    st.tuples(st.just("go on"), lasting_values),
)
pack_limits = st.builds(PackLimits, slice=st.integers(1, 5), row=st.integers(1, 3))


class World:
    """The engine, and what data-points it should have: (entity, attribute) → data-points."""

    def __init__(self, directory, limits):
        self.engine = Engine(directory, MODEL)
        self._limits = limits
        self._points = defaultdict(list)
        self._cleaned = False
        self._limit = 0

    def send(self, contents):
        self.work()
        for eid, found in contents:
            if min(p.t1 for p in found) < self._limit:
                self._take_what_is_stored(eid, found[0].attr)
        self.engine.send(*(task(eid, *found) for eid, found in contents))
        for eid, found in contents:
            for p in found:
                self._points[eid, p.attr].append(Observation(p.t1, p.t2, p.c or 0, encode_value(p.v)))

    def go_on(self, eid, attr, v):
        """A value comes again and again, in gaps that its validities span, until some of it is old."""
        first = self.engine.clock.now_us() - AGE * SECOND
        times = [first + at * SECOND for at in (0, 3, 6, 9)]
        self.send([(eid, [WirePoint(attr, v, t1, t1 + SECOND, 1_000_000_000) for t1 in times])])
        self.engine.clock.advance(7)
        self.clean(1)

    def _take_what_is_stored(self, eid, attr):
        """Before data comes that begins before the limit, which finds what was joined as one. Only what had
        ended was joined, and it is seen as before."""
        points, params = self._points[eid, attr], RULES[attr].params
        if not params.aggregate or not points:
            return
        parts = self.stored(eid, attr)
        assert canonical(parts, params) == canonical(points, params)
        for part in parts:
            inside = points_in([p for p in points if p.v == part.v], [as_segment(part)], params)
            assert part.t2 < self._limit or len(unite(inside)) == 1
        self._points[eid, attr] = parts

    def stored(self, eid, attr):
        """All parts of the history of an attribute."""
        store = self.engine.store
        ((key, _),) = store.entities.find([(store.names.etype_id("a"), eid)]).values()
        rows, fresh = store.retention.scoped(
            [(key, store.names.attr_id("a", attr), FIRST_TAG, LAST_TAG)], whole=True
        )
        packed = [Segment(*segment, row.v) for row in rows for segment in row.segments]
        return [*packed, *(Observation(p.t1, p.t2, p.c, p.v) for p in fresh)]

    def run(self, several, *passes, most=None):
        """Every worker makes passes, of at most so many slices, and ends."""
        for index in range(several):
            with self._worker(index, several) as driven:
                driven.request_upkeep(*passes)
                done = 0
                while done != most and driven.upkeep():
                    done += 1
                if most is None:
                    driven.finish()

    def work(self):
        with self._worker(0, 1) as driven:
            driven.finish()

    def _worker(self, index, several):
        return self.engine.worker(index=index, processes=several, limits=self._limits)

    def clean(self, several, packing=True, most=None):
        self.work()
        now, before = (
            self.engine.clock.now_us(),
            {place: list(found) for place, found in self._points.items()},
        )
        self._limit = now - AGE * SECOND
        told = len(self._noticed())
        self.run(several, *((PACKING, CLEANING) if packing else (CLEANING,)), most=most)
        self.work()
        noticed = self._noticed()[told:]
        for (eid, attr), points in before.items():
            kept = self._check(eid, attr, points, now - AGE * SECOND, complete=packing and most is None)
            self._points[eid, attr] = points_in(points, kept, RULES[attr].params)
            if current(points, attr, now) != current(self._points[eid, attr], attr, now):
                assert eid in noticed
        self._cleaned = True

    def _check(self, eid, attr, points, limit, complete):
        """What is shown now is what was shown before, without some that may go; without all if the cleaning
        was complete. Returns what is shown."""
        before, now = shown_of(points, attr), self._shown(eid, attr, points)
        expected = naive_kept(points, RULES[attr], limit)
        missing = Counter(before) - Counter(now)
        assert Counter(now) <= Counter(before)
        assert Counter(expected) <= Counter(now), "something went too early"
        if complete and (attr != "joined" or not self._cleaned):
            assert now == expected
        assert sum(missing.values()) == len(before) - len(now)
        return now

    def _shown(self, eid, attr, points):
        """What readers see. Of a timeseries they see no bounds, but which data-points there are."""
        history = self.engine.master(eid)
        if attr == "load":
            times = Counter((to_us(one["t1"]), one["v"]["cpu"]) for one in history.get(attr, []))
            return self._chunks(points, times)
        wanted = {(s.t1, s.t2, s.v, mean_confidence(s)): s for s in shown_of(points, attr)}
        return [
            wanted[to_us(one["t1"]), to_us(one["t2"]), encode_value(one["v"]), one["c"]]
            for one in history.get(attr, [])
        ]

    def _chunks(self, points, times):
        """Those that are left: of equal ones the longest."""
        left = []
        for p in sorted(points, key=lambda p: (p.t2, in_order(as_segment(p))), reverse=True):
            ((first, cpu),) = [(p.t1, value) for value in range(3) if _encoded(p.t1, value) == p.v]
            if times[first, cpu]:
                times[first, cpu] -= 1
                left.append(as_segment(p))
        return sorted(left, key=in_order)

    def _noticed(self):
        return [one.eid for one in self.engine.derived() if isinstance(one.system_task, MarkDirty)]


def _encoded(start, cpu):
    return encode_value({"time": [to_datetime(start).isoformat()], "cpu": [cpu]})


@given(st.lists(steps, max_size=12), pack_limits)
@settings(max_examples=examples(100), deadline=None)
def test_cleaning_at_any_time_takes_what_it_may_and_changes_nothing_else(script, limits):
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), limits)
        try:
            for action, argument in script:
                match action:
                    case "send":
                        world.send(argument)
                    case "pack":
                        world.work()
                        world.run(argument, PACKING)
                    case "pack a little":
                        world.work()
                        world.run(argument, PACKING, most=2)
                    case "clean":
                        world.clean(argument)
                    case "clean what is packed":
                        world.clean(argument, packing=False)
                    case "clean a little":
                        world.clean(argument, most=3)
                    case "wait":
                        world.engine.clock.advance(argument)
                    case "go on":
                        world.go_on(*argument)
            world.clean(1)
            world.clean(2)
            world.engine.clock.advance(100)
            world.clean(1)
            aged = [found for (_, attr), found in world._points.items() if RULES[attr].max_age is not None]
            assert not any(aged)
        finally:
            world.engine.close()
