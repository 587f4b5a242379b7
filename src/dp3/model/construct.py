"""Making pydantic objects of values that are known to be valid."""

from collections.abc import Set
from typing import Any, TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)


def construct(model: type[Model], values: dict[str, Any], fields_set: Set[str]) -> Model:
    """What `model.model_construct` does when all fields are given, several times as fast."""
    made = model.__new__(model)
    set_attribute = object.__setattr__
    set_attribute(made, "__dict__", values)
    set_attribute(made, "__pydantic_fields_set__", set(fields_set))
    set_attribute(made, "__pydantic_extra__", None)
    set_attribute(made, "__pydantic_private__", None)
    return made
