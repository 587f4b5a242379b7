"""Attributes of entity types, and the way of their data-points into and out of wire form."""

from collections.abc import Mapping
from datetime import timedelta
from enum import Flag
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, create_model, field_validator

from dp3.clock import to_datetime, to_us
from dp3.model.canonical import checked_text
from dp3.model.composite import construct
from dp3.model.datapoint import (
    DataPointBase,
    DataPointObservationsBase,
    DataPointPlainBase,
    DataPointTimeseriesBase,
)
from dp3.model.datatype import DataType, ReadOnly
from dp3.model.durations import NonNegativeDuration, PositiveDuration, aware
from dp3.model.entityspec import EntitySpec, get_entity_context
from dp3.model.errors import did_you_mean, shown
from dp3.model.primitives import Codec, Converter
from dp3.model.timeseries import (
    IMPLICIT_SERIES,
    SERIES_DATA_TYPES,
    TimesCheck,
    compile_series,
    typed_times_check,
    wire_times_check,
)
from dp3.model.type_text import ID_REGEX
from dp3.model.unknown_keys import UnknownKeys, all_but, unknown_keys_of
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint

timeseries_types: Mapping[str, Mapping[str, Any]] = {
    timeseries_type: {
        "default_series": {name: {"data_type": "time"} for name in names},
        "sort_by": names[0] if names else "t1",
    }
    for timeseries_type, names in IMPLICIT_SERIES.items()
}
"""Timeseries type → the series it always has, and what its rows are sorted by."""


class AttrType(Flag):
    """Kinds of attributes; or-ed values can be tested with `in`."""

    PLAIN = 1
    OBSERVATIONS = 2
    TIMESERIES = 4

    @classmethod
    def from_str(cls, type_str: str) -> "AttrType":
        """The kind called `plain`, `observations` or `timeseries`; `ValueError` for any other text."""
        try:
            return _ATTR_TYPES[type_str]
        except (KeyError, TypeError):
            near = did_you_mean(type_str, _ATTR_TYPES)
            raise ValueError(
                f"Invalid `type` of attribute '{type_str}', expected one of {', '.join(_ATTR_TYPES)}{near}"
            ) from None


_ATTR_TYPES = {
    "plain": AttrType.PLAIN,
    "observations": AttrType.OBSERVATIONS,
    "timeseries": AttrType.TIMESERIES,
}


def _none_as_empty(value: Any) -> Any:
    return {} if value is None else value


def _none_as_zero(value: Any) -> Any:
    return timedelta(0) if value is None else value


def _inf_as_none(value: Any) -> Any:
    return None if value == "inf" else value


Validity = Annotated[NonNegativeDuration, BeforeValidator(_none_as_zero)]


class ObservationsHistoryParams(BaseModel):
    """Settings for the keeping and extending of observations; without `expire_time` (or with `inf`) they do
    not expire."""

    model_config = ConfigDict(frozen=True)

    max_age: NonNegativeDuration | None = None
    max_items: PositiveInt | None = None
    expire_time: Annotated[NonNegativeDuration | None, BeforeValidator(_inf_as_none)] = None
    pre_validity: Validity = timedelta(0)
    post_validity: Validity = timedelta(0)
    aggregate: bool = True


class TimeseriesTSParams(BaseModel):
    """Settings for the keeping of timeseries; `time_step` is the distance of the rows of a regular one."""

    model_config = ConfigDict(frozen=True)

    max_age: NonNegativeDuration | None = None
    time_step: PositiveDuration | None = None


class TimeseriesSeries(BaseModel):
    """One series of a timeseries attribute."""

    model_config = ConfigDict(frozen=True)

    data_type: DataType

    @field_validator("data_type", mode="before")
    @classmethod
    def _known(cls, data_type: Any) -> Any:
        if str(data_type) not in SERIES_DATA_TYPES:
            known = ", ".join(SERIES_DATA_TYPES)
            raise ValueError(f"Data type '{data_type}' is not supported for series: use {known}")
        return data_type


class AttrSpecGeneric(BaseModel):
    """Base of all attributes.

    `accept` takes a JSON-decoded value to its wire form, or raises `Reject` when it is not obviously fine.
    `to_wire` and `from_wire` convert typed values, which are what `dp_model` (the pydantic class of the
    attribute's data-points) makes. Needs an `entity_context` to be built in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    t: ClassVar[AttrType]
    dp_base: ClassVar[type[DataPointBase]]
    dp_prefix: ClassVar[str]
    default_c: ClassVar[float | None] = None

    id: str = Field(pattern=ID_REGEX)
    name: str
    description: str = ""
    ttl: NonNegativeDuration | None = timedelta(0)

    def model_post_init(self, context: Any) -> None:
        """Compile the conversions once; afterwards they are plain attributes."""
        _ = self.accept, self.to_wire, self.from_wire, self.unknown_keys, self.dp_model

    @property
    def codec(self) -> Codec:
        """The conversions of values."""
        raise NotImplementedError

    @cached_property
    def accept(self) -> Converter:
        """JSON value → wire value, or `Reject`."""
        return self.codec.accept

    @cached_property
    def to_wire(self) -> Converter:
        """Typed value → wire value; raises `ValueError` for what is not a value of the attribute."""
        return self.codec.to_wire

    @cached_property
    def from_wire(self) -> Converter:
        """Wire value → typed value."""
        return self.codec.from_wire

    @cached_property
    def unknown_keys(self) -> UnknownKeys | None:
        """The finder of keys in a JSON value that have no effect; None if there can be none."""
        raise NotImplementedError

    @cached_property
    def dp_model(self) -> type[DataPointBase]:
        """The pydantic class of the attribute's data-points."""
        entity: EntitySpec = get_entity_context()["self"]
        name = f"{self.dp_prefix}_{self.id}"
        eid = entity.id_data_type.codec.annotation
        return _data_point_class(name, self.dp_base, self, eid, self._value_annotation())

    def _value_annotation(self) -> Any:
        return self.codec.annotation


class AttrSpecClassic(AttrSpecGeneric):
    """Base of plain and observations attributes."""

    data_type: DataType
    editable: bool = False

    @property
    def codec(self) -> Codec:
        """The conversions of values."""
        return self.data_type.codec

    @cached_property
    def unknown_keys(self) -> UnknownKeys | None:
        """The finder of keys in a JSON value that have no effect; None if there can be none."""
        return unknown_keys_of(self.data_type.expr)

    @property
    def is_iterable(self) -> bool:
        """True if values are lists."""
        return self.data_type.iterable

    @cached_property
    def element_type(self) -> DataType:
        """The type of the elements of lists, else the data type itself."""
        return self.data_type.elem_type or self.data_type

    @property
    def is_relation(self) -> bool:
        """True if values are links or lists of links."""
        return self.element_type.is_link

    @property
    def relation_to(self) -> str:
        """The entity type linked to; `ValueError` if the attribute is not a relation."""
        return self.element_type.get_linked_entity()

    @property
    def is_mirrored(self) -> bool:
        """True if the relation has a mirror attribute on its target."""
        return self.element_type.mirror_link

    @property
    def mirror_as(self) -> str | None:
        """The id of that mirror attribute, if any."""
        return self.element_type.mirror_as


class AttrSpecPlain(AttrSpecClassic):
    """An attribute of which only the last value is kept."""

    t: ClassVar = AttrType.PLAIN
    dp_base: ClassVar = DataPointPlainBase
    dp_prefix: ClassVar = "DataPointPlain"

    type: Literal["plain"] = "plain"


class AttrSpecReadOnly(AttrSpecPlain):
    """A mirror attribute: its values come from links to the entity, it takes no data-points."""

    dp_prefix: ClassVar = "DataPointReadOnly"

    def _value_annotation(self) -> Any:
        return ReadOnly


class AttrSpecObservations(AttrSpecClassic):
    """An attribute with a history of values, each valid for an interval with a confidence."""

    t: ClassVar = AttrType.OBSERVATIONS
    dp_base: ClassVar = DataPointObservationsBase
    dp_prefix: ClassVar = "DataPointObservations"
    default_c: ClassVar = 1.0

    type: Literal["observations"] = "observations"
    confidence: bool = False
    multi_value: bool = False
    history_params: Annotated[ObservationsHistoryParams, BeforeValidator(_none_as_empty)] = (
        ObservationsHistoryParams()
    )
    history_force_graph: bool = False


SeriesId = Annotated[str, Field(pattern=ID_REGEX)]


class AttrSpecTimeseries(AttrSpecGeneric):
    """An attribute with numbers over time, in one or more series.

    `accept` and `dp_model` check values; `accept_times` is the fast check of their times.
    """

    t: ClassVar = AttrType.TIMESERIES
    dp_base: ClassVar = DataPointTimeseriesBase
    dp_prefix: ClassVar = "DataPointTimeseries"

    type: Literal["timeseries"] = "timeseries"
    timeseries_type: Literal["regular", "irregular", "irregular_intervals"]
    series: Annotated[dict[SeriesId, TimeseriesSeries], BeforeValidator(_none_as_empty)] = Field(
        default={}, validate_default=True
    )
    timeseries_params: Annotated[TimeseriesTSParams, BeforeValidator(_none_as_empty)] = Field(
        default=TimeseriesTSParams(), validate_default=True
    )

    @field_validator("series", mode="after")
    @classmethod
    def _with_implicit_series(
        cls, series: dict[str, TimeseriesSeries], info: Any
    ) -> dict[str, TimeseriesSeries]:
        for name in series:
            if name.startswith("_"):
                raise ValueError(f"Series id '{name}' must not start with an underscore")
        implicit = IMPLICIT_SERIES[info.data.get("timeseries_type", "regular")]
        for name in implicit:
            if name in series and str(series[name].data_type) != "time":
                raise ValueError(f"Series '{name}' must be of data type time, got {series[name].data_type}")
        return series | {name: TimeseriesSeries(data_type=DataType("time")) for name in implicit}

    @field_validator("timeseries_params", mode="after")
    @classmethod
    def _step_of_regular(cls, params: TimeseriesTSParams, info: Any) -> TimeseriesTSParams:
        if info.data.get("timeseries_type") == "regular" and params.time_step is None:
            raise ValueError("A regular timeseries needs `time_step` (a duration such as 5m), got none")
        return params

    @cached_property
    def codec(self) -> Codec:
        """The conversions of values."""
        return compile_series({name: str(spec.data_type) for name, spec in self.series.items()})

    @cached_property
    def unknown_keys(self) -> UnknownKeys | None:
        """The finder of lists in a JSON value that are of no series."""
        return all_but(self.series)

    @cached_property
    def accept_times(self) -> TimesCheck:
        """(t1, t2 or None in µs, wire value) → t2; `Reject` if the times do not fit the value."""
        return wire_times_check(self.timeseries_type, self.step_us)

    @cached_property
    def check_times(self) -> TimesCheck:
        """The same for a typed value; raises `AssertionError` with the reason."""
        return typed_times_check(self.timeseries_type, self.step_us)

    @property
    def step_us(self) -> int:
        """The distance of rows in µs, 0 if none is configured."""
        return (self.timeseries_params.time_step or timedelta(0)) // timedelta(microseconds=1)


AttrSpecType = AttrSpecPlain | AttrSpecReadOnly | AttrSpecObservations | AttrSpecTimeseries

_SPEC_CLASSES: Mapping[AttrType, type[AttrSpecPlain | AttrSpecObservations | AttrSpecTimeseries]] = {
    AttrType.PLAIN: AttrSpecPlain,
    AttrType.OBSERVATIONS: AttrSpecObservations,
    AttrType.TIMESERIES: AttrSpecTimeseries,
}


def AttrSpec(id: str, spec: Mapping[str, Any]) -> AttrSpecType:
    """The specification of attribute `id` as configured in `spec`; needs an `entity_context`.

    Raises `ValueError` (pydantic's `ValidationError` for wrong keys and values).
    """
    if not isinstance(spec, Mapping):
        raise ValueError(f"Attribute specification must be a mapping, got {shown(spec)}")
    return spec_class(spec).model_validate({**spec, "id": id})


def spec_class(spec: Mapping[str, Any]) -> type[AttrSpecPlain | AttrSpecObservations | AttrSpecTimeseries]:
    """The class for the configured `type`; `ValueError` if it is missing or unknown."""
    if "type" not in spec:
        raise ValueError(f"Missing mandatory attribute `type`, expected one of {', '.join(_ATTR_TYPES)}")
    return _SPEC_CLASSES[AttrType.from_str(spec["type"])]


# -- data-points and their wire form -----------------------------------------------------------------------
def _data_point_class(
    name: str, base: type[DataPointBase], spec: AttrSpecGeneric, eid: Any, v: Any
) -> type[DataPointBase]:
    """`eid` and `v` are the annotations to validate with."""
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


def _to_wire(dp: DataPointBase, spec: AttrSpecGeneric) -> WirePoint:
    v = spec.to_wire(dp.v)
    c = confidence_to_wire(dp.c)
    src = _checked_source(dp.src)
    if isinstance(dp, DataPointPlainBase):
        return WirePoint(spec.id, v, None, None, c, src)
    if dp.t1 is None or dp.t2 is None or dp.t2 < dp.t1:
        raise ValueError(f"expected t1 and t2 in this order, got {dp.t1} and {dp.t2}")
    t1, t2 = to_us(aware(dp.t1)), to_us(aware(dp.t2))
    if isinstance(spec, AttrSpecTimeseries):
        spec.accept_times(t1, t2, v)
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


def point_from_wire(spec: AttrSpecGeneric, etype: str, eid: Any, point: WirePoint) -> DataPointBase:
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
