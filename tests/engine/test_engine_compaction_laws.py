"""Whatever is packed when, and by however many workers, nobody sees any of it: all answers are those of a
naive model that knows data-points only."""

import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dp3.clock import to_datetime, to_us
from dp3.engine.jobs.snapshots.values import compute, plan_values, told
from dp3.history import history_params
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint, decode_value, encode_value
from dp3.reads.profiles import Span
from kit.engine import Engine
from kit.history import Observation, Segment, canonical, mean_confidence, value_at, values_at
from kit.limits import scan_limits
from kit.points import SECOND, START_US, delete, task
from kit.rooms import examples
from kit.specs import a_type, observed_attr, series_attr, valid
from kit.worker import PackLimits

VALID = valid("1s", "2s")


MODEL = ModelSpec(
    {
        "a": a_type(
            "a",
            {
                "one": observed_attr("int", VALID),
                "many": observed_attr("int", VALID, multi_value=True),
                "points": observed_attr("int", VALID | {"aggregate": False}),
                "load": series_attr("irregular", series={"cpu": {"data_type": "int"}}),
            },
        )
    }
)
SPECS = MODEL.entity_attributes["a"]
EIDS = ["e0", "e1", "e2", "e3"]
AN_OBSERVATION = WirePoint("points", 1, START_US, START_US, 1)
OBSERVED = ("one", "many", "points")
RANGES = [(-5, 0), (0, 3), (4, 4), (8, 20)]
MOMENTS = [START_US + second * SECOND for second in (-5, 0, 3, 8, 20)]


def second(at):
    return START_US + at * SECOND


@st.composite
def points(draw):
    attr = draw(st.sampled_from(list(SPECS)))
    start, length, v = draw(st.integers(0, 12)), draw(st.integers(0, 3)), draw(st.integers(0, 2))
    if attr == "load":
        times = [to_datetime(second(start)).isoformat()]
        return WirePoint(attr, {"time": times, "cpu": [v]}, second(start), second(start + length))
    confidence = draw(st.sampled_from([1, 250_000_000, 1_000_000_000]))
    return WirePoint(attr, v, second(start), second(start + length), confidence)


tasks = st.tuples(st.sampled_from(EIDS), st.lists(points(), max_size=4))
deletions = st.tuples(st.sampled_from(EIDS), st.none())
processes = st.integers(1, 3)
steps = st.one_of(
    st.tuples(st.just("send"), st.lists(st.one_of(tasks, tasks, tasks, deletions), min_size=1, max_size=5)),
    st.tuples(st.just("work"), processes),
    st.tuples(st.just("work but one"), st.integers(2, 3)),
    st.tuples(st.just("pack"), processes),
    st.tuples(st.just("pack a little"), processes),
    st.tuples(st.just("wait"), st.integers(1, 8)),
)
limits = st.builds(PackLimits, slice=st.integers(1, 5), row=st.integers(1, 3))
seconds_us = st.integers(0, 5).map(lambda s: s * SECOND)
scans = st.tuples(seconds_us, st.integers(1, 3), st.sampled_from([2, 5, 50]), seconds_us)
"""How far scans lie behind the clock, every how many rows one stays, most parts, most lag."""


def send(engine, naive, contents):
    engine.send(
        *(task(eid, *found) if found is not None else delete(eid) for eid, found in contents),
    )
    for eid, found in contents:
        if found is None:
            naive.pop(eid, None)
        else:
            naive[eid] += found


def work(engine, several, indexes):
    for index in indexes:
        engine.work(index=index, processes=several)


def pack(engine, several, how, most=None):
    """Every worker packs, at most so many slices, and ends."""
    for index in range(several):
        with engine.worker(index=index, processes=several, limits=how) as driven:
            driven.request_upkeep()
            done = 0
            while done != most and driven.upkeep():
                done += 1


def expected_master(found):
    shown = {}
    for name, spec in SPECS.items():
        of_attr = [point for point in found if point.attr == name]
        if of_attr and name == "load":
            moments = sorted((point.v["time"][0], point.v["cpu"][0]) for point in of_attr)
            shown[name] = [{"t1": t, "t2": t, "v": {"cpu": v}} for t, v in moments]
        elif of_attr:
            shown[name] = [
                {"t1": s.t1, "t2": s.t2, "v": decode_value(s.v), "c": mean_confidence(s)}
                for s in canonical(observations(of_attr), history_params(spec))
            ]
    return shown


def observations(of_attr):
    return [Observation(p.t1, p.t2, p.c, encode_value(p.v)) for p in of_attr]


def shown_master(engine, eid):
    master = engine.master(eid)
    master.pop("#time_created", None)

    def told(interval, name):
        as_sent = (lambda t: t.isoformat()) if name == "load" else to_us
        return interval | {"t1": as_sent(interval["t1"]), "t2": as_sent(interval["t2"])}

    return {name: [told(interval, name) for interval in history] for name, history in master.items()}


def current_at(found, name, at):
    params = history_params(SPECS[name])
    segments = canonical(observations(point for point in found if point.attr == name), params)
    if params.multi_value:
        return [decode_value(current.v) for current in values_at(segments, at, params)] or None
    current = value_at(segments, at, params)
    return None if current is None else decode_value(current.v)


def shown_current(engine, eid, name, at):
    return engine.reads().profiles.attribute("a", eid, SPECS[name], Span(), at)["current_value"]


def shown_range(engine, eid, name, first, last, limit=None):
    span = Span(second(first), second(last))
    history = engine.reads().profiles.attribute("a", eid, SPECS[name], span, limit=limit)["history"]
    return [
        Segment(to_us(i["t1"]), to_us(i["t2"]), 0, 0, encode_value(i["v"]))._replace(c_sum=i["c"])
        for i in history
    ]


def range_of(found, name, first, last):
    segments = canonical(observations(p for p in found if p.attr == name), history_params(SPECS[name]))
    return [
        Segment(s.t1, s.t2, mean_confidence(s), 0, s.v)
        for s in segments
        if s.t2 >= second(first) and s.t1 <= second(last)
    ]


def snapshot_values(engine, eid, whole):
    """What runs would see at each of the moments; unless they see the `whole`, from scans as far as there
    are."""
    numbers = {name: engine.store.names.attr_id("a", name) for name in SPECS}
    plan = plan_values(MODEL, "a", numbers, engine.store.entities)
    ((key, _),) = engine.store.entities.find([(engine.store.names.etype_id("a"), eid)]).values()
    entities = engine.store.entities

    def seen(at):
        profile = entities.decode_profile(entities.profiles([key], whole, at)[key])
        return compute(eid, told(entities, profile, plan, at), plan, at)

    profile = entities.decode_profile(entities.profiles([key], whole)[key])
    chunks = sorted(v for _, _, _, v in profile.chunks)
    found = [seen(at) for at in MOMENTS]
    return [(computed.values, computed.terms, computed.next_change) for computed in found], chunks


def expect_naive(engine, naive):
    for eid in EIDS:
        found = naive.get(eid)
        assert shown_master(engine, eid) == ({} if found is None else expected_master(found))
        if found is None:
            continue
        of_runs, chunks = snapshot_values(engine, eid, whole=True)
        assert snapshot_values(engine, eid, whole=False)[0] == of_runs
        sent = [encode_value(point.v).hex().upper() for point in found if point.attr == "load"]
        assert chunks == sorted(sent)
        for name, (first, last) in product(OBSERVED, RANGES):
            assert shown_range(engine, eid, name, first, last) == range_of(found, name, first, last)
        for at, (values, _, _) in zip(MOMENTS, of_runs, strict=True):
            for name in OBSERVED:
                assert shown_current(engine, eid, name, at) == current_at(found, name, at)
                assert values.get(name) == current_at(found, name, at)


@given(st.lists(steps, max_size=12), limits, scans)
@example(
    scans=(0, 1, 50, 0),
    script=[("send", [("e0", [AN_OBSERVATION])]), ("work", 1), ("pack a little", 1), ("fall back", 0)],
    how=PackLimits(slice=1, row=1),
)
@settings(max_examples=examples(60), deadline=None)
def test_packing_at_any_time_changes_nothing_that_a_reader_sees(script, how, scans):
    naive = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory, scan_limits(*scans):
        engine = Engine(Path(directory), MODEL)
        try:
            for action, argument in script:
                if action != "send":
                    engine.remember_state()
                match action:
                    case "send":
                        send(engine, naive, argument)
                    case "work":
                        work(engine, argument, range(argument))
                    case "work but one":
                        work(engine, argument, range(1, argument))
                    case "pack":
                        pack(engine, argument, how)
                    case "pack a little":
                        pack(engine, argument, how, most=2)
                    case "wait":
                        engine.clock.advance(argument)
            work(engine, 1, [0])
            expect_naive(engine, naive)
            pack(engine, 2, how)
            expect_naive(engine, naive)
        finally:
            engine.close()
