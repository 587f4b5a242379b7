"""Data-point classes and their wire form."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dp3.clock import to_datetime, to_us
from dp3.model.attrspec import point_from_wire, point_to_wire
from dp3.model.datapoint import (
    DataPointBase,
    DataPointObservationsBase,
    DataPointPlainBase,
    DataPointTimeseriesBase,
    is_list_ordered,
    to_json_friendly,
)
from dp3.model.wire import WirePoint
from kit.specs import a_model, observed_attr, plain_attr, series_attr

MODEL = a_model(
    {
        "p": plain_attr("int"),
        "c": plain_attr("category<string;up>"),
        "o": observed_attr("int"),
        "l": observed_attr("link<b;mirror=as>", multi_value=True),
        "ip": observed_attr("ipv4"),
        "t": series_attr(),
        "irr": series_attr("irregular"),
    }
)
T1 = datetime(2020, 1, 1, tzinfo=UTC)
T1_US = to_us(T1)


def a_point(attr: str, v: Any, **keys: Any) -> DataPointBase:
    return MODEL.attr("a", attr).dp_model(**{"etype": "a", "eid": "e", "attr": attr, "v": v} | keys)


def an_observation(v: Any = 1, **keys: Any) -> DataPointBase:
    return a_point("o", v, **{"t1": T1} | keys)


def errors(attr: str, v: Any = 1, **keys: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as caught:
        a_point(attr, v, **keys)
    return [(e["type"], ".".join(map(str, e["loc"])), e["msg"]) for e in caught.value.errors()]


@pytest.mark.parametrize(
    ("attr", "base", "name"),
    [
        ("p", DataPointPlainBase, "DataPointPlain_p"),
        ("o", DataPointObservationsBase, "DataPointObservations_o"),
        ("t", DataPointTimeseriesBase, "DataPointTimeseries_t"),
    ],
)
def test_each_attribute_owns_a_class(attr: str, base: type, name: str) -> None:
    cls = MODEL.attr("a", attr).dp_model
    assert issubclass(cls, base)
    assert cls.__name__ == name
    assert list(cls.model_fields) == ["etype", "eid", "attr", "src", "v", "c", "t1", "t2"]


def test_t1_of_a_plain_data_point_is_discarded() -> None:
    assert a_point("p", 1, t1="garbage").t1 is None


@pytest.mark.parametrize("t2", ["", 0, 0.0, None], ids=repr)
def test_an_empty_t2_is_a_missing_one(t2: Any) -> None:
    assert an_observation(t2=t2).t2 == T1
    assert a_point("t", {"x": [1], "y": [1]}, t1=T1, t2=t2) == a_point("t", {"x": [1], "y": [1]}, t1=T1)
    assert a_point("irr", {"x": [1], "time": [T1]}, t1=T1, t2=t2).t2 == T1
    assert a_point("p", 1, t2=t2).t2 is None


def test_t2_of_a_plain_data_point_is_an_error() -> None:
    assert errors("p", t2=T1) == [("none_required", "t2", "Input should be None")]


def test_c_of_a_plain_data_point_is_free() -> None:
    assert a_point("p", 1).c is None
    assert a_point("p", 1, c="anything").c == "anything"


def test_observation_defaults_to_full_confidence_at_one_moment() -> None:
    dp = an_observation()
    assert (dp.c, dp.t1, dp.t2, dp.src) == (1.0, T1, T1, None)


def test_times_without_zone_are_utc_and_others_keep_theirs() -> None:
    dp = an_observation(t1="2020-01-01T00:00:00+02:00", t2="2020-01-01T05:00:00")
    assert dp.t1 is not None and dp.t1.utcoffset() == timedelta(hours=2)
    assert dp.t2 == datetime(2020, 1, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize("t1", [1577836800, 1577836800000, "1577836800", "2020-01-01"])
def test_times_may_be_seconds_milliseconds_or_text(t1: Any) -> None:
    assert an_observation(t1=t1).t1 == T1


def test_observation_with_null_times_has_two_errors() -> None:
    message = "Input should be a valid datetime"
    expected = [("datetime_type", "t1", message), ("datetime_type", "t2", message)]
    assert errors("o", t1=None, t2=None) == expected


@pytest.mark.parametrize(
    ("attr", "keys", "expected"),
    [
        (
            "o",
            {"t1": T1, "t2": "2019-01-01"},
            ("assertion_error", "t2", "Assertion failed, 't2' is before 't1'"),
        ),
        ("o", {"t1": T1, "c": 2}, ("less_than_equal", "c", "Input should be less than or equal to 1")),
        ("o", {"t1": T1, "c": -1}, ("greater_than_equal", "c", "Input should be greater than or equal to 0")),
        ("o", {"t1": T1, "c": None}, ("float_type", "c", "Input should be a valid number")),
        ("o", {"t1": T1, "c": float("nan")}, ("finite_number", "c", "Input should be a finite number")),
        ("p", {"eid": 1}, ("string_type", "eid", "Input should be a valid string")),
        (
            "p",
            {"src": "\ud800"},
            ("value_error", "src", "Value error, text holds a lone surrogate at position 0"),
        ),
    ],
)
def test_wrong_field_is_explained(attr: str, keys: Any, expected: tuple[str, str, str]) -> None:
    assert errors(attr, **keys) == [expected]


def test_missing_value_is_an_error_at_v() -> None:
    with pytest.raises(ValidationError) as caught:
        MODEL.attr("a", "p").dp_model.model_validate({"etype": "a", "eid": "e", "attr": "p"})
    assert [(e["type"], e["loc"], e["msg"]) for e in caught.value.errors()] == [
        ("missing", ("v",), "Field required")
    ]


def test_data_point_of_a_mirror_attribute_is_refused() -> None:
    cls = MODEL.attr("b", "as").dp_model
    assert cls.__name__ == "DataPointReadOnly_as"
    with pytest.raises(ValidationError) as caught:
        cls(etype="b", eid=1, attr="as", v=[{"eid": "e"}])
    (error,) = caught.value.errors()
    assert (error["loc"], error["msg"]) == (
        ("v",),
        "Value error, Cannot instantiate a read-only attribute datapoint.",
    )


def test_unknown_fields_are_ignored() -> None:
    assert not hasattr(a_point("p", 1, extra=2), "extra")


def test_category_value_is_the_value_itself() -> None:
    assert a_point("c", "up").v == "up"


def test_confidence_is_stored_in_billionths() -> None:
    assert point_to_wire(an_observation(c=0.3)).c == 300_000_000


def test_wire_point_of_a_plain_data_point_has_no_times() -> None:
    expected = WirePoint("p", 1, None, None, 1_000_000_000, "s")
    assert point_to_wire(a_point("p", 1, t1=T1, c=1.0, src="s")) == expected


def test_free_c_of_a_plain_data_point_is_not_stored() -> None:
    assert point_to_wire(a_point("p", 1, c="anything")).c is None


def test_omitted_t2_and_c_of_a_wire_observation_have_their_defaults() -> None:
    dp = point_from_wire(MODEL.attr("a", "o"), "a", "e", WirePoint("o", 1, T1_US))
    assert dp == an_observation()


points = st.one_of(
    st.builds(a_point, st.just("p"), st.integers(-5, 5), src=st.none() | st.just("s")),
    st.builds(an_observation, st.integers(-5, 5), c=st.integers(0, 1000).map(lambda n: n / 1000)),
    st.builds(lambda eid: a_point("l", {"eid": eid}, t1=T1, t2="2030-01-01"), st.integers(0, 9)),
    st.builds(lambda ip: a_point("ip", ip, t1=T1), st.ip_addresses(v=4)),
    st.builds(lambda n: a_point("t", {"x": list(range(n))}, t1=T1), st.integers(0, 5)),
    st.builds(
        lambda s: a_point("irr", {"x": [1], "time": [T1 + timedelta(seconds=s)]}, t1=T1, t2="2030-01-01"),
        st.integers(0, 100),
    ),
)


@settings(deadline=None)
@given(points)
def test_data_point_survives_its_wire_form(dp: DataPointBase) -> None:
    back = point_from_wire(MODEL.attr("a", dp.attr), "a", "e", point_to_wire(dp))
    assert back == dp
    assert back.model_dump() == dp.model_dump()


@pytest.mark.parametrize(
    ("field", "value"), [("v", "x"), ("c", 2), ("t1", None), ("t2", to_datetime(0)), ("t1", "2020-01-01")]
)
def test_data_point_changed_into_something_invalid_is_not_written(field: str, value: Any) -> None:
    dp = an_observation()
    setattr(dp, field, value)
    with pytest.raises(ValueError, match=r"Data-point no longer fits 'a\.o': ."):
        point_to_wire(dp)


def test_changed_chunk_must_still_fit_its_times() -> None:
    dp = a_point("t", {"x": [1]}, t1=T1)
    dp.v.x.append(2)
    with pytest.raises(ValueError, match="Difference of t1 and t2 is invalid"):
        point_to_wire(dp)


def test_data_point_of_a_base_class_has_no_wire_form() -> None:
    dp = DataPointPlainBase(etype="a", eid="e", attr="p", v=1)
    with pytest.raises(ValueError, match="DataPointPlainBase belongs to no attribute"):
        point_to_wire(dp)


def test_values_become_json_friendly() -> None:
    link = a_point("l", {"eid": 1}, t1=T1).v
    assert to_json_friendly([link, IPv4Address("1.1.1.1"), T1]) == [
        {"eid": 1},
        "1.1.1.1",
        "2020-01-01T00:00:00Z",
    ]


def test_list_is_ordered_if_no_item_is_smaller_than_the_one_before() -> None:
    assert is_list_ordered([1, 1, 2]) and is_list_ordered([])
    assert not is_list_ordered([2, 1])
