"""The classes of data-points; each attribute derives its own from one of them (`attrspec.py`)."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, ClassVar, cast

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from dp3.clock import to_datetime, to_us
from dp3.model.canonical import json_value
from dp3.model.durations import AwareDatetime, T2Datetime, none_if_empty
from dp3.model.primitives import Text


class DataPointBase(BaseModel):
    """One value of one attribute of one entity.

    `attr_spec` is the specification (`AttrSpecGeneric`) of the attribute that the class belongs to, None in
    the classes here. Instances can be changed and are not validated again then.
    """

    attr_spec: ClassVar[Any] = None

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
    t2: Annotated[None, BeforeValidator(none_if_empty)] = None


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
        spec = cls.attr_spec
        if (
            none_if_empty(t2) is None
            and spec is not None
            and spec.timeseries_type == "regular"
            and _has_times(info)
        ):
            return to_datetime(spec.check_times(to_us(info.data["t1"]), None, info.data["v"]))
        return t2

    @field_validator("t2", mode="after")
    @classmethod
    def _check_times(cls, t2: datetime, info: ValidationInfo) -> datetime:
        spec = cls.attr_spec
        if spec is not None and _has_times(info):
            spec.check_times(to_us(info.data["t1"]), to_us(t2), info.data["v"])
        return t2


def _has_times(info: ValidationInfo) -> bool:
    return "t1" in info.data and "v" in info.data


DataPointType = DataPointPlainBase | DataPointObservationsBase | DataPointTimeseriesBase


def to_json_friendly(v: Any) -> Any:
    """A value of a data-point as JSON has it: addresses and times become text, objects dictionaries."""
    return json_value(v)


def is_list_ordered(to_check: Sequence[Any]) -> bool:
    """True if no item is smaller than the one before it."""
    return all(a <= b for a, b in pairwise(to_check))
