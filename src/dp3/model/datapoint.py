"""Data-points: the pydantic classes that attributes own, and their way into and out of wire form."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, create_model, field_validator

from dp3.clock import to_datetime, to_us
from dp3.model.codec import Text
from dp3.model.construct import construct
from dp3.model.durations import AwareDatetime, T2Datetime, aware
from dp3.model.errors import shown
from dp3.model.json_value import json_value
from dp3.model.text import checked_text
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint

if TYPE_CHECKING:
    from dp3.model.attrspec import AttrSpecGeneric, AttrSpecTimeseries


class DataPointBase(BaseModel):
    """One value of one attribute of one entity.

    `attr_spec` is the attribute that the class belongs to. Instances can be changed and are not validated
    again then.
    """

    attr_spec: ClassVar["AttrSpecGeneric | None"] = None

    etype: str
    eid: Any
    attr: str
    src: Text | None = None
    v: Any
    c: Any = None
    t1: datetime | None = None
    t2: datetime | None = None


def _nothing(value: Any) -> None:
    return None


class DataPointPlainBase(DataPointBase):
    """A data-point of a plain attribute: no times, any `t1` given is dropped."""

    t1: Annotated[None, BeforeValidator(_nothing)] = None
    t2: None = None


class DataPointObservationsBase(DataPointBase):
    """A data-point of an observations attribute: valid from `t1` to `t2` (default `t1`), confidence `c`."""

    c: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = 1.0
    t1: AwareDatetime
    t2: T2Datetime = Field(default=cast(datetime, None), validate_default=True)


class DataPointTimeseriesBase(DataPointBase):
    """A data-point of a timeseries attribute: a chunk of rows between `t1` and `t2`.

    A missing `t2` is worked out from the number of rows for regular timeseries and is `t1` for others.
    """

    t1: AwareDatetime
    t2: T2Datetime = Field(default=cast(datetime, None), validate_default=True)

    @field_validator("t2", mode="before")
    @classmethod
    def _infer_t2(cls, t2: Any, info: ValidationInfo) -> Any:
        spec = cls._series_spec()
        if t2 is None and spec is not None and spec.timeseries_type == "regular" and _has_times(info):
            return to_datetime(spec.check_times(to_us(info.data["t1"]), None, info.data["v"]))
        return t2

    @field_validator("t2", mode="after")
    @classmethod
    def _check_times(cls, t2: datetime, info: ValidationInfo) -> datetime:
        spec = cls._series_spec()
        if spec is not None and _has_times(info):
            spec.check_times(to_us(info.data["t1"]), to_us(t2), info.data["v"])
        return t2

    @classmethod
    def _series_spec(cls) -> "AttrSpecTimeseries | None":
        return cast("AttrSpecTimeseries | None", cls.attr_spec)


def _has_times(info: ValidationInfo) -> bool:
    return "t1" in info.data and "v" in info.data


DataPointType = DataPointPlainBase | DataPointObservationsBase | DataPointTimeseriesBase


def make_data_point_class(
    name: str, base: type[DataPointBase], spec: "AttrSpecGeneric", eid: Any, v: Any
) -> type[DataPointBase]:
    """The data-point class of one attribute; `eid` and `v` are the annotations to validate with."""
    made = create_model(name, __base__=base, eid=(eid, ...), v=(v, ...))
    made.attr_spec = spec
    return made


def point_to_wire(dp: DataPointBase) -> WirePoint:
    """The wire form of a data-point made by an attribute's class.

    Raises `ValueError` if the object was changed so that a value no longer fits its attribute.
    """
    spec = type(dp).attr_spec
    if spec is None:
        raise ValueError(f"{type(dp).__name__} belongs to no attribute: use the attribute's `dp_model`")
    try:
        return _to_wire(dp, spec)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        reason = str(error) or f"v is {shown(dp.v)}"
        raise ValueError(f"Data-point no longer fits '{dp.etype}.{spec.id}': {reason}") from error


def _to_wire(dp: DataPointBase, spec: "AttrSpecGeneric") -> WirePoint:
    v = spec.to_wire(dp.v)
    c = confidence_to_wire(dp.c)
    src = _checked_source(dp.src)
    if isinstance(dp, DataPointPlainBase):
        return WirePoint(spec.id, v, None, None, c, src)
    if dp.t1 is None or dp.t2 is None or dp.t2 < dp.t1:
        raise ValueError(f"expected t1 and t2 in this order, got {dp.t1} and {dp.t2}")
    t1, t2 = to_us(aware(dp.t1)), to_us(aware(dp.t2))
    if isinstance(dp, DataPointTimeseriesBase):
        cast("AttrSpecTimeseries", spec).accept_times(t1, t2, v)
    elif c is None:
        raise ValueError(f"expected a confidence c from 0 to 1, got {shown(dp.c)}")
    return WirePoint(spec.id, v, t1, t2, c, src)


def _checked_source(src: Any) -> str | None:
    if src is None:
        return None
    if not isinstance(src, str):
        raise ValueError(f"expected text or None as src, got {shown(src)}")
    return checked_text(src)


def confidence_to_wire(c: Any) -> int | None:
    """A confidence 0…1 in units of 10⁻⁹; None for anything else (only observations have one)."""
    if isinstance(c, int | float) and 0 <= c <= 1:
        return round(c * CONFIDENCE_UNIT)
    return None


_OPTIONAL = ("src", "c", "t1", "t2")


def point_from_wire(spec: "AttrSpecGeneric", etype: str, eid: Any, point: WirePoint) -> DataPointBase:
    """The data-point object of a wire point; `eid` is typed. Nothing is validated again.

    `t2` of None is `t1`; `c` of None is 1.0 for observations.
    """
    t1 = None if point.t1 is None else to_datetime(point.t1)
    t2 = t1 if point.t2 is None or point.t2 == point.t1 else to_datetime(point.t2)
    c = point.c / CONFIDENCE_UNIT if point.c is not None else spec.default_c
    values = {
        "etype": etype,
        "eid": eid,
        "attr": spec.id,
        "src": point.src,
        "v": spec.from_wire(point.v),
        "c": c,
        "t1": t1,
        "t2": t2,
    }
    return construct(spec.dp_model, values, values.keys())


def to_json_friendly(v: Any) -> Any:
    """A value of a data-point as JSON has it: addresses and times become text, objects dictionaries."""
    return json_value(v)


def is_list_ordered(to_check: Sequence[Any]) -> bool:
    """Whether no item is smaller than the one before it."""
    return all(a <= b for a, b in pairwise(to_check))
