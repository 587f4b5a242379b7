"""Data types of attributes and entity ids."""

from dp3.model.composite import Link
from dp3.model.datatype import DataType, ReadOnly, is_primitive_element_type, primitive_data_types
from dp3.model.entityspec import AnyEidT, EidDataType, eid_data_types

__all__ = [
    "AnyEidT",
    "DataType",
    "EidDataType",
    "Link",
    "ReadOnly",
    "eid_data_types",
    "is_primitive_element_type",
    "primitive_data_types",
]
