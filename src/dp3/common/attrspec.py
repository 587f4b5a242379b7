"""Specification of attributes."""

from dp3.model.attrspec import (
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
from dp3.model.type_text import ID_REGEX

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
