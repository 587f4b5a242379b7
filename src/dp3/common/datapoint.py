"""Data-points as hooks see them."""

from dp3.model.datapoint import (
    DataPointBase,
    DataPointObservationsBase,
    DataPointPlainBase,
    DataPointTimeseriesBase,
    DataPointType,
    is_list_ordered,
    to_json_friendly,
)

__all__ = [
    "DataPointBase",
    "DataPointObservationsBase",
    "DataPointPlainBase",
    "DataPointTimeseriesBase",
    "DataPointType",
    "is_list_ordered",
    "to_json_friendly",
]
