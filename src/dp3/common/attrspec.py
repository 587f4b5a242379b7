"""Specification of attributes."""

from dp3.model.attrspec import (
    ID_REGEX,
    AttrSpec,
    AttrSpecClassic,
    AttrSpecGeneric,
    AttrSpecObservations,
    AttrSpecPlain,
    AttrSpecReadOnly,
    AttrSpecTimeseries,
    AttrSpecType,
    AttrType,
    ObservationsHistoryParams,
    TimeseriesSeries,
    TimeseriesTSParams,
    timeseries_types,
)

__all__ = [
    "ID_REGEX",
    "AttrSpec",
    "AttrSpecClassic",
    "AttrSpecGeneric",
    "AttrSpecObservations",
    "AttrSpecPlain",
    "AttrSpecReadOnly",
    "AttrSpecTimeseries",
    "AttrSpecType",
    "AttrType",
    "ObservationsHistoryParams",
    "TimeseriesSeries",
    "TimeseriesTSParams",
    "timeseries_types",
]
