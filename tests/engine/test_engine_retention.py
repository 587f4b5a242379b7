"""Retention: what goes when, what stays, and what is looked at."""

import pytest

from dp3.clock import to_datetime
from dp3.engine.jobs.snapshots.doc import decode_doc
from dp3.model.spec import ModelSpec
from dp3.model.wire import CONFIDENCE_UNIT, MarkDirty, WirePoint
from dp3.store.ports.errors import LeaseLost
from dp3.store.ports.leases import Holder
from dp3.store.ports.retention import FIRST_TAG, LAST_TAG
from kit.engine import Engine
from kit.points import SECOND, START_US, seconds, task
from kit.specs import a_type, observed_attr, series_attr
from kit.worker import CLEANING, PACKING, PackLimits

LITTLE = PackLimits(slice=2, row=3)


def observed(data_type="int", multi_value=False, **history_params):
    return observed_attr(data_type, history_params, multi_value=multi_value)


def series(**params):
    return series_attr("irregular", params, series={"cpu": {"data_type": "int"}})


def seen(v, first, last, c=CONFIDENCE_UNIT):
    """An observation that holds from one second to another."""
    return WirePoint("o", v, START_US + first * SECOND, START_US + last * SECOND, c)


def seconds_of(segment):
    """When a stored segment begins and ends."""
    return (segment[0] - START_US) // SECOND, (segment[1] - START_US) // SECOND


def chunk(v, first, last):
    """A data-point of a timeseries with one moment."""
    moment = to_datetime(START_US + first * SECOND).isoformat()
    return WirePoint("o", {"time": [moment], "cpu": [v]}, START_US + first * SECOND, START_US + last * SECOND)


class App:
    """An application with one attribute, `o`; times are seconds since the start of the tests, which is 1000
    seconds ago."""

    def __init__(self, engine: Engine, attr, model: ModelSpec | None = None) -> None:
        self.engine = engine
        self.model = model or ModelSpec({"a": a_type("a", {"o": attr})})
        self.limits = LITTLE

    def take(self, *points, eid="e1", pack=True):
        self.engine.send(task(eid, *points))
        self.engine.work(model=self.model)
        if pack:
            self.run(PACKING)

    def clean(self, limit, *passes):
        """Clean a thousand seconds after a moment; returns how many rows were looked at."""
        clock = self.engine.clock
        clock.advance((START_US + (limit + 1_000) * SECOND - clock.now_us()) / SECOND)
        self.run(*(passes or (CLEANING,)))
        (last, *_) = self.engine.store.retention.passes(1)
        assert last.done
        return last.rows

    def run(self, *passes):
        with self.engine.worker(model=self.model, limits=self.limits) as driven:
            driven.request_upkeep(*passes)
            driven.finish()

    def shown(self, eid="e1"):
        """What readers see, as (value, first second, last second)."""
        history = self.engine.master(eid, model=self.model).get("o", [])
        return [(x["v"], seconds(x["t1"]), seconds(x["t2"])) for x in history]

    def confidence(self, eid="e1"):
        """That of the only interval."""
        (one,) = self.engine.master(eid, model=self.model)["o"]
        return one["c"]

    def stored(self, eid="e1"):
        """The packed rows."""
        store = self.engine.store
        ((key, _),) = store.entities.find([(store.names.etype_id("a"), eid)]).values()
        return store.retention.scoped(
            [(key, store.names.attr_id("a", "o"), FIRST_TAG, LAST_TAG)], whole=True
        )[0]

    def counted(self):
        """How many data-points the rows say they stand for."""
        ((_, points, _),) = self.engine.store.models.attr_rows("a", ["o"], [], "", 10)[0]
        return points

    def snapshot(self):
        """The value in a run of now."""
        self.engine.store.control.send(0, "make_snapshots", {})
        self.engine.work(model=self.model)
        return decode_doc(self.engine.store.queries.latest("a", ["e1"])["e1"].doc).values["o"]

    def referrers(self, target):
        """Who links to an entity of `b` now."""
        store = self.engine.store
        place = (store.names.etype_id("b"), target)
        found = store.links.incoming([place], [store.names.attr_id("a", "o")], self.engine.clock.now_us())
        return {eid for _, _, eid in found[place]}

    def noticed(self):
        """How often an entity was said to have other values."""
        return len([one for one in self.engine.derived() if isinstance(one.system_task, MarkDirty)])


@pytest.fixture
def app(engine: Engine):
    return lambda **attr: App(engine, observed(**attr))


# -- age -------------------------------------------------------------------------------------------------
def test_long_values_are_told_apart_by_their_end(app):
    kept = app(data_type="string", max_age="500s", post_validity="100s")
    one, other = ("x" * 5_000 + end for end in "ab")
    kept.take(seen(one, 300, 400), seen(other, 450, 1_000))
    kept.clean(401 + 500 - 1_000)
    assert kept.shown() == [(other, 450, 1_000)]


@pytest.mark.parametrize(
    ("limits", "age"),
    [
        ({"expire_time": "500s"}, 500),
        ({"expire_time": "500s", "max_age": "700s"}, 500),
        ({"expire_time": "500s", "max_age": "300s"}, 300),
        ({"expire_time": 0, "post_validity": "200s"}, 200),
        ({"expire_time": "inf", "max_age": "400s"}, 400),
    ],
)
def test_what_expired_goes_unless_it_counts_still(app, limits, age):
    kept = app(**limits)
    kept.take(seen(1, 1_000, 2_000))
    kept.clean(2_000 + age - 1_000)
    assert kept.shown() == [(1, 1_000, 2_000)]
    kept.clean(2_001 + age - 1_000)
    assert kept.shown() == []


def test_what_never_expires_stays(app):
    kept = app(expire_time="inf")
    kept.take(seen(1, 1_000, 2_000))
    kept.clean(10_000_000)
    assert kept.shown() == [(1, 1_000, 2_000)]


def test_what_ended_before_the_limit_goes_and_nothing_else(app):
    kept = app(max_age="1000s")
    kept.take(seen(1, 0, 10), seen(2, 20, 30), seen(3, 40, 50))
    kept.clean(30)
    assert kept.shown() == [(2, 20, 30), (3, 40, 50)]
    kept.clean(51)
    assert kept.shown() == []


def test_a_united_stretch_goes_as_a_whole_wherever_its_parts_are(app):
    kept = app(max_age="1000s")
    kept.take(seen(1, 0, 10))
    kept.take(*(seen(1, 10 * n, 10 * n + 1) for n in range(10, 16)), seen(1, 10, 12))
    kept.take(seen(1, 12, 160), pack=False)
    kept.clean(155)
    assert kept.shown() == [(1, 0, 160)]
    kept.clean(161)
    assert kept.shown() == [(1, 0, 160)], "a part of it is not packed"
    kept.clean(161, PACKING, CLEANING)
    assert kept.shown() == []


def test_what_validities_join_stays_until_the_last_part_ended(app):
    kept = app(max_age="1000s", post_validity="5s")
    kept.take(seen(1, 0, 10), seen(1, 14, 20), seen(1, 30, 40))
    kept.clean(15)
    assert kept.shown() == [(1, 0, 20), (1, 30, 40)]
    kept.clean(21)
    assert kept.shown() == [(1, 30, 40)]


def test_what_keeps_two_apart_stays_as_long_as_they_do(app):
    kept = app(max_age="1000s", post_validity="20s")
    kept.take(seen(1, 0, 60), seen(2, 10, 11), seen(1, 70, 80), seen(3, -20, -10))
    kept.clean(50)
    assert kept.shown() == [(1, 0, 60), (2, 10, 11), (1, 70, 80)]
    kept.clean(61)
    assert kept.shown() == [(1, 70, 80)]


def test_data_points_that_are_not_aggregated_go_one_by_one(app):
    kept = app(max_age="1000s", aggregate=False)
    kept.take(seen(1, 0, 10), seen(1, 5, 15), seen(1, 15, 30))
    kept.clean(16)
    assert kept.shown() == [(1, 15, 30)]


def test_chunks_of_timeseries_go_when_their_validity_ended(engine):
    kept = App(engine, series(max_age="1000s"))
    kept.take(chunk(1, 0, 10), chunk(2, 5, 20), chunk(3, 20, 30))
    kept.clean(20)
    assert [v["cpu"] for v, _, _ in kept.shown()] == [2, 3]


def test_late_data_that_is_too_old_goes_with_the_next_pass(app):
    kept = app(max_age="1000s")
    kept.take(seen(1, 40, 50))
    kept.clean(30)
    kept.take(seen(1, 0, 10), seen(2, 5, 20))
    assert kept.clean(30) == 2
    assert kept.shown() == [(1, 40, 50)]


# -- what never ends -------------------------------------------------------------------------------------
def every(step, first, last, v=1):
    """Data-points of one second each, with confidences that differ."""
    return [seen(v, at, at + 1, CONFIDENCE_UNIT // (1 + at % 3)) for at in range(first, last, step)]


@pytest.mark.parametrize("multi_value", [False, True])
def test_what_is_stored_of_a_value_that_never_ends_is_what_came_in_twice_the_time_it_is_kept(
    app, multi_value
):
    kept, sent = app(max_age="1000s", post_validity="60s", multi_value=multi_value), []
    for now in range(500, 20_500, 500):
        points = every(50, now - 500, now)
        sent += points
        kept.take(*points, pack=False)
        kept.clean(now - 1_000, PACKING, CLEANING)
        stored = kept.stored()
        assert kept.shown() == [(1, 0, now - 49)]
        assert kept.confidence() == pytest.approx(sum(p.c for p in sent) / len(sent) / CONFIDENCE_UNIT)
        assert sum(n for row in stored for *_, n in row.segments) == kept.counted() == len(sent)
        assert sum(len(row.segments) for row in stored) <= 1 + 2_500 // 50
        assert len(stored) <= 1 + 2_500 // 50 // LITTLE.row + 1
    assert kept.engine.store.counters.all().get("history_removed", 0) == 0


def test_what_is_joined_is_where_the_first_of_it_was_and_rows_without_anything_go(app):
    kept = app(max_age="1000s", post_validity="60s")
    kept.take(*every(50, 0, 450))
    kept.clean(-500)
    assert [len(row.segments) for row in kept.stored()] == [3, 3, 3]
    kept.take(seen(1, 445, 2_000), pack=False)
    kept.clean(352)
    (first, last) = kept.stored()
    assert [(seconds_of(segment), segment[3]) for segment in first.segments] == [((0, 351), 8)]
    assert [seconds_of(segment) for segment in last.segments] == [(400, 401)]


@pytest.mark.parametrize("row", [3, 64])
def test_a_value_that_never_ends_is_looked_at_about_once_in_the_time_it_is_kept(app, row):
    kept = app(max_age="1000s", post_validity="60s")
    kept.limits = PackLimits(slice=2, row=row)
    looked = []
    for now in range(100, 10_100, 100):
        kept.take(*every(50, now - 100, now), pack=False)
        looked.append(kept.clean(now - 1_000, PACKING, CLEANING) > 0)
        assert kept.clean(now - 1_000) == 0
    assert 9 <= sum(looked) <= 13


def test_other_values_cut_what_is_joined_only_if_they_begin_before_the_limit(app):
    kept = app(max_age="1000s", post_validity="60s")
    kept.take(*every(50, 0, 500))
    kept.clean(302)
    kept.take(seen(2, 310, 311))
    assert kept.shown() == [(1, 0, 301), (2, 310, 311), (1, 350, 451)]
    kept.take(seen(2, 120, 121))
    assert kept.shown() == [(1, 0, 301), (2, 120, 121), (2, 310, 311), (1, 350, 451)]


# -- what is looked at -----------------------------------------------------------------------------------
def test_a_pass_over_unchanged_data_looks_at_no_history(app):
    kept = app(max_age="1000s", post_validity="20s")
    kept.take(seen(1, 0, 60), seen(2, 10, 11), seen(1, 70, 80), seen(3, 75, 76), seen(3, 90, 95))
    for number in range(5):
        kept.take(seen(number, 0, number), eid=f"x{number}")
    assert kept.clean(30)
    assert kept.clean(30) == 0
    assert kept.clean(60) == 0


def test_what_is_not_too_old_is_not_looked_at(app):
    kept = app(max_age="1000s")
    for number in range(10):
        kept.take(seen(1, 10 * number, 10 * number + 5), eid=f"x{number}")
    assert kept.clean(26) == 3
    assert [bool(kept.shown(f"x{number}")) for number in range(10)] == [False] * 3 + [True] * 7


def test_each_worker_cleans_its_own(app):
    kept = app(max_age="1000s")
    for number in range(10):
        kept.take(seen(1, 0, 5), eid=f"x{number}")
    kept.engine.clock.advance(100)
    left = []
    for index in range(2):
        with kept.engine.worker(index=index, processes=2, model=kept.model, limits=LITTLE) as driven:
            driven.request_upkeep(CLEANING)
            driven.finish()
        left.append(sum(bool(kept.shown(f"x{number}")) for number in range(10)))
    assert 0 < left[0] < 10
    assert left[1] == 0


def test_a_worker_that_lost_its_lease_removes_nothing(app):
    kept = app(max_age="1000s")
    kept.take(seen(1, 0, 10))
    kept.engine.clock.advance(100)
    with kept.engine.worker(model=kept.model) as driven:
        driven.request_upkeep(CLEANING)
        driven.upkeep()
        kept.engine.clock.advance(60)
        kept.engine.store.leases.take(0, 1, Holder("other", 1), 15)
        with pytest.raises(LeaseLost):
            driven.finish()
    assert kept.shown() == [(1, 0, 10)]


# -- when ------------------------------------------------------------------------------------------------
def test_cleaning_begins_by_its_schedule_and_packs_first(app):
    kept = app(max_age="1000s")
    kept.take(seen(1, 0, 10), pack=False)
    with kept.engine.worker(model=kept.model, cleaning={"minute": "*/30"}) as driven:
        driven.finish()
        assert kept.shown()
        kept.engine.clock.advance(1_800)
        driven.finish()
    assert not kept.shown()


def test_a_pass_that_was_interrupted_or_missed_is_made_up_for(app):
    kept = app(max_age="1000s")
    for number in range(10):
        kept.take(seen(number, 0, 10), eid=f"x{number}")
    kept.engine.clock.advance(100)
    with kept.engine.worker(model=kept.model) as driven:
        driven.request_upkeep(CLEANING)
        for _ in range(3):
            driven.upkeep()
    with kept.engine.worker(model=kept.model) as driven:
        driven.finish()
    assert not any(kept.shown(f"x{number}") for number in range(10))
    kept.take(seen(1, 0, 10))
    kept.engine.clock.advance(3_000)
    with kept.engine.worker(model=kept.model, cleaning={"minute": "*/30"}) as driven:
        driven.finish()
    assert not kept.shown()


# -- number ----------------------------------------------------------------------------------------------
def test_the_segments_that_ended_last_are_kept(app):
    kept = app(max_items=2)
    kept.take(seen(1, 0, 100), seen(2, 10, 20), seen(3, 30, 40))
    assert kept.shown() == [(1, 0, 100), (2, 10, 20), (3, 30, 40)]
    kept.clean(0)
    assert kept.shown() == [(1, 0, 100), (3, 30, 40)]


def test_only_what_was_packed_since_is_counted(app):
    kept = app(max_items=2)
    for number in range(5):
        kept.take(seen(1, 0, 10), seen(2, 20, 30), eid=f"x{number}")
    assert kept.clean(0) == 10
    assert kept.clean(0) == 0
    kept.take(seen(3, 40, 50), eid="x1")
    assert kept.clean(0) == 3
    assert kept.shown("x1") == [(2, 20, 30), (3, 40, 50)]


def test_of_several_values_the_newest_segments_of_all_are_kept(app):
    kept = app(max_items=3, multi_value=True)
    kept.take(*(seen(n % 2, 10 * n, 10 * n + 5) for n in range(8)))
    kept.clean(0)
    assert kept.shown() == [(1, 50, 55), (0, 60, 65), (1, 70, 75)]


def test_fewer_are_kept_if_others_would_be_seen_as_one(app):
    kept = app(max_items=2, post_validity="20s")
    kept.take(seen(1, 0, 60), seen(2, 10, 11), seen(1, 70, 80))
    kept.clean(0)
    assert kept.shown() == [(1, 70, 80)]


# -- what others hear of it --------------------------------------------------------------------------------
def test_runs_look_at_an_entity_if_a_value_that_holds_went(app):
    kept = app(max_items=1)
    kept.take(seen(1, 0, 2_000), seen(2, 0, 3_000))
    kept.clean(0)
    assert (kept.shown(), kept.noticed()) == ([(2, 0, 3_000)], 1)


def test_runs_do_not_look_at_entities_whose_values_are_the_same(app):
    kept = app(max_age="1000s")
    kept.take(seen(1, 0, 10), seen(1, 40, 2_000))
    kept.clean(30)
    assert (kept.shown(), kept.noticed()) == ([(1, 40, 2_000)], 0)


def test_the_next_run_shows_what_holds_after_a_value_went(app):
    kept = app(max_items=1)
    kept.take(seen(1, 0, 2_000), seen(2, 0, 3_000, c=CONFIDENCE_UNIT // 2))
    before = kept.snapshot()
    kept.clean(0)
    kept.engine.clock.advance(1)
    assert (before, kept.snapshot()) == (1, 2)


def test_links_end_with_the_observations_that_went(engine):
    link = observed(data_type="link<b>", multi_value=True, max_items=2)
    model = ModelSpec({"a": a_type("a", {"o": link}), "b": a_type("b", {})})
    kept = App(engine, link, model)
    kept.take(*(seen({"eid": eid}, 0, end) for eid, end in (("x", 2_000), ("y", 3_000), ("z", 4_000))))
    kept.take(seen({"eid": "x"}, 0, 1_500), eid="e2")
    assert kept.referrers("x") == {"e1", "e2"}
    kept.clean(0)
    assert [kept.referrers(eid) for eid in "xyz"] == [{"e2"}, {"e1"}, {"e1"}]
